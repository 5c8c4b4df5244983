package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
)

// fakeRouter is a session router in memory: conversations are lists of
// records, agents are states that the test changes.
type fakeRouter struct {
	mu        sync.Mutex
	agents    map[conversation.AgentID]*acd.AgentState
	convs     map[conversation.ConversationID]*fakeConv
	feeds     map[*fakeFeed]struct{}
	connected map[conversation.AgentID]int
	clients   map[string]router.Sent // by client id
	board     router.Board
	typing    int
	texting   fakeTexting
	fail      error // of the next command
	fault     fakeFault
	hold      chan struct{}
}

// fakeFault makes the router panic, once.
type fakeFault struct {
	in    string // command, feed or typing
	agent conversation.AgentID
}

// panicIn panics if the test wants it here; the mutex is held.
func (f *fakeRouter) panicIn(in string, agent conversation.AgentID) {
	if f.fault == (fakeFault{in, agent}) {
		f.fault = fakeFault{}
		panic("canary-7f3a")
	}
}

type fakeConv struct {
	info router.Info
	recs []readers.Record
}

func newFakeRouter() *fakeRouter {
	return &fakeRouter{
		agents: map[conversation.AgentID]*acd.AgentState{}, convs: map[conversation.ConversationID]*fakeConv{},
		feeds: map[*fakeFeed]struct{}{}, connected: map[conversation.AgentID]int{}, clients: map[string]router.Sent{},
		texting: fakeTexting{threads: map[string]conversation.ConversationID{}, recent: map[conversation.AgentID]readers.Recent{}},
	}
}

// open makes a conversation of a service.
func (f *fakeRouter) open(service conversation.ServiceID, account conversation.AccountID) conversation.ConversationID {
	f.mu.Lock()
	defer f.mu.Unlock()
	var id conversation.ConversationID
	id = idOf(id)
	c := &fakeConv{}
	c.info.State = conversation.State{
		ID: id, Phase: conversation.PhaseOpen, Channel: "webchat", Service: service, StartedAt: time.Now().UTC(),
		Capabilities: conversation.Capabilities{Text: true, Files: true, OfferTitle: "Web Chat", Icon: "message-circle", Connected: true},
		Endpoints:    []conversation.Endpoint{{Account: account}},
	}
	c.info.Service = "Support"
	c.info.Started.Name = "Carla Customer"
	f.convs[id] = c
	f.append(id, conversation.TypeStarted, `{"kind":"inbound"}`, `{"name":"Carla Customer"}`)
	return id
}

// idOf is a fresh id of the same kind.
func idOf[K any](conversation.ID[K]) conversation.ID[K] {
	return conversation.NewID[conversation.ID[K]]()
}

// append adds a record and tells the feeds; the mutex is held.
func (f *fakeRouter) append(id conversation.ConversationID, t conversation.Type, head, body string) uint64 {
	c := f.convs[id]
	r := readers.Record{Conversation: id, Seq: uint64(len(c.recs) + 1), Prev: uint64(len(c.recs)), At: time.Now().UTC(), Type: t, Head: json.RawMessage(head)}
	if body != "" {
		r.Body = json.RawMessage(body)
	}
	c.recs = append(c.recs, r)
	c.info.State.Seq = r.Seq
	for feed := range f.feeds {
		if _, ok := feed.cursors[id]; ok {
			feed.tell()
		}
	}
	return r.Seq
}

// say adds a message of the customer's.
func (f *fakeRouter) say(id conversation.ConversationID, text string) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, _ := json.Marshal(conversation.MessageBody{Parts: []conversation.Part{{Kind: conversation.PartText, Text: text}}})
	return f.append(id, conversation.TypeMessage, `{"author":{"kind":"customer"}}`, string(b))
}

