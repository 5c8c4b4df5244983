package system_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

const fastSite = `
services:
  - {name: Fast, teams: [Front Office]}
accounts:
  - {name: fast, plugin: webchat, service: Fast, settings: {site: fast, messages_per_second: 1000, message_burst: 1000}}
`

// PR14: wherever the stream of frames is cut, in either direction and at any
// byte, a client that comes back with the last sequence it has gets all that
// it missed, in order, once; and what it sends again under the same ids is
// said once. Every byte in the soak, every 17th else.
func TestCutAtEveryByte(t *testing.T) {
	d := startDemo(t, "")
	d.apply(fastSite)
	w := newCutWorld(t, d)
	for name, end := range map[string]opener{"customer": w.customer, "agent": w.agent} {
		t.Run(name+" reads", func(t *testing.T) { w.everyByte(t, end, down) })
		t.Run(name+" writes", func(t *testing.T) { w.everyByte(t, end, up) })
	}
	said := map[string]int{}
	for _, e := range d.events() {
		if e.Type == "message/1" {
			said[e.Head.ClientID]++
		}
	}
	if len(said) < w.said {
		t.Errorf("the log has %d messages, %d were acknowledged", len(said), w.said)
	}
	for id, n := range said {
		if n != 1 {
			t.Errorf("message %s is %d times in the log", id, n)
		}
	}
}

// cutWorld is one chat between a customer and an agent, whose sockets stay,
// and the means to open more sockets of both.
type cutWorld struct {
	d      *demo
	token  string // the agent's
	chat   *drive.Customer
	chatID string
	last   uint64 // the last sequence that anybody was told
	said   int    // messages so far
}

func newCutWorld(t *testing.T, d *demo) *cutWorld {
	t.Helper()
	w := &cutWorld{d: d, token: d.token("ana")}
	ctx := bounded(t, time.Minute)
	offers := make(chan drive.Offer, 1)
	ana, err := drive.DialAgent(ctx, drive.AgentOptions{URL: w.stream(), Token: w.token, OnOffer: func(o drive.Offer) { offers <- o }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ana.Close)
	if err := ana.Do(ctx, "ready", nil, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the site is served", 10*time.Second, func() bool {
		w.chat, err = drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "fast"})
		return err == nil
	})
	t.Cleanup(w.chat.Close)
	if w.chatID, err = w.chat.Start(ctx, "start", map[string]string{"first_name": "Cleo", "message": "hello"}); err != nil {
		t.Fatal(err)
	}
	select {
	case o := <-offers:
		if err := ana.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("the chat was not offered")
	}
	w.say(t, "before-1")
	w.say(t, "before-2")
	return w
}

func (w *cutWorld) stream() string {
	return "ws" + strings.TrimPrefix(w.d.info.PublicURL, "http") + "/api/v1/stream"
}

// say says something on the customer's socket that is never cut.
func (w *cutWorld) say(t *testing.T, id string) {
	t.Helper()
	seq, err := w.chat.Say(bounded(t, 20*time.Second), id, "said "+id)
	if err != nil {
		t.Fatalf("say %s: %v", id, err)
	}
	w.said++
	w.last = seq
}

// peer is one socket of either side that may be cut.
type peer struct {
	say    func(id string) error // does not wait
	sure   func(ctx context.Context, id string) (seq uint64, err error)
	got    func() []drive.Event
	closed <-chan struct{}
	close  func()
}

func (p peer) ended() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

type heard struct {
	mu     sync.Mutex
	events []drive.Event
}

func (h *heard) hear(frame []byte) {
	var e drive.Event
	if json.Unmarshal(frame, &e) == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	}
}

func (h *heard) got() []drive.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

func (w *cutWorld) customer(at drive.Cursor, host string) (peer, error) {
	ctx, cancel := context.WithTimeout(w.d.t.Context(), 20*time.Second)
	defer cancel()
	h := &heard{}
	url := w.d.chatURL()
	if host != "" {
		url = "ws://" + host + "/p/webchat/ws"
	}
	c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: url, Site: "fast", Token: w.chat.Token, Cursor: at, OnEvent: h.hear})
	if err != nil {
		return peer{got: h.got}, err
	}
	return peer{
		say:  func(id string) error { return c.SendRaw(id, "said "+id) },
		sure: func(ctx context.Context, id string) (uint64, error) { return c.Say(ctx, id, "said "+id) },
		got:  h.got, closed: c.Closed(), close: c.Close,
	}, nil
}

func (w *cutWorld) agent(at drive.Cursor, host string) (peer, error) {
	ctx, cancel := context.WithTimeout(w.d.t.Context(), 20*time.Second)
	defer cancel()
	h := &heard{}
	url := w.stream()
	if host != "" {
		url = "ws://" + host + "/api/v1/stream"
	}
	a, err := drive.DialAgent(ctx, drive.AgentOptions{URL: url, Token: w.token, Cursors: map[string]uint64{at.Conversation: at.Seq}, OnEvent: h.hear})
	if err != nil {
		return peer{got: h.got}, err
	}
	return peer{
		say: func(id string) error {
			_, err := a.Go("send", map[string]any{"conversation": w.chatID, "client_id": id, "parts": []any{map[string]any{"kind": "text", "text": "said " + id}}})
			return err
		},
		sure: func(ctx context.Context, id string) (uint64, error) { return a.Say(ctx, w.chatID, id, "said "+id) },
		got:  h.got, closed: a.Closed(), close: a.Close,
	}, nil
}

