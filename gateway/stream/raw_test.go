package stream_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

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

// lastWords reads to the end of a connection and returns the last text and the close code that the
// server sent.
func lastWords(t testing.TB, c net.Conn) (text string, code uint16) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("the connection did not end: %v", err)
	}
	_, all, _ = bytes.Cut(all, []byte("\r\n\r\n")) // cuts off the answer to the handshake
	for len(all) >= 2 {
		n, head := uint64(all[1]), 2
		switch n {
		case 126:
			n, head = uint64(binary.BigEndian.Uint16(all[2:])), 4
		case 127:
			n, head = binary.BigEndian.Uint64(all[2:]), 10
		}
		payload := all[head : head+int(n)]
		switch all[0] & 0xf {
		case 1:
			text = string(payload)
		case 8:
			if n >= 2 {
				code = binary.BigEndian.Uint16(payload)
			}
		}
		all = all[head+int(n):]
	}
	return text, code
}

// TestMalformedFrames: PR19, one malformed frame ends the socket that sent it and disturbs no
// other.
func TestMalformedFrames(t *testing.T) {
	d := newDesk(t, stream.Options{})
	bystander := d.hello("sue", nil)
	for _, tc := range evil {
		t.Run(tc.name, func(t *testing.T) {
			for _, before := range []string{"", `{"t":"hello"}`} {
				c := d.rawSocket(t, "ana", before)
				_, _ = io.WriteString(c, tc.in)
				text, code := lastWords(t, c)
				if code != tc.code || text != `{"t":"bye","reason":"protocol","retry_ms":0}` {
					t.Errorf("after %q: last text %q, close code %d, want a bye for the protocol and %d", before, text, code, tc.code)
				}
			}
			bystander.Say(map[string]any{"t": "ping", "id": "p"})
			bystander.Until("pong")
		})
	}
	streamtest.Eventually(t, "each of them is counted", func() bool {
		return counter(t, d.reg, "parley_stream_closed_total", "protocol") == float64(2*len(evil))
	})
	if got := counter(t, d.reg, "parley_stream_panics_total", ""); got != 0 {
		t.Errorf("%v panics: the library saw such a frame", got)
	}
	d.stream.Close()
	if n := strings.Count(d.log.String(), "frames refused"); n != 1 {
		t.Errorf("%d lines in the log about refused frames, want one: %s", n, d.log)
	}
}

// TestFrameFloods: FT24, every frame counts against the limit, whatever its kind and length.
func TestFrameFloods(t *testing.T) {
	for _, tc := range []struct{ name, first, flood string }{
		{"empty fragments", "\x01\x80mask", "\x00\x80mask"},
		{"pings between fragments", "\x01\x80mask", "\x89\x80mask"},
		{"pings", "", "\x89\x80mask"},
		{"pongs", "", "\x8a\x80mask"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, stream.Options{})
			c := d.rawSocket(t, "ana", `{"t":"hello"}`)
			_, _ = io.WriteString(c, tc.first+strings.Repeat(tc.flood, 2000))
			text, code := lastWords(t, c)
			if code != 1008 || text != `{"t":"bye","reason":"protocol","retry_ms":60000}` {
				t.Errorf("last text %q, close code %d, want a bye for the protocol and 1008", text, code)
			}
		})
	}
}

// TestPanicEndsOneSocket: PR19, a panic while a command runs or a feed is read ends that agent's
// socket only, and the router is told of its end.
func TestPanicEndsOneSocket(t *testing.T) {
	for _, in := range []string{"command", "feed", "typing"} {
		t.Run(in, func(t *testing.T) {
			d := newDesk(t, stream.Options{})
			bystander := d.hello("sue", nil)
			conv := d.router.Open(streamtest.Service(), streamtest.Account())
			d.router.MakeJoin(d.ana.User, conv)
			c := d.hello("ana", nil)
			c.Until("live")
			d.router.Mu.Lock()
			d.router.Panic = streamtest.Panic{In: in, Agent: d.ana.User}
			d.router.Mu.Unlock()
			switch in {
			case "command":
				c.Say(`{"t":"cmd","id":"1","cmd":"ready"}`)
			case "feed":
				d.router.Say(conv, "wake the feed")
			case "typing":
				c.Say(map[string]any{"t": "typing", "conversation": conv, "on": true})
			}
			c.Ends()
			streamtest.Eventually(t, "the router knows", func() bool { return d.router.Sockets(d.ana.User) == 0 })
			bystander.Say(`{"t":"ping","id":"p"}`)
			bystander.Until("pong")
			if got := counter(t, d.reg, "parley_stream_panics_total", ""); got != 1 {
				t.Errorf("%v panics counted, want 1", got)
			}
			d.stream.Close()
			if strings.Contains(d.log.String(), "canary") {
				t.Errorf("the panic's value is in the log: %s", d.log)
			}
		})
	}
}

// FuzzStream: PR19, no bytes that an agent sends cause a panic or end another agent's socket.
func FuzzStream(f *testing.F) {
	for _, tc := range evil {
		f.Add([]byte(tc.in), false)
		f.Add([]byte(tc.in), true)
	}
	f.Add([]byte("\x88\x82\x00\x00\x00\x00\x03\xe8"), true)
	f.Add([]byte("\x88\x81\x00\x00\x00\x00\x03"), true)
	f.Add([]byte("\x01\x85\x00\x00\x00\x00{\"t\":\x80\x87\x00\x00\x00\x00\"what\"}"), true)
	d := newDesk(f, stream.Options{})
	f.Fuzz(func(t *testing.T, in []byte, greet bool) {
		hello := ""
		if greet {
			hello = `{"t":"hello"}`
		}
		c := d.rawSocket(t, "ana", hello)
		_, _ = c.Write(in)
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
		if got := counter(t, d.reg, "parley_stream_panics_total", ""); got != 0 {
			t.Errorf("%v panics", got)
		}
	})
}
