package stream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a running stream with fake sessions, router and records.
type desk struct {
	t        testing.TB
	router   *streamtest.Router
	sessions *fakeSessions
	records  *noRecords
	stream   *stream.Stream
	web      *httptest.Server
	reg      *prometheus.Registry
	log      *bytes.Buffer
	ana, sue auth.Identity
}

func newDesk(t testing.TB, opts stream.Options) *desk {
	t.Helper()
	d := &desk{t: t, router: streamtest.NewRouter(), sessions: newFakeSessions(), reg: prometheus.NewRegistry(), log: &bytes.Buffer{}, records: &noRecords{}}
	d.ana = d.sessions.add("ana", directory.RoleAgent)
	d.sue = d.sessions.add("sue", directory.RoleSupervisor)
	opts.Router, opts.Sessions, opts.Records, opts.Trail = d.router, d.sessions, d.records, d.records
	opts.Registry, opts.Log, opts.Version = d.reg, slog.New(slog.NewTextHandler(d.log, nil)), "1.2.3"
	d.stream = stream.New(opts)
	d.web = httptest.NewServer(d.stream)
	t.Cleanup(func() {
		d.stream.Close()
		d.web.Close()
	})
	return d
}

func (d *desk) dial(login string) *streamtest.Client {
	d.t.Helper()
	c, _, err := websocket.Dial(d.t.Context(), d.web.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + login}}})
	if err != nil {
		d.t.Fatalf("dial as %s: %v", login, err)
	}
	c.SetReadLimit(1 << 20)
	d.t.Cleanup(func() { _ = c.CloseNow() })
	return streamtest.NewClient(d.t, c)
}

// hello opens a socket and reads up to the first agent frame.
func (d *desk) hello(login string, cursors map[conversation.ConversationID]uint64) *streamtest.Client {
	d.t.Helper()
	c := d.dial(login)
	c.Say(map[string]any{"t": "hello", "cursors": cursors})
	c.Until("welcome")
	c.Until("agent")
	return c
}

// TestStory is a working day in short: ready, offer, accept, messages both
// ways, end, wrap-up.
func TestStory(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	c := d.hello("ana", nil)
	c.Say(`{"t":"cmd","id":"1","cmd":"ready"}`)
	if ack := c.Until("ack"); ack["ok"] != true || ack["id"] != "1" {
		t.Fatalf("ready = %v", ack)
	}
	offer := d.router.Offer(d.ana.User, conv, 177*time.Second)
	f := c.Until("offer")
	for path, want := range map[string]string{
		"offer": offer.String(), "title": "Web Chat", "icon": "message-circle", "queued_ms": "177000", "conversation": conv.String(),
	} {
		if got := f.Str(path); got != want {
			t.Errorf("offer.%s = %q, want %q", path, got, want)
		}
	}
	if got := f.Str("customer", "name"); got != "Carla Customer" {
		t.Errorf("offer.customer.name = %q", got)
	}
	if got := f.Str("service", "name"); got != "Support" {
		t.Errorf("offer.service.name = %q", got)
	}
	c.Say(`{"t":"cmd","id":"2","cmd":"accept","offer":"` + offer.String() + `"}`)
	var ack, end, joined, live streamtest.Frame
	var seqs []string
	for ack == nil || end == nil || joined == nil || live == nil {
		f, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch f["t"] {
		case "ack":
			ack = f
		case "offer_end":
			end = f
		case "joined":
			joined = f
		case "live":
			live = f
		case "event":
			if joined == nil {
				t.Error("an event came before joined")
			}
			seqs = append(seqs, f.Str("seq")+"<"+f.Str("prev"))
		}
	}
	if ack["ok"] != true || ack.Str("conversation") != conv.String() {
		t.Errorf("accept = %v", ack)
	}
	if end.Str("cause") != "accepted" {
		t.Errorf("offer_end cause = %q, want accepted", end.Str("cause"))
	}
	if joined.Str("state") != "joined" || joined.Str("info", "service", "name") != "Support" || joined.Str("info", "capabilities", "text") != "true" {
		t.Errorf("joined = %v", joined)
	}
	if got := strings.Join(seqs, " "); got != "1<0 2<1 3<2" {
		t.Errorf("events after joining = %q, want all from the start", got)
	}
	d.router.Say(conv, "hello")
	if ev := c.Until("event"); ev.Str("seq") != "4" || ev.Str("type") != "message/1" {
		t.Errorf("message = %v", ev)
	}
	c.Say(`{"t":"cmd","id":"3","cmd":"send","conversation":"` + conv.String() + `","client_id":"m1","parts":[{"kind":"text","text":"hi"}]}`)
	first := c.Until("ack")
	c.Say(`{"t":"cmd","id":"4","cmd":"send","conversation":"` + conv.String() + `","client_id":"m1","parts":[{"kind":"text","text":"hi"}]}`)
	again := c.Until("ack")
	if first.Str("message") == "" || first.Str("message") != again.Str("message") || again.Str("seq") != "5" {
		t.Errorf("a retry of the same message: %v then %v, want the same message", first, again)
	}
	c.Say(`{"t":"cmd","id":"5","cmd":"end","conversation":"` + conv.String() + `"}`)
	if j := c.Until("joined"); j.Str("state") != "wrapup" {
		t.Errorf("after the end the state = %q, want wrapup", j.Str("state"))
	}
	c.Say(`{"t":"cmd","id":"6","cmd":"wrapup","conversation":"` + conv.String() + `","disposition":"solved"}`)
	if p := c.Until("parted"); p.Str("conversation") != conv.String() {
		t.Errorf("parted = %v", p)
	}
}