// change edits an agent's state and tells its sockets.
func (f *fakeRouter) change(agent conversation.AgentID, fn func(*acd.AgentState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changeLocked(agent, fn)
}

func (f *fakeRouter) changeLocked(agent conversation.AgentID, fn func(*acd.AgentState)) {
	a := f.agent(agent)
	fn(a)
	a.Seq++
	for feed := range f.feeds {
		if feed.id == agent {
			feed.agent = true
			feed.tell()
		}
	}
}

func (f *fakeRouter) agent(id conversation.AgentID) *acd.AgentState {
	a := f.agents[id]
	if a == nil {
		a = &acd.AgentState{ID: id}
		f.agents[id] = a
	}
	return a
}

// offer presents a conversation to an agent.
func (f *fakeRouter) offer(agent conversation.AgentID, conv conversation.ConversationID, queued time.Duration) conversation.OfferID {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := &acd.HeldOffer{Conversation: conv, At: time.Now().UTC(), ExpiresAt: time.Now().Add(30 * time.Second).UTC()}
	o.Offer, o.Request = idOf(o.Offer), idOf(o.Request)
	s := &f.convs[conv].info.State
	s.Requests = []conversation.Request{{
		ID: o.Request, State: conversation.Offered, Offer: o.Offer, Agent: agent, WaitingSince: o.At.Add(-queued),
		Target: conversation.Target{Kind: conversation.TargetService, Service: s.Service},
	}}
	f.append(conv, conversation.TypeRoutingOffered, fmt.Sprintf(`{"offer":%q}`, o.Offer), "")
	f.changeLocked(agent, func(a *acd.AgentState) { a.Offer = o })
	return o.Offer
}

// takeOffer ends an agent's offer with an event in the conversation.
func (f *fakeRouter) withdraw(agent conversation.AgentID, cause conversation.Cause) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.agent(agent).Offer
	f.append(o.Conversation, conversation.TypeRoutingCancelled, fmt.Sprintf(`{"offer":%q,"cause":%q}`, o.Offer, cause), "")
	f.convs[o.Conversation].info.State.Requests = nil
	f.changeLocked(agent, func(a *acd.AgentState) { a.Offer = nil })
}

// join makes the agent take part.
func (f *fakeRouter) join(agent conversation.AgentID, conv conversation.ConversationID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joinLocked(agent, conv)
}

func (f *fakeRouter) joinLocked(agent conversation.AgentID, conv conversation.ConversationID) uint64 {
	s := &f.convs[conv].info.State
	s.Participants = append(s.Participants, conversation.Participant{
		Who: conversation.Author{Kind: conversation.Agent, Agent: agent}, State: conversation.Joined,
	})
	seq := f.append(conv, conversation.TypeParticipantJoined, fmt.Sprintf(`{"who":{"kind":"agent","agent":%q}}`, agent), `{"name":"Ana"}`)
	f.changeLocked(agent, func(a *acd.AgentState) {
		a.Offer = nil
		a.Work = append(a.Work, acd.Work{Conversation: conv, Medium: "chat", Share: 25})
	})
	return seq
}

