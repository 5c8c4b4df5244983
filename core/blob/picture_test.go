package blob_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
)

const secret = "GPS-canary-4711"

// webp1 is a lossless picture of one pixel.
const webp1 = "RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"

func jpegSegment(marker byte, body string) string {
	b := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(body)+2))
	return string(b) + body
}

func exif(orientation byte) string {
	return "Exif\x00\x00II*\x00\x08\x00\x00\x00\x02\x00" +
		"\x12\x01\x03\x00\x01\x00\x00\x00" + string([]byte{orientation}) + "\x00\x00\x00" +
		"\x0e\x01\x02\x00\x0f\x00\x00\x00\x26\x00\x00\x00" + "\x00\x00\x00\x00" + secret
}

func pngChunk(kind, body string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(b, kind+body...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(kind+body))))
}

func insert(b []byte, at int, s string) []byte { return []byte(string(b[:at]) + s + string(b[at:])) }

func TestPicturesLoseTheirMetadata(t *testing.T) {
	f := open(t, nil)
	img := photo(40, 20)
	j, p, g := encode(t, "jpeg", img), encode(t, "png", img), encode(t, "gif", img)
	for name, c := range map[string]struct {
		content []byte
		w, h    int
		mime    string
	}{
		"jpeg":               {insert(j, 2, jpegSegment(0xE1, exif(1))+jpegSegment(0xED, secret)+jpegSegment(0xFE, secret)+jpegSegment(0xE2, "MPF\x00"+secret)), 40, 20, "image/jpeg"},
		"jpeg turned":        {insert(j, 2, jpegSegment(0xE1, exif(6))), 20, 40, "image/jpeg"},
		"jpeg and a zip":     {append(bytes.Clone(j), "PK\x03\x04"+secret...), 40, 20, "image/jpeg"},
		"jpeg without end":   {append(j[:len(j)-2:len(j)-2], ""...), 40, 20, "image/jpeg"},
		"png":                {insert(p, 33, pngChunk("tEXt", "Author\x00"+secret)+pngChunk("eXIf", secret)+pngChunk("prIv", secret)), 40, 20, "image/png"},
		"png and a page":     {append(bytes.Clone(p), "<script>"+secret+"</script>"...), 40, 20, "image/png"},
		"gif":                {insert(g, 13+3*256, "\x21\xfe"+string([]byte{byte(len(secret))})+secret+"\x00"), 40, 20, "image/gif"},
		"gif and javascript": {append(bytes.Clone(g), "*/alert('"+secret+"')"...), 40, 20, "image/gif"},
		"webp":               {webpWith("EXIF", secret), 1, 1, "image/webp"},
		"webp and more":      {[]byte(webp1 + secret), 1, 1, "image/webp"},
	} {
		t.Run(name, func(t *testing.T) {
			file := f.put("a", c.content)
			if file.MIME != c.mime || file.Width != c.w || file.Height != c.h {
				t.Errorf("got %s %dx%d, want %s %dx%d", file.MIME, file.Width, file.Height, c.mime, c.w, c.h)
			}
			got, err := f.read(file.Blob)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(got, []byte(secret)) {
				t.Error("the metadata, or what was behind the end, is still there")
			}
			if int64(len(got)) != file.Size {
				t.Errorf("size %d, but %d bytes", file.Size, len(got))
			}
			if _, _, err := decodeAny(got); err != nil {
				t.Errorf("cannot be decoded any more: %v", err)
			}
		})
	}
}

func decodeAny(b []byte) (image.Image, string, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xd8")):
		img, err := jpeg.Decode(bytes.NewReader(b))
		return img, "jpeg", err
	case bytes.HasPrefix(b, []byte("\x89PNG")):
		img, err := png.Decode(bytes.NewReader(b))
		return img, "png", err
	case bytes.HasPrefix(b, []byte("GIF")):
		img, err := gif.Decode(bytes.NewReader(b))
		return img, "gif", err
	default:
		return nil, "webp", nil
	}
}