func TestOfferEnds(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	c := d.hello("ana", nil)
	for _, cause := range []conversation.Cause{conversation.CauseExpired, conversation.CauseCustomerLeft} {
		d.router.Offer(d.ana.User, conv, 0)
		if f := c.Until("offer"); f.Str("queued_ms") != "0" {
			t.Errorf("queued_ms of an offer that did not wait = %q", f.Str("queued_ms"))
		}
		d.router.Withdraw(d.ana.User, cause)
		if got := c.Until("offer_end").Str("cause"); got != string(cause) {
			t.Errorf("offer_end cause = %q, want %q", got, cause)
		}
	}
	d.router.Offer(d.ana.User, conv, 0)
	c.Until("offer")
	_ = c.CloseNow()
	if f := d.hello("ana", nil).Until("offer"); f.Str("conversation") != conv.String() {
		t.Errorf("after a reconnect the offer is repeated, got %v", f)
	}
}

// TestResume (PR14): wherever a socket breaks, the next one gets exactly the events that are
// missing.
func TestResume(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	d.router.MakeJoin(d.ana.User, conv)
	for i := range 20 {
		d.router.Say(conv, fmt.Sprint("before ", i))
	}
	const total = 30
	have := map[string]bool{}
	last := uint64(0)
	for cut := 1; last < total; cut = cut%5 + 1 {
		c := d.hello("ana", map[conversation.ConversationID]uint64{conv: last})
		if last == 10 { // more events come while no socket is open
			for i := range 8 {
				d.router.Say(conv, fmt.Sprint("late ", i))
			}
		}
		for range cut {
			f := c.Until("event")
			if want := fmt.Sprint(last + 1); f.Str("seq") != want || f.Str("prev") != fmt.Sprint(last) || have[want] {
				t.Fatalf("after seq %d came seq %s prev %s", last, f.Str("seq"), f.Str("prev"))
			}
			last++
			have[fmt.Sprint(last)] = true
			if last >= total {
				break
			}
			if last == 22 { // the client has all events so far, so make more
				for i := range 8 {
					d.router.Say(conv, fmt.Sprint("more ", i))
				}
			}
		}
		_ = c.CloseNow()
	}
}

