package agents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Errors of a Keeper. Refusals by the rules are acd's, see acd.Code; those of the
// log come wrapped.
var (
	// ErrNewer: the agent is kept by a node of a newer version. This one would drop
	// what it does not know, so it leaves the agent alone (DESIGN.md 3).
	ErrNewer = errors.New("kept by a newer version of the gateway: try again")
	// ErrStopped: the router is stopping; nothing was done.
	ErrStopped = errors.New("router is stopping")
	// ErrNothingToDo: the agent has nothing to do any more for a command that was to
	// go along with a conversation's events.
	ErrNothingToDo = errors.New("nothing to do")
)

// Watcher is what a Keeper asks of the router. None of its methods may wait.
type Watcher interface {
	// Changed is told each state that was committed, here or at another node. The
	// state never changes; the agent is held.
	Changed(s *acd.AgentState)
	// AppendFailed is told that an append of the agent's own failed: whether it was
	// written after all may have to be found out (CatchUp).
	AppendFailed(id conversation.AgentID, err error)
	// Limits are what an agent may have in hand at once (A18).
	Limits(id conversation.AgentID) acd.Limits
}

// Runner runs what a Keeper does beside its callers.
type Runner interface {
	// Go runs f on a goroutine that the router's Stop waits for. False: the router
	// is stopping, and f does not run.
	Go(f func()) bool
	// After runs f later, unless the router stops first.
	After(d time.Duration, f func())
	// Running ends when the router stops.
	Running() context.Context
	// Commits ends only when Stop waits no longer, so that an append that has
	// begun is heard out.
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
	// Conflicts and Newer count what happens to conversations, too.
	Conflicts, Newer prometheus.Counter
}

// Keeper keeps the agents of an installation at one node. Safe for concurrent use.
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

// New makes a Keeper. Load comes before anything else.
func New(o Options) *Keeper {
	return &Keeper{
		node: o.Node, log: o.Log, bus: o.Bus, watcher: o.Watcher, runner: o.Runner, logger: o.Logger, now: o.Now,
		metrics: newMetrics(), conflicts: o.Conflicts, newer: o.Newer,
		byID: map[conversation.AgentID]*agent{},
	}
}

// agent is an agent's stream in memory. Whoever holds sem owns state.
type agent struct {
	id    conversation.AgentID
	sem   chan struct{} // 1: held
	state *acd.AgentState
	stale bool // state may be behind the log; guarded by sem

	view atomic.Pointer[acd.AgentState] // the committed state, for readers; never changed

	mu      sync.Mutex // guards the fields below
	sockets int
	behind  uint64 // another node has written up to here
}

func newAgent(id conversation.AgentID, s *acd.AgentState) *agent {
	a := &agent{id: id, sem: make(chan struct{}, 1), state: s}
	a.view.Store(s)
	return a
}

// agent returns an agent's stream, making it when needed.
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

// State is an agent's committed state, which must not be changed; the zero state
// with the id for somebody who never logged in.
func (k *Keeper) State(id conversation.AgentID) *acd.AgentState {
	k.mu.Lock()
	a := k.byID[id]
	k.mu.Unlock()
	if a == nil {
		return &acd.AgentState{ID: id}
	}
	return a.view.Load()
}

// Load reads the rows of all agents and tells the Watcher their states. It returns
// who was connected to the node that ran before, for Lost, and how many agents are
// left alone since a newer version has written their rows.
func (k *Keeper) Load(ctx context.Context) (connected []conversation.AgentID, newer int, err error) {
	rows, err := k.log.Agents(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("read agents: %w", err)
	}
	for _, row := range rows {
		s, err := acd.DecodeState(row.State)
		a := newAgent(conversation.AgentID(row.ID), s)
		switch {
		case errors.Is(err, conversation.ErrNewerFold): // shown, and left alone
			a.stale = true
			newer++
		case errors.Is(err, conversation.ErrOlderFold): // folded anew from the events
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
		if s.LoggedIn && !s.Disconnected {
			connected = append(connected, a.id)
		}
	}
	return connected, newer, nil
}

// lock takes the agent's stream and brings it up to the log.
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

// mark notes that another node has written up to seq.
func (a *agent) mark(seq uint64) {
	a.mu.Lock()
	a.behind = max(a.behind, seq)
	a.mu.Unlock()
}

// catchUp folds what the log has beyond the state. The agent is held.
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

// fold folds what the log has beyond a state into a copy of it.
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

// check looks whether a newer version has written the agent's row: what this one
// made of the events would replace it.
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

// newer tells what a newer version has written from what cannot be read.
func newer(err error) error {
	if errors.Is(err, conversation.ErrNewerFold) || errors.Is(err, conversation.ErrUnknownType) {
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return err
}

// show makes a committed state visible. The agent is held.
func (k *Keeper) show(a *agent) {
	a.view.Store(a.state)
	k.watcher.Changed(a.state)
}

// CatchUp brings an agent up to the log, at least to the sequence beyond unless the
// log has less, and returns the sequence that it reached.
func (k *Keeper) CatchUp(id conversation.AgentID, beyond uint64) (uint64, error) {
	a := k.agent(id)
	a.mark(beyond)
	if err := k.lock(a); err != nil {
		return 0, err
	}
	defer a.unlock()
	return a.state.Seq, nil
}

// Holds reports whether an agent holds an offer, by the log.
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

// Behind is another node's hint that it has written to an agent's stream.
func (k *Keeper) Behind(id conversation.AgentID, seq uint64) {
	a := k.agent(id)
	a.mark(seq)
	k.runner.Go(func() {
		if err := k.lock(a); err != nil {
			return // the next who needs the agent reads again
		}
		a.unlock()
		k.stillHere(a)
	})
}
