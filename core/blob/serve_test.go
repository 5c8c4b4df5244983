package blob_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
)

func (f *fixture) get(url string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", url, nil)
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	return w
}

func TestServe(t *testing.T) {
	f := open(t, nil)
	doc := pdf(200_000)
	for name, c := range map[string]struct {
		name      string
		content   []byte
		mime, how string
	}{
		"document":  {"Rechnung März.pdf", doc, "application/pdf", `attachment; filename="Rechnung M_rz.pdf"; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf`},
		"picture":   {"a.png", encode(t, "png", photo(5, 5)), "image/png", `inline; filename="a.png"`},
		"text":      {"a.txt", []byte("words <script>alert(1)</script>"), "text/plain; charset=utf-8", `attachment; filename="a.txt"`},
		"injection": {"a\"\r\nSet-Cookie: x=1;.pdf", doc, "application/pdf", `attachment; filename="a_Set-Cookie_ x=1_.pdf"; filename*=UTF-8''a_Set-Cookie_%20x%3D1%3B.pdf`},
	} {
		t.Run(name, func(t *testing.T) {
			file := f.put(c.name, c.content)
			w := f.get(f.SignURL(file.Blob, time.Minute, false))
			if w.Code != 200 || w.Header().Get("Content-Type") != c.mime || w.Header().Get("Content-Disposition") != c.how {
				t.Errorf("got %d, %q, %q; want %q, %q", w.Code, w.Header().Get("Content-Type"), w.Header().Get("Content-Disposition"), c.mime, c.how)
			}
			if !strings.HasPrefix(c.mime, "image/") && !bytes.Equal(w.Body.Bytes(), c.content) {
				t.Error("the content differs")
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "sandbox;") {
				t.Errorf("headers %v: want nosniff and a sandbox", w.Header())
			}
		})
	}
	file := f.put("a.pdf", doc)
	w := f.get(f.SignURL(file.Blob, time.Minute, false), "Range: bytes=131000-131099")
	if w.Code != http.StatusPartialContent || !bytes.Equal(w.Body.Bytes(), doc[131000:131100]) {
		t.Errorf("range over two chunks: status %d, %d bytes", w.Code, w.Body.Len())
	}
	if w := f.get(f.SignURL(file.Blob, time.Minute, false), "Range: bytes=-5"); !bytes.Equal(w.Body.Bytes(), doc[len(doc)-5:]) {
		t.Errorf("the last five bytes: got %d bytes", w.Body.Len())
	}
}

func TestSignedURLs(t *testing.T) {
	f := open(t, nil)
	a, b := f.put("a.png", encode(t, "png", photo(5, 5))), f.put("b.pdf", pdf(10))
	url := f.SignURL(a.Blob, time.Minute, false)
	parts := strings.Split(url, "/")
	join := func(change func(p []string)) string {
		p := append([]string(nil), parts...)
		change(p)
		return strings.Join(p, "/")
	}
	for name, c := range map[string]struct {
		url  string
		want int
	}{
		"good":                    {url, 200},
		"another name":            {join(func(p []string) { p[5] = "x.exe" }), 200}, // the name is taken from the row
		"another attachment":      {join(func(p []string) { p[2] = b.Blob.String() }), 403},
		"later":                   {join(func(p []string) { p[3] = "9999999999" }), 403},
		"no signature":            {join(func(p []string) { p[4] = "x" }), 403},
		"thumbnail by it":         {join(func(p []string) { p[5] = "thumb/file" }), 403},
		"thumbnail":               {f.SignURL(a.Blob, time.Minute, true), 200},
		"thumbnail of a document": {f.SignURL(b.Blob, time.Minute, true), 404},
		"expired":                 {f.SignURL(a.Blob, -10*time.Minute, false), 403},
		"no such attachment":      {f.SignURL(conversation.NewID[conversation.BlobID](), time.Minute, false), 404},
		"no id":                   {join(func(p []string) { p[2] = "x" }), 403},
		"nothing":                 {"/f/", 404},
	} {
		if w := f.get(c.url); w.Code != c.want {
			t.Errorf("%s: status %d, want %d", name, w.Code, c.want)
		}
	}
	if strings.Contains(url, "a.png") {
		t.Errorf("URL %s carries the name", url)
	}
	if again := f.SignURL(a.Blob, time.Minute, false); again != url && time.Now().Unix()%300 != 0 {
		t.Errorf("the same URL a moment later: %s, before %s", again, url)
	}
	r := httptest.NewRequest("POST", url, nil)
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want 405", w.Code)
	}
	for err, want := range map[error]int{
		blob.ErrTooLarge: 413, blob.ErrPixels: 413, blob.ErrType: 415, blob.ErrFull: 507, blob.ErrNotFound: 404, blob.ErrDamaged: 500,
	} {
		if got := blob.HTTPStatus(err); got != want {
			t.Errorf("HTTPStatus(%v): got %d, want %d", err, got, want)
		}
	}
}
