package blob

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// errPicture: a picture is not well formed by the rules of its format.
var errPicture = errors.New("not a well-formed picture")

// strip returns a picture without its metadata and without any data after its end. It walks the
// format's own structure and keeps only the parts that are known to be needed to show the picture.
// A JPEG keeps its orientation (1 to 8, Exif); for all other formats the orientation is 1.
func strip(mime string, b []byte) (out []byte, orientation int, err error) {
	switch mime {
	case "image/jpeg":
		return stripJPEG(b)
	case "image/png":
		out, err = stripPNG(b)
	case "image/gif":
		out, err = stripGIF(b)
	case "image/webp":
		out, err = stripWebP(b)
	default:
		err = errPicture
	}
	return out, 1, err
}

// JPEG markers (ITU-T T.81, table B.1).
const (
	jpegSOF0 = 0xC0 // baseline; the next two are extended and progressive
	jpegRST0 = 0xD0 // the first of eight restarts
	jpegSOI  = 0xD8
	jpegEOI  = 0xD9
	jpegSOS  = 0xDA
	jpegAPP0 = 0xE0
	jpegCOM  = 0xFE
)

func stripJPEG(b []byte) (out []byte, orientation int, err error) {
	if len(b) < 4 || b[0] != 0xFF || b[1] != jpegSOI {
		return nil, 0, errPicture
	}
	out = append(make([]byte, 0, len(b)), 0xFF, jpegSOI)
	orientation = 1
	wrote := false // the orientation must come after JFIF's own segment
	for i := 2; ; {
		for i+1 < len(b) && b[i] == 0xFF && b[i+1] == 0xFF {
			i++ // skip fill bytes
		}
		if i+2 > len(b) || b[i] != 0xFF {
			return nil, 0, errPicture
		}
		marker := b[i+1]
		if marker == jpegEOI {
			return append(out, 0xFF, jpegEOI), orientation, nil
		}
		if i+4 > len(b) {
			return nil, 0, errPicture
		}
		end := i + 2 + int(binary.BigEndian.Uint16(b[i+2:]))
		if end < i+4 || end > len(b) {
			return nil, 0, errPicture
		}
		seg := b[i+4 : end]
		if marker == jpegAPP0+1 && orientation == 1 {
			orientation = exifOrientation(seg)
		}
		if !wrote && orientation > 1 && !isAPP(marker) {
			out = append(out, orientationSegment(orientation)...)
			wrote = true
		}
		if keepJPEG(marker, seg) {
			out = append(out, b[i:end]...)
		}
		i = end
		if marker == jpegSOS {
			next := scanEnd(b, i)
			out = append(out, b[i:next]...)
			if next == len(b) { // cut short, as phones and mail sometimes do: shown as far as it is there
				return append(out, 0xFF, jpegEOI), orientation, nil
			}
			i = next
		}
	}
}

func isAPP(marker byte) bool { return marker&0xF0 == jpegAPP0 || marker == jpegCOM }

// keepJPEG reports whether a segment is needed to decode or show a JPEG: JFIF's density, colour
// profiles and Adobe's colour transform are.
func keepJPEG(marker byte, seg []byte) bool {
	switch {
	case !isAPP(marker):
		return true
	case marker == jpegAPP0:
		return bytes.HasPrefix(seg, []byte("JFIF\x00"))
	case marker == jpegAPP0+2:
		return bytes.HasPrefix(seg, []byte("ICC_PROFILE\x00"))
	case marker == jpegAPP0+14:
		return bytes.HasPrefix(seg, []byte("Adobe"))
	default:
		return false
	}
}

// scanEnd finds the marker that ends entropy-coded data: stuffed bytes, restarts and fill bytes do
// not end it.
func scanEnd(b []byte, i int) int {
	for ; i+1 < len(b); i++ {
		if m := b[i+1]; b[i] == 0xFF && m != 0 && m != 0xFF && (m < 0xD0 || m > 0xD7) {
			return i
		}
	}
	return len(b)
}

// exifOrientation reads tag 0x0112 of IFD0 (Exif 2.32, 4.6.4 A); 1, upright, if there is none.
func exifOrientation(seg []byte) int {
	tiff, ok := bytes.CutPrefix(seg, []byte("Exif\x00\x00"))
	if !ok || len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	ifd := int64(order.Uint32(tiff[4:]))
	if ifd+2 > int64(len(tiff)) {
		return 1
	}
	for n, at := int(order.Uint16(tiff[ifd:])), ifd+2; n > 0 && at+12 <= int64(len(tiff)); n, at = n-1, at+12 {
		if order.Uint16(tiff[at:]) == 0x0112 {
			if o := int(order.Uint16(tiff[at+8:])); o >= 1 && o <= 8 {
				return o
			}
			return 1
		}
	}
	return 1
}

