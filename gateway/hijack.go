package gateway

import (
	"bufio"
	"net"
	"net/http"
)

// Hijack hands over the connection (http.Hijacker), for libraries that do not look for it through
// Unwrap.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.code == 0 {
		r.code = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Hijack hands over the connection without deadlines (http.Hijacker).
func (w *pacedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.rc.Hijack() }
