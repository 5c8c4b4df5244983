package streamtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/stream"
)

// ErrDisk is an unforeseen error; its text must appear in the log only.
var ErrDisk = errors.New("disk on fire: canary-7f3a")

// Router is a session router in memory: conversations are lists of records, and agents have states
// that the test changes.
type Router struct {
	Mu        sync.Mutex
	agents    map[conversation.AgentID]*acd.AgentState
	Convs     map[conversation.ConversationID]*Conversation
	feeds     map[*feed]struct{}
	connected map[conversation.AgentID]int
	clients   map[string]router.Sent // what was sent, by client id
	Shown     router.Board
	Typed     int
	Texting   Texting
	Fail      error // error of the next command
	Panic     Panic
}

// Panic makes the router panic, once.
type Panic struct {
	In    string // where to panic: command, feed or typing
	Agent conversation.AgentID
}

// panicIn panics if the test has asked for a panic here; the caller holds the mutex.
func (f *Router) panicIn(in string, agent conversation.AgentID) {
	if f.Panic == (Panic{in, agent}) {
		f.Panic = Panic{}
		panic("canary-7f3a")
	}
}

// Conversation is what the fake router knows of a conversation.
type Conversation struct {
	Info router.Info
	recs []readers.Record
}

// NewRouter makes a router without conversations.
func NewRouter() *Router {
	return &Router{
		agents: map[conversation.AgentID]*acd.AgentState{}, Convs: map[conversation.ConversationID]*Conversation{},
		feeds: map[*feed]struct{}{}, connected: map[conversation.AgentID]int{}, clients: map[string]router.Sent{},
		Texting: Texting{threads: map[string]conversation.ConversationID{}, recent: map[conversation.AgentID]readers.Recent{}},
	}
}

// Open makes a conversation of a service.
func (f *Router) Open(service conversation.ServiceID, account conversation.AccountID) conversation.ConversationID {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	var id conversation.ConversationID
	id = idOf(id)
	c := &Conversation{}
	c.Info.State = conversation.State{
		ID: id, Phase: conversation.PhaseOpen, Channel: "webchat", Service: service, StartedAt: time.Now().UTC(),
		Capabilities: conversation.Capabilities{Text: true, Files: true, OfferTitle: "Web Chat", Icon: "message-circle", Connected: true},
		Endpoints:    []conversation.Endpoint{{Account: account}},
	}
	c.Info.Service = "Support"
	c.Info.Started.Name = "Carla Customer"
	f.Convs[id] = c
	f.Append(id, conversation.TypeStarted, `{"kind":"inbound"}`, `{"name":"Carla Customer"}`)
	return id
}

// idOf is a fresh id of the same kind.
func idOf[K any](conversation.ID[K]) conversation.ID[K] {
	return conversation.NewID[conversation.ID[K]]()
}

// Append adds a record and tells the feeds; the caller holds the mutex.
func (f *Router) Append(id conversation.ConversationID, t conversation.Type, head, body string) uint64 {
	c := f.Convs[id]
	r := readers.Record{Conversation: id, Seq: uint64(len(c.recs) + 1), Prev: uint64(len(c.recs)), At: time.Now().UTC(), Type: t, Head: json.RawMessage(head)}
	if body != "" {
		r.Body = json.RawMessage(body)
	}
	c.recs = append(c.recs, r)
	c.Info.State.Seq = r.Seq
	for feed := range f.feeds {
		if _, ok := feed.cursors[id]; ok {
			feed.tell()
		}
	}
	return r.Seq
}

// Say adds a message from the customer.
func (f *Router) Say(id conversation.ConversationID, text string) uint64 {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	b, _ := json.Marshal(conversation.MessageBody{Parts: []conversation.Part{{Kind: conversation.PartText, Text: text}}})
	return f.Append(id, conversation.TypeMessage, `{"author":{"kind":"customer"}}`, string(b))
}

// Change edits an agent's state and tells its sockets.
func (f *Router) Change(agent conversation.AgentID, fn func(*acd.AgentState)) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.changeLocked(agent, fn)
}

