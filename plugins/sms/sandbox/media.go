package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// mediaStore keeps pictures and files by their SID.
type mediaStore interface {
	put(sid string, data []byte) error
	get(sid string) ([]byte, error)
	remove(sid string) error
}

type memoryMedia struct {
	mu   sync.Mutex
	held map[string][]byte
}

func (m *memoryMedia) put(sid string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[sid] = data
	return nil
}

func (m *memoryMedia) get(sid string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.held[sid]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (m *memoryMedia) remove(sid string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.held, sid)
	return nil
}

// folderMedia keeps each file under its SID; the sandbox makes SIDs itself, so they are safe file
// names.
type folderMedia struct{ dir string }

func newFolderMedia(dir string) (folderMedia, error) {
	dir = filepath.Join(dir, "media")
	return folderMedia{dir}, os.MkdirAll(dir, 0o750)
}

func (m folderMedia) put(sid string, data []byte) error {
	f, err := os.OpenFile(filepath.Join(m.dir, sid), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (m folderMedia) get(sid string) ([]byte, error) { return os.ReadFile(filepath.Join(m.dir, sid)) }

func (m folderMedia) remove(sid string) error {
	err := os.Remove(filepath.Join(m.dir, sid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func mediaPath(account, message, media string) string {
	return "/" + apiVersion + "/Accounts/" + account + "/Messages/" + message + "/Media/" + media
}

// Twilio's error codes for outbound media.
const (
	codeBadMedia     = 21620 // the picture cannot be fetched
	codeMediaType    = 12300
	codeMediaTooBig  = 30019
	mediaFetchWithin = 15 * time.Second
)

// fetchAll fetches the pictures of an outbound message as Twilio does: HEAD, then GET, without
// credentials. The code is 0, or the reason why the message fails.
func (s *Sandbox) fetchAll(sources []Media) (got []Media, code int) {
	ctx, cancel := context.WithTimeout(s.ctx, mediaFetchWithin)
	defer cancel()
	room := int64(maxFileBytes)
	for _, one := range sources {
		kind, data, code := s.fetch(ctx, one.Source, room)
		if code != 0 {
			return nil, code
		}
		room -= int64(len(data))
		one.SID, one.ContentType, one.Size = newSID("ME"), kind, int64(len(data))
		if err := s.files.put(one.SID, data); err != nil {
			return nil, codeBadMedia
		}
		got = append(got, one)
	}
	return got, 0
}

func (s *Sandbox) fetch(ctx context.Context, source string, room int64) (kind string, data []byte, code int) {
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		req, err := http.NewRequestWithContext(ctx, method, source, nil)
		if err != nil {
			return "", nil, codeBadMedia
		}
		req.Header.Set("User-Agent", "TwilioProxy/1.1")
		resp, err := s.client.Do(req)
		if err != nil {
			return "", nil, codeBadMedia
		}
		data, err = io.ReadAll(io.LimitReader(resp.Body, room+1))
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return "", nil, codeBadMedia
		}
		kind, _, err = mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if err != nil || !sendable(kind) {
			return "", nil, codeMediaType
		}
		if resp.ContentLength > room || int64(len(data)) > room {
			return "", nil, codeMediaTooBig
		}
	}
	return kind, data, 0
}

// sendable reports whether carriers accept the type (vendors' page "Accepted content types", August
// 2026).
func sendable(kind string) bool {
	for _, prefix := range []string{"image/", "audio/", "video/", "text/"} {
		if strings.HasPrefix(kind, prefix) {
			return true
		}
	}
	return kind == "application/pdf" || kind == "application/vcard"
}

// serveMedia answers an authorised request with a redirect to the storage, which is on another
// host.
func (s *Sandbox) serveMedia(w http.ResponseWriter, r *http.Request) {
	ref, ok := s.mediaOf(r)
	if !ok {
		writeError(w, errNotFound(r))
		return
	}
	http.Redirect(w, r, s.storageURL()+"/_storage/"+ref.SID, http.StatusTemporaryRedirect)
}

// storageURL is the sandbox's URL with another host name, so that clients treat it as another host.
func (s *Sandbox) storageURL() string {
	base := s.baseURL()
	if rest, ok := strings.CutPrefix(base, "http://127.0.0.1:"); ok {
		return "http://localhost:" + rest
	}
	if rest, ok := strings.CutPrefix(base, "http://localhost:"); ok {
		return "http://127.0.0.1:" + rest
	}
	return base
}

func (s *Sandbox) mediaOf(r *http.Request) (mediaRef, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, ok := s.state.media[r.PathValue("media")]
	return ref, ok && ref.message == r.PathValue("sid")
}

func (s *Sandbox) deleteMedia(w http.ResponseWriter, r *http.Request) {
	ref, ok := s.mediaOf(r)
	if !ok {
		writeError(w, errNotFound(r))
		return
	}
	if err := errors.Join(s.record(&entry{Erase: ref.SID})(), s.files.remove(ref.SID)); err != nil {
		writeError(w, errInternal(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveStorage is the storage host: it needs no credentials and, as real storage hosts do, answers
// a client that sends the API's credentials with an error.
func (s *Sandbox) serveStorage(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		http.Error(w, "only one authorisation mechanism is allowed", http.StatusBadRequest)
		return
	}
	sid := r.PathValue("media")
	s.mu.Lock()
	ref, ok := s.state.media[sid]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	data, err := s.files.get(sid)
	if err != nil {
		http.Error(w, fmt.Sprintf("media %s cannot be read", sid), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", ref.ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "private, max-age=3600")
	h.Set("Content-Length", fmt.Sprint(len(data)))
	_, _ = w.Write(data)
}
