package blob

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"runtime/debug"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// Limits of pictures.
const (
	// ThumbnailSize is the longest allowed side of a thumbnail, in pixels.
	ThumbnailSize = 480
	// DefaultMaxPixels refuses pictures that would take too much memory to show.
	DefaultMaxPixels = 60_000_000
	// decodeBytes bounds the memory for decoding one picture here; larger pictures get no
	// thumbnail. A JPEG of 48 megapixels fits, a progressive one of 13.
	decodeBytes = 96 << 20
	// scanPasses is how often the scans of a progressive JPEG may pass over its samples, on
	// average: encoders write up to seven scans of a component. The scans of a JPEG that is not
	// progressive pass over each sample once (ITU-T T.81, 4.8).
	scanPasses = 12
	// fewScanned is how many samples the scans of any JPEG may pass over, which
	// takes a fraction of a second.
	fewScanned = 64 << 20
	// largeDecode is the size from which on a picture's memory is given back to the system at once.
	// If that were left to the garbage collector, the memory of several pictures would add up.
	largeDecode = 16 << 20
)

// picture is what is known of a picture after it was checked.
type picture struct {
	content       []byte // the picture's bytes without metadata
	width, height int    // as shown; 0: it could not be decoded, so it is never shown inline
	thumbnail     []byte // JPEG; nil: none
}

// cost is what decoding a picture takes.
type cost struct {
	bytes int64
	// endless: decoding takes far more time than a picture of this size should. Only a JPEG can do
	// this: of other formats each pixel is read once, and of an animation only the first picture.
	endless bool
}

// look cleans a picture and makes its thumbnail. Errors: ErrPixels, ErrType.
func look(mime string, b []byte, maxPixels int64) (picture, error) {
	cfg, takes, err := decodeConfig(mime, b)
	if err != nil || cfg.Width <= 0 || cfg.Height <= 0 {
		return picture{}, fmt.Errorf("%w: %w", ErrType, errPicture)
	}
	p := picture{width: cfg.Width, height: cfg.Height}
	var orientation int
	if p.content, orientation, err = strip(mime, b); err != nil {
		return picture{}, fmt.Errorf("%w: %w", ErrType, err)
	}
	pixels := int64(cfg.Width) * int64(cfg.Height)
	if pixels > maxPixels {
		return picture{}, ErrPixels
	}
	if orientation >= 5 {
		p.width, p.height = p.height, p.width
	}
	if takes.endless { // a browser would take as long
		return picture{content: p.content}, nil
	}
	if takes.bytes > decodeBytes {
		return p, nil
	}
	if takes.bytes > largeDecode {
		defer debug.FreeOSMemory()
	}
	img, err := decode(mime, bytes.NewReader(p.content))
	if err != nil {
		return picture{content: p.content}, nil // stored so that it can be saved, but never shown inline
	}
	p.thumbnail, err = thumbnail(img, orientation)
	return p, err
}

// decodeConfig reads a picture's size and works out what decoding it takes.
func decodeConfig(mime string, b []byte) (cfg image.Config, takes cost, err error) {
	r := bytes.NewReader(b)
	bytesPerPixel := int64(4)
	switch mime {
	case "image/jpeg":
		cfg, err = jpeg.DecodeConfig(r)
		if bytesPerPixel = 0; cfg.ColorModel != color.YCbCrModel && cfg.ColorModel != color.GrayModel {
			bytesPerPixel = 4 // for the picture made of the samples: RGB, CMYK
		}
		takes = jpegCost(b)
	case "image/png":
		cfg, err = png.DecodeConfig(r)
		switch cfg.ColorModel {
		case color.NRGBA64Model, color.RGBA64Model, color.Gray16Model: // a grey picture is decoded as colour if some of it is transparent
			bytesPerPixel = 8
		}
		// An interlaced PNG (PNG, 11.2.2) is decoded in passes that are pictures of their own. A
		// file whose header is not in its usual place is treated as interlaced too.
		if len(b) <= 28 || string(b[12:16]) != "IHDR" || b[28] != 0 {
			bytesPerPixel *= 2
		}
	case "image/gif":
		cfg, err = gif.DecodeConfig(r)
		bytesPerPixel = 2 // an interlaced picture is put in order in a second one
	case "image/webp":
		cfg, err = webp.DecodeConfig(r)
	default:
		err = errPicture
	}
	takes.bytes += int64(cfg.Width) * int64(cfg.Height) * bytesPerPixel
	return cfg, takes, err
}

