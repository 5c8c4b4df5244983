package api

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"github.com/lxzan/gws"
)

// OnOpen implements gws.Event.
func (s *Stream) OnOpen(*gws.Conn) {}

// OnClose implements gws.Event; the socket ends after its loop.
func (s *Stream) OnClose(c *gws.Conn, err error) {
	k := socketOf(c)
	if ce, ok := errors.AsType[*gws.CloseError](err); ok || errors.Is(err, io.EOF) {
		_ = ce // closed by the client, in whatever manner
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
	if k := socketOf(c); k.admit() {
		k.shed(appendControl(nil, opPong, payload))
	}
}

// OnPong implements gws.Event.
func (s *Stream) OnPong(c *gws.Conn, _ []byte) { socketOf(c).admit() }

// OnMessage implements gws.Event.
func (s *Stream) OnMessage(c *gws.Conn, m *gws.Message) {
	k := socketOf(c)
	if k.admit() {
		if m.Opcode == gws.OpcodeText {
			k.read(append(json.RawMessage(nil), m.Bytes()...)) // the message's buffer is reused
		} else {
			k.bye("protocol", closeProtocol, 0)
		}
	}
	_ = m.Close()
}

func socketOf(c *gws.Conn) *socket { return c.Session().(*holder).k }

// admit notes that the client was heard and counts its frames; a flood ends
// the socket (FT24).
func (k *socket) admit() bool {
	now := time.Now()
	k.heard.Store(now.UnixMilli())
	k.mu.Lock()
	closing := k.farewell != nil
	k.mu.Unlock()
	if closing {
		return false
	}
	if !k.frames.AllowN(now, 1) {
		k.bye("protocol", closeProtocol, time.Minute)
		return false
	}
	return true
}
