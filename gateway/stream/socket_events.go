package stream

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"github.com/lxzan/gws"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/internal/wsframe"
)

// OnOpen implements gws.Event.
func (s *Stream) OnOpen(*gws.Conn) {}

// OnClose implements gws.Event. It records why reading ended; the socket itself ends after its
// loop.
func (s *Stream) OnClose(c *gws.Conn, err error) {
	k := socketOf(c)
	if ce, ok := errors.AsType[*gws.CloseError](err); ok || errors.Is(err, io.EOF) {
		_ = ce // the client closed, in whatever way
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, network := errors.AsType[net.Error](err); k.reason == "" && !network {
		k.reason = "protocol"
	}
}

// OnPing implements gws.Event.
func (s *Stream) OnPing(c *gws.Conn, payload []byte) {
	if k := socketOf(c); !k.closing() {
		k.shed(wsframe.Append(nil, wsframe.Pong, payload))
	}
}

// OnPong implements gws.Event; Read has recorded that the client is alive.
func (s *Stream) OnPong(*gws.Conn, []byte) {}

// OnMessage implements gws.Event.
func (s *Stream) OnMessage(c *gws.Conn, m *gws.Message) {
	k := socketOf(c)
	if !k.closing() {
		if m.Opcode == gws.OpcodeText {
			k.read(append(json.RawMessage(nil), m.Bytes()...)) // the message's buffer is reused
		} else {
			k.bye("protocol", closeProtocol, 0)
		}
	}
	_ = m.Close()
}

func socketOf(c *gws.Conn) *socket { return c.Session().(*holder).k }

// closing reports whether the server is closing the socket: then frames that still come are
// ignored.
func (k *socket) closing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.farewell != nil
}

// Read is what gws reads from: the client's bytes, as long as its frames are well-formed and not
// too many (FT24). Otherwise it queues the goodbye, and reads on and drops what comes: closing a
// connection with unread bytes resets it, and the client would not learn why it was closed.
func (k *socket) Read(b []byte) (int, error) {
	n, err := k.net.Read(b)
	if n == 0 || k.admit(b[:n]) {
		return n, err
	}
	for err == nil {
		_, err = k.net.Read(b)
	}
	return 0, err
}

// admit checks the frames that begin in b and records that the client is alive.
func (k *socket) admit(b []byte) bool {
	frames, fault := k.incoming.Next(b)
	if fault != nil {
		k.s.complain(k.id.User, fault)
		k.bye("protocol", fault.Code, 0)
		return false
	}
	if frames == 0 {
		return true
	}
	now := time.Now()
	k.heard.Store(int64(now.Sub(k.opened)))
	if !k.frames.AllowN(now, frames) {
		k.s.complain(k.id.User, errFrames)
		k.bye("protocol", closeProtocol, time.Minute)
		return false
	}
	return true
}

var errFrames = errors.New("too many frames")

// complain logs which user's frames closed a socket, at most once in ten seconds for all sockets;
// the metric counts every case.
func (s *Stream) complain(user conversation.AgentID, err error) {
	s.complaints.Do(func() { s.log.Warn("stream: frames refused", "user_id", user, "err", err) })
}