func TestWatchNeedsRight(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	ana, sue := d.hello("ana", nil), d.hello("sue", nil)
	watch := map[string]any{"t": "watch", "conversation": conv, "after": 0}
	ana.Say(watch)
	if f := ana.Until("error"); f.Str("error", "code") != "not_found" {
		t.Errorf("an agent who takes no part watches: %v, want not_found", f)
	}
	sue.Say(watch)
	if f := sue.Until("event"); f.Str("seq") != "1" {
		t.Errorf("a supervisor watches: %v, want the first event", f)
	}
	d.records.mu.Lock()
	if len(d.records.trail) != 1 || d.records.trail[0].Action != audit.TranscriptRead || d.records.trail[0].Actor.User != d.sue.User {
		t.Errorf("audit trail = %+v, want that the supervisor read a transcript", d.records.trail)
	}
	d.records.mu.Unlock()
	sue.Say(map[string]any{"t": "unwatch", "conversation": conv})
	sue.Say(`{"t":"ping","id":"p"}`)
	sue.Until("pong")
	d.router.Say(conv, "unseen")
	sue.Say(`{"t":"ping","id":"q"}`)
	for {
		f, err := sue.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f["t"] == "event" && f.Str("seq") == "2" {
			t.Fatal("an event came after unwatch")
		}
		if f["t"] == "pong" {
			break
		}
	}
}

func TestBoard(t *testing.T) {
	d := newDesk(t, stream.Options{})
	d.router.Mu.Lock()
	d.router.Shown.Queues = []router.BoardQueue{{Name: "Support", Waiting: 3}}
	d.router.Mu.Unlock()
	ana, sue := d.hello("ana", nil), d.hello("sue", nil)
	ana.Say(`{"t":"board","on":true}`)
	if f := ana.Until("error"); f.Str("error", "code") != "denied" {
		t.Errorf("an agent asks for the board: %v, want denied", f)
	}
	sue.Say(`{"t":"board","on":true}`)
	f := sue.Until("board")
	board, err := json.Marshal(f["board"])
	if err != nil || !strings.Contains(string(board), `"waiting":3`) || !strings.Contains(string(board), `"agents":[]`) {
		t.Errorf("board = %s, %v", board, err)
	}
}

func TestSignals(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	d.router.MakeJoin(d.ana.User, conv)
	c := d.hello("ana", nil)
	d.router.SignalAll(typingSignal(conv))
	if f := c.Until("typing"); f["on"] != true || f.Str("who", "kind") != "customer" {
		t.Errorf("typing = %v", f)
	}
	c.Say(map[string]any{"t": "typing", "conversation": conv, "on": true})
	streamtest.Eventually(t, "typing reaches the router", func() bool {
		d.router.Mu.Lock()
		defer d.router.Mu.Unlock()
		return d.router.Typed == 1
	})
}

// TestRefusals: wrong commands are answered with published codes and change nothing.
func TestRefusals(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	other := d.router.Open(streamtest.Service(), streamtest.Account())
	d.router.MakeJoin(d.ana.User, conv)
	c := d.hello("ana", nil)
	send := func(parts string) string {
		return `{"t":"cmd","id":"x","cmd":"send","conversation":"` + conv.String() + `","client_id":"c","parts":` + parts + `}`
	}
	cases := []struct{ name, frame, code string }{
		{"unknown command", `{"t":"cmd","id":"x","cmd":"explode"}`, "malformed"},
		{"unknown field", `{"t":"cmd","id":"x","cmd":"ready","now":true}`, "malformed"},
		{"wrong type", `{"t":"cmd","id":"x","cmd":"not_ready","reason":7}`, "malformed"},
		{"bad id", `{"t":"cmd","id":"x","cmd":"accept","offer":"1"}`, "malformed"},
		{"offer of nobody", `{"t":"cmd","id":"x","cmd":"accept","offer":"01890000-0000-7000-8000-000000000000"}`, "offer_gone"},
		{"no parts", send(`[]`), "invalid"},
		{"empty text", send(`[{"kind":"text","text":"  "}]`), "invalid"},
		{"a part that only the system writes", send(`[{"kind":"system","text":"x"}]`), "invalid"},
		{"a file without blob", send(`[{"kind":"file","file":{"blob":"","name":"x","mime":"text/html","size":1}}]`), "invalid"},
		{"not joined", strings.Replace(send(`[{"kind":"text","text":"x"}]`), conv.String(), other.String(), 1), "not_joined"},
		{"no conversation", strings.Replace(send(`[{"kind":"text","text":"x"}]`), conv.String(), "", 1), "not_found"},
		{"client id too long", strings.Replace(send(`[{"kind":"text","text":"x"}]`), `"c"`, `"`+strings.Repeat("c", 65)+`"`, 1), "invalid"},
		{"invitation without target", `{"t":"cmd","id":"x","cmd":"invite","conversation":"` + conv.String() + `","target":{"kind":"agent"}}`, "invalid"},
		{"rule of the router", `{"t":"cmd","id":"x","cmd":"cancel_invite","conversation":"` + conv.String() + `","request":"01890000-0000-7000-8000-000000000000"}`, "no_such_request"},
	}
	for _, tc := range cases {
		c.Say(tc.frame)
		ack := c.Until("ack")
		if got := ack.Str("error", "code"); got != tc.code || ack["ok"] == true || ack["id"] != "x" {
			t.Errorf("%s: %s = %v, want code %q", tc.name, tc.frame, ack, tc.code)
		}
	}
	c.Say(`{"t":"nonsense"}`)
	if f := c.Until("error"); f.Str("error", "code") != "malformed" {
		t.Errorf("unknown frame = %v", f)
	}
}