// jpegCost counts the memory for a JPEG: its samples, one byte each; for a progressive one also the
// coefficients, four bytes each, which are all kept until its end. It also counts the samples that
// its scans pass over (ITU-T T.81, B.2.2, B.2.3): a few bytes of a scan may stand for thousands of
// blocks, so a scan takes the time of all its blocks, however short it is. A file in which a
// decoder may find other segments than this function counts as too much.
func jpegCost(b []byte) cost {
	tooMuch := cost{bytes: 1 << 40, endless: true}
	var f jpegFrame
	scanned := int64(0)
	for i := 2; i < len(b); {
		if i+1 < len(b) && b[i] == 0xFF && b[i+1] == 0xFF { // skip a fill byte
			i++
			continue
		}
		if i+1 < len(b) && b[i] == 0xFF && b[i+1] == jpegEOI {
			break
		}
		if i+4 > len(b) || b[i] != 0xFF {
			return tooMuch
		}
		marker := b[i+1]
		if marker < jpegSOF0 || marker >= jpegRST0 && marker <= jpegSOI {
			return tooMuch // the marker has no length, so a decoder goes on directly after it
		}
		end := i + 2 + int(binary.BigEndian.Uint16(b[i+2:]))
		if end < i+4 || end > len(b) {
			return tooMuch
		}
		seg := b[i+4 : end]
		i = end
		switch {
		case marker <= jpegSOF0+2 && f.samples == 0: // a second frame ends the decoding
			f = frameOf(marker, seg)
			if f.samples == 0 {
				return tooMuch
			}
		case marker == jpegSOS:
			scanned += f.scan(seg)
			i = scanEnd(b, i)
		}
	}
	if f.samples == 0 {
		return tooMuch
	}
	if f.progressive {
		return cost{bytes: 5 * f.samples, endless: scanned > max(fewScanned, scanPasses*f.samples)}
	}
	return cost{bytes: f.samples, endless: scanned > max(fewScanned, f.samples)}
}

// jpegFrame describes the picture in a JPEG (ITU-T T.81, B.2.2).
type jpegFrame struct {
	progressive bool
	samples     int64
	components  []jpegComponent
}

type jpegComponent struct {
	id      byte
	samples int64
}

// frameOf reads a frame's header. For a frame without samples, or with more than four components,
// which no decoder takes, it returns the zero frame.
func frameOf(marker byte, seg []byte) (f jpegFrame) {
	if len(seg) < 6 || len(seg) > 6+4*3 {
		return f
	}
	f.progressive = marker == jpegSOF0+2
	height, width := int64(binary.BigEndian.Uint16(seg[1:])), int64(binary.BigEndian.Uint16(seg[3:]))
	across, down := int64(0), int64(0) // the largest sampling factors
	for c := seg[6:]; len(c) >= 3; c = c[3:] {
		across, down = max(across, int64(c[1]>>4)), max(down, int64(c[1]&15))
	}
	if across == 0 || down == 0 {
		return f
	}
	units := (width/(8*across) + 1) * (height/(8*down) + 1)
	for c := seg[6:]; len(c) >= 3; c = c[3:] {
		n := units * int64(c[1]>>4) * int64(c[1]&15) * 64
		f.components = append(f.components, jpegComponent{c[0], n})
		f.samples += n
	}
	return f
}

// scan is how many samples a scan passes over: those of the components that its header lists (ITU-T
// T.81, B.2.3).
func (f jpegFrame) scan(seg []byte) (samples int64) {
	for k := 1; k+1 < len(seg) && k < 1+2*int(seg[0]); k += 2 {
		for _, c := range f.components {
			if c.id == seg[k] {
				samples += c.samples
			}
		}
	}
	return samples
}

// decode reads a picture, and of an animation the first one. If a decoder panics on odd input, this
// is returned as an error of the input.
func decode(mime string, r io.Reader) (img image.Image, err error) {
	defer func() {
		if recover() != nil {
			err = errPicture
		}
	}()
	switch mime {
	case "image/jpeg":
		return jpeg.Decode(r)
	case "image/png":
		return png.Decode(r)
	case "image/gif":
		return gif.Decode(r)
	case "image/webp":
		return webp.Decode(r)
	default:
		return nil, errPicture
	}
}

// thumbnail scales a picture down, turns it as its orientation says, and puts it on a white
// background.
func thumbnail(img image.Image, orientation int) ([]byte, error) {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if long := max(w, h); long > ThumbnailSize {
		w, h = max(1, w*ThumbnailSize/long), max(1, h*ThumbnailSize/long)
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(small, small.Bounds(), image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(small, small.Bounds(), img, b, draw.Over, nil)
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, turn(small, orientation), &jpeg.Options{Quality: 80}); err != nil {
		return nil, fmt.Errorf("blob: thumbnail: %w", err)
	}
	return buf.Bytes(), nil
}

// turn applies an Exif orientation (1 to 8).
func turn(src *image.RGBA, orientation int) *image.RGBA {
	if orientation <= 1 || orientation > 8 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	ow, oh := w, h
	if orientation >= 5 {
		ow, oh = h, w
	}
	dst := image.NewRGBA(image.Rect(0, 0, ow, oh))
	for y := range oh {
		for x := range ow {
			sx, sy := x, y
			switch orientation {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, h-1-x
			case 7:
				sx, sy = w-1-y, h-1-x
			case 8:
				sx, sy = w-1-y, x
			}
			dst.SetRGBA(x, y, src.RGBAAt(sx, sy))
		}
	}
	return dst
}