func (f *Router) changeLocked(agent conversation.AgentID, fn func(*acd.AgentState)) {
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

func (f *Router) agent(id conversation.AgentID) *acd.AgentState {
	a := f.agents[id]
	if a == nil {
		a = &acd.AgentState{ID: id}
		f.agents[id] = a
	}
	return a
}

// Offer offers a conversation to an agent.
func (f *Router) Offer(agent conversation.AgentID, conv conversation.ConversationID, queued time.Duration) conversation.OfferID {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	o := &acd.HeldOffer{Conversation: conv, At: time.Now().UTC(), ExpiresAt: time.Now().Add(30 * time.Second).UTC()}
	o.Offer, o.Request = idOf(o.Offer), idOf(o.Request)
	s := &f.Convs[conv].Info.State
	s.Requests = []conversation.Request{{
		ID: o.Request, State: conversation.Offered, Offer: o.Offer, Agent: agent, WaitingSince: o.At.Add(-queued),
		Target: conversation.Target{Kind: conversation.TargetService, Service: s.Service},
	}}
	f.Append(conv, conversation.TypeRoutingOffered, fmt.Sprintf(`{"offer":%q}`, o.Offer), "")
	f.changeLocked(agent, func(a *acd.AgentState) { a.Offer = o })
	return o.Offer
}

// Withdraw ends an agent's offer with an event in the conversation.
func (f *Router) Withdraw(agent conversation.AgentID, cause conversation.Cause) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	o := f.agent(agent).Offer
	f.Append(o.Conversation, conversation.TypeRoutingCancelled, fmt.Sprintf(`{"offer":%q,"cause":%q}`, o.Offer, cause), "")
	f.Convs[o.Conversation].Info.State.Requests = nil
	f.changeLocked(agent, func(a *acd.AgentState) { a.Offer = nil })
}

// MakeJoin makes the agent join the conversation.
func (f *Router) MakeJoin(agent conversation.AgentID, conv conversation.ConversationID) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.joinLocked(agent, conv)
}

func (f *Router) joinLocked(agent conversation.AgentID, conv conversation.ConversationID) uint64 {
	s := &f.Convs[conv].Info.State
	s.Participants = append(s.Participants, conversation.Participant{
		Who: conversation.Author{Kind: conversation.Agent, Agent: agent}, State: conversation.Joined,
	})
	seq := f.Append(conv, conversation.TypeParticipantJoined, fmt.Sprintf(`{"who":{"kind":"agent","agent":%q}}`, agent), `{"name":"Ana"}`)
	f.changeLocked(agent, func(a *acd.AgentState) {
		a.Offer = nil
		a.Work = append(a.Work, acd.Work{Conversation: conv, Medium: "chat", Share: 25})
	})
	return seq
}

// command returns the error with which the next command must fail, once; every command calls it
// first.
func (f *Router) command() error {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	err := f.Fail
	f.Fail = nil
	return err
}

// AgentConnected implements stream.Router.
func (f *Router) AgentConnected(ctx context.Context, id conversation.AgentID) error {
	if err := f.command(); err != nil {
		return err
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.connected[id]++
	if a := f.agent(id); !a.LoggedIn {
		f.changeLocked(id, func(a *acd.AgentState) { a.LoggedIn, a.Reason, a.Since = true, acd.ReasonLogin, time.Now() })
	}
	return nil
}

// AgentDisconnected implements stream.Router.
func (f *Router) AgentDisconnected(id conversation.AgentID) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.connected[id]--
}

// Sockets is how many sockets an agent has.
func (f *Router) Sockets(id conversation.AgentID) int {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.connected[id]
}

// Ready implements stream.Router.
func (f *Router) Ready(ctx context.Context, id conversation.AgentID) error {
	if err := f.command(); err != nil {
		return err
	}
	f.Change(id, func(a *acd.AgentState) {
		f.panicIn("command", id)
		a.Ready, a.Reason = true, ""
	})
	return nil
}

// NotReady implements stream.Router.
func (f *Router) NotReady(_ context.Context, id conversation.AgentID, reason string) error {
	f.Change(id, func(a *acd.AgentState) { a.Ready, a.Reason = false, acd.Reason(reason) })
	return nil
}

// Logout implements stream.Router.
func (f *Router) Logout(_ context.Context, id conversation.AgentID) error {
	f.Change(id, func(a *acd.AgentState) { a.LoggedIn, a.Ready = false, false })
	return nil
}

// Agent implements stream.Router.
func (f *Router) Agent(_ context.Context, id conversation.AgentID) (acd.AgentState, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return *f.agent(id).Clone(), nil
}

