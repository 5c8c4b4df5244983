package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
)

// fakeTexting is what the fake router knows of exchanges by text.
type fakeTexting struct {
	requests []router.OutboundRequest
	threads  map[string]conversation.ConversationID // by number, as asked
	senders  []router.Sender
	recent   map[conversation.AgentID]readers.Recent
	settled  []conversation.Outcome
}

func (f *fakeRouter) StartOutbound(ctx context.Context, req router.OutboundRequest) (router.Outbound, error) {
	if err := f.command(ctx); err != nil {
		return router.Outbound{}, err
	}
	f.mu.Lock()
	open, taken := f.texting.threads[req.To]
	f.texting.requests = append(f.texting.requests, req)
	f.mu.Unlock()
	if taken {
		return router.Outbound{}, &router.ThreadOpenError{Conversation: open, Owner: req.Agent, Joinable: true}
	}
	id := f.open(req.Service, req.Account)
	f.join(req.Agent, id)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texting.threads[req.To] = id
	out := router.Outbound{Conversation: id, Seq: f.convs[id].info.State.Seq}
	if len(req.Parts) > 0 {
		out.Message = idOf(out.Message)
	}
	return out, nil
}

func (f *fakeRouter) Senders(conversation.AgentID) []router.Sender {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.texting.senders)
}

func (f *fakeRouter) Join(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID) (uint64, error) {
	if err := f.command(ctx); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joinLocked(agent, conv), nil
}

func (f *fakeRouter) SettleMessage(ctx context.Context, _ conversation.AgentID, _ conversation.ConversationID, _ conversation.MessageID, o conversation.Outcome) (uint64, error) {
	if err := f.command(ctx); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texting.settled = append(f.texting.settled, o)
	return 7, nil
}

func (f *fakeRouter) Recent(_ context.Context, agent conversation.AgentID) readers.Recent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.texting.recent[agent]
}

func (f *fakeRouter) RecentSeen(ctx context.Context, agent conversation.AgentID) error {
	if err := f.command(ctx); err != nil {
		return err
	}
	f.waits(agent, readers.Recent{})
	return nil
}

// waits changes what waits for an agent and tells the sockets.
func (f *fakeRouter) waits(agent conversation.AgentID, r readers.Recent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texting.recent[agent] = r
	for feed := range f.feeds {
		if feed.id == agent {
			feed.recent = true
			feed.tell()
		}
	}
}

func command(name string, fields map[string]any) map[string]any {
	out := map[string]any{"t": "cmd", "id": "x", "cmd": name}
	for k, v := range fields {
		out[k] = v
	}
	return out
}

// both reads up to one frame of each kind, in whatever order they come.
func (c *client) both(a, b string) (first, second frame) {
	c.t.Helper()
	for first == nil || second == nil {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("while waiting for %q and %q: %v", a, b, err)
		}
		switch f["t"] {
		case a:
			first = f
		case b:
			second = f
		}
	}
	return first, second
}

// N2, N17: beginning an exchange over the socket.
func TestBeginText(t *testing.T) {
	d := newDesk(t, api.StreamOptions{})
	d.sessions.grant("ana", directory.PrivilegeSMS)
	c := d.hello("ana", nil)
	svc := service()
	c.say(command("text", map[string]any{"service": svc, "to": "+15005550006", "client_id": "c1", "parts": []any{map[string]any{"kind": "text", "text": "hi"}}}))
	ack, joined := c.both("ack", "joined")
	if ack["ok"] != true || ack.str("conversation") == "" || ack.str("message") == "" || ack.str("seq") == "" {
		t.Fatalf("text = %v", ack)
	}
	req := d.router.texting.requests[0]
	if req.Agent != d.ana.User || req.Service != svc || req.To != "+15005550006" || req.ClientID != "c1" || len(req.Parts) != 1 || req.Parts[0].Text != "hi" {
		t.Errorf("asked of the router: %+v", req)
	}
	if joined.str("conversation") != ack.str("conversation") {
		t.Errorf("joined = %v", joined)
	}
	c.say(command("text", map[string]any{"to": "+15005550006"}))
	again := c.until("ack")
	e, _ := json.Marshal(again["error"])
	want := fmt.Sprintf(`{"code":"thread_open","conversation":%q,"joinable":true,"message":"an exchange with this number is open already","owner":{"id":%q,"name":""}}`, ack.str("conversation"), d.ana.User)
	if string(e) != want {
		t.Errorf("second = %s, want %s", e, want)
	}
	c.say(command("text", map[string]any{"to": "+15005550007"}))
	if ack := c.until("ack"); ack["ok"] != true || ack["message"] != nil {
		t.Errorf("without a message = %v", ack)
	}
}