// orientationSegment is an APP1 segment that contains only the orientation.
func orientationSegment(o int) []byte {
	return []byte{
		0xFF, jpegAPP0 + 1, 0, 34, 'E', 'x', 'i', 'f', 0, 0,
		'M', 'M', 0, 42, 0, 0, 0, 8, // big endian, IFD0 at 8
		0, 1, // one entry
		0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, byte(o), 0, 0,
		0, 0, 0, 0, // no further IFD
	}
}

var pngMagic = []byte("\x89PNG\r\n\x1a\n")

func stripPNG(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, pngMagic) {
		return nil, errPicture
	}
	out := append(make([]byte, 0, len(b)), pngMagic...)
	for i := len(pngMagic); ; {
		if i+12 > len(b) {
			return nil, errPicture
		}
		n := int64(binary.BigEndian.Uint32(b[i:]))
		end := int64(i) + 12 + n
		if end > int64(len(b)) {
			return nil, errPicture
		}
		switch string(b[i+4 : i+8]) {
		case "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "cICP", "sBIT", "pHYs", "bKGD",
			"acTL", "fcTL", "fdAT": // chunks of an animation
			out = append(out, b[i:end]...)
		}
		if string(b[i+4:i+8]) == "IEND" {
			return out, nil
		}
		i = int(end)
	}
}

func stripGIF(b []byte) ([]byte, error) {
	if len(b) < 13 || (!bytes.HasPrefix(b, []byte("GIF87a")) && !bytes.HasPrefix(b, []byte("GIF89a"))) {
		return nil, errPicture
	}
	i := 13 + colourTable(b[10])
	if i > len(b) {
		return nil, errPicture
	}
	out := append(make([]byte, 0, len(b)), b[:i]...)
	for {
		if i >= len(b) {
			return nil, errPicture
		}
		start, keep := i, true
		switch b[i] {
		case 0x3B: // trailer
			return append(out, 0x3B), nil
		case 0x2C: // picture
			if i+10 > len(b) {
				return nil, errPicture
			}
			i += 10 + colourTable(b[i+9]) + 1 // and the byte with LZW's code size
		case 0x21: // extension
			if i+3 > len(b) {
				return nil, errPicture
			}
			switch b[i+1] {
			case 0xF9: // timing and transparency
			case 0xFF: // application: only the one with the number of repetitions
				keep = bytes.HasPrefix(b[i+2:], []byte("\x0bNETSCAPE2.0")) || bytes.HasPrefix(b[i+2:], []byte("\x0bANIMEXTS1.0"))
			default: // comment, plain text
				keep = false
			}
			i += 2
		default:
			return nil, errPicture
		}
		var ok bool
		if i, ok = subBlocks(b, i); !ok {
			return nil, errPicture
		}
		if keep {
			out = append(out, b[start:i]...)
		}
	}
}

func colourTable(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// subBlocks skips data sub-blocks up to and with their terminator.
func subBlocks(b []byte, i int) (int, bool) {
	for i < len(b) {
		n := int(b[i])
		i += 1 + n
		if n == 0 {
			return i, true
		}
	}
	return i, false
}

func stripWebP(b []byte) ([]byte, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WEBP" {
		return nil, errPicture
	}
	total := int64(binary.LittleEndian.Uint32(b[4:])) + 8
	if total > int64(len(b)) || total < 20 {
		return nil, errPicture
	}
	out := append(make([]byte, 0, total), b[:12]...)
	for i := int64(12); i < total; {
		if i+8 > total {
			return nil, errPicture
		}
		n := int64(binary.LittleEndian.Uint32(b[i+4:]))
		end := i + 8 + n + n&1
		if end > total {
			return nil, errPicture
		}
		switch string(b[i : i+4]) {
		case "VP8X":
			at := len(out)
			out = append(out, b[i:end]...)
			if n > 0 {
				out[at+8] &^= 0x08 | 0x04 // clear the flags that announce Exif and XMP
			}
		case "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF", "ICCP":
			out = append(out, b[i:end]...)
		}
		i = end
	}
	if len(out) < 20 { // too short for a picture
		return nil, errPicture
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out, nil
}
