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
	// ThumbnailSize is the longer side of a thumbnail at most, in pixels.
	ThumbnailSize = 480
	// DefaultMaxPixels refuses what would take too much memory to show.
	DefaultMaxPixels = 60_000_000
	// decodeBytes bounds what decoding one picture may take here; larger ones
	// get no thumbnail. A JPEG of 48 megapixels fits, a progressive one of 13.
	decodeBytes = 96 << 20
	// largeDecode is from where on what a picture took is given back at once.
	// Left to the collector, that of several would be there together.
	largeDecode = 16 << 20
)

// picture is what is known of a picture after it was looked into.
type picture struct {
	content       []byte // without metadata
	width, height int    // as shown; 0: could not be decoded, so never shown inline
	thumbnail     []byte // JPEG; nil: none
}

// look cleans a picture and makes its thumbnail. Errors: ErrPixels, ErrType.
func look(mime string, b []byte, maxPixels int64) (picture, error) {
	cfg, decoded, err := decodeConfig(mime, b)
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
	if decoded > decodeBytes {
		return p, nil
	}
	if decoded > largeDecode {
		defer debug.FreeOSMemory()
	}
	img, err := decode(mime, bytes.NewReader(p.content))
	if err != nil {
		return picture{content: p.content}, nil // kept, to be saved, never shown inline
	}
	p.thumbnail, err = thumbnail(img, orientation)
	return p, err
}

// decodeConfig reads a picture's size and tells how many bytes decoding takes.
func decodeConfig(mime string, b []byte) (cfg image.Config, decoded int64, err error) {
	r := bytes.NewReader(b)
	bytesPerPixel := int64(4)
	switch mime {
	case "image/jpeg":
		cfg, err = jpeg.DecodeConfig(r)
		if bytesPerPixel = 0; cfg.ColorModel != color.YCbCrModel && cfg.ColorModel != color.GrayModel {
			bytesPerPixel = 4 // made of the samples: RGB, CMYK
		}
		decoded = jpegSamples(b)
	case "image/png":
		cfg, err = png.DecodeConfig(r)
		switch cfg.ColorModel {
		case color.NRGBA64Model, color.RGBA64Model, color.Gray16Model: // grey is made colour when some of it is transparent
			bytesPerPixel = 8
		}
		// Interlaced (PNG, 11.2.2): its passes are pictures of their own. So is, for
		// all that is known, one whose header is not where it belongs.
		if len(b) <= 28 || string(b[12:16]) != "IHDR" || b[28] != 0 {
			bytesPerPixel *= 2
		}
	case "image/gif":
		cfg, err = gif.DecodeConfig(r)
		bytesPerPixel = 1
	case "image/webp":
		cfg, err = webp.DecodeConfig(r)
	default:
		err = errPicture
	}
	return cfg, decoded + int64(cfg.Width)*int64(cfg.Height)*bytesPerPixel, err
}

// jpegSamples is how many bytes a JPEG's samples take, and of a progressive one
// its coefficients, of four bytes each, which all are kept until its end
// (ITU-T T.81, B.2.2). Too many when no frame is found where one belongs.
func jpegSamples(b []byte) int64 {
	const tooMany = 1 << 40
	for i := 2; i+4 <= len(b) && b[i] == 0xFF; {
		marker := b[i+1]
		if marker == 0xFF { // fill byte
			i++
			continue
		}
		if marker < jpegSOF0 || marker >= jpegRST0 && marker <= jpegEOI {
			return tooMany // has no length: a decoder goes on right behind it
		}
		end := i + 2 + int(binary.BigEndian.Uint16(b[i+2:]))
		if marker > jpegSOF0+2 {
			i = end
			continue
		}
		if end > len(b) || i+10 > end {
			return tooMany
		}
		height, width := int64(binary.BigEndian.Uint16(b[i+5:])), int64(binary.BigEndian.Uint16(b[i+7:]))
		var most [2]int64 // sampling across and down
		blocks := int64(0)
		for c := i + 10; c+3 <= end; c += 3 {
			h, v := int64(b[c+1]>>4), int64(b[c+1]&15)
			most[0], most[1] = max(most[0], h), max(most[1], v)
			blocks += h * v
		}
		if most[0] == 0 || most[1] == 0 {
			return tooMany
		}
		units := (width/(8*most[0]) + 1) * (height/(8*most[1]) + 1)
		samples := units * blocks * 64
		if marker == jpegSOF0+2 {
			return 5 * samples
		}
		return samples
	}
	return tooMany
}

// decode reads a picture, of an animation the first one. A decoder's panic on
// odd input is an error of the input.
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

// thumbnail scales a picture down, turns it as its orientation says, and puts
// it on white.
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
