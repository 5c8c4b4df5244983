package webchat_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// starts asks for n conversations, each by a visitor and a socket of its own, and returns how many
// were accepted; the others were refused for the moment.
func (w *world) starts(n int) (accepted int) {
	w.t.Helper()
	for i := range n {
		c := w.connect(nil)
		c.register()
		c.send(map[string]any{"t": "start", "client_id": fmt.Sprint("s", i), "form": map[string]string{"message": "hi"}})
		for answered := false; !answered; {
			switch f, code := c.read(); {
			case code != 0:
				w.t.Fatalf("start %d: closed with %d", i, code)
			case f.T == "accepted":
				accepted++
				answered = true
			case f.T == "refused":
				if f.Code != "rate" || !f.Retry {
					w.t.Errorf("start %d was refused with %+v, want rate with retry", i, f)
				}
				answered = true
			}
		}
		_ = c.conn.CloseNow()
	}
	return accepted
}

// TestStartsOfAddress: FT24, visitors cost nothing to make, so conversations are limited by the
// address they come from. Connecting again does not restore an address's allowance, and other
// addresses have their own.
func TestStartsOfAddress(t *testing.T) {
	const limits = `"address_starts_per_minute":0.001,"address_start_burst":4`
	for _, tc := range []struct {
		name, settings string
		from           []string // addresses, used in turn
		want           int      // accepted out of 10 starts from each address
	}{
		{"one address", "", []string{"192.0.2.1"}, 4},
		{"the same, mapped to IPv6", "", []string{"192.0.2.1", "::ffff:192.0.2.1"}, 4},
		{"two addresses", "", []string{"192.0.2.1", "192.0.2.2"}, 8},
		{"one /64 network", "", []string{"2001:db8::1", "2001:db8::ffff:1"}, 4},
		{"two /64 networks", "", []string{"2001:db8::1", "2001:db8:0:1::1"}, 8},
		{"the machine itself", "", []string{"127.0.0.1"}, 10},
		{"the machine itself is not exempt", `,"exempt_addresses":[]`, []string{"127.0.0.1"}, 4},
		{"an exempt network", `,"exempt_addresses":["192.0.2.0/24"]`, []string{"192.0.2.7"}, 10},
		{"an exempt address", `,"exempt_addresses":["192.0.2.7"]`, []string{"192.0.2.7", "192.0.2.8"}, 14},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, `{`+limits+tc.settings+`}`)
			got := 0
			for _, w.from = range tc.from {
				got += w.starts(10)
			}
			if got != tc.want {
				t.Errorf("%d starts accepted, want %d", got, tc.want)
			}
			if refused, want := w.metric(t, "address_starts_refused_total"), fmt.Sprint(10*len(tc.from)-tc.want); refused != want {
				t.Errorf("address_starts_refused_total = %s, want %s", refused, want)
			}
		})
	}
}

// TestStartsOfSite: FT24, the site's limit holds however many addresses the starts come from.
func TestStartsOfSite(t *testing.T) {
	w := newWorld(t, `{"starts_per_second":0.001,"start_burst":5}`)
	// A start that is refused for another reason does not use up the allowance of other customers.
	w.from = "192.0.2.100"
	c := w.connect(nil)
	c.register()
	for i := range 8 {
		c.send(map[string]any{"t": "start", "client_id": fmt.Sprint("bad", i), "form": map[string]string{}})
		for {
			if f, code := c.read(); code != 0 || f.ClientID != "" {
				if code != 0 || f.T != "refused" || f.Code == "rate" {
					t.Fatalf("start with an empty form: got %+v, close code %d, want it refused for the form", f, code)
				}
				break
			}
		}
	}
	got := 0
	for i := range 8 {
		w.from = fmt.Sprint("192.0.2.", i)
		got += w.starts(1)
	}
	if got != 5 || w.metric(t, "site_starts_refused_total") != "3" {
		t.Errorf("%d of 8 starts accepted, %s refused, want 5 and 3", got, w.metric(t, "site_starts_refused_total"))
	}
}

// TestMessagesOfAddress: FT24, all visitors at an address share one limit.
func TestMessagesOfAddress(t *testing.T) {
	w := newWorld(t, `{"address_messages_per_second":0.001,"address_message_burst":3}`)
	say := func(c *client, id string) string {
		c.send(map[string]any{"t": "message", "client_id": id, "parts": text("x")})
		for {
			if f, code := c.read(); code != 0 || f.ClientID == id {
				return f.T + f.Code
			}
		}
	}
	w.from = "192.0.2.1"
	one, _, _ := w.begin("hi")
	two, _, _ := w.begin("hi")
	w.from = "192.0.2.2"
	other, _, _ := w.begin("hi")
	got := []string{say(one, "a"), say(two, "b"), say(one, "c"), say(two, "d"), say(one, "e"), say(other, "f")}
	if want := []string{"accepted", "accepted", "accepted", "refusedrate", "refusedrate", "accepted"}; !slices.Equal(got, want) {
		t.Errorf("messages in turn were %v, want %v", got, want)
	}
	if n := w.metric(t, "address_messages_refused_total"); n != "2" {
		t.Errorf("address_messages_refused_total = %s, want 2", n)
	}
}

// TestStartNeedsAReader: a client that writes and never reads does not enter the queue. A start,
// and the frames after it, waits for the answer to the first ping, which WebSocket libraries send
// by themselves, and is then handled in order.
func TestStartNeedsAReader(t *testing.T) {
	w := newWorld(t, "")
	begin := func() *rawSocket {
		s := w.raw(t)
		for _, f := range []string{
			hello, `{"t":"register"}`, `{"t":"start","client_id":"s1","form":{"message":"hi"}}`,
			`{"t":"message","client_id":"m1","parts":[{"kind":"text","text":"one"}]}`,
		} {
			_, _ = s.Write(masked(0x81, f))
		}
		_, _ = s.Write(masked(0x8a, "whatever")) // a pong that answers no ping
		_, _ = s.Write(masked(0x81, `{"t":"ping","id":"1"}`))
		if texts, code := s.until("pong"); code != 0 {
			t.Fatalf("closed with %d after %q", code, texts)
		}
		return s
	}
	gone, there := begin(), begin()
	if n := len(w.host.Events()); n != 0 {
		t.Fatalf("%d events were emitted for clients that have answered nothing", n)
	}
	_ = gone.Close()
	_, _ = there.Write(masked(0x8a, there.ping))
	var kinds []string
	w.await("the start and the message", func() bool { return len(w.host.Events()) == 2 })
	for _, ev := range w.host.Events() {
		kinds = append(kinds, fmt.Sprintf("%T", ev.Body))
	}
	if want := []string{fmt.Sprintf("%T", sdk.Start{}), fmt.Sprintf("%T", sdk.Message{})}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	_ = there.Close()
	eventually(t, "both sockets are gone", func() bool { return w.metric(t, "sockets") == "0" })
	if n := w.metric(t, "starts_unproven_total"); n != "1" {
		t.Errorf("starts_unproven_total = %s, want 1", n)
	}
}
