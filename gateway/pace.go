package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// readAhead is up to how much of an unread body net/http reads by itself before it answers.
const readAhead = 256 << 10

// pace sets deadlines on the connection: a body must keep up a least speed, and a response must
// make progress. So a slow body, or a client that does not read, occupies one goroutine for a
// bounded time only (FT21). Hijacking a connection removes the deadlines.
func pace(l Limits, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pw := &pacedWriter{ResponseWriter: w, rc: http.NewResponseController(w), stall: l.Stall}
		if r.Body != nil && r.Body != http.NoBody {
			if r.ContentLength > readAhead || r.Header.Get("Expect") != "" {
				// net/http answers at once when its own body is large or was not asked for yet, but
				// reads for a while first when the request holds a body that it does not know. So
				// the server's request keeps its own body, and the wrapper goes into a copy.
				r = r.WithContext(r.Context())
			}
			b := &pacedBody{ReadCloser: r.Body, w: pw, start: time.Now(), grace: l.BodyGrace, rate: l.BodyRate}
			b.extend()
			r.Body = b
		}
		next.ServeHTTP(pw, r)
	})
}

type pacedBody struct {
	io.ReadCloser
	w     *pacedWriter
	start time.Time
	grace time.Duration
	rate  int
	n     int64
	until time.Time
}

// Read extends the deadline as long as the average speed since the start is high enough.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if !errors.Is(err, io.EOF) {
		// At the body's end the server has removed the deadline and reads ahead to notice when the
		// client leaves: a new deadline would look as if it had left, and would cancel a handler
		// that still works.
		b.extend()
	}
	return n, err
}

func (b *pacedBody) extend() {
	until := b.start.Add(b.grace + time.Duration(b.n)*time.Second/time.Duration(b.rate))
	if until.Sub(b.until) < 100*time.Millisecond {
		return
	}
	b.until = until
	_ = b.w.rc.SetReadDeadline(until)                 // fails if this is not a network connection, which needs no guard
	_ = b.w.rc.SetWriteDeadline(until.Add(b.w.stall)) // leaves time for the answer, which comes after the body
}

type pacedWriter struct {
	http.ResponseWriter
	rc    *http.ResponseController
	stall time.Duration
	set   time.Time
}

// Unwrap gives http.ResponseController the wrapped writer.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write gives each piece of the response its own deadline.
func (w *pacedWriter) Write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(w.set) > time.Second {
		w.set = now
		_ = w.rc.SetWriteDeadline(now.Add(w.stall))
	}
	return w.ResponseWriter.Write(p)
}