// webpWith adds a chunk to webp1.
func webpWith(kind, body string) []byte {
	if len(body)%2 == 1 {
		body += "\x00"
	}
	b := []byte(webp1 + kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

func TestThumbnails(t *testing.T) {
	f := open(t, nil)
	left := image.NewRGBA(image.Rect(0, 0, 1200, 300)) // the left half is red, the right half blue
	for y := range 300 {
		for x := range 1200 {
			c := color.RGBA{255, 0, 0, 255}
			if x >= 600 {
				c = color.RGBA{0, 0, 255, 255}
			}
			left.SetRGBA(x, y, c)
		}
	}
	j := encode(t, "jpeg", left)
	turned := func(o byte) []byte { return insert(j, 2, jpegSegment(0xE1, exif(o))) }
	for name, c := range map[string]struct {
		content []byte
		w, h    int
		redAt   [2]int
		blueAt  [2]int
	}{
		"png":         {encode(t, "png", left), 480, 120, [2]int{5, 60}, [2]int{475, 60}},
		"jpeg":        {turned(1), 480, 120, [2]int{5, 60}, [2]int{475, 60}},
		"mirrored":    {turned(2), 480, 120, [2]int{475, 60}, [2]int{5, 60}},
		"upside down": {turned(3), 480, 120, [2]int{475, 60}, [2]int{5, 60}},
		"clockwise":   {turned(6), 120, 480, [2]int{60, 5}, [2]int{60, 475}},
		"counter":     {turned(8), 120, 480, [2]int{60, 475}, [2]int{60, 5}},
		"transposed":  {turned(5), 120, 480, [2]int{60, 5}, [2]int{60, 475}},
		"transverse":  {turned(7), 120, 480, [2]int{60, 475}, [2]int{60, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			file := f.put("a", c.content)
			w := httptest.NewRecorder()
			f.Handler().ServeHTTP(w, httptest.NewRequest("GET", f.SignURL(file.Blob, 60e9, true), nil))
			img, err := jpeg.Decode(w.Body)
			if w.Code != 200 || err != nil {
				t.Fatalf("thumbnail: status %d, %v", w.Code, err)
			}
			if b := img.Bounds(); b.Dx() != c.w || b.Dy() != c.h {
				t.Fatalf("thumbnail is %dx%d, want %dx%d", b.Dx(), b.Dy(), c.w, c.h)
			}
			if r, _, b, _ := img.At(c.redAt[0], c.redAt[1]).RGBA(); r < 0xC000 || b > 0x4000 {
				t.Errorf("no red at %v", c.redAt)
			}
			if r, _, b, _ := img.At(c.blueAt[0], c.blueAt[1]).RGBA(); b < 0xC000 || r > 0x4000 {
				t.Errorf("no blue at %v", c.blueAt)
			}
		})
	}
}

// A picture whose header is right but whose data is not must be stored, so that it can be saved,
// and must never be shown inline.
func TestBrokenPictureIsNotShown(t *testing.T) {
	f := open(t, nil)
	p := encode(t, "png", photo(40, 20))
	i := bytes.Index(p, []byte("IDAT"))
	p[i+20] ^= 0xFF
	file := f.put("a.png", p)
	if file.Width != 0 {
		t.Errorf("got %+v, want no size in pixels", file)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest("GET", f.SignURL(file.Blob, 60e9, false), nil))
	if d := w.Header().Get("Content-Disposition"); w.Code != 200 || !strings.HasPrefix(d, "attachment") {
		t.Errorf("status %d, disposition %q; want an attachment", w.Code, d)
	}
	w = httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest("GET", f.SignURL(file.Blob, 60e9, true), nil))
	if w.Code != 404 {
		t.Errorf("its thumbnail: status %d, want 404", w.Code)
	}
}

// progressive is a JPEG of three full components without picture data: a decoder allocates
// everything before it finds out.
func progressive(w, h int) []byte {
	frame := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{8}, uint16(h)), uint16(w))
	return []byte("\xFF\xD8" + jpegSegment(0xC2, string(frame)+"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00") +
		jpegSegment(0xDA, "\x03\x01\x00\x02\x00\x03\x00\x00\x00\x00") + "\x00\x00\xFF\xD9")
}

// hidden is a large progressive JPEG whose frame a decoder finds behind a marker that has no
// length. Code that reads the next bytes as a length skips this frame, and finds a small one at
// that distance.
func hidden(marker string) []byte {
	b := []byte("\xFF\xD8" + marker + string(progressive(7000, 7000)[2:]))
	b = append(b, make([]byte, 4+0xFFC2-len(b))...) // FF C2, the frame's marker, taken for the length
	return append(b, jpegSegment(0xC0, "\x08\x00\x01\x00\x01\x01\x01\x11\x00")+jpegSegment(0xDA, "\x01\x01\x00\x00\x3F\x00")+"\x00\xFF\xD9"...)
}

// scan is a scan of a JPEG whose data is all zero bits; tables decides what they mean.
func scan(parameters string, components string, size int) string {
	head := string([]byte{byte(len(components))})
	for _, c := range []byte(components) {
		head += string([]byte{c, 0})
	}
	return jpegSegment(0xDA, head+parameters) + string(make([]byte, size))
}