// TestUnforeseenError: the client is told an id only; the log has the id with the cause.
func TestUnforeseenError(t *testing.T) {
	d := newDesk(t, stream.Options{})
	c := d.hello("ana", nil)
	d.router.Mu.Lock()
	d.router.Fail = streamtest.ErrDisk
	d.router.Mu.Unlock()
	c.Say(`{"t":"cmd","id":"1","cmd":"ready"}`)
	ack := c.Until("ack")
	if ack.Str("error", "code") != "internal" || strings.Contains(ack.Str("error", "message"), "canary") {
		t.Errorf("unforeseen error = %v, want internal without its cause", ack)
	}
	d.stream.Close()
	_, id, _ := strings.Cut(strings.TrimSuffix(ack.Str("error", "message"), ")"), "(")
	if !strings.Contains(d.log.String(), "incident="+id) {
		t.Errorf("the log does not have incident %q: %s", id, d.log)
	}
}

func TestOpening(t *testing.T) {
	d := newDesk(t, stream.Options{Limits: stream.Limits{SocketsPerUser: 2}})
	try := func(header http.Header) int {
		c, res, err := websocket.Dial(t.Context(), d.web.URL, &websocket.DialOptions{HTTPHeader: header})
		if err == nil {
			_ = c.CloseNow()
			return 101
		}
		if res == nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	cookie := auth.CookieName + "=ana"
	cases := []struct {
		name   string
		header http.Header
		want   int
	}{
		{"nobody", http.Header{}, 401},
		{"unknown token", http.Header{"Authorization": {"Bearer x"}}, 401},
		{"cookie and the desk's origin", http.Header{"Cookie": {cookie}, "Origin": {d.web.URL}}, 101},
		{"cookie and another origin", http.Header{"Cookie": {cookie}, "Origin": {"https://evil.example"}}, 403},
		{"cookie and an origin that begins alike", http.Header{"Cookie": {cookie}, "Origin": {d.web.URL + ".evil.example"}}, 403},
		{"cookie and no origin", http.Header{"Cookie": {cookie}}, 403},
		{"bearer, any origin", http.Header{"Authorization": {"Bearer ana"}, "Origin": {"https://tool.example"}}, 101},
	}
	for _, c := range cases {
		if got := try(c.header); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	// The gauge cannot tell: a client learns that its socket is open before the socket is counted.
	streamtest.Eventually(t, "earlier sockets are gone", func() bool { return counter(t, d.reg, "parley_stream_closed_total", "client") == 2 })
	d.dial("ana")
	d.dial("ana")
	if got := try(http.Header{"Authorization": {"Bearer ana"}}); got != 429 {
		t.Errorf("the third socket of a user who may have 2: %d, want 429", got)
	}
}

func TestSocketsPerAddress(t *testing.T) {
	d := newDesk(t, stream.Options{Limits: stream.Limits{SocketsPerIP: 1, Exempt: []netip.Prefix{}}})
	d.dial("ana")
	_, res, err := websocket.Dial(t.Context(), d.web.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer sue"}}})
	if err == nil || res == nil || res.StatusCode != 429 {
		t.Errorf("the second socket of an address that may have 1: %v, want 429", err)
	}
}

// TestRevocation (PR23): a socket is closed within five seconds of the end of its session, whether
// it is told at once or finds out by asking.
func TestRevocation(t *testing.T) {
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprint("told=", told), func(t *testing.T) {
			d := newDesk(t, stream.Options{})
			c := d.hello("ana", nil)
			start := time.Now()
			d.sessions.end(d.ana.Session, told)
			bye, code := c.Ends()
			if took := time.Since(start); bye != "revoked" || code != 4001 || took > 5*time.Second {
				t.Errorf("bye %q, code %d after %v; want revoked, 4001 within 5 s", bye, code, took)
			}
			streamtest.Eventually(t, "the router knows", func() bool { return d.router.Sockets(d.ana.User) == 0 })
		})
	}
}

func TestDrain(t *testing.T) {
	d := newDesk(t, stream.Options{})
	c := d.hello("ana", nil)
	done := make(chan struct{})
	go func() { defer close(done); d.stream.Drain(t.Context()) }()
	if bye, code := c.Ends(); bye != "restart" || code != 1012 {
		t.Errorf("bye %q, code %d; want restart, 1012", bye, code)
	}
	_ = c.CloseNow()
	<-done
	if _, code := d.dial("ana").Ends(); code != 1012 {
		t.Errorf("a socket opened while draining: close code %d, want 1012", code)
	}
}

// TestProtocol: frames that a client may not send end that client's socket and no other.
func TestProtocol(t *testing.T) {
	d := newDesk(t, stream.Options{Limits: stream.Limits{FramePerSecond: 50, FrameBurst: 100}})
	bystander := d.hello("sue", nil)
	cases := []struct {
		name string
		do   func(*streamtest.Client)
		code websocket.StatusCode
	}{
		{"no hello first", func(c *streamtest.Client) { c.Say(`{"t":"ping","id":"1"}`) }, 1008},
		{"two values", func(c *streamtest.Client) { c.Say(`{"t":"hello"}{}`) }, 1008},
		{"not JSON", func(c *streamtest.Client) { c.Say(`{"t":"hello"}`); c.Say(`{"t":`) }, 1008},
		{"hello twice", func(c *streamtest.Client) { c.Say(`{"t":"hello"}`); c.Say(`{"t":"hello"}`) }, 1008},
		{"binary", func(c *streamtest.Client) {
			c.Say(`{"t":"hello"}`)
			_ = c.Write(t.Context(), websocket.MessageBinary, []byte("{}"))
		}, 1008},
		{"1 MB frame", func(c *streamtest.Client) {
			c.Say(`{"t":"hello"}`)
			_ = c.Write(t.Context(), websocket.MessageText, bytes.Repeat([]byte{'x'}, 1<<20))
		}, 1009},
		{"text that is not UTF-8", func(c *streamtest.Client) {
			c.Say(`{"t":"hello"}`)
			_ = c.Write(t.Context(), websocket.MessageText, []byte("\xff\xfe"))
		}, 1007},
		{"flood", func(c *streamtest.Client) {
			c.Say(`{"t":"hello"}`)
			for range 200 {
				if c.Write(t.Context(), websocket.MessageText, []byte(`{"t":"ping","id":"1"}`)) != nil {
					break
				}
			}
		}, 1008},
		{"one fault after the other", func(c *streamtest.Client) {
			c.Say(`{"t":"hello"}`)
			for range 30 {
				if c.Write(t.Context(), websocket.MessageText, []byte(`{"t":"what"}`)) != nil {
					break
				}
			}
		}, 1008},
	}
	for _, tc := range cases {
		c := d.dial("ana")
		tc.do(c)
		_, code := c.Ends()
		// A client that is still sending may see a reset instead of the code.
		if code != tc.code && code != -1 {
			t.Errorf("%s: close code %d, want %d", tc.name, code, tc.code)
		}
	}
	bystander.Say(`{"t":"ping","id":"p"}`)
	if f := bystander.Until("pong"); f.Str("id") != "p" {
		t.Errorf("bystander's pong = %v", f)
	}
}

// TestSlowReader (PR13): a socket that stops reading is closed, holds little memory, and delays
// nobody.
func TestSlowReader(t *testing.T) {
	d := newDesk(t, stream.Options{Limits: stream.Limits{Stall: 300 * time.Millisecond}})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	d.router.MakeJoin(d.ana.User, conv)
	raw := d.rawSocket(t, "ana", `{"t":"hello"}`)
	big := strings.Repeat("x", 60_000)
	for range 300 { // far more than the kernel's buffers can hold
		d.router.Say(conv, big)
	}
	streamtest.Eventually(t, "the slow socket is closed", func() bool { return counter(t, d.reg, "parley_stream_closed_total", "slow") == 1 })
	_ = raw.Close()
	c := d.hello("ana", map[conversation.ConversationID]uint64{conv: 300})
	if f := c.Until("event"); f.Str("seq") != "301" {
		t.Errorf("after it came back: %s, want to go on at 301", f.Str("seq"))
	}
	streamtest.Eventually(t, "the router knows of one socket", func() bool { return d.router.Sockets(d.ana.User) == 1 })
}

// TestRevokeSlowReader: a revoked socket is closed although its client does not read.
func TestRevokeSlowReader(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	d.router.MakeJoin(d.ana.User, conv)
	d.rawSocket(t, "ana", `{"t":"hello"}`)
	for range 300 {
		d.router.Say(conv, strings.Repeat("x", 60_000))
	}
	streamtest.Eventually(t, "it is connected", func() bool { return d.router.Sockets(d.ana.User) == 1 })
	start := time.Now()
	d.sessions.end(d.ana.Session, true)
	streamtest.Eventually(t, "it is gone", func() bool { return d.router.Sockets(d.ana.User) == 0 })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("closed after %v, want within 5 s", took)
	}
}

