package stream

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
)

// view is what a socket's client has been told: the agent's state and what follows from it (offers,
// the active list), and which other conversations it watches. It turns the feed's items into
// frames. Except for watch and unwatch it is used by the writing goroutine only.
type view struct {
	k      *socket
	seq    uint64 // sequence number of the agent's state that was sent last
	sent   bool
	offers map[conversation.OfferID]presented
	active map[conversation.ConversationID]string // each conversation's state, as the client was told

	mu      sync.Mutex
	reading map[conversation.ConversationID]reading
}

// presented is an offer that the client now shows.
type presented struct {
	conversation conversation.ConversationID
	seq          uint64 // the conversation's sequence number when the offer was shown
}

// reading says why the feed reads a conversation.
type reading struct{ active, watched bool }

func newView(k *socket) *view {
	return &view{
		k: k, offers: map[conversation.OfferID]presented{}, active: map[conversation.ConversationID]string{},
		reading: map[conversation.ConversationID]reading{},
	}
}

// item appends the frames for one item, and returns events increased by the events among them.
func (v *view) item(buf []byte, it *readers.Item, events int) ([]byte, int) {
	switch {
	case it.Record != nil:
		return appendEvent(buf, it.Record), events + 1
	case it.Agent:
		return v.agent(buf), events
	case it.Recent:
		return v.recent(buf), events
	case it.Signal != nil:
		return v.signal(buf, it.Signal), events
	case !it.Live.IsZero():
		return appendJSON(buf, conversationFrame{T: "live", Conversation: it.Live}), events
	}
	return buf, events
}

func (v *view) signal(buf []byte, s *readers.Signal) []byte {
	switch s.Kind {
	case plugin.SignalTyping:
		return appendJSON(buf, typingFrame{T: "typing", Conversation: s.Conversation, On: s.On, Who: s.Who, Name: s.Name})
	case plugin.SignalPresence:
		return appendJSON(buf, presenceFrame{T: "presence", Conversation: s.Conversation, On: s.On})
	default: // agents are not shown a customer's place in the queue
		return buf
	}
}

// watch reads a conversation after a sequence number; false when the client watches too many.
func (v *view) watch(conv conversation.ConversationID, after uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.reading[conv]
	if !r.watched && len(v.reading) >= maxWatched {
		return false
	}
	r.watched = true
	v.reading[conv] = r
	v.k.feed.Add(conv, after)
	return true
}

func (v *view) unwatch(conv conversation.ConversationID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.reading[conv]
	r.watched = false
	v.drop(conv, r)
}

// drop stops reading a conversation that is neither active nor watched; the caller holds the mutex.
func (v *view) drop(conv conversation.ConversationID, r reading) {
	if r.active || r.watched {
		v.reading[conv] = r
		return
	}
	delete(v.reading, conv)
	v.k.feed.Remove(conv)
}

// join starts reading a conversation of the active list, from the client's cursor.
func (v *view) join(conv conversation.ConversationID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, known := v.reading[conv]
	r.active = true
	v.reading[conv] = r
	if !known {
		v.k.mu.Lock()
		after := v.k.cursors[conv]
		delete(v.k.cursors, conv) // after a later join the conversation is read from its beginning
		v.k.mu.Unlock()
		v.k.feed.Add(conv, after)
	}
}

func (v *view) part(conv conversation.ConversationID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.reading[conv]
	r.active = false
	v.drop(conv, r)
}

// agent tells the client the agent's present state: first what has ended, then the state itself,
// then what is new.
func (v *view) agent(buf []byte) []byte {
	ctx, cancel := context.WithTimeout(v.k.s.ctx, commandTime)
	defer cancel()
	a, err := v.k.s.opts.Router.Agent(ctx, v.k.id.User)
	if err != nil {
		v.k.s.log.Error("stream: agent's state cannot be read", "err", err)
		v.k.bye("restart", closeRestart, 2*time.Second)
		return buf
	}
	if v.sent && a.Seq < v.seq {
		return buf // older than the state that was sent last
	}
	buf = v.endedOffers(ctx, buf, &a)
	buf = appendJSON(buf, agentFrame{T: "agent", Agent: newAgentView(&a)})
	v.seq, v.sent = a.Seq, true
	buf = v.activeList(ctx, buf, &a)
	if o := a.Offer; o != nil {
		if _, shown := v.offers[o.Offer]; !shown {
			buf = v.offer(ctx, buf, o)
		}
	}
	return buf
}

func newAgentView(a *acd.AgentState) agentView {
	out := agentView{
		Seq: a.Seq, Status: string(a.Status()), Reason: string(a.Reason), Pending: string(a.PendingReason()),
		Since: a.Since.UTC(), ReadyAfterWork: a.LoggedIn && a.Ready && len(a.Pending) == 0,
		Offers: []conversation.OfferID{}, Conversations: []workView{},
	}
	if a.Since.IsZero() {
		out.Since = time.Time{}
	}
	if a.Ready {
		out.Reason = ""
	}
	if a.Offer != nil {
		out.Offers = append(out.Offers, a.Offer.Offer)
	}
	for _, w := range a.Work {
		out.Conversations = append(out.Conversations, workView{
			Conversation: w.Conversation, State: workState(w), WrapupUntil: api.TimeOrNil(w.WrapupUntil),
		})
	}
	return out
}

