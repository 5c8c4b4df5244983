package router_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// texting logs Ana and Ben in, not ready, and returns a text plugin that is there.
func (w *world) texting(r *router.Router) *port {
	w.t.Helper()
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	must(w.t, r.AgentConnected(context.Background(), w.agents["ana"]))
	must(w.t, r.AgentConnected(context.Background(), w.agents["ben"]))
	return p
}

func (w *world) begin(r *router.Router, login, to, text, id string) (router.Outbound, error) {
	req := router.OutboundRequest{Agent: w.agents[login], Service: w.service.ID, To: to, ClientID: id}
	if text != "" {
		req.Parts = textParts(text)
	}
	return r.StartOutbound(context.Background(), req)
}

func (w *world) inbound(r *router.Router, from, id string) plugin.Ack {
	return ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: from, DedupeKey: id,
		Message: &plugin.InboundMessage{Address: from, Parts: textParts(id)}})
}

// N2: an agent who is not ready texts a number: an active chat opens, and the
// first message goes out.
func TestBeginATextExchange(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := w.texting(r)
	ctx := context.Background()
	out, err := w.begin(r, "ana", " +1 (500) 555-0006 ", "hello", "c1")
	must(t, err)
	if out.Conversation.IsZero() || out.Message.IsZero() || out.Seq == 0 {
		t.Fatalf("begun: %+v", out)
	}
	cmd := p.next(t, 0)
	if cmd.Thread != "+15005550006" || cmd.Send.To != "+15005550006" || cmd.Send.Message != out.Message || cmd.Send.Parts[0].Text != "hello" {
		t.Errorf("command: %+v %+v, want the canonical number", cmd, cmd.Send)
	}
	info, err := r.Info(ctx, out.Conversation)
	must(t, err)
	s := &info.State
	if s.Kind != conversation.Outbound || s.Display() != conversation.DisplayActive || !s.JoinedAgent(w.agents["ana"]) || s.Service != w.service.ID || info.Started.Address != "+15005550006" {
		t.Errorf("conversation %+v, started %+v", s, info.Started)
	}
	if a, _ := r.Agent(ctx, w.agents["ana"]); a.Status() != acd.StatusBusy || a.Active() != 1 || a.Ready {
		t.Errorf("agent is %s with %d active", a.Status(), a.Active())
	}
	// N5: the customer's reply lands in the same exchange.
	if a := w.inbound(r, "+15005550006", "in-1"); a.Status != plugin.Committed || a.Conversation != out.Conversation {
		t.Errorf("reply: %+v, want it in %s", a, out.Conversation)
	}
	// A retry returns the same exchange, even if it has ended since.
	again, err := w.begin(r, "ana", "+15005550006", "hello", "c1")
	if err != nil || again.Conversation != out.Conversation || again.Message != out.Message {
		t.Errorf("retry: %+v, %v, want %+v", again, err, out)
	}
	if _, err := r.Leave(ctx, w.agents["ana"], out.Conversation, false); err != nil {
		t.Fatal(err)
	}
	if again, err = w.begin(r, "ana", "+15005550006", "hello", "c1"); err != nil || again.Conversation != out.Conversation {
		t.Errorf("retry after the end: %+v, %v", again, err)
	}
	if a, _ := r.Agent(ctx, w.agents["ana"]); a.Status() != acd.StatusACW {
		t.Fatalf("agent is %s, want after-call work", a.Status())
	}
	// Another client id begins a new exchange, here by an agent in ACW and without a message.
	next, err := w.begin(r, "ana", "+15005550006", "", "c2")
	if err != nil || next.Conversation == out.Conversation || !next.Message.IsZero() {
		t.Errorf("after the end: %+v, %v, want a new exchange without a message", next, err)
	}
	if again, err = w.begin(r, "ana", "+15005550006", "", "c2"); err != nil || again.Conversation != next.Conversation {
		t.Errorf("retry without a message: %+v, %v, want %s", again, err, next.Conversation)
	}
	// An agent who is Busy may begin an exchange with another customer, too.
	if _, err := w.begin(r, "ana", "+15005550007", "x", "c3"); err != nil {
		t.Errorf("while busy: %v", err)
	}
}