func TestTextRefusals(t *testing.T) {
	d := newDesk(t, api.StreamOptions{})
	d.sessions.grant("ana", directory.PrivilegeSMS)
	c, sue := d.hello("ana", nil), d.hello("sue", nil)
	text := func(change map[string]any) map[string]any {
		f := command("text", map[string]any{"to": "+15005550006"})
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	conv, msg := d.router.open(service(), account()), conversation.NewID[conversation.MessageID]()
	for name, tc := range map[string]struct {
		frame map[string]any
		fail  error
		code  string
	}{
		"no number":        {text(map[string]any{"to": ""}), nil, "invalid_address"},
		"long number":      {text(map[string]any{"to": strings.Repeat("1", 65)}), nil, "invalid_address"},
		"not a number":     {text(nil), router.ErrInvalidAddress, "invalid_address"},
		"no sender":        {text(nil), router.ErrNoSender, "no_sender"},
		"not one's own":    {text(nil), router.ErrDenied, "denied"},
		"client id":        {text(map[string]any{"client_id": strings.Repeat("c", 65)}), nil, "invalid"},
		"empty part":       {text(map[string]any{"parts": []any{map[string]any{"kind": "text", "text": " "}}}), nil, "invalid"},
		"many parts":       {text(map[string]any{"parts": make([]map[string]any, 11)}), nil, "invalid"},
		"unknown field":    {text(map[string]any{"from": "x"}), nil, "malformed"},
		"bad service":      {text(map[string]any{"service": "7"}), nil, "malformed"},
		"opted out":        {command("send", map[string]any{"conversation": conv, "client_id": "c", "parts": []any{map[string]any{"kind": "text", "text": "x"}}}), conversation.ErrOptedOut, "opted_out"},
		"join nothing":     {command("join", nil), nil, "not_found"},
		"join denied":      {command("join", map[string]any{"conversation": conv}), router.ErrDenied, "denied"},
		"join twice":       {command("join", map[string]any{"conversation": conv}), conversation.ErrAlreadyJoined, "already_joined"},
		"join what ended":  {command("join", map[string]any{"conversation": conv}), conversation.ErrEnded, "ended"},
		"settle nothing":   {command("settle", map[string]any{"conversation": conv, "outcome": "sent"}), nil, "not_found"},
		"settle somehow":   {command("settle", map[string]any{"conversation": conv, "message": msg, "outcome": "lost"}), nil, "invalid"},
		"settle the known": {command("settle", map[string]any{"conversation": conv, "message": msg, "outcome": "sent"}), conversation.ErrNotUnknown, "not_unknown"},
		"seen, with more":  {command("recent_seen", map[string]any{"all": true}), nil, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			d.router.mu.Lock()
			d.router.fail = tc.fail
			d.router.mu.Unlock()
			c.say(tc.frame)
			if ack := c.until("ack"); ack.str("error", "code") != tc.code || ack["ok"] == true || ack["conversation"] != nil || ack["seq"] != nil {
				t.Errorf("%v = %v, want code %q", tc.frame, ack, tc.code)
			}
		})
	}
	sue.say(text(nil)) // whatever the role: N1
	if ack := sue.until("ack"); ack.str("error", "code") != "denied" {
		t.Errorf("without the privilege = %v, want denied", ack)
	}
	if n := len(d.router.texting.requests); n != 0 {
		t.Errorf("%d requests reached the router, want none", n)
	}
}

