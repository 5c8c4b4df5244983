package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
)

// The ACD leads on one node at a time (DESIGN.md 4).
const (
	leaseName  = "acd"
	leaseTTL   = 10 * time.Second
	leaseRenew = 3 * time.Second
	// offerPause keeps an offer that failed from being tried again at once.
	offerPause = 250 * time.Millisecond
	// tellPlaces is how often customers may hear of their place, and toldPlaces
	// how many of a queue do.
	tellPlaces = time.Second
	toldPlaces = 500
)

// routing keeps the dispatcher informed and carries its assignments out. Every
// node keeps one up to date from what it sees; only the leader asks it.
type routing struct {
	r    *Router
	wake chan struct{}

	mu    sync.Mutex // guards the fields below
	d     *acd.Dispatcher
	convs map[conversation.ConversationID]boardEntry
	tally map[conversation.ServiceID]*boardTally
	epoch int64
	leads bool
	until time.Time // the lease is held at least so long
	moved bool      // places in queues may have changed since they were last told
}

// boardEntry is what a conversation counts for on the board.
type boardEntry struct {
	service conversation.ServiceID
	active  bool
	offered int
	seq     uint64 // of the state that this was read from
}

type boardTally struct{ active, offered int }

func newRouting(r *Router) *routing {
	return &routing{r: r, wake: make(chan struct{}, 1), d: acd.NewDispatcher(),
		convs: map[conversation.ConversationID]boardEntry{}, tally: map[conversation.ServiceID]*boardTally{}}
}

func (q *routing) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// sync takes over a conversation's committed state. The worker calls it.
func (q *routing) sync(s *conversation.State) {
	e := boardEntry{service: s.Service, seq: s.Seq}
	if s.Phase == conversation.PhaseOpen {
		for i := range s.Participants {
			p := &s.Participants[i]
			e.active = e.active || p.Who.Kind == conversation.Agent && p.State == conversation.Joined
		}
		for i := range s.Requests {
			if s.Requests[i].State == conversation.Offered {
				e.offered++
			}
		}
	}
	q.mu.Lock()
	q.d.UpdateConversation(s)
	q.moved = true
	q.count(s.ID, e, s.Phase == conversation.PhaseOpen)
	q.mu.Unlock()
	q.poke()
}

// count needs q.mu.
func (q *routing) count(id conversation.ConversationID, e boardEntry, open bool) {
	add := func(e boardEntry, n int) {
		t := q.tally[e.service]
		if t == nil {
			t = &boardTally{}
			q.tally[e.service] = t
		}
		if e.active {
			t.active += n
		}
		t.offered += n * e.offered
	}
	if old, ok := q.convs[id]; ok {
		add(old, -1)
		delete(q.convs, id)
	}
	if open {
		q.convs[id] = e
		add(e, 1)
	}
}

// agent takes over an agent's committed state. Its holder calls it.
func (q *routing) agent(s *acd.AgentState) {
	q.mu.Lock()
	q.d.UpdateAgent(s)
	q.mu.Unlock()
	q.poke()
}

// profiles takes over what the directory says.
func (q *routing) profiles() {
	snap := q.r.dir.Snapshot()
	q.mu.Lock()
	for _, u := range snap.Users() {
		if u.Disabled {
			q.d.RemoveAgent(u.ID)
			continue
		}
		q.d.SetProfile(u.ID, acd.Profile{Services: snap.ServicesOf(u.ID), Skills: u.Skills, Limits: limitsOf(u)})
	}
	q.mu.Unlock()
	q.poke()
}

// limits are what an agent may have in hand at once (A18).
func (r *Router) limits(id conversation.AgentID) acd.Limits {
	u, _ := r.dir.Snapshot().User(id)
	return limitsOf(u)
}

func limitsOf(u directory.User) acd.Limits {
	return acd.Limits{Percent: u.Capacity.Percent, Max: u.Capacity.Max}
}

func (q *routing) run(ctx context.Context) {
	changes, cancel := q.r.dir.Changes()
	defer cancel()
	q.profiles()
	q.lead(ctx)
	renew := time.NewTicker(leaseRenew)
	defer renew.Stop()
	tell := time.NewTicker(tellPlaces)
	defer tell.Stop()
	for {
		q.assign()
		select {
		case <-ctx.Done():
			return
		case <-changes:
			q.profiles()
		case <-renew.C:
			q.lead(ctx)
		case <-tell.C:
			q.tellPlaces()
		case <-q.wake:
		}
	}
}

// lead takes or renews the lease.
func (q *routing) lead(ctx context.Context) {
	asked := time.Now()
	epoch, held, err := q.r.log.AcquireLease(ctx, leaseName, q.r.node, leaseTTL)
	if err != nil {
		if ctx.Err() == nil {
			q.r.logger.Warn("cannot renew the lease of the ACD", "err", err)
		}
		return
	}
	q.mu.Lock()
	new := held && (!q.leads || q.epoch != epoch)
	q.leads, q.epoch = held, epoch
	if held {
		q.until = asked.Add(leaseTTL) // monotonic: a stepped clock changes nothing (FT19)
	}
	q.mu.Unlock()
	if new {
		q.r.logger.Info("leading the ACD", "epoch", epoch)
		q.takeOver(ctx)
	}
}