func (f *fakeRouter) command(ctx context.Context) error {
	f.mu.Lock()
	err, hold := f.fail, f.hold
	f.fail = nil
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (f *fakeRouter) AgentConnected(ctx context.Context, id conversation.AgentID) error {
	if err := f.command(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connected[id]++
	if a := f.agent(id); !a.LoggedIn {
		f.changeLocked(id, func(a *acd.AgentState) { a.LoggedIn, a.Reason, a.Since = true, acd.ReasonLogin, time.Now() })
	}
	return nil
}

func (f *fakeRouter) AgentDisconnected(id conversation.AgentID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connected[id]--
}

func (f *fakeRouter) sockets(id conversation.AgentID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connected[id]
}

func (f *fakeRouter) Ready(ctx context.Context, id conversation.AgentID) error {
	if err := f.command(ctx); err != nil {
		return err
	}
	f.change(id, func(a *acd.AgentState) {
		f.panicIn("command", id)
		a.Ready, a.Reason = true, ""
	})
	return nil
}

func (f *fakeRouter) NotReady(_ context.Context, id conversation.AgentID, reason string) error {
	f.change(id, func(a *acd.AgentState) { a.Ready, a.Reason = false, acd.Reason(reason) })
	return nil
}

func (f *fakeRouter) Logout(_ context.Context, id conversation.AgentID) error {
	f.change(id, func(a *acd.AgentState) { a.LoggedIn, a.Ready = false, false })
	return nil
}

func (f *fakeRouter) Agent(_ context.Context, id conversation.AgentID) (acd.AgentState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.agent(id).Clone(), nil
}

func (f *fakeRouter) Accept(_ context.Context, id conversation.AgentID, offer conversation.OfferID) (conversation.ConversationID, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.agent(id).Offer
	if o == nil || o.Offer != offer {
		return conversation.ConversationID{}, 0, conversation.ErrOfferGone
	}
	return o.Conversation, f.joinLocked(id, o.Conversation), nil
}

func (f *fakeRouter) Reject(_ context.Context, id conversation.AgentID, offer conversation.OfferID) error {
	f.mu.Lock()
	o := f.agent(id).Offer
	f.mu.Unlock()
	if o == nil || o.Offer != offer {
		return conversation.ErrOfferGone
	}
	f.withdraw(id, conversation.CauseRejected)
	return nil
}

func (f *fakeRouter) Send(ctx context.Context, req router.SendRequest) (router.Sent, error) {
	if err := f.command(ctx); err != nil {
		return router.Sent{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.convs[req.Conversation]
	if c == nil {
		return router.Sent{}, router.ErrNotFound
	}
	if !c.info.State.JoinedAgent(req.Agent) {
		return router.Sent{}, conversation.ErrNotJoined
	}
	if s, ok := f.clients[req.ClientID]; ok {
		return s, nil
	}
	var s router.Sent
	s.Message = idOf(s.Message)
	b, _ := json.Marshal(conversation.MessageBody{Parts: req.Parts})
	s.Seq = f.append(req.Conversation, conversation.TypeMessage, fmt.Sprintf(`{"id":%q,"client_id":%q}`, s.Message, req.ClientID), string(b))
	f.clients[req.ClientID] = s
	return s, nil
}

func (f *fakeRouter) Mark(context.Context, conversation.AgentID, conversation.ConversationID, uint64, uint64) error {
	return nil
}

func (f *fakeRouter) Typing(id conversation.AgentID, _ conversation.ConversationID, _ bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.panicIn("typing", id)
	f.typing++
}

func (f *fakeRouter) Leave(_ context.Context, id conversation.AgentID, conv conversation.ConversationID, _ bool) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.convs[conv]
	if c == nil {
		return 0, router.ErrNotFound
	}
	seq := f.append(conv, conversation.TypeEnded, `{"cause":"agent"}`, "")
	f.changeLocked(id, func(a *acd.AgentState) { a.Holds(conv).Wrapup = true })
	return seq, nil
}

func (f *fakeRouter) FinishWrapup(_ context.Context, id conversation.AgentID, conv conversation.ConversationID, _, _ string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seq := f.append(conv, conversation.TypeConcluded, `{}`, "")
	f.changeLocked(id, func(a *acd.AgentState) {
		a.Work = slices.DeleteFunc(a.Work, func(w acd.Work) bool { return w.Conversation == conv })
	})
	return seq, nil
}

func (f *fakeRouter) Invite(context.Context, conversation.AgentID, conversation.ConversationID, conversation.Target, bool) (id conversation.RequestID, err error) {
	return idOf(id), nil
}

func (f *fakeRouter) CancelInvite(context.Context, conversation.AgentID, conversation.ConversationID, conversation.RequestID) error {
	return conversation.ErrNoSuchRequest
}

func (f *fakeRouter) SetFlag(context.Context, conversation.AgentID, conversation.ConversationID, bool) error {
	return nil
}

func (f *fakeRouter) LinkContact(context.Context, conversation.AgentID, conversation.ConversationID, conversation.ContactID) error {
	return nil
}

func (f *fakeRouter) Info(_ context.Context, conv conversation.ConversationID) (router.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.convs[conv]
	if c == nil {
		return router.Info{}, router.ErrNotFound
	}
	info := c.info
	info.State = *c.info.State.Clone()
	return info, nil
}

func (f *fakeRouter) Records(_ context.Context, conv conversation.ConversationID, _ conversation.Audience, after uint64, limit int) ([]readers.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.convs[conv]
	if c == nil {
		return nil, nil
	}
	recs := c.recs[min(int(after), len(c.recs)):]
	return slices.Clone(recs[:min(limit, len(recs))]), nil
}

func (f *fakeRouter) Board(context.Context) router.Board {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.board
	b.At = time.Now()
	return b
}

func (f *fakeRouter) NewFeed(agent conversation.AgentID, _ conversation.Audience, wake func()) api.Feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	feed := &fakeFeed{r: f, id: agent, wake: wake, cursors: map[conversation.ConversationID]uint64{}, live: map[conversation.ConversationID]bool{}}
	f.feeds[feed] = struct{}{}
	return feed
}

// fakeFeed is a readers.Feed over a fakeRouter.
type fakeFeed struct {
	r       *fakeRouter
	id      conversation.AgentID
	wake    func()
	cursors map[conversation.ConversationID]uint64
	live    map[conversation.ConversationID]bool
	signals []readers.Signal
	agent   bool
	recent  bool
}

func (f *fakeFeed) tell() { f.wake() }

func (f *fakeFeed) Add(conv conversation.ConversationID, after uint64) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.cursors[conv] = after
	delete(f.live, conv)
	f.tell()
}

func (f *fakeFeed) Remove(conv conversation.ConversationID) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	delete(f.cursors, conv)
}

