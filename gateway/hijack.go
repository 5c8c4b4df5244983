package gateway

import (
	"bufio"
	"net"
	"net/http"
)

// Hijack hands the connection out (http.Hijacker), for libraries that do not
// look through Unwrap.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.code == 0 {
		r.code = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Hijack hands the connection out without deadlines (http.Hijacker).
func (w *pacedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.rc.Hijack() }
