package proxy

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/internal/wsframe"
)

// linger is how long the client has to read the close frame before the connection is closed;
// closing resets it if data is still unread.
const linger = 2 * time.Second

// tunnel is an upgraded connection between a client and a plugin.
type tunnel struct {
	client, plugin net.Conn
	pool           *chunks
	instance       string                 // the plugin's generation
	stall          time.Duration          // a peer that takes nothing for so long is considered gone (PR13)
	ending         atomic.Pointer[ending] // why the gateway wants to end it; nil = it does not
	unwatch        func()                 // ends the watch on the session; nil: there is none
	reason         atomic.Pointer[string] // why it ended; the first reason counts
	onEnd          func(reason string)
	parts          atomic.Int32
	closing        sync.Once
}

// Reasons why a tunnel ended.
const (
	endClient = "client"      // the client closed or vanished
	endPlugin = "plugin"      // the plugin closed properly
	endGone   = "plugin_gone" // the plugin ended without a close frame
	endDrain  = "drain"
	endSlow   = "slow" // one side took no data for too long
	endLogout = "revoked"
)

// ending is why the gateway ends a tunnel, and what it tells the client.
type ending struct {
	reason string // label of the metric
	code   uint16
	text   string
}

var (
	atDrain  = &ending{endDrain, codeRestart, "restart"}
	atRevoke = &ending{endLogout, codeRevoked, "revoked"}
)

// start runs the tunnel on two goroutines, which close it when they end. toPlugin and toClient are
// bytes that were read beyond the handshakes.
func (t *tunnel) start(toPlugin, toClient []byte, work *sync.WaitGroup) {
	t.parts.Store(2)
	work.Go(func() { t.up(toPlugin) })
	work.Go(func() { t.down(toClient) })
}

func (t *tunnel) ended(reason string) { t.reason.CompareAndSwap(nil, &reason) }

// finish is called by each direction at its end; the second call closes the connections.
func (t *tunnel) finish() {
	if t.parts.Add(-1) == 0 {
		t.close()
		if t.unwatch != nil {
			t.unwatch()
		}
		t.onEnd(*t.reason.Load())
	}
}

func (t *tunnel) close() {
	t.closing.Do(func() {
		_ = t.client.Close()
		_ = t.plugin.Close()
	})
}

// end ends the tunnel and has down send the client the reason. It does not block.
func (t *tunnel) end(e *ending) {
	t.ending.CompareAndSwap(nil, e)
	_ = t.plugin.SetReadDeadline(time.Now())
}

// up carries the client's bytes to the plugin. After the plugin's end it only reads and drops them,
// so that closing does not reset what the client has yet to read.
func (t *tunnel) up(first []byte) {
	defer t.finish()
	src := newSource(t.client, t.pool)
	b := first
	var err error
	for {
		if len(b) > 0 && t.reason.Load() == nil {
			if err = t.send(t.plugin, b); err != nil {
				t.ended(blame(err, endGone))
				_ = t.client.SetReadDeadline(time.Now().Add(linger))
			}
		}
		src.done()
		if b, err = src.next(); err != nil {
			break
		}
	}
	src.done()
	t.ended(endClient)
	_ = t.plugin.Close() // the plugin sees the end, and down ends, too
}

// down carries the plugin's bytes to the client. If the plugin ends between two frames without a
// close frame, it sends the client one with 1012.
func (t *tunnel) down(first []byte) {
	defer t.finish()
	var f frames
	src := newSource(t.plugin, t.pool)
	b := first
	var err error
	for {
		if len(b) > 0 {
			f.feed(b)
			if err = t.send(t.client, b); err != nil {
				t.ended(blame(err, endClient))
				t.close()
				break
			}
		}
		src.done()
		if b, err = src.next(); err != nil {
			break
		}
	}
	src.done()
	last := atDrain
	switch wish := t.ending.Load(); {
	case wish != nil && errors.Is(err, os.ErrDeadlineExceeded):
		last = wish
		t.ended(wish.reason)
	case f.closed:
		t.ended(endPlugin)
	default:
		t.ended(endGone)
	}
	if f.between() && !f.closed && *t.reason.Load() != endClient {
		_ = t.send(t.client, wsframe.AppendClose(nil, last.code, last.text)) // if sending fails the client sees only that the connection ends
	}
	if c, ok := t.client.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = t.client.SetReadDeadline(time.Now().Add(linger))
}

func (t *tunnel) send(c net.Conn, b []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(t.stall)) // fails when the connection is closed, and then Write fails, too
	_, err := c.Write(b)
	return err
}

func blame(err error, otherwise string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return endSlow
	}
	return otherwise
}
