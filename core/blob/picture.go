package blob

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

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
	// get no thumbnail. A JPEG of 48 megapixels fits.
	decodeBytes = 96 << 20
)

// picture is what is known of a picture after it was looked into.
type picture struct {
	content       []byte // without metadata
	width, height int    // as shown; 0: could not be decoded, so never shown inline
	thumbnail     []byte // JPEG; nil: none
}

// look cleans a picture and makes its thumbnail. Errors: ErrPixels, ErrType.
func look(mime string, b []byte, maxPixels int64) (picture, error) {
	cfg, bytesPerPixel, err := decodeConfig(mime, bytes.NewReader(b))
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
	if pixels*bytesPerPixel > decodeBytes {
		return p, nil
	}
	img, err := decode(mime, bytes.NewReader(p.content))
	if err != nil {
		return picture{content: p.content}, nil //nolint:nilerr // kept, to be saved, never shown inline
	}
	p.thumbnail, err = thumbnail(img, orientation)
	return p, err
}

func decodeConfig(mime string, r io.Reader) (cfg image.Config, bytesPerPixel int64, err error) {
	switch mime {
	case "image/jpeg":
		cfg, err = jpeg.DecodeConfig(r)
		bytesPerPixel = 2 // YCbCr 4:2:0 takes 1.5
		if cfg.ColorModel == color.CMYKModel {
			bytesPerPixel = 4
		}
	case "image/png":
		cfg, err = png.DecodeConfig(r)
		if bytesPerPixel = 4; cfg.ColorModel == color.NRGBA64Model || cfg.ColorModel == color.RGBA64Model {
			bytesPerPixel = 8
		}
	case "image/gif":
		cfg, err = gif.DecodeConfig(r)
		bytesPerPixel = 1
	case "image/webp":
		cfg, err = webp.DecodeConfig(r)
		bytesPerPixel = 4
	default:
		err = errPicture
	}
	return cfg, bytesPerPixel, err
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
