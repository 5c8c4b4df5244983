package proxy

import (
	"net"
	"sync"
	"time"
)

// answerWait is how long a request that cannot be sent to its end waits for
// what the plugin may have answered before it stopped reading.
const answerWait = 30 * time.Second

// pluginConn is a connection to a plugin. A plugin may answer before it has
// read the body, an upload that is too large for example, and close. Then
// sending the rest fails while the answer lies there unread, and http.Transport
// takes whichever it sees first. So the failure waits until there is nothing
// more to read: the sender gets the plugin's answer.
type pluginConn struct {
	net.Conn
	once sync.Once
	read chan struct{} // closed when nothing more is read
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

// Close implements net.Conn. http.Transport closes when it has the whole answer.
func (c *pluginConn) Close() error {
	c.once.Do(func() { close(c.read) })
	return c.Conn.Close()
}
