package blob

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// urlStep keeps the URL of an attachment the same for some minutes, so that browsers need not fetch
// a picture again for each page.
const urlStep = 5 * time.Minute

// SignURL is the path of an attachment, or of its thumbnail, on the files origin. Anyone who has it
// may read the content until it expires, ttl to ttl + 5 min from now. It contains no file name,
// since URLs end up in logs.
func (s *Store) SignURL(id conversation.BlobID, ttl time.Duration, thumbnail bool) string {
	url, _ := s.signURL(id, ttl, thumbnail)
	return url
}

// signURL also returns until when the link is valid, by the system's clock.
func (s *Store) signURL(id conversation.BlobID, ttl time.Duration, thumbnail bool) (string, time.Time) {
	step := int64(urlStep / time.Second)
	now := s.opts.Now()
	exp := (now.Add(ttl).Unix()/step + 1) * step
	part := ""
	if thumbnail {
		part = "thumb/"
	}
	return fmt.Sprintf("/f/%s/%d/%s/%sfile", id, exp, s.signature(id, exp, thumbnail), part), time.Now().Add(time.Unix(exp, 0).Sub(now))
}

func (s *Store) signature(id conversation.BlobID, exp int64, thumbnail bool) string {
	what := []byte{byte(streamContent)}
	if thumbnail {
		what[0] = byte(streamThumbnail)
	}
	mac := s.vault.MAC("blob/url", id[:], binary.BigEndian.AppendUint64(nil, uint64(exp)), what)
	return base64.RawURLEncoding.EncodeToString(mac[:24])
}

// HTTPStatus is the HTTP status for an error of this package.
func HTTPStatus(err error) int {
	for _, e := range []struct {
		err    error
		status int
	}{
		{ErrTooLarge, http.StatusRequestEntityTooLarge},
		{ErrPixels, http.StatusRequestEntityTooLarge},
		{ErrType, http.StatusUnsupportedMediaType},
		{ErrFull, http.StatusInsufficientStorage},
		{ErrUnavailable, http.StatusServiceUnavailable},
		{ErrQuota, http.StatusTooManyRequests},
		{ErrNotFound, http.StatusNotFound},
	} {
		if errors.Is(err, e.err) {
			return e.status
		}
	}
	return http.StatusInternalServerError
}

// Handler serves signed URLs on the files origin, and nothing else. Pictures that could be decoded
// are shown inline; browsers save everything else.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /f/{id}/{exp}/{sig}/{name}", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, false) })
	mux.HandleFunc("GET /f/{id}/{exp}/{sig}/thumb/{name}", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, true) })
	return mux
}

func (s *Store) serve(w http.ResponseWriter, r *http.Request, thumbnail bool) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // desk and chat pages show pictures from here
	left, ok := s.verify(r, thumbnail)
	if !ok {
		http.Error(w, "the link is not valid or has expired", http.StatusForbidden)
		return
	}
	id, _ := conversation.ParseID[conversation.BlobID](r.PathValue("id")) // verify has checked it
	row, m, err := s.row(r.Context(), id)
	if err == nil && thumbnail && !row.Thumbnail {
		err = ErrNotFound
	}
	var body *Reader
	if err == nil {
		body, err = s.body(r, id, row.Size, m, thumbnail)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		http.Error(w, "not found", http.StatusNotFound)
		return
	case err != nil:
		s.log.ErrorContext(r.Context(), "cannot serve an attachment", "err", err)
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	defer func() { _ = body.Close() }()
	k, known := kindOf(row.MIME)
	mime, inline := row.MIME, known && k.picture && row.Width > 0
	if thumbnail {
		mime, inline = "image/jpeg", true
	}
	if strings.HasPrefix(mime, "text/") {
		mime += "; charset=utf-8"
	}
	h.Set("Content-Type", mime)
	h.Set("Content-Disposition", Disposition(m.Name, inline))
	h.Set("Cache-Control", "private, immutable, max-age="+strconv.FormatInt(int64(left/time.Second), 10))
	h.Set("ETag", `"`+id.String()+`"`)
	http.ServeContent(w, r, "", row.CreatedAt, body)
}

func (s *Store) body(r *http.Request, id conversation.BlobID, size int64, m meta, thumbnail bool) (*Reader, error) {
	if !thumbnail {
		return s.reader(r.Context(), id, m, streamContent, size)
	}
	key := objectKey(id, streamThumbnail)
	a, err := s.bucket.Attributes(r.Context(), key)
	if isMissing(err) { // the row says that there is an object
		return nil, fmt.Errorf("%w: missing", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	chunks := (a.Size + chunkSize + chunkExtra - 1) / (chunkSize + chunkExtra)
	return s.reader(r.Context(), id, m, streamThumbnail, a.Size-chunks*chunkExtra)
}

// verify checks signature and expiry, and returns how long the link is still valid. The answer is
// the same for every fault.
func (s *Store) verify(r *http.Request, thumbnail bool) (left time.Duration, ok bool) {
	id, err := conversation.ParseID[conversation.BlobID](r.PathValue("id"))
	if err != nil {
		return 0, false
	}
	exp, err := strconv.ParseInt(r.PathValue("exp"), 10, 64)
	if err != nil {
		return 0, false
	}
	want := s.signature(id, exp, thumbnail)
	if subtle.ConstantTimeCompare([]byte(want), []byte(r.PathValue("sig"))) != 1 {
		return 0, false
	}
	left = time.Unix(exp, 0).Sub(s.opts.Now())
	return left, left > 0
}