func (f *fakeFeed) Close() {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	delete(f.r.feeds, f)
}

func (f *fakeFeed) Poll(_ context.Context, max int) ([]readers.Item, error) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.r.panicIn("feed", f.id)
	var out []readers.Item
	if f.agent {
		f.agent = false
		out = append(out, readers.Item{Agent: true})
	}
	if f.recent {
		f.recent = false
		out = append(out, readers.Item{Recent: true})
	}
	for i := range f.signals {
		out = append(out, readers.Item{Signal: &f.signals[i]})
	}
	f.signals = nil
	for id, cursor := range f.cursors {
		c := f.r.convs[id]
		for int(cursor) < len(c.recs) && len(out) < max {
			r := c.recs[cursor]
			out = append(out, readers.Item{Record: &r})
			cursor++
		}
		f.cursors[id] = cursor
		if int(cursor) == len(c.recs) && !f.live[id] {
			f.live[id] = true
			out = append(out, readers.Item{Live: id})
		}
	}
	return out, nil
}

// signalAll sends a signal to every feed.
func (f *fakeRouter) signalAll(s readers.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for feed := range f.feeds {
		feed.signals = append(feed.signals, s)
		feed.tell()
	}
}

func typingSignal(conv conversation.ConversationID) readers.Signal {
	return readers.Signal{Conversation: conv, Kind: plugin.SignalTyping, On: true, Who: conversation.Author{Kind: conversation.Customer}}
}

// fakeSessions knows people by bearer token.
type fakeSessions struct {
	mu       sync.Mutex
	ids      map[string]auth.Identity
	ended    map[directory.SessionID]bool
	watchers map[directory.SessionID][]func()
}

func newFakeSessions() *fakeSessions {
	return &fakeSessions{ids: map[string]auth.Identity{}, ended: map[directory.SessionID]bool{}, watchers: map[directory.SessionID][]func(){}}
}

func (f *fakeSessions) add(login string, role directory.Role) auth.Identity {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := auth.Identity{Login: login, Name: strings.ToUpper(login[:1]) + login[1:], Role: role}
	id.User = idOf(id.User)
	copy(id.Session[:], login)
	f.ids[login] = id
	return id
}

// grant gives a user a privilege.
func (f *fakeSessions) grant(login, privilege string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.ids[login]
	id.Privileges = append(id.Privileges, privilege)
	f.ids[login] = id
}

func (f *fakeSessions) Authenticate(r *http.Request) (auth.Identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	token, bearer := auth.Token(r)
	id, ok := f.ids[token]
	if !ok || f.ended[id.Session] {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	if !bearer && r.Header.Get("Origin") != "http://"+r.Host {
		return auth.Identity{}, auth.ErrForged
	}
	return id, nil
}

func (f *fakeSessions) Current(id auth.Identity) (auth.Identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended[id.Session] {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	return f.ids[id.Login], nil
}

func (f *fakeSessions) Watch(id auth.Identity, fn func()) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[id.Session] = append(f.watchers[id.Session], fn)
	return func() {}
}

// end revokes a session; told says whether watchers hear of it at once.
func (f *fakeSessions) end(id directory.SessionID, told bool) {
	f.mu.Lock()
	f.ended[id] = true
	fns := f.watchers[id]
	f.mu.Unlock()
	if told {
		for _, fn := range fns {
			fn()
		}
	}
}

// noRecords is a directory without records but an audit trail.
type noRecords struct {
	mu    sync.Mutex
	trail []directory.AuditEntry
}

func (*noRecords) Snapshot() *directory.Snapshot { return new(directory.Snapshot) }

func (n *noRecords) Audit(_ context.Context, e directory.AuditEntry) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trail = append(n.trail, e)
	return nil
}

var errDisk = errors.New("disk on fire: canary-7f3a")

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
