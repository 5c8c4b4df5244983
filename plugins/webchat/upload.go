package webchat

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// fileNameHeader carries the file's name, percent-encoded UTF-8.
const fileNameHeader = "Parley-File-Name"

const maxFileName = 255 // bytes

// serveUpload takes one file, whose bytes are the body, and streams it to the
// gateway. The request's grant, which the gateway has checked, names the
// visitor's thread.
func (p *Plugin) serveUpload(w http.ResponseWriter, r *http.Request) {
	h, conf := p.hub.Load(), p.sites.Load()
	id, ok := sdk.IdentityOf(r.Context())
	if !ok || id.Purpose != "upload" || id.Thread == "" {
		uploadError(w, http.StatusForbidden, "denied")
		return
	}
	at := conf.byAccount[sdk.AccountID(id.Account)]
	if at == nil || at.MaxFileMB == 0 {
		uploadError(w, http.StatusForbidden, "no_files")
		return
	}
	if origin := r.Header.Get("Origin"); !at.allows(origin) {
		h.count.forbidden.Add(1)
		uploadError(w, http.StatusForbidden, "origin")
		return
	}
	if r.ContentLength > at.maxFile() {
		uploadError(w, http.StatusRequestEntityTooLarge, "too_large")
		return
	}
	name, err := url.PathUnescape(r.Header.Get(fileNameHeader))
	if err != nil || name == "" {
		name = "file"
	}
	if !utf8.ValidString(name) {
		uploadError(w, http.StatusBadRequest, "name")
		return
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = "application/octet-stream"
	}
	body := &counted{r: http.MaxBytesReader(w, r.Body, at.maxFile())}
	stored, err := h.host.Blobs().Put(r.Context(), sdk.BlobMeta{
		Account: at.account, Thread: sdk.ThreadID(id.Thread), Name: cut(name, maxFileName), MIME: kind,
	}, body)
	if err != nil {
		status, code := uploadFault(err, body.err)
		uploadError(w, status, code)
		return
	}
	h.count.uploads.Add(1)
	writeJSON(w, http.StatusOK, "no-store", map[string]any{"kind": "file", "file": file{
		Blob: string(stored.Blob), Name: stored.Name, MIME: stored.MIME, Size: stored.Size,
		Width: stored.Width, Height: stored.Height,
		Key: conf.keys.partKey(at.account, sdk.ThreadID(id.Thread), stored),
	}})
}

// uploadFault tells the client's fault from the gateway's.
func uploadFault(put, read error) (status int, code string) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(read, &tooLarge), errors.Is(put, sdk.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, "too_large"
	case read != nil && !errors.Is(read, io.EOF):
		return http.StatusBadRequest, "broken_off"
	case errors.Is(put, sdk.ErrDenied):
		return http.StatusUnsupportedMediaType, "type"
	case errors.Is(put, sdk.ErrNotFound):
		return http.StatusConflict, "ended"
	default:
		return http.StatusServiceUnavailable, "unavailable"
	}
}

// counted remembers how the reading of a body ended.
type counted struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil {
		c.err = err
	}
	return n, err
}

func uploadError(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, "no-store", map[string]any{"error": map[string]string{"code": code}})
}

func writeJSON(w http.ResponseWriter, status int, cache string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "answer cannot be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", cache)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