// N17: an agent cannot begin an exchange with a number that has an open one.
func TestThreadIsOpen(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	ctx := context.Background()
	out, err := w.begin(r, "ana", "+15005550006", "hello", "c1")
	must(t, err)
	var open *router.ThreadOpenError
	want := func(what, login string, owner conversation.AgentID, joinable bool) {
		t.Helper()
		_, err := w.begin(r, login, "+15005550006", "x", "other")
		if !errors.As(err, &open) || open.Conversation != out.Conversation || open.Owner != owner || open.Joinable != joinable {
			t.Errorf("%s: got %v (%+v), want the exchange of %s, joinable %t", what, err, open, owner, joinable)
		}
		if router.Code(err) != "thread_open" {
			t.Errorf("%s: code %q", what, router.Code(err))
		}
	}
	ana, ben := w.agents["ana"], w.agents["ben"]
	want("a colleague's", "ben", ana, true)
	want("one's own", "ana", ana, false)
	must(t, r.Logout(ctx, ana))
	want("parked", "ben", ana, true)
	must(t, r.AgentConnected(ctx, ana))
	want("one's own, parked", "ana", ana, true)
	if seq, err := r.Join(ctx, ben, out.Conversation); err != nil || seq == 0 {
		t.Fatalf("join: %d, %v", seq, err)
	}
	want("joined by a colleague", "ana", ben, true)
	// An exchange that waits in the queue belongs to no agent.
	if a := w.inbound(r, "+15005550009", "q1"); a.Status != plugin.Committed {
		t.Fatalf("inbound: %+v", a)
	}
	if _, err := w.begin(r, "ben", "+15005550009", "", ""); !errors.As(err, &open) || !open.Owner.IsZero() || !open.Joinable {
		t.Errorf("queued: %v (%+v), want nobody's, joinable", err, open)
	}
}

func TestBeginIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	ctx := context.Background()
	phone := newPort(plugin.Info{ID: "phone", Capabilities: conversation.Capabilities{OutboundFirst: true, AddressKind: "phone", Calls: true}})
	r.PluginReady("phone", "p1", phone)
	calls, err := w.dir.PutAccount(ctx, directory.Account{Plugin: "phone", Name: "Calls only", Service: w.service.ID, Enabled: true}, nil)
	must(t, err)
	own, err := w.dir.PutAccount(ctx, directory.Account{Plugin: "text", Name: "Ben's number", User: w.agents["ben"], Enabled: true}, nil)
	must(t, err)
	off, err := w.dir.PutAccount(ctx, directory.Account{Plugin: "text", Name: "Off", Service: w.service.ID}, nil)
	must(t, err)
	empty, err := w.dir.PutService(ctx, directory.Service{Name: "Nobody's", Rules: directory.DefaultRules()})
	must(t, err)
	mute, err := w.dir.PutService(ctx, directory.Service{Name: "No number", Rules: directory.DefaultRules(), Users: []conversation.AgentID{w.agents["ana"]}})
	must(t, err)
	dan, err := w.dir.PutUser(ctx, directory.User{Login: "dan", Name: "Dan", Role: directory.RoleAgent})
	must(t, err)
	must(t, r.AgentConnected(ctx, dan.ID))
	const to = "+15005550006"
	req := func(change func(*router.OutboundRequest)) router.OutboundRequest {
		q := router.OutboundRequest{Agent: w.agents["ana"], Service: w.service.ID, To: to, Parts: textParts("x")}
		change(&q)
		return q
	}
	address := func(to string) router.OutboundRequest { return req(func(q *router.OutboundRequest) { q.To = to }) }
	for name, c := range map[string]struct {
		req  router.OutboundRequest
		want error
	}{
		"no country":             {address("030 1234567"), router.ErrInvalidAddress},
		"nothing":                {address(""), router.ErrInvalidAddress},
		"words":                  {address("call me"), router.ErrInvalidAddress},
		"too short":              {address("+1500"), router.ErrInvalidAddress},
		"too long":               {address("+150055500060000000000"), router.ErrInvalidAddress},
		"an extension":           {address("+15005550006 ext. 5"), router.ErrInvalidAddress},
		"very long":              {address("+1500555" + string(make([]byte, 5000))), router.ErrInvalidAddress},
		"not UTF-8":              {address("+1500555000\xff"), router.ErrInvalidAddress},
		"service of others":      {req(func(q *router.OutboundRequest) { q.Service = empty.ID }), router.ErrDenied},
		"service without number": {req(func(q *router.OutboundRequest) { q.Service = mute.ID }), router.ErrNoSender},
		"not serving":            {req(func(q *router.OutboundRequest) { q.Agent = dan.ID }), router.ErrDenied},
		"unknown account":        {req(func(q *router.OutboundRequest) { q.Account = conversation.NewID[conversation.AccountID]() }), router.ErrNoSender},
		"disabled account":       {req(func(q *router.OutboundRequest) { q.Account = off.ID }), router.ErrNoSender},
		"without texts":          {req(func(q *router.OutboundRequest) { q.Account = calls.ID }), router.ErrNoSender},
		"live channel":           {req(func(q *router.OutboundRequest) { q.Account = w.chat.ID }), router.ErrNoSender},
		"another's number":       {req(func(q *router.OutboundRequest) { q.Service = conversation.ServiceID{}; q.Account = own.ID }), router.ErrDenied},
		"no number of one's own": {req(func(q *router.OutboundRequest) { q.Service = conversation.ServiceID{} }), router.ErrNoSender},
		"account of no service":  {req(func(q *router.OutboundRequest) { q.Agent, q.Account = w.agents["ben"], own.ID }), router.ErrInvalid},
		"logged out":             {req(func(q *router.OutboundRequest) { q.Agent = w.agents["cem"] }), acd.ErrLoggedOut},
		"nobody":                 {req(func(q *router.OutboundRequest) { q.Agent = conversation.NewID[conversation.AgentID]() }), router.ErrUnknownAgent},
		"long client id":         {req(func(q *router.OutboundRequest) { q.ClientID = string(make([]byte, 65)) }), router.ErrInvalid},
		"empty part":             {req(func(q *router.OutboundRequest) { q.Parts = textParts("") }), router.ErrInvalid},
		"too much":               {req(func(q *router.OutboundRequest) { q.Parts = textParts(string(make([]byte, 65<<10))) }), router.ErrTooLarge},
		"not on this channel": {req(func(q *router.OutboundRequest) {
			q.Parts = []conversation.Part{{Kind: conversation.PartLocation, Location: &conversation.Location{}}}
		}), conversation.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := r.StartOutbound(ctx, c.req); !errors.Is(err, c.want) || !out.Conversation.IsZero() {
				t.Errorf("got %+v, %v, want %v", out, err, c.want)
			}
		})
	}
	if _, err := w.log.Thread(ctx, eventlog.StreamID(w.text.ID), w.vault.MAC("thread", w.text.ID[:], []byte(to))); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("a refused start left a thread open: %v", err)
	}
	if rows, err := w.log.Conversations(ctx, eventlog.ConversationQuery{}); err != nil || len(rows) != 0 {
		t.Errorf("%d conversations, %v, want none", len(rows), err)
	}
	// The number of the refused requests is free, and so is the agent's own number.
	if _, err := r.StartOutbound(ctx, req(func(q *router.OutboundRequest) { q.Account = w.text.ID })); err != nil {
		t.Errorf("by account: %v", err)
	}
	out, err := r.StartOutbound(ctx, router.OutboundRequest{Agent: w.agents["ben"], To: to, Parts: textParts("mine")})
	must(t, err)
	if info, err := r.Info(ctx, out.Conversation); err != nil || info.State.Endpoints[0].Account != own.ID || !info.State.Service.IsZero() {
		t.Errorf("own number: %+v, %v", info.State, err)
	}
	names := func(login string) (out []string) {
		for _, s := range r.Senders(w.agents[login]) {
			out = append(out, s.Name)
		}
		return out
	}
	if a, b := fmt.Sprint(names("ana")), fmt.Sprint(names("ben")); a != "[text]" || b != "[Ben's number text]" || r.Senders(dan.ID) != nil {
		t.Errorf("senders: ana %s, ben %s, dan %v", a, b, r.Senders(dan.ID))
	}
}