// Accept implements stream.Router.
func (f *Router) Accept(_ context.Context, id conversation.AgentID, offer conversation.OfferID) (conversation.ConversationID, uint64, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	o := f.agent(id).Offer
	if o == nil || o.Offer != offer {
		return conversation.ConversationID{}, 0, conversation.ErrOfferGone
	}
	return o.Conversation, f.joinLocked(id, o.Conversation), nil
}

// Reject implements stream.Router.
func (f *Router) Reject(_ context.Context, id conversation.AgentID, offer conversation.OfferID) error {
	f.Mu.Lock()
	o := f.agent(id).Offer
	f.Mu.Unlock()
	if o == nil || o.Offer != offer {
		return conversation.ErrOfferGone
	}
	f.Withdraw(id, conversation.CauseRejected)
	return nil
}

// Send implements stream.Router.
func (f *Router) Send(ctx context.Context, req router.SendRequest) (router.Sent, error) {
	if err := f.command(); err != nil {
		return router.Sent{}, err
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	if _, err := f.takingPart(req.Agent, req.Conversation); err != nil {
		return router.Sent{}, err
	}
	if s, ok := f.clients[req.ClientID]; ok {
		return s, nil
	}
	var s router.Sent
	s.Message = idOf(s.Message)
	b, _ := json.Marshal(conversation.MessageBody{Parts: req.Parts})
	s.Seq = f.Append(req.Conversation, conversation.TypeMessage, fmt.Sprintf(`{"id":%q,"client_id":%q}`, s.Message, req.ClientID), string(b))
	f.clients[req.ClientID] = s
	return s, nil
}

// takingPart returns a conversation in which the agent takes part, or the router's refusal. The caller
// holds the mutex.
func (f *Router) takingPart(agent conversation.AgentID, conv conversation.ConversationID) (*Conversation, error) {
	c := f.Convs[conv]
	switch {
	case c == nil:
		return nil, router.ErrNotFound
	case !c.Info.State.JoinedAgent(agent):
		return nil, conversation.ErrNotJoined
	}
	return c, nil
}

// mayCommand returns the refusal that takingPart has, if any.
func (f *Router) mayCommand(agent conversation.AgentID, conv conversation.ConversationID) error {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	_, err := f.takingPart(agent, conv)
	return err
}

// Mark implements stream.Router.
func (f *Router) Mark(_ context.Context, agent conversation.AgentID, conv conversation.ConversationID, _, _ uint64) error {
	return f.mayCommand(agent, conv)
}

// Typing implements stream.Router.
func (f *Router) Typing(id conversation.AgentID, _ conversation.ConversationID, _ bool) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.panicIn("typing", id)
	f.Typed++
}

// Leave implements stream.Router.
func (f *Router) Leave(_ context.Context, id conversation.AgentID, conv conversation.ConversationID, _ bool) (uint64, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	if _, err := f.takingPart(id, conv); err != nil {
		return 0, err
	}
	seq := f.Append(conv, conversation.TypeEnded, `{"cause":"agent"}`, "")
	f.changeLocked(id, func(a *acd.AgentState) { a.Holds(conv).Wrapup = true })
	return seq, nil
}

// FinishWrapup implements stream.Router.
func (f *Router) FinishWrapup(_ context.Context, id conversation.AgentID, conv conversation.ConversationID, _, _ string) (uint64, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	if f.Convs[conv] == nil {
		return 0, router.ErrNotFound
	}
	if w := f.agent(id).Holds(conv); w == nil || !w.Wrapup {
		return 0, conversation.ErrNoWrapup
	}
	seq := f.Append(conv, conversation.TypeConcluded, `{}`, "")
	f.changeLocked(id, func(a *acd.AgentState) {
		a.Work = slices.DeleteFunc(a.Work, func(w acd.Work) bool { return w.Conversation == conv })
	})
	return seq, nil
}

// Invite implements stream.Router.
func (f *Router) Invite(_ context.Context, agent conversation.AgentID, conv conversation.ConversationID, _ conversation.Target, _ bool) (id conversation.RequestID, err error) {
	if err := f.mayCommand(agent, conv); err != nil {
		return id, err
	}
	return idOf(id), nil
}

// CancelInvite implements stream.Router.
func (f *Router) CancelInvite(_ context.Context, agent conversation.AgentID, conv conversation.ConversationID, _ conversation.RequestID) error {
	if err := f.mayCommand(agent, conv); err != nil {
		return err
	}
	return conversation.ErrNoSuchRequest
}