func TestJoinAndSettle(t *testing.T) {
	d := newDesk(t, api.StreamOptions{})
	conv := d.router.open(service(), account())
	c := d.hello("ana", nil)
	c.say(command("join", map[string]any{"conversation": conv}))
	if ack, _ := c.both("ack", "joined"); ack["ok"] != true || ack.str("seq") == "" {
		t.Errorf("join = %v", ack)
	}
	for _, o := range []conversation.Outcome{"sent", "failed", "resend"} {
		c.say(command("settle", map[string]any{"conversation": conv, "message": conversation.NewID[conversation.MessageID](), "outcome": o}))
		if ack := c.until("ack"); ack["ok"] != true || ack.str("seq") != "7" {
			t.Errorf("settle %s = %v", o, ack)
		}
	}
	if got := fmt.Sprint(d.router.texting.settled); got != "[sent failed resend]" {
		t.Errorf("settled %s", got)
	}
}

// O1, O2: the badge, after hello and at each change, on all devices.
func TestRecentFrames(t *testing.T) {
	d := newDesk(t, api.StreamOptions{})
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	conv := conversation.NewID[conversation.ConversationID]()
	d.router.waits(d.ana.User, readers.Recent{Unread: 2, Items: []readers.RecentItem{{Conversation: conv, Unread: 2, At: at}}})
	one, two, sue := d.hello("ana", nil), d.hello("ana", nil), d.hello("sue", nil)
	want := func(what string, c *client, unread string, items int) {
		t.Helper()
		f := c.until("recent")
		list, ok := f["items"].([]any)
		if !ok || f.str("unread") != unread || len(list) != items {
			t.Errorf("%s: %v, want %s unread in %d items", what, f, unread, items)
		}
		if items > 0 {
			if i := frame(list[0].(map[string]any)); i.str("conversation") != conv.String() || i.str("unread") != unread || i.str("at") != "2026-11-23T09:00:00Z" {
				t.Errorf("%s: item %v", what, i)
			}
		}
	}
	want("after hello", one, "2", 1)
	want("after hello", two, "2", 1)
	want("somebody else's", sue, "0", 0)
	d.router.waits(d.ana.User, readers.Recent{Unread: 3, Items: []readers.RecentItem{{Conversation: conv, Unread: 3, At: at}}})
	want("one more", one, "3", 1)
	want("one more", two, "3", 1)
	one.say(command("recent_seen", nil))
	want("seen here", one, "0", 0)
	want("seen there", two, "0", 0)
}

// A long list is cut, the count is not.
func TestRecentIsBounded(t *testing.T) {
	d := newDesk(t, api.StreamOptions{})
	rec := readers.Recent{Unread: 500}
	for range 500 {
		rec.Items = append(rec.Items, readers.RecentItem{Conversation: conversation.NewID[conversation.ConversationID](), Unread: 1, At: time.Now()})
	}
	d.router.waits(d.ana.User, rec)
	f := d.hello("ana", nil).until("recent")
	if list := f["items"].([]any); f.str("unread") != "500" || len(list) != 200 {
		t.Errorf("%s unread in %d items, want 500 in 200", f.str("unread"), len(list))
	}
}

