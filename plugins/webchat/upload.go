package webchat

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// fileNameHeader is the header with the file's name, in percent-encoded UTF-8.
const fileNameHeader = "Parley-File-Name"

const maxFileName = 255 // in bytes

// serveUpload takes one file, which is the request's body, and streams it to the gateway. The
// request's grant, which the gateway has checked, names the visitor's thread.
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
	u := uploader{h, at, clientAddress(r), visitorKey{at.account, sdk.ThreadID(id.Thread)}}
	if uploadFull(w, u.fitsBytes(max(1, r.ContentLength))) {
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
	body := &counted{r: http.MaxBytesReader(w, r.Body, at.maxFile()), take: u.takeBytes}
	stored, err := h.host.Blobs().Put(r.Context(), sdk.BlobMeta{
		Account: at.account, Thread: sdk.ThreadID(id.Thread), Name: cut(name, maxFileName), MIME: kind,
	}, body)
	if uploadFull(w, body.err) {
		return
	}
	if err != nil {
		status, code := uploadFault(err, body.err)
		uploadError(w, status, code)
		return
	}
	h.count.uploads.Add(1)
	writeJSON(w, http.StatusOK, "no-store", inPart{Kind: "file", File: &file{
		Blob: string(stored.Blob), Name: stored.Name, MIME: stored.MIME, Size: stored.Size,
		Width: stored.Width, Height: stored.Height,
		Key: conf.keys.partKey(at.account, sdk.ThreadID(id.Thread), stored),
	}})
}

// uploadFault returns the status and code of a failed upload: the client's fault if reading failed,
// else the gateway's.
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

// uploadFull answers, and counts the refusal, if err says that an upload limit is used up.
func uploadFull(w http.ResponseWriter, err error) bool {
	full, ok := errors.AsType[*quotaError](err)
	if !ok {
		return false
	}
	full.count.Add(1)
	w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(full.after.Seconds())), 10))
	writeJSON(w, http.StatusTooManyRequests, "no-store", map[string]any{"error": map[string]any{
		"code": "quota", "retry_ms": full.after.Milliseconds(),
	}})
	return true
}

// counted counts a body's bytes and remembers the error with which reading ended.
type counted struct {
	r    io.Reader
	take func(n int64) error
	err  error
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if full := c.take(int64(n)); full != nil {
		n, err = 0, full
	}
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