// takeOver learns what went on at the node that led before: hints about
// conversations that nobody reads here were not followed.
func (q *routing) takeOver(ctx context.Context) {
	err := q.r.unfinished(ctx, func(rows []eventlog.ConversationRow) error {
		for i := range rows {
			id := conversation.ConversationID(rows[i].ID)
			q.mu.Lock()
			known := q.convs[id].seq >= rows[i].Seq
			q.mu.Unlock()
			if !known {
				q.r.live(id).stale(rows[i].Seq)
			}
		}
		return nil
	})
	if err != nil {
		q.r.logger.Warn("cannot read what waits for agents", "err", err)
		q.mu.Lock()
		q.leads, q.epoch = false, -1 // once more at the next renewal
		q.mu.Unlock()
		return
	}
}

// leading reports whether this node makes the offers.
func (q *routing) leading() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.leads
}

// release gives the lease up so that another node leads at once.
func (q *routing) release() {
	q.mu.Lock()
	leads := q.leads
	q.leads = false
	q.mu.Unlock()
	if !leads {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.r.ctx), time.Second)
	defer cancel()
	if err := q.r.log.ReleaseLease(ctx, leaseName, q.r.node); err != nil {
		q.r.logger.Warn("cannot release the lease of the ACD", "err", err)
	}
}

// assign makes offers as long as there is one to be made.
func (q *routing) assign() {
	for {
		q.mu.Lock()
		if !q.leads || !time.Now().Before(q.until) {
			q.mu.Unlock()
			return
		}
		a, ok := q.d.Next(q.r.now())
		epoch := q.epoch
		q.mu.Unlock()
		if !ok {
			return
		}
		q.r.live(a.Conversation).submit(&task{
			cmd:   conversation.Offer{Request: a.Request, Offer: conversation.NewID[conversation.OfferID](), Agent: a.Agent, Epoch: epoch},
			lease: eventlog.LeaseRef{Name: leaseName, Epoch: epoch},
			done:  func(_ outcome, err error) { q.settle(assignment{a, epoch}, err) },
		})
	}
}

// assignment is an offer being made under an epoch of the lease.
type assignment struct {
	acd.Assignment
	epoch int64
}

// settle ends an assignment's reservation. After a failure the dispatcher is told
// what is true, and the request waits a moment: whatever refused it once
// would refuse it again at once.
func (q *routing) settle(a assignment, err error) {
	finish := func() {
		q.mu.Lock()
		q.d.Settle(a.Assignment)
		q.mu.Unlock()
		q.poke()
	}
	if err == nil {
		finish()
		return
	}
	if errors.Is(err, ErrStopped) {
		return
	}
	if errors.Is(err, eventlog.ErrFenced) { // another node leads: offer nothing before the lease is ours again
		q.mu.Lock()
		if q.epoch == a.epoch {
			q.leads = false
		}
		q.mu.Unlock()
	}
	q.r.logger.Debug("offer not made", "conversation_id", a.Conversation, "agent_id", a.Agent, "err", err)
	q.r.spawn(func() {
		_, loadErr := q.r.live(a.Conversation).do(q.r.ctx, &task{read: func(s *conversation.State) { q.sync(s) }})
		if errors.Is(loadErr, ErrNotFound) {
			q.mu.Lock()
			q.d.RemoveRequest(a.Request)
			q.mu.Unlock()
		}
		q.agent(q.r.agent(a.Agent).view.Load())
		select {
		case <-time.After(offerPause):
		case <-q.r.ctx.Done():
		}
		finish()
	})
}

// place is a customer's place in a queue.
type place struct {
	conversation conversation.ConversationID
	position     int
	since        time.Time
}

// tellPlaces lets waiting customers know their place when it may have changed.
func (q *routing) tellPlaces() {
	var places []place
	q.mu.Lock()
	if q.moved {
		q.moved = false
		for id := range q.tally {
			q.d.Waits(id, func(position int, w *acd.Waiting) bool {
				places = append(places, place{w.Conversation, position, w.WaitingSince})
				return position < toldPlaces
			})
		}
	}
	q.mu.Unlock()
	now := q.r.now()
	for _, p := range places {
		q.r.mu.Lock()
		l := q.r.lives[p.conversation]
		q.r.mu.Unlock()
		if l == nil {
			continue
		}
		l.mu.Lock()
		ws := l.watchers
		l.mu.Unlock()
		for _, w := range ws {
			if s, ok := w.(*subscription); ok {
				s.queueSignal(p.conversation, p.position, now.Sub(p.since))
			}
		}
	}
}

// newReader makes the places be told again.
func (q *routing) newReader() {
	q.mu.Lock()
	q.moved = true
	q.mu.Unlock()
}