// An agent's start and texts from the same number at the same moment, on the same or another node,
// end in one conversation, and no text is lost (PR7).
func TestOutboundAgainstInbound(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.start("n1"), w.start("n2")
	for i, r := range []*router.Router{a, b} {
		r.PluginReady("text", fmt.Sprint("g", i), newPort(textInfo()))
	}
	must(t, a.AgentConnected(context.Background(), w.agents["ana"]))
	eventually(t, "login seen by the other node", func() bool { s, _ := b.Agent(context.Background(), w.agents["ana"]); return s.LoggedIn })
	for i := range 40 {
		from, nodes := fmt.Sprintf("+1500555%04d", 1000+i), []*router.Router{a, b}
		var wg sync.WaitGroup
		acks := make([]plugin.Ack, 6)
		var out router.Outbound
		var outErr error
		for j := range acks {
			wg.Go(func() { acks[j] = w.inbound(nodes[(i+j)%2], from, fmt.Sprint(from, "/", j)) })
		}
		wg.Go(func() { out, outErr = w.begin(nodes[i%2], "ana", from, "hello", fmt.Sprint("c", i)) })
		wg.Wait()
		conv := acks[0].Conversation
		for j, ack := range acks {
			if ack.Status != plugin.Committed || ack.Conversation != conv {
				t.Errorf("%s: text %d: %+v, want committed in %s", from, j, ack, conv)
			}
		}
		want := 6
		var open *router.ThreadOpenError
		switch {
		case outErr == nil && out.Conversation == conv:
			want = 7
		case errors.As(outErr, &open) && open.Conversation == conv:
		default:
			t.Errorf("%s: outbound %+v, %v; the texts are in %s", from, out, outErr, conv)
		}
		n := 0
		for _, typ := range types(t, a, conv) {
			if typ == string(conversation.TypeMessage) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d messages, want %d", from, n, want)
		}
	}
}
