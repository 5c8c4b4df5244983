package agents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Errors of a Keeper. Refusals by the rules are those of package acd (see acd.Code); errors of the
// log come wrapped.
var (
	// ErrNewer: a node of a newer version keeps the agent. This node would drop the fields that it
	// does not know, so it must not write the agent's row (DESIGN.md 3).
	ErrNewer = errors.New("kept by a newer version of the gateway: try again")
	// ErrStopped: the router is stopping; nothing was done.
	ErrStopped = errors.New("router is stopping")
	// ErrNothingToDo: the agent's command that was to be appended together with a conversation's
	// events has no event (any more).
	ErrNothingToDo = errors.New("nothing to do")
)

// Watcher is what a Keeper asks of the router. None of its methods may block.
type Watcher interface {
	// Changed is told each state that was committed, here or at another node. The state s is never
	// changed afterwards. The agent is held during the call.
	Changed(s *acd.AgentState)
	// AppendFailed is told that an append of the agent's own failed. The append may have been
	// written all the same; if so, CatchUp finds out.
	AppendFailed(id conversation.AgentID, err error)
	// Limits are what an agent may have in hand at once (A18).
	Limits(id conversation.AgentID) acd.Limits
}

// Runner runs work of a Keeper that no caller waits for.
type Runner interface {
	// Go runs f on a goroutine that the router's Stop waits for. False: the router
	// is stopping, and f does not run.
	Go(f func()) bool
	// After runs f later, unless the router stops first.
	After(d time.Duration, f func())
	// Running returns a context that ends when the router stops.
	Running() context.Context
	// Commits returns a context that ends only when Stop gives up waiting, so that the result of an
	// append that has begun is still received.
	Commits() context.Context
}

// Log is what a Keeper needs of the log.
type Log interface {
	Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error)
	Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error)
	Agent(ctx context.Context, id eventlog.StreamID) (eventlog.AgentRow, error)
	Agents(ctx context.Context) ([]eventlog.AgentRow, error)
}

// Options for New. All fields are needed.
type Options struct {
	Node    string
	Log     Log
	Bus     bus.Bus
	Watcher Watcher
	Runner  Runner
	Logger  *slog.Logger
	Now     func() time.Time // the installation's time (core/clock)
	// Conflicts and Newer are shared with the conversations, which count there too.
	Conflicts, Newer prometheus.Counter
}

// Keeper keeps the states of an installation's agents at one node. Safe for concurrent use.
type Keeper struct {
	node      string
	log       Log
	bus       bus.Bus
	watcher   Watcher
	runner    Runner
	logger    *slog.Logger
	now       func() time.Time
	metrics   metrics
	conflicts prometheus.Counter
	newer     prometheus.Counter

	mu   sync.Mutex
	byID map[conversation.AgentID]*agent
}

// New makes a Keeper. Load must be called before anything else.
func New(o Options) *Keeper {
	return &Keeper{
		node: o.Node, log: o.Log, bus: o.Bus, watcher: o.Watcher, runner: o.Runner, logger: o.Logger, now: o.Now,
		metrics: newMetrics(), conflicts: o.Conflicts, newer: o.Newer,
		byID: map[conversation.AgentID]*agent{},
	}
}

// agent is an agent's stream in memory. Only the goroutine that holds sem may use state.
type agent struct {
	id    conversation.AgentID
	sem   chan struct{} // of size 1; full while the agent is held
	state *acd.AgentState
	stale bool // state may lack events that are in the log; guarded by sem

	view atomic.Pointer[acd.AgentState] // the committed state, for readers; never changed

	mu      sync.Mutex // guards the fields below
	sockets int
	behind  uint64 // sequence up to which another node is known to have written
}

func newAgent(id conversation.AgentID, s *acd.AgentState) *agent {
	a := &agent{id: id, sem: make(chan struct{}, 1), state: s}
	a.view.Store(s)
	return a
}

// agent returns the stream of an agent; the first call for an id makes it.
func (k *Keeper) agent(id conversation.AgentID) *agent {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.byID[id]
	if a == nil {
		a = newAgent(id, &acd.AgentState{ID: id})
		a.stale = true
		k.byID[id] = a
	}
	return a
}

// State is an agent's committed state, which must not be changed. For an agent who never logged in
// it is the zero state with the id.
func (k *Keeper) State(id conversation.AgentID) *acd.AgentState {
	k.mu.Lock()
	a := k.byID[id]
	k.mu.Unlock()
	if a == nil {
		return &acd.AgentState{ID: id}
	}
	return a.view.Load()
}

// Load reads the rows of all agents and tells the Watcher their states. It returns the agents who
// were connected to this node when it last ran (for Lost), and how many agents this node must not
// write because a newer version has written their rows.
func (k *Keeper) Load(ctx context.Context) (connected []conversation.AgentID, newer int, err error) {
	rows, err := k.log.Agents(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("read agents: %w", err)
	}
	for _, row := range rows {
		s, err := acd.DecodeState(row.State)
		a := newAgent(conversation.AgentID(row.ID), s)
		switch {
		case errors.Is(err, conversation.ErrNewerFold): // the state is shown, but this node must not write it
			a.stale = true
			newer++
		case errors.Is(err, conversation.ErrOlderFold): // fold the state again from the events
			if s, err = k.fold(&acd.AgentState{ID: a.id}); err != nil {
				return nil, 0, err
			}
			a = newAgent(a.id, s)
		case err != nil:
			return nil, 0, fmt.Errorf("decode agent: %w", err)
		}
		k.mu.Lock()
		k.byID[a.id] = a
		k.mu.Unlock()
		if a.stale {
			continue
		}
		k.watcher.Changed(s)
		if s.LoggedIn && !s.Disconnected && (len(s.Nodes) == 0 || slices.Contains(s.Nodes, k.node)) {
			connected = append(connected, a.id)
		}
	}
	return connected, newer, nil
}

