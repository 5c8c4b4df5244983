package webchat_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/webchat/internal/fakehost"
)

// rawSocket is a customer's connection to which a test writes bytes.
type rawSocket struct {
	net.Conn
	r    *bufio.Reader
	ping string // payload of the last ping
}

// raw opens a socket without a WebSocket library.
func (w *world) raw(t testing.TB) *rawSocket {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = fmt.Fprint(c, "GET /p/webchat/ws HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
	s := &rawSocket{Conn: c, r: bufio.NewReader(c)}
	resp, err := http.ReadResponse(s.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("upgrade answered with %s, extensions %q, want 101 without any", resp.Status, resp.Header.Get("Sec-WebSocket-Extensions"))
	}
	return s
}

// masked is a client's frame, with zero as the mask key.
func masked(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// frames reads the server's frames up to its close frame or the end of the connection. It returns
// all texts, and the close code, if any.
func (s *rawSocket) frames() (texts []string, code uint16) { return s.until("") }

// until reads up to the first frame of a kind.
func (s *rawSocket) until(until string) (texts []string, code uint16) {
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(s.r, head); err != nil {
			return texts, 0
		}
		n := uint64(head[1])
		if n >= 126 {
			more := make([]byte, 2)
			if _, err := io.ReadFull(s.r, more); err != nil || n > 126 {
				return texts, 0
			}
			n = uint64(binary.BigEndian.Uint16(more))
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(s.r, payload); err != nil {
			return texts, 0
		}
		switch head[0] & 0xf {
		case 1:
			texts = append(texts, string(payload))
			if until != "" && strings.HasPrefix(texts[len(texts)-1], `{"t":"`+until+`"`) {
				return texts, 0
			}
		case 9:
			s.ping = string(payload)
		case 8:
			if len(payload) >= 2 {
				code = binary.BigEndian.Uint16(payload)
			}
			return texts, code
		}
	}
}

const hello = `{"t":"hello","v":1,"site":"demo"}`

// evil are byte streams that no client may send, each with the code with which the server closes.
var evil = []struct {
	name string
	in   string
	code uint16
}{
	{"text with the length's top bit", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00mask", 1002},
	{"binary with the length's top bit", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask", 1002},
	{"first fragment with the length's top bit", "\x01\xff\x80\x00\x00\x00\x00\x00\x00\x05mask", 1002},
	{"continuation with the length's top bit", "\x01\x80mask\x80\xff\xff\xff\xff\xff\xff\xff\xff\xfbmask", 1002},
	{"longer than allowed", "\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01mask", 1009},
	{"compressed", "\xc1\x80mask", 1002},
	{"unmasked", "\x81\x00", 1002},
	{"unknown opcode", "\x8f\x80mask", 1002},
	{"long ping", "\x89\xfe\x00\x7emask", 1002},
	{"continuation of nothing", "\x80\x80mask", 1002},
}

// TestMalformedFrames: PR19, one malformed frame ends the socket that sent it and disturbs no
// other.
func TestMalformedFrames(t *testing.T) {
	w := newWorld(t, "")
	bystander := w.connect(nil)
	for _, tc := range evil {
		t.Run(tc.name, func(t *testing.T) {
			for _, before := range []string{"", hello} {
				s := w.raw(t)
				if before != "" {
					_, _ = s.Write(masked(0x81, before))
				}
				_, _ = s.Write([]byte(tc.in))
				texts, code := s.frames()
				if code != tc.code || len(texts) == 0 || texts[len(texts)-1] != `{"t":"bye","reason":"protocol"}` {
					t.Errorf("after %q: frames %q, close code %d, want a bye for the protocol and %d", before, texts, code, tc.code)
				}
			}
			bystander.send(map[string]any{"t": "ping", "id": tc.name})
			bystander.want("pong")
		})
	}
	if got, want := w.metric(t, "sockets_closed_protocol_total"), fmt.Sprint(2*len(evil)); got != want {
		t.Errorf("sockets_closed_protocol_total = %s, want %s", got, want)
	}
	if got := w.metric(t, "panics_total"); got != "0" {
		t.Errorf("panics_total = %s: the library saw such a frame", got)
	}
}

// metric is the value of one of the plugin's series.
func (w *world) metric(t testing.TB, name string) string {
	t.Helper()
	var b strings.Builder
	if err := w.plugin.WriteMetrics(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

// TestFrameFloods: FT24, every frame counts against the limit, whatever its kind and length.
func TestFrameFloods(t *testing.T) {
	for _, tc := range []struct{ name, first, flood string }{
		{"empty fragments", "\x01\x80mask", "\x00\x80mask"},
		{"empty messages' pings between fragments", "\x01\x80mask", "\x89\x80mask"},
		{"pings", "", "\x89\x80mask"},
		{"pongs", "", "\x8a\x80mask"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, "")
			s := w.raw(t)
			_, _ = s.Write(masked(0x81, hello))
			_, _ = s.Write([]byte(tc.first + strings.Repeat(tc.flood, 1000)))
			texts, code := s.frames()
			if code != 1008 || !strings.Contains(texts[len(texts)-1], `"reason":"flood"`) {
				t.Errorf("frames %q, close code %d, want a bye for the flood and 1008", texts, code)
			}
			if got := w.metric(t, "sockets_closed_flood_total"); got != "1" {
				t.Errorf("sockets_closed_flood_total = %s, want 1", got)
			}
		})
	}
}

// panicking is a gateway that panics when the plugin emits an event.
type panicking struct{ *fakehost.Host }

func (panicking) EmitAsync(sdk.Event, func(sdk.Ack, error)) error { panic("a fault of ours") }

// TestPanicEndsOneSocket: PR19, a panic while a customer's frame is handled ends that customer's
// socket only.
func TestPanicEndsOneSocket(t *testing.T) {
	w := newWorldOn(t, "", func(h *fakehost.Host) sdk.Host { return panicking{h} })
	bystander := w.connect(nil)
	c := w.connect(nil)
	c.register()
	c.send(map[string]any{"t": "start", "client_id": "a1", "form": map[string]string{"message": "hi"}})
	c.wantClose()
	bystander.send(map[string]any{"t": "ping", "id": "1"})
	bystander.want("pong")
	if got := w.metric(t, "panics_total"); got != "1" {
		t.Errorf("panics_total = %s, want 1", got)
	}
	eventually(t, "the socket is gone", func() bool { return w.metric(t, "sockets") == "1" })
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// FuzzSocket: PR19, no bytes that a customer sends cause a panic or end another customer's socket.
func FuzzSocket(f *testing.F) {
	for _, tc := range evil {
		f.Add([]byte(tc.in), false)
		f.Add([]byte(tc.in), true)
	}
	f.Add(masked(0x81, `{"t":"register"}`), true)
	f.Add(append(masked(0x01, `{"t":"ping",`), masked(0x80, `"id":"1"}`)...), true)
	f.Add(masked(0x88, "\x03\xe8bye"), true)
	f.Add(masked(0x88, "\x03"), true)
	w := newWorld(f, "")
	f.Fuzz(func(t *testing.T, in []byte, greet bool) {
		s := w.raw(t)
		if greet {
			_, _ = s.Write(masked(0x81, hello))
		}
		_, _ = s.Write(in)
		_ = s.Conn.(*net.TCPConn).CloseWrite()
		s.frames()
		_ = s.Close()
		if got := w.metric(t, "panics_total"); got != "0" {
			t.Errorf("panics_total = %s", got)
		}
	})
}