// SetFlag implements stream.Router.
func (f *Router) SetFlag(_ context.Context, agent conversation.AgentID, conv conversation.ConversationID, _ bool) error {
	return f.mayCommand(agent, conv)
}

// LinkContact implements stream.Router.
func (f *Router) LinkContact(_ context.Context, agent conversation.AgentID, conv conversation.ConversationID, _ conversation.ContactID) error {
	err := f.mayCommand(agent, conv)
	if errors.Is(err, conversation.ErrNotJoined) {
		return router.ErrDenied
	}
	return err
}

// Info implements stream.Router.
func (f *Router) Info(_ context.Context, conv conversation.ConversationID) (router.Info, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	c := f.Convs[conv]
	if c == nil {
		return router.Info{}, router.ErrNotFound
	}
	info := c.Info
	info.State = *c.Info.State.Clone()
	return info, nil
}

// Records implements stream.Router.
func (f *Router) Records(_ context.Context, conv conversation.ConversationID, _ conversation.Audience, after uint64, limit int) ([]readers.Record, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	c := f.Convs[conv]
	if c == nil {
		return nil, nil
	}
	recs := c.recs[min(int(after), len(c.recs)):]
	return slices.Clone(recs[:min(limit, len(recs))]), nil
}

// Board implements stream.Router.
func (f *Router) Board(context.Context) router.Board {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	b := f.Shown
	b.At = time.Now()
	return b
}

// NewFeed implements stream.Router.
func (f *Router) NewFeed(agent conversation.AgentID, _ conversation.Audience, wake func()) stream.Feed {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	opened := &feed{r: f, id: agent, wake: wake, cursors: map[conversation.ConversationID]uint64{}, live: map[conversation.ConversationID]bool{}}
	f.feeds[opened] = struct{}{}
	return opened
}

// feed is a readers.Feed over a Router.
type feed struct {
	r       *Router
	id      conversation.AgentID
	wake    func()
	cursors map[conversation.ConversationID]uint64
	live    map[conversation.ConversationID]bool
	signals []readers.Signal
	agent   bool
	recent  bool
}

func (f *feed) tell() { f.wake() }

func (f *feed) Add(conv conversation.ConversationID, after uint64) {
	f.r.Mu.Lock()
	defer f.r.Mu.Unlock()
	f.cursors[conv] = after
	delete(f.live, conv)
	f.tell()
}

func (f *feed) Remove(conv conversation.ConversationID) {
	f.r.Mu.Lock()
	defer f.r.Mu.Unlock()
	delete(f.cursors, conv)
}

func (f *feed) Close() {
	f.r.Mu.Lock()
	defer f.r.Mu.Unlock()
	delete(f.r.feeds, f)
}

func (f *feed) Poll(_ context.Context, max int) ([]readers.Item, error) {
	f.r.Mu.Lock()
	defer f.r.Mu.Unlock()
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
		c := f.r.Convs[id]
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

// SignalAll sends a signal to every feed.
func (f *Router) SignalAll(s readers.Signal) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	for feed := range f.feeds {
		feed.signals = append(feed.signals, s)
		feed.tell()
	}
}

// Texting is what the fake router knows of text exchanges.
type Texting struct {
	Requests []router.OutboundRequest
	threads  map[string]conversation.ConversationID // by number, as the request wrote it
	Senders  []router.Sender
	recent   map[conversation.AgentID]readers.Recent
	Settled  []conversation.Outcome
}

// StartOutbound implements stream.Router.
func (f *Router) StartOutbound(ctx context.Context, req router.OutboundRequest) (router.Outbound, error) {
	if err := f.command(); err != nil {
		return router.Outbound{}, err
	}
	f.Mu.Lock()
	open, taken := f.Texting.threads[req.To]
	f.Texting.Requests = append(f.Texting.Requests, req)
	f.Mu.Unlock()
	if taken {
		return router.Outbound{}, &router.ThreadOpenError{Conversation: open, Owner: req.Agent, Joinable: true}
	}
	id := f.Open(req.Service, req.Account)
	f.MakeJoin(req.Agent, id)
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Texting.threads[req.To] = id
	out := router.Outbound{Conversation: id, Seq: f.Convs[id].Info.State.Seq}
	if len(req.Parts) > 0 {
		out.Message = idOf(out.Message)
	}
	return out, nil
}