// lock holds the agent's stream and folds what the log has beyond the state.
func (k *Keeper) lock(a *agent) error {
	select {
	case a.sem <- struct{}{}:
	case <-k.runner.Running().Done():
		return ErrStopped
	}
	a.mu.Lock()
	stale := a.stale || a.behind > a.state.Seq
	a.mu.Unlock()
	if !stale {
		return nil
	}
	if err := k.catchUp(a); err != nil {
		a.unlock()
		return err
	}
	return nil
}

func (a *agent) unlock() { <-a.sem }

// mark records that another node has written to the stream up to seq.
func (a *agent) mark(seq uint64) {
	a.mu.Lock()
	a.behind = max(a.behind, seq)
	a.mu.Unlock()
}

// catchUp folds the events that the log has beyond the state. The caller must hold the agent.
func (k *Keeper) catchUp(a *agent) error {
	s, err := k.fold(a.state)
	if err == nil {
		err = k.check(a.id)
	}
	if errors.Is(err, ErrNewer) {
		k.newer.Inc()
	}
	if err != nil {
		return err
	}
	changed := s.Seq != a.state.Seq
	a.state, a.stale = s, false
	if changed {
		k.show(a)
	}
	return nil
}

// fold returns a copy of a state with the events applied that the log has beyond it.
func (k *Keeper) fold(from *acd.AgentState) (*acd.AgentState, error) {
	s := from.Clone()
	for {
		recs, err := k.log.Read(k.runner.Running(), eventlog.StreamID(s.ID), s.Seq, 256)
		if err != nil {
			return nil, fmt.Errorf("agents: read %s: %w", s.ID, err)
		}
		for _, rec := range recs {
			h, err := acd.DecodeHead(conversation.Type(rec.Type), rec.Head)
			if err != nil {
				return nil, fmt.Errorf("agents: read %s: %w", s.ID, newer(err))
			}
			if err := s.Apply(conversation.Event{Seq: rec.Seq, At: rec.At.UTC(), Head: h}); err != nil {
				return nil, fmt.Errorf("agents: fold %s at seq %d: %w", s.ID, rec.Seq, err)
			}
		}
		if len(recs) < 256 {
			return s, nil
		}
	}
}

// check returns ErrNewer if a newer version has written the agent's row: a row folded by this
// version would replace it and lose fields.
func (k *Keeper) check(id conversation.AgentID) error {
	row, err := k.log.Agent(k.runner.Running(), eventlog.StreamID(id))
	if errors.Is(err, eventlog.ErrNotFound) {
		return nil
	}
	if err == nil {
		if _, err = acd.DecodeState(row.State); errors.Is(err, conversation.ErrOlderFold) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("agents: read %s: %w", id, newer(err))
	}
	return nil
}

// newer wraps in ErrNewer an error that means "written by a newer version"; others stay as they
// are.
func newer(err error) error {
	if errors.Is(err, conversation.ErrNewerFold) || errors.Is(err, conversation.ErrUnknownType) {
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return err
}

// show makes a committed state visible to readers. The caller must hold the agent.
func (k *Keeper) show(a *agent) {
	a.view.Store(a.state)
	k.watcher.Changed(a.state)
}

// CatchUp folds the log's events into an agent's state, at least up to the sequence beyond unless
// the log ends before, and returns the sequence that the state reached.
func (k *Keeper) CatchUp(id conversation.AgentID, beyond uint64) (uint64, error) {
	a := k.agent(id)
	a.mark(beyond)
	if err := k.lock(a); err != nil {
		return 0, err
	}
	defer a.unlock()
	return a.state.Seq, nil
}

// Holds reports whether the agent holds the offer according to the log.
func (k *Keeper) Holds(id conversation.AgentID, offer conversation.OfferID) (bool, error) {
	a := k.agent(id)
	if err := k.lock(a); err != nil {
		return false, err
	}
	defer a.unlock()
	if err := k.catchUp(a); err != nil {
		return false, err
	}
	return a.state.Offer != nil && a.state.Offer.Offer == offer, nil
}

// Behind takes another node's hint that it has written to an agent's stream up to seq.
func (k *Keeper) Behind(id conversation.AgentID, seq uint64) {
	a := k.agent(id)
	a.mark(seq)
	k.runner.Go(func() { k.follow(a) })
}

// follow brings an agent up to the log and records that the agent is here, if another node has
// recorded otherwise. A hint comes once, so for an agent with a socket here follow tries again
// until the store answers: the agent would stay disconnected, and lose its conversations.
func (k *Keeper) follow(a *agent) {
	err := k.lock(a)
	if err == nil {
		a.unlock()
		k.stillHere(a)
		return
	}
	if a.here() && !errors.Is(err, ErrStopped) && !errors.Is(err, ErrNewer) {
		k.runner.After(retryPause, func() { k.follow(a) })
	} // otherwise the next caller who needs the agent reads the log again
}
