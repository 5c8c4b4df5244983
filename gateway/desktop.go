package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
)

// desktop serves the built desktop: files as they are, and index.html for every other path, since
// the browser handles the pages' routes. Files below assets/ have a hash of their content in the
// name, so they never change. All files are small and embedded, so each is kept in memory and
// compressed once, on its first use.
type desktop struct {
	files fs.FS
	mu    sync.Mutex
	ready map[string]*asset
}

type asset struct {
	kind, etag  string
	plain, gzip []byte // gzip nil: compression saves too little
}

// missing is the page that a binary built without the desktop serves.
const missing = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley</title>
<h1>The agent desktop is not in this binary</h1>
<p>It was built without its web pages. Run <code>make</code> in the source folder, which builds them, and start again.
The API, the widget and the webhooks of this server work.</p></html>`

func newDesktop(files fs.FS) *desktop { return &desktop{files: files, ready: map[string]*asset{}} }

var inlineScript = regexp.MustCompile(`(?s)<script(?:\s+type="module")?>(.*?)</script>`)

// scriptHashes are the content policy's entries for the inline scripts of index.html.
func (d *desktop) scriptHashes() []string {
	a, err := d.load("index.html")
	if err != nil {
		return nil
	}
	var out []string
	for _, m := range inlineScript.FindAllSubmatch(a.plain, -1) {
		sum := sha256.Sum256(m[1])
		out = append(out, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return out
}

// ServeHTTP answers GET and HEAD.
func (d *desktop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	a, err := d.load(name)
	switch {
	case err == nil && strings.HasPrefix(name, "assets/"):
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	case err == nil:
		w.Header().Set("Cache-Control", "no-cache")
	case strings.HasPrefix(name, "assets/") || path.Ext(name) != "" && path.Ext(name) != ".html":
		http.NotFound(w, r) // an asset of another build: answering with the page would hide the error
		return
	default:
		w.Header().Set("Cache-Control", "no-cache")
		if a, err = d.load("index.html"); err != nil {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(missing))
			return
		}
	}
	a.serve(w, r)
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("ETag", a.etag)
	h.Add("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	data := a.plain
	if a.gzip != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		data = a.gzip
	}
	h.Set("Content-Length", fmt.Sprint(len(data)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(data) //nolint:gosec // a file of the embedded build
	}
}

func acceptsGzip(r *http.Request) bool {
	for enc := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(enc), ";")
		if name == "gzip" && strings.TrimSpace(q) != "q=0" {
			return true
		}
	}
	return false
}

var errNoFile = errors.New("gateway: no such file of the desktop")

func (d *desktop) load(name string) (*asset, error) {
	if d.files == nil || !fs.ValidPath(name) || name == "." {
		return nil, errNoFile
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, ok := d.ready[name]; ok {
		return a, nil
	}
	data, err := fs.ReadFile(d.files, name)
	if err != nil {
		return nil, errNoFile
	}
	a := &asset{kind: mime.TypeByExtension(path.Ext(name)), plain: data}
	if a.kind == "" {
		a.kind = "application/octet-stream"
	}
	sum := sha256.Sum256(data)
	a.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	if len(data) > 1024 && compressible(a.kind) {
		a.gzip = compress(data)
	}
	d.ready[name] = a
	return a, nil
}

func compressible(kind string) bool {
	return strings.HasPrefix(kind, "text/") || strings.Contains(kind, "javascript") || strings.Contains(kind, "json") || strings.Contains(kind, "svg")
}

func compress(data []byte) []byte {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := zw.Write(data); err != nil || zw.Close() != nil || buf.Len() >= len(data) {
		return nil
	}
	return buf.Bytes()
}