// tables have a single code, a zero bit. It means: no change for DC, and ac for AC. ac is 0, the
// end of a block, or 0xE0, which with 14 more bits is the end of 16384 blocks.
func tables(ac byte) string {
	one := "\x01" + string(make([]byte, 15))
	return jpegSegment(0xDB, "\x00"+strings.Repeat("\x01", 64)) + jpegSegment(0xC4, "\x00"+one+"\x00"+"\x10"+one+string([]byte{ac}))
}

// camera is an ordinary picture in the ten scans in which encoders write progressive pictures, with
// colours at half the resolution of the brightness.
func camera(w, h int) []byte {
	frame := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{8}, uint16(h)), uint16(w))
	b := "\xFF\xD8" + tables(0) + jpegSegment(0xC2, string(frame)+"\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00")
	blocks := (w/8 + 2) * (h/8 + 2)
	for _, s := range [][2]string{
		{"\x00\x00\x01", "\x01\x02\x03"}, {"\x01\x05\x02", "\x01"}, {"\x01\x3F\x01", "\x03"}, {"\x01\x3F\x01", "\x02"},
		{"\x06\x3F\x02", "\x01"}, {"\x01\x3F\x21", "\x01"}, {"\x00\x00\x10", "\x01\x02\x03"}, {"\x01\x3F\x10", "\x03"},
		{"\x01\x3F\x10", "\x02"}, {"\x01\x3F\x10", "\x01"},
	} {
		b += scan(s[0], s[1], blocks*len(s[1])/8+1)
	}
	return []byte(b + "\xFF\xD9")
}

// refined is a grey picture whose scans say in a few bytes each that nothing changes in any block.
// between is inserted before each scan.
func refined(sof byte, w, h, scans int, between string) []byte {
	frame := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{8}, uint16(h)), uint16(w))
	blocks := (w/8 + 1) * (h/8 + 1)
	b := "\xFF\xD8" + tables(0xE0) + jpegSegment(sof, string(frame)+"\x01\x01\x11\x00") + scan("\x00\x00\x00", "\x01", blocks/8+1)
	return []byte(b + strings.Repeat(between+scan("\x01\x3F\x10", "\x01", blocks/16384*2+2), scans) + "\xFF\xD9")
}

// FT22: the memory for decoding must be known before, so that a small file cannot make a decoder
// take hundreds of megabytes.
func TestDecodedBytes(t *testing.T) {
	interlaced := encode(t, "png", photo(40, 20))
	interlaced[28] = 1
	interlaced = []byte(string(interlaced[:29]) + string(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(interlaced[12:29]))) + string(interlaced[33:]))
	for name, c := range map[string]struct {
		mime    string
		content []byte
		least   int64
		most    int64
	}{
		"jpeg":                 {"image/jpeg", encode(t, "jpeg", photo(4000, 2000)), 12_000_000, 12_200_000},
		"jpeg, progressive":    {"image/jpeg", progressive(4000, 2000), 15 * 8_000_000, 15 * 8_100_000},
		"jpeg, frame in doubt": {"image/jpeg", []byte("\xFF\xD8\xFF\xD0" + string(progressive(40, 20)[2:])), 1 << 40, 1 << 41},
		"jpeg, decoy":          {"image/jpeg", hidden("\xFF\xD0"), 1 << 40, 1 << 41},
		"jpeg, decoy 2":        {"image/jpeg", hidden("\xFF\x00"), 1 << 40, 1 << 41},
		"png":                  {"image/png", encode(t, "png", photo(40, 20)), 4 * 800, 4 * 800},
		"png, interlaced":      {"image/png", interlaced, 8 * 800, 8 * 800},
		"png, header later":    {"image/png", insert(interlaced, 8, pngChunk("prVt", string(make([]byte, 20)))), 8 * 800, 8 * 800},
		"png, deep grey":       {"image/png", encode(t, "png", image.NewGray16(image.Rect(0, 0, 40, 20))), 8 * 800, 8 * 800}, // a transparent colour may be named later in the file
	} {
		if got, err := blob.DecodedBytes(c.mime, c.content); err != nil || got < c.least || got > c.most {
			t.Errorf("%s: %d bytes (%v), want %d to %d", name, got, err, c.least, c.most)
		}
	}
	f := open(t, nil)
	for name, c := range map[string]struct {
		bomb  []byte
		width int
	}{"plain": {progressive(7000, 7000), 7000}, "decoy": {hidden("\xFF\xD0"), 0}, "decoy 2": {hidden("\xFF\x00"), 0}} {
		file, took := f.putMeasured(c.bomb)
		if took > 16<<20 {
			t.Errorf("%s: a JPEG of %d bytes took %d MiB", name, len(c.bomb), took>>20)
		}
		if file.Width != c.width {
			t.Errorf("%s: got %+v, want a width of %d", name, file, c.width)
		}
	}
}

