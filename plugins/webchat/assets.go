package webchat

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

// The build output is not committed; a program built without it says so.
//
//go:embed all:widget/dist
var embedded embed.FS

// Built returns the widget's build output that is embedded in this program.
func Built() fs.FS {
	sub, err := fs.Sub(embedded, "widget/dist")
	if err != nil {
		return embedded // cannot happen: the path is valid
	}
	return sub
}

// assets is the build output, kept in memory to be served.
type assets struct {
	files  map[string]asset // by path below dist: assets/..., widget.js
	script string           // the panel's entry script; "" = not built
	styles []string
	loads  []string // modules that the entry imports statically
}

type asset struct {
	data []byte
	mime string
	etag string
}

// chunk is an entry of the build's manifest (.vite/manifest.json).
type chunk struct {
	File    string   `json:"file"`
	IsEntry bool     `json:"isEntry"`
	CSS     []string `json:"css"`
	Imports []string `json:"imports"`
}

// newAssets reads the build output. If anything is missing or unreadable the panel counts as not
// built.
func newAssets(built fs.FS) *assets {
	a := &assets{files: map[string]asset{}}
	_ = fs.WalkDir(built, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") || strings.HasPrefix(name, ".vite/") {
			return nil //nolint:nilerr // what cannot be read is not served
		}
		data, err := fs.ReadFile(built, name)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		sum := sha256.Sum256(data)
		a.files[name] = asset{
			data: data, mime: mimeOf(name),
			etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		}
		return nil
	})
	text, err := fs.ReadFile(built, ".vite/manifest.json")
	if err != nil {
		return a
	}
	var chunks map[string]chunk
	if err := json.Unmarshal(text, &chunks); err != nil {
		return a
	}
	for _, c := range chunks {
		if !c.IsEntry || !strings.HasPrefix(path.Base(c.File), "panel") {
			continue
		}
		a.script = c.File
		a.gather(chunks, c)
	}
	return a
}

func (a *assets) gather(chunks map[string]chunk, c chunk) {
	for _, one := range c.CSS {
		if !slices.Contains(a.styles, one) {
			a.styles = append(a.styles, one)
		}
	}
	for _, name := range c.Imports {
		next := chunks[name]
		if next.File != "" && !slices.Contains(a.loads, next.File) {
			a.loads = append(a.loads, next.File)
			a.gather(chunks, next)
		}
	}
}

func (a *assets) built() bool { return a.script != "" }

func mimeOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".map":
		return "application/json"
	case ".woff2":
		return "font/woff2"
	default:
		return "application/octet-stream"
	}
}

// serve answers with a file from memory. A file with a hash of its content in its name never
// changes; browsers ask for others again with their ETag.
func (a *assets) serve(w http.ResponseWriter, r *http.Request, name string, immutable bool) {
	f, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mime)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*") // the files are public; this lets pages use integrity and crossorigin
	h.Set("ETag", f.etag)
	if immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "public, max-age=300")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(f.data)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.data)
	}
}
