package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// readAhead is how much of a body that nobody has read net/http reads itself.
const readAhead = 256 << 10

// pace holds bodies to a least speed and responses to moving at all, by
// deadlines of the connection: a slow body or a client that does not read costs
// one goroutine for a bounded time (FT21). Hijacking a connection lifts them.
func pace(l Limits, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pw := &pacedWriter{ResponseWriter: w, rc: http.NewResponseController(w), stall: l.Stall}
		if r.Body != nil && r.Body != http.NoBody {
			if r.ContentLength > readAhead || r.Header.Get("Expect") != "" {
				// The server reads on for a while before it sends an answer when it
				// finds a body that it does not know in its request; its own it leaves
				// when that is large or not yet asked for. So it keeps its own.
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

// Read reads on while the average speed since the start is enough.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if !errors.Is(err, io.EOF) {
		// At the end the server has lifted the deadline and reads ahead, to see
		// the client leave: a new one would look like that and cancel a handler
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
	_ = b.w.rc.SetReadDeadline(until)                 // not a network connection: nothing to guard
	_ = b.w.rc.SetWriteDeadline(until.Add(b.w.stall)) // the answer comes after the body
}

type pacedWriter struct {
	http.ResponseWriter
	rc    *http.ResponseController
	stall time.Duration
	set   time.Time
}

// Unwrap serves http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write gives each piece its own time.
func (w *pacedWriter) Write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(w.set) > time.Second {
		w.set = now
		_ = w.rc.SetWriteDeadline(now.Add(w.stall))
	}
	return w.ResponseWriter.Write(p)
}