// putMeasured stores a file and returns how many bytes that allocated.
func (f *fixture) putMeasured(content []byte) (conversation.File, uint64) {
	f.t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	file := f.put("a.jpg", content)
	runtime.ReadMemStats(&after)
	return file, after.TotalAlloc - before.TotalAlloc
}

// FT22: a few bytes of a scan make a decoder go through the whole picture. A picture with more
// scans than any encoder writes must be stored without being decoded, so that it can be saved;
// pictures with the usual number of scans must be shown.
func TestScans(t *testing.T) {
	f := open(t, nil)
	canary := jpegSegment(0xE1, secret) + jpegSegment(0xFE, secret)
	for name, c := range map[string]struct {
		content []byte
		endless bool
		put     bool // false: it is not stored, since decoding takes long or it is refused
	}{
		"a camera's":               {camera(4000, 3000), false, false},
		"a small camera's":         {camera(640, 481), false, true},
		"a huge camera's":          {camera(8000, 6000), false, true},
		"baseline":                 {encode(t, "jpeg", photo(600, 400)), false, true},
		"at the limit":             {refined(0xC2, 4300, 4300, 11, ""), false, false},
		"above the limit":          {refined(0xC2, 4300, 4300, 12, ""), true, true},
		"100 scans":                {refined(0xC2, 4300, 4300, 100, ""), true, true},
		"250 scans with metadata":  {refined(0xC2, 4300, 4300, 250, canary), true, true},
		"100 scans, cut short":     {cut(refined(0xC2, 4300, 4300, 100, ""), 30), true, true},
		"100 scans, huge":          {refined(0xC2, 7000, 7000, 100, ""), true, true},
		"100 scans, fill bytes":    {refined(0xC2, 4300, 4300, 100, "\xFF\xFF\xFF"), true, true},
		"100 scans, restarts":      {refined(0xC2, 4300, 4300, 100, "\xFF\xD0\xFF\xD1"), true, true},
		"100 scans, zeros":         {refined(0xC2, 4300, 4300, 100, "\x00\xFF\x00\x00"), true, true},
		"100 scans, tables":        {refined(0xC2, 4300, 4300, 100, tables(0xE0)), true, true},
		"100 scans, decoys":        {refined(0xC2, 4300, 4300, 100, tables(0xE0)+"\xFF\xD0"), true, false},
		"baseline, again":          {refined(0xC0, 8300, 6200, 1, ""), true, true},
		"small, 64 scans":          {refined(0xC2, 640, 480, 63, ""), false, true},
		"small, thousands of them": {refined(0xC2, 640, 480, 3000, ""), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := blob.Endless("image/jpeg", c.content); got != c.endless {
				t.Fatalf("endless: %v, want %v", got, c.endless)
			}
			if !c.put {
				return
			}
			file, took := f.putMeasured(c.content)
			if c.endless && (file.Width != 0 || took > 16<<20) {
				t.Errorf("got %+v and it took %d MiB, want no size in pixels, not decoded", file, took>>20)
			}
			w := httptest.NewRecorder()
			f.Handler().ServeHTTP(w, httptest.NewRequest("GET", f.SignURL(file.Blob, 60e9, true), nil))
			if shown := w.Code == 200; shown != (file.Width > 0 && file.Width < 8000) {
				t.Errorf("thumbnail of %+v: status %d", file, w.Code)
			}
			got, err := f.read(file.Blob)
			if err != nil || bytes.Contains(got, []byte(secret)) {
				t.Errorf("kept: %v; want it without metadata", err)
			}
		})
	}
}

func cut(b []byte, n int) []byte { return b[:len(b)-n] }

func FuzzLook(f *testing.F) {
	f.Add("image/jpeg", []byte("\xff\xd8"+jpegSegment(0xE1, exif(6))+"\xff\xda\x00\x02\xff\xd9"))
	f.Add("image/png", []byte("\x89PNG\r\n\x1a\n"+pngChunk("IHDR", "\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00")+pngChunk("IEND", "")))
	f.Add("image/gif", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"))
	f.Add("image/webp", []byte(webp1))
	f.Add("image/webp", webpWith("VP8X", "\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add("image/jpeg", refined(0xC2, 64, 64, 2, ""))
	f.Fuzz(func(t *testing.T, mime string, b []byte) {
		blob.Endless(mime, b)
		out, err := blob.Strip(mime, b)
		if err != nil {
			return
		}
		if len(out) > len(b)+38 { // an orientation segment and an end may be added
			t.Errorf("strip made %d bytes of %d", len(out), len(b))
		}
		again, err := blob.Strip(mime, out)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("strip of what was stripped: %d bytes, %v; want the same %d", len(again), err, len(out))
		}
	})
}