// Senders implements stream.Router.
func (f *Router) Senders(conversation.AgentID) []router.Sender {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return slices.Clone(f.Texting.Senders)
}

// AccountTemplates implements api.Router: there are none.
func (f *Router) AccountTemplates(conversation.AgentID, conversation.AccountID) ([]plugin.Template, error) {
	return nil, router.ErrUnknownAccount
}

// Join implements stream.Router.
func (f *Router) Join(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID) (uint64, error) {
	if err := f.command(); err != nil {
		return 0, err
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	switch _, err := f.takingPart(agent, conv); {
	case errors.Is(err, router.ErrNotFound):
		return 0, err
	case err == nil:
		return 0, conversation.ErrAlreadyJoined
	}
	return f.joinLocked(agent, conv), nil
}

// SettleMessage implements stream.Router.
func (f *Router) SettleMessage(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, _ conversation.MessageID, o conversation.Outcome) (uint64, error) {
	if err := f.command(); err != nil {
		return 0, err
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	switch _, err := f.takingPart(agent, conv); {
	case errors.Is(err, router.ErrNotFound):
		return 0, conversation.ErrNoSuchMessage
	case err != nil:
		return 0, router.ErrDenied
	}
	f.Texting.Settled = append(f.Texting.Settled, o)
	return 7, nil
}

// Recent implements stream.Router.
func (f *Router) Recent(_ context.Context, agent conversation.AgentID) readers.Recent {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.Texting.recent[agent]
}

// RecentSeen implements stream.Router.
func (f *Router) RecentSeen(ctx context.Context, agent conversation.AgentID) error {
	if err := f.command(); err != nil {
		return err
	}
	f.Wait(agent, readers.Recent{})
	return nil
}

// Wait sets what waits in an agent's Recent and tells the agent's sockets.
func (f *Router) Wait(agent conversation.AgentID, r readers.Recent) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Texting.recent[agent] = r
	for feed := range f.feeds {
		if feed.id == agent {
			feed.recent = true
			feed.tell()
		}
	}
}

// Supervise implements stream.Router.
func (f *Router) Supervise(_ context.Context, id conversation.AgentID, conv conversation.ConversationID, mode conversation.Mode) (uint64, error) {
	if err := f.command(); err != nil {
		return 0, err
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	c := f.Convs[conv]
	switch {
	case c == nil:
		return 0, router.ErrNotFound
	case c.Info.State.JoinedAgent(id):
		return 0, conversation.ErrAlreadyJoined
	case mode == c.Info.State.ModeOf(id):
		return 0, nil
	case mode != "" && c.Info.State.ModeOf(id) == "" && f.agent(id).Away():
		return 0, acd.ErrLoggedOut
	}
	s := &c.Info.State
	who := conversation.Author{Kind: conversation.Supervisor, Agent: id}
	s.Participants = slices.DeleteFunc(s.Participants, func(p conversation.Participant) bool { return p.Who == who })
	if mode == "" {
		return f.Append(conv, conversation.TypeSupervisorLeft, fmt.Sprintf(`{"agent":%q}`, id), ""), nil
	}
	s.Participants = append(s.Participants, conversation.Participant{Who: who, State: conversation.Joined, Mode: mode})
	return f.Append(conv, conversation.TypeSupervisorJoined, fmt.Sprintf(`{"agent":%q,"mode":%q}`, id, mode), ""), nil
}

// AddNote implements stream.Router.
func (f *Router) AddNote(_ context.Context, req router.SendRequest) (router.Sent, error) {
	if err := f.command(); err != nil {
		return router.Sent{}, err
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	c := f.Convs[req.Conversation]
	if c == nil {
		return router.Sent{}, router.ErrNotFound
	}
	if m := c.Info.State.ModeOf(req.Agent); m != conversation.ModeCoach && m != conversation.ModeBarge && !c.Info.State.JoinedAgent(req.Agent) {
		return router.Sent{}, conversation.ErrNotJoined
	}
	key := "note " + req.ClientID
	if s, ok := f.clients[key]; ok {
		return s, nil
	}
	var s router.Sent
	s.Message = idOf(s.Message)
	b, _ := json.Marshal(conversation.MessageBody{Parts: req.Parts})
	s.Seq = f.Append(req.Conversation, conversation.TypeNote, fmt.Sprintf(`{"id":%q,"client_id":%q}`, s.Message, req.ClientID), string(b))
	f.clients[key] = s
	return s, nil
}