func workState(w acd.Work) string {
	if w.Wrapup {
		return "wrapup"
	}
	return "joined"
}

// endedOffers tells the client which of the offers that it shows have ended.
func (v *view) endedOffers(ctx context.Context, buf []byte, a *acd.AgentState) []byte {
	for offer, p := range v.offers {
		if a.Offer != nil && a.Offer.Offer == offer {
			continue
		}
		delete(v.offers, offer)
		cause := conversation.CauseAccepted
		if w := a.Holds(p.conversation); w == nil || v.active[p.conversation] != "" {
			cause = v.offerCause(ctx, offer, p)
		}
		buf = appendJSON(buf, offerEndFrame{T: "offer_end", Offer: offer, Cause: cause})
	}
	return buf
}

// offerCause finds in the conversation's events why an offer ended.
func (v *view) offerCause(ctx context.Context, offer conversation.OfferID, p presented) conversation.Cause {
	recs, err := v.k.s.opts.Router.Records(ctx, p.conversation, conversation.AudienceAgent, p.seq-min(p.seq, 8), 256)
	if err != nil {
		return conversation.CauseWithdrawn
	}
	for _, r := range recs {
		var h struct {
			Offer conversation.OfferID `json:"offer"`
			Cause conversation.Cause   `json:"cause"`
		}
		switch r.Type {
		case conversation.TypeRoutingDeclined, conversation.TypeRoutingCancelled, conversation.TypeJoinedBy:
			if json.Unmarshal(r.Head, &h) != nil || h.Offer != offer {
				continue
			}
			if r.Type == conversation.TypeJoinedBy {
				return conversation.CauseAccepted
			}
			return h.Cause
		default:
		}
	}
	return conversation.CauseWithdrawn
}

// activeList tells the client which conversations came into the active list, changed in it, or left
// it.
func (v *view) activeList(ctx context.Context, buf []byte, a *acd.AgentState) []byte {
	for conv := range v.active {
		if a.Holds(conv) == nil {
			delete(v.active, conv)
			v.part(conv)
			buf = appendJSON(buf, conversationFrame{T: "parted", Conversation: conv})
		}
	}
	for _, w := range a.Work {
		state := workState(w)
		was := v.active[w.Conversation]
		if was == state {
			continue
		}
		info, err := v.k.s.opts.Router.Info(ctx, w.Conversation)
		if err != nil {
			v.k.s.log.Error("stream: conversation cannot be described", "conversation_id", w.Conversation, "err", err)
			v.k.bye("restart", closeRestart, 2*time.Second)
			return buf
		}
		v.active[w.Conversation] = state
		buf = appendJSON(buf, joinedFrame{T: "joined", Conversation: w.Conversation, State: state, Info: api.NewInfoView(&info, v.k.s.opts.Records.Snapshot())})
		v.join(w.Conversation)
	}
	return buf
}

// offer tells the client of an offer, with what its alert shows (A2-A6).
func (v *view) offer(ctx context.Context, buf []byte, o *acd.HeldOffer) []byte {
	info, err := v.k.s.opts.Router.Info(ctx, o.Conversation)
	if err != nil {
		v.k.s.log.Error("stream: offered conversation cannot be described", "conversation_id", o.Conversation, "err", err)
		v.k.bye("restart", closeRestart, 2*time.Second)
		return buf
	}
	v.offers[o.Offer] = presented{o.Conversation, info.State.Seq}
	f := offerFrame{
		T: "offer", Offer: o.Offer, Conversation: o.Conversation, Request: o.Request,
		Title: info.State.Capabilities.OfferTitle, Icon: info.State.Capabilities.Icon, Channel: info.State.Channel,
		Customer: api.CustomerOf(&info), OfferedAt: o.At.UTC(), ExpiresAt: api.TimeOrNil(o.ExpiresAt), WaitingSince: o.At.UTC(),
	}
	if info.State.Capabilities.AddressKind == router.AddressPhone {
		f.Address = info.Started.Address
	}
	service := info.State.Service
	if r := info.State.Request(o.Request); r != nil {
		f.WaitingSince = r.WaitingSince.UTC()
		if wait := o.At.Sub(r.WaitingSince); wait >= waited {
			f.QueuedMS = wait.Milliseconds()
		}
		if !r.InvitedBy.IsZero() {
			u, _ := v.k.s.opts.Records.Snapshot().User(r.InvitedBy)
			f.InvitedBy = &api.AgentRef{ID: r.InvitedBy, Name: u.Name}
		}
		if !r.Target.Service.IsZero() {
			service = r.Target.Service
		}
	}
	if !service.IsZero() {
		name := info.Service
		if svc, ok := v.k.s.opts.Records.Snapshot().Service(service); ok {
			name = svc.Name
		}
		f.Service = &api.ServiceRef{ID: service, Name: name}
	}
	return appendJSON(buf, f)
}

// waited is the shortest wait that counts as having been in a queue (A4), because an offer made at
// once takes a moment, too.
const waited = time.Second