// rawSocket opens a socket by hand, sends text, and never reads.
func (d *desk) rawSocket(t testing.TB, login, text string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", d.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n", login)
	if _, err := io.ReadFull(c, make([]byte, 12)); err != nil {
		t.Fatal(err)
	}
	if text == "" {
		return c
	}
	f := append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
	if _, err := c.Write(f); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSendRate: messages over the rate are refused, not queued.
func TestSendRate(t *testing.T) {
	d := newDesk(t, stream.Options{Limits: stream.Limits{SendPerSecond: .001, SendBurst: 3}})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	d.router.MakeJoin(d.ana.User, conv)
	c := d.hello("ana", nil)
	var codes []string
	for i := range 5 {
		c.Say(fmt.Sprintf(`{"t":"cmd","id":"x","cmd":"send","conversation":%q,"client_id":"c%d","parts":[{"kind":"text","text":"x"}]}`, conv, i))
		codes = append(codes, c.Until("ack").Str("error", "code"))
	}
	if got := strings.Join(codes, ","); got != ",,,rate_limited,rate_limited" {
		t.Errorf("codes of five sends with room for three = %q", got)
	}
}

func TestStreamMetricNames(t *testing.T) {
	d := newDesk(t, stream.Options{})
	c := d.hello("ana", nil)
	for i := range 30 {
		c.Say(fmt.Sprintf(`{"t":"cmd","id":"%d","cmd":"made-up-%d"}`, i, i))
		c.Until("ack")
	}
	c.Say(`{"t":"cmd","id":"1","cmd":"ready"}`)
	c.Until("ack")
	families, err := d.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	for _, f := range families {
		if n := len(f.GetMetric()); n > 20 {
			t.Errorf("%s has %d series after 30 made-up commands", f.GetName(), n)
		}
	}
}

// counter is the value of a metric's series that has label among its values.
func counter(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			ok := label == ""
			for _, l := range m.GetLabel() {
				ok = ok || l.GetValue() == label
			}
			if f.GetName() == name && ok {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