func TestSenders(t *testing.T) {
	h := newHouse(t, nil)
	svc, err := h.dir.PutService(t.Context(), directory.Service{Name: "Text Line", Rules: directory.DefaultRules(), Features: directory.DefaultFeatures()})
	if err != nil {
		t.Fatal(err)
	}
	caps := conversation.Capabilities{Text: true, Files: true, OutboundFirst: true, AddressKind: "phone", Counter: "gsm7", MaxLength: 1600, Icon: "device-mobile"}
	acc := account()
	h.router.texting.senders = []router.Sender{
		{Account: acc, Name: "Demo number", Service: svc.ID, Channel: "sms", Capabilities: caps},
		{Account: account(), Name: "Ana's number", Channel: "sms", Capabilities: caps},
	}
	h.want("without the privilege", h.do("ana", "GET", "/senders", nil), 200, "senders.0", "")
	u := h.users["ana"]
	u.Privileges = []string{directory.PrivilegeSMS}
	if _, err := h.dir.PutUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	a := h.do("ana", "GET", "/senders", nil)
	h.want("with it", a, 200, "senders.0.service.name", "Text Line", "senders.0.account.id", acc.String(), "senders.0.account.name", "Demo number",
		"senders.0.channel", "sms", "senders.0.icon", "device-mobile", "senders.0.address_kind", "phone", "senders.0.counter", "gsm7",
		"senders.0.max_length", "1600", "senders.0.files", "true", "senders.1.account.name", "Ana's number", "senders.2", "")
	if !strings.Contains(a.text, `{"service":null,`) {
		t.Errorf("an own number has a service: %s", a.text)
	}
}

// A parked exchange in lists and history: its owner, what is unread, how far
// messages got.
func TestParkedInHistory(t *testing.T) {
	h := newHouse(t, nil)
	ana := h.users["ana"].ID
	conv := h.router.open(service(), account())
	h.router.mu.Lock()
	s := &h.router.convs[conv].info.State
	s.Capabilities.AddressKind, s.Capabilities.Connected = "phone", false
	s.Parking = &conversation.Parking{Owner: ana}
	s.Unread = &conversation.Unread{Owner: ana, Count: 3, Seq: 1, At: time.Now()}
	h.router.convs[conv].info.Started.Address = "+15005550006"
	h.router.append(conv, conversation.TypeMessage, `{"author":{"kind":"agent"}}`, `{"parts":[]}`)
	s.Pending = []conversation.PendingMessage{{ID: conversation.NewID[conversation.MessageID](), Seq: s.Seq, Status: conversation.StatusFailed}}
	h.router.mu.Unlock()
	path := "/conversations/" + conv.String()
	h.want("its owner", h.do("ana", "GET", path, nil), 200, "display", "parked", "owner.id", ana.String(), "owner.name", "ANA", "unread", "3", "address", "+15005550006")
	h.want("a supervisor", h.do("sue", "GET", path, nil), 200, "owner.id", ana.String(), "unread", "")
	h.want("somebody else", h.do("ben", "GET", path, nil), 404, "code", "not_found")
	before := len(h.trail())
	h.want("its events", h.do("ana", "GET", path+"/events", nil), 200, "events.0.status", "", "events.1.type", "message/1", "events.1.status", "failed")
	if n := len(h.trail()); n != before {
		t.Errorf("the owner's reading left %d entries in the audit trail, want none", n-before)
	}
	h.router.mu.Lock()
	s.Parking = nil // a reply that waits for its owner, or went on to the queue
	h.router.mu.Unlock()
	h.want("a reply that waits", h.do("ana", "GET", path, nil), 200, "unread", "3", "owner", "")
}

// Who texts is known by a number: the offer shows it (N8). Where addresses are
// tokens it says nothing of them (A3).
func TestOfferShowsTheNumber(t *testing.T) {
	d := newDesk(t, api.StreamOptions{})
	c := d.hello("ana", nil)
	for kind, want := range map[string]string{"": "", "phone": "+15005550006"} {
		conv := d.router.open(service(), account())
		d.router.mu.Lock()
		info := &d.router.convs[conv].info
		info.State.Capabilities.AddressKind, info.Started.Address = kind, "+15005550006"
		d.router.mu.Unlock()
		d.router.offer(d.ana.User, conv, 0)
		if got := c.until("offer").str("address"); got != want {
			t.Errorf("offer of address kind %q: address = %q, want %q", kind, got, want)
		}
		d.router.withdraw(d.ana.User, conversation.CauseWithdrawn)
		c.until("offer_end")
	}
}
