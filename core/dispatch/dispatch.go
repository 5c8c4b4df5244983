package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Conversations is what an Assigner asks of the router. It never calls these methods with its lock
// held. Only Unfinished and Retell may block.
type Conversations interface {
	// Offer makes an offer, in an append that fails with eventlog.ErrFenced if the lease has
	// another epoch by then. done is called once, perhaps before Offer returns.
	Offer(conv conversation.ConversationID, offer conversation.Offer, lease eventlog.LeaseRef, done func(error))
	// Retell reports again, after a failed offer, the true state of its conversation
	// (Assigner.Conversation, or Gone if there is no such conversation) and of its agent (Agent).
	Retell(failed acd.Assignment)
	// Unfinished visits the rows of all conversations that are not concluded, page by page.
	Unfinished(ctx context.Context, visit func([]eventlog.ConversationRow) error) error
	// Follow reports a conversation again that another node has written up to seq.
	Follow(conv conversation.ConversationID, seq uint64)
	// Place tells the customer of a conversation, if connected, the place in the queue, from 1.
	Place(conv conversation.ConversationID, position int, waited time.Duration)
}

// Runner runs work of an Assigner outside Run.
type Runner interface {
	// Go runs f on a goroutine that the router's Stop waits for. False: the router
	// is stopping, and f does not run.
	Go(f func()) bool
	// Running ends when the router stops.
	Running() context.Context
}

// Log is what an Assigner needs of the log.
type Log interface {
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (epoch int64, held bool, err error)
	ReleaseLease(ctx context.Context, name, node string, epoch int64) error
}

// Directory is what an Assigner needs of the records.
type Directory interface {
	Snapshot() *directory.Snapshot
	Changes() (<-chan struct{}, func())
}

// Options for New. All fields are needed.
type Options struct {
	Node          string // the node on which the Assigner runs
	Log           Log
	Directory     Directory
	Conversations Conversations
	Runner        Runner
	Logger        *slog.Logger
	Now           func() time.Time // the installation's time (core/clock)
}

// Assigner is one node's part in leading the ACD. Safe for concurrent use; one goroutine calls Run.
type Assigner struct {
	node   string
	log    Log
	dir    Directory
	convs  Conversations
	runner Runner
	logger *slog.Logger
	now    func() time.Time
	wake   chan struct{} // holds a token when there may be an offer to make

	mu         sync.Mutex // guards the fields below
	dispatcher *acd.Dispatcher
	known      map[conversation.ConversationID]share
	tally      map[conversation.ServiceID]*tally
	epoch      int64
	leads      bool
	until      time.Time // the lease is held at least until this time
	moved      bool      // places in queues may have changed since customers were last told
}

// New makes an Assigner. Nothing runs before Run.
func New(o Options) *Assigner {
	return &Assigner{
		node: o.Node, log: o.Log, dir: o.Directory, convs: o.Conversations, runner: o.Runner, logger: o.Logger, now: o.Now,
		wake: make(chan struct{}, 1), dispatcher: acd.NewDispatcher(),
		known: map[conversation.ConversationID]share{}, tally: map[conversation.ServiceID]*tally{},
	}
}

// poke makes Run look for offers.
func (a *Assigner) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Conversation updates the dispatcher with a conversation's committed state. The conversation's
// mailbox calls it, in the order of the commits.
func (a *Assigner) Conversation(s *conversation.State) {
	x := shareOf(s)
	a.mu.Lock()
	a.dispatcher.UpdateConversation(s)
	a.moved = true
	a.count(s.ID, x, s.Phase == conversation.PhaseOpen)
	a.mu.Unlock()
	a.poke()
}

// Gone removes the request of a conversation that does not exist.
func (a *Assigner) Gone(request conversation.RequestID) {
	a.mu.Lock()
	a.dispatcher.RemoveRequest(request)
	a.mu.Unlock()
}

// Agent updates the dispatcher with an agent's committed state. The goroutine that holds the agent
// calls it, in the order of the commits.
func (a *Assigner) Agent(s *acd.AgentState) {
	a.mu.Lock()
	a.dispatcher.UpdateAgent(s)
	a.mu.Unlock()
	a.poke()
}

// profiles updates the dispatcher with the agents' profiles in the directory.
func (a *Assigner) profiles() {
	snap := a.dir.Snapshot()
	a.mu.Lock()
	for _, u := range snap.Users() {
		if u.Disabled {
			a.dispatcher.RemoveAgent(u.ID)
			continue
		}
		a.dispatcher.SetProfile(u.ID, acd.Profile{Services: snap.ServicesOf(u.ID), Skills: u.Skills, Limits: LimitsOf(u)})
	}
	a.mu.Unlock()
	a.poke()
}

// LimitsOf returns how much an agent may have in hand at once (A18).
func LimitsOf(u directory.User) acd.Limits {
	return acd.Limits{Percent: u.Capacity.Percent, Max: u.Capacity.Max}
}

// Run keeps the lease, makes offers while this node leads, and tells customers their places, until
// ctx ends.
func (a *Assigner) Run(ctx context.Context) {
	changes, cancel := a.dir.Changes()
	defer cancel()
	a.profiles()
	a.lead(ctx)
	renew := time.NewTicker(leaseRenew)
	defer renew.Stop()
	tell := time.NewTicker(placesEvery)
	defer tell.Stop()
	for {
		a.assign()
		select {
		case <-ctx.Done():
			return
		case <-changes:
			a.profiles()
		case <-renew.C:
			a.lead(ctx)
		case <-tell.C:
			a.tellPlaces()
		case <-a.wake:
		}
	}
}
