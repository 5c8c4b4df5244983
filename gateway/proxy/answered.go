package proxy

import (
	"net"
	"sync"
	"time"
)

// answerWait is how long a failed write of a request's body waits for an answer that the plugin may
// have sent before it stopped reading.
const answerWait = 30 * time.Second

// pluginConn is a connection to a plugin. A plugin may answer and close before it has read the
// body, for example because an upload is too large. Then sending the rest fails while the answer is
// still unread, and http.Transport reports whichever it sees first. So a failed write waits until
// nothing more can be read: the sender gets the plugin's answer.
type pluginConn struct {
	net.Conn
	once sync.Once
	read chan struct{} // closed when nothing more can be read
}

func newPluginConn(c net.Conn) *pluginConn { return &pluginConn{Conn: c, read: make(chan struct{})} }

// Read implements net.Conn.
func (c *pluginConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.once.Do(func() { close(c.read) })
	}
	return n, err
}

// Write implements net.Conn.
func (c *pluginConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		t := time.NewTimer(answerWait)
		defer t.Stop()
		select {
		case <-c.read:
		case <-t.C:
		}
	}
	return n, err
}

// Close implements net.Conn. http.Transport calls it when it has the whole answer.
func (c *pluginConn) Close() error {
	c.once.Do(func() { close(c.read) })
	return c.Conn.Close()
}