// Directions of a cut.
const (
	down = iota // from the server to the client
	up
)

type opener = func(at drive.Cursor, host string) (peer, error)

// everyByte opens socket after socket, each cut one step later than the one
// before, until one is not cut any more. In the direction down somebody else
// speaks meanwhile; up, the socket that is cut does.
func (w *cutWorld) everyByte(t *testing.T, open opener, direction int) {
	step := 17
	if os.Getenv("PARLEY_SOAK") != "" {
		step = 1
	}
	c := newCutter(t, strings.TrimPrefix(w.d.info.PublicURL, "http://"))
	seen := w.comeBack(t, open, drive.Cursor{Conversation: w.chatID, Open: true}, nil) // all so far
	for at := 0; ; at += step {
		c.next(direction, at)
		known, base := seen[max(0, len(seen)-3)], w.last
		cursor := drive.Cursor{Conversation: w.chatID, Seq: known.Seq, Open: true}
		ids := []string{id(c.prefix+"-a", at), id(c.prefix+"-b", at)}
		p, err := open(cursor, c.ln.Addr().String())
		for _, id := range ids {
			if direction == down {
				w.say(t, id)
			} else if err == nil && p.say(id) != nil {
				break
			}
		}
		if err == nil {
			eventually(t, "messages or a cut", 20*time.Second, func() bool {
				return p.ended() || len(messagesAfter(p.got(), base)) == len(ids)
			})
			p.close()
		}
		got := p.got()
		if n := len(got); n > 0 {
			cursor.Seq = got[n-1].Seq
		}
		again := ids
		if direction == down {
			again = nil
		}
		got = append(got, w.comeBack(t, open, cursor, again)...)
		last := known.Seq
		for _, e := range got {
			if e.Conversation != w.chatID || e.Prev != last {
				t.Fatalf("cut at byte %d: after seq %d came seq %d, which follows %d", at, last, e.Seq, e.Prev)
			}
			last = e.Seq
		}
		if said := messagesAfter(got, base); !slices.Equal(said, ids) {
			t.Fatalf("cut at byte %d: messages %q came, want %q", at, said, ids)
		}
		seen = got
		if !c.cut() {
			t.Logf("cut every %d bytes up to %d", step, at)
			return
		}
	}
}

// comeBack opens a socket that is not cut, says again what may have been lost,
// and reads to the last sequence that anybody was told.
func (w *cutWorld) comeBack(t *testing.T, open opener, at drive.Cursor, again []string) []drive.Event {
	t.Helper()
	p, err := open(at, "")
	if err != nil {
		t.Fatalf("coming back: %v", err)
	}
	defer p.close()
	for _, id := range again {
		seq, err := p.sure(bounded(t, 20*time.Second), id)
		if err != nil {
			t.Fatalf("saying %s again: %v", id, err)
		}
		w.said++
		w.last = max(w.last, seq)
	}
	var got []drive.Event
	eventually(t, "all that was missed", 20*time.Second, func() bool {
		got = p.got()
		return at.Seq >= w.last || len(got) > 0 && got[len(got)-1].Seq >= w.last
	})
	return got
}

// messagesAfter are the client ids of the messages after a sequence.
func messagesAfter(events []drive.Event, seq uint64) (ids []string) {
	for _, e := range events {
		var head struct {
			ClientID string `json:"client_id"`
		}
		if e.Type == "message/1" && e.Seq > seq && json.Unmarshal(e.Head, &head) == nil {
			ids = append(ids, head.ClientID)
		}
	}
	return ids
}

// cutter is a relay to the gateway that cuts a WebSocket's connection after so
// many bytes of frames, the handshake not counted.
type cutter struct {
	ln     net.Listener
	to     string
	prefix string // of ids, so that no two cutters share one
	work   sync.WaitGroup

	mu        sync.Mutex
	direction int
	left      int
	wasCut    bool
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln, to: to, prefix: strings.NewReplacer("TestCutAtEveryByte/", "", "_", "-").Replace(t.Name())}
	c.work.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			c.work.Go(func() { c.relay(client) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		c.work.Wait()
	})
	return c
}

// next says where the next connection is cut.
func (c *cutter) next(direction, at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.direction, c.left, c.wasCut = direction, at, false
}

func (c *cutter) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wasCut
}

func (c *cutter) relay(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	ended := make(chan struct{}, 2)
	c.work.Go(func() { c.pump(server, client, up); ended <- struct{}{} })
	c.work.Go(func() { c.pump(client, server, down); ended <- struct{}{} })
	<-ended
}

// pump copies one direction: the handshake whole, then at most what may pass.
func (c *cutter) pump(to, from net.Conn, direction int) {
	r := bufio.NewReader(from)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
		if _, err := io.WriteString(to, line); err != nil {
			return
		}
	}
	for b := make([]byte, 4096); ; {
		n, err := r.Read(b)
		if err != nil {
			return
		}
		pass, cut := c.pass(direction, n)
		if _, err := to.Write(b[:pass]); err != nil || cut {
			return
		}
	}
}

// pass says how many of n more bytes may pass, and whether the cut is there.
func (c *cutter) pass(direction, n int) (pass int, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if direction != c.direction {
		return n, false
	}
	pass = min(n, c.left)
	c.left -= pass
	c.wasCut = c.wasCut || pass < n
	return pass, pass < n
}
