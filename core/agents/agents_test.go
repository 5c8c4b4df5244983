package agents_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/agents"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
)

var ana = conversation.AgentID{0xa0}

// failing is a log whose next append fails, either after or before it was written.
type failing struct {
	*memlog.Log
	mu      sync.Mutex
	next    error
	written bool
}

func (l *failing) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	l.mu.Lock()
	err, written := l.next, l.written
	l.next = nil
	l.mu.Unlock()
	if err != nil && !written {
		return eventlog.Appended{}, err
	}
	done, appendErr := l.Log.Append(ctx, b)
	return done, errors.Join(appendErr, err)
}

// node is what surrounds a Keeper at one node.
type node struct {
	k      *agents.Keeper
	ctx    context.Context //nolint:containedctx // ends with the node
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed []uint64 // sequences of the states that the Watcher was told
	failed  []conversation.AgentID
}

func (n *node) Changed(s *acd.AgentState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changed = append(n.changed, s.Seq)
}

func (n *node) AppendFailed(id conversation.AgentID, _ error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = append(n.failed, id)
}

func (*node) Limits(conversation.AgentID) acd.Limits { return acd.Limits{} }

func (n *node) Go(f func()) bool {
	if n.ctx.Err() != nil {
		return false
	}
	n.wg.Go(f)
	return true
}

func (n *node) After(d time.Duration, f func()) {
	n.Go(func() {
		select {
		case <-time.After(d):
			f()
		case <-n.ctx.Done():
		}
	})
}

func (n *node) Running() context.Context { return n.ctx }
func (*node) Commits() context.Context   { return context.Background() }

func (n *node) told() []uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.changed)
}

func open(t *testing.T, name string, log agents.Log, b bus.Bus) *node {
	t.Helper()
	n := &node{}
	n.ctx, n.cancel = context.WithCancel(t.Context())
	n.k = agents.New(agents.Options{
		Node: name, Log: log, Bus: b, Watcher: n, Runner: n, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Conflicts: prometheus.NewCounter(prometheus.CounterOpts{Name: "conflicts_total", Help: "Conflicts."}), Newer: prometheus.NewCounter(prometheus.CounterOpts{Name: "newer_total", Help: "Newer rows."})})
	return n
}

func (n *node) close() {
	n.cancel()
	n.wg.Wait()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inBubble runs a test with two nodes of one installation.
func inBubble(t *testing.T, test func(t *testing.T, log *failing, first, second *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := &failing{Log: memlog.New()}
		hints := bus.NewLocal()
		first, second := open(t, "n1", log, hints), open(t, "n2", log, hints)
		test(t, log, first, second)
		first.close()
		second.close()
		must(t, hints.Close())
	})
}

func TestCommand(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *failing, first, _ *node) {
		if s := first.k.State(ana); s.ID != ana || s.LoggedIn {
			t.Errorf("before the login: %+v, want the zero state with the id", s)
		}
		must(t, first.k.Command(t.Context(), ana, acd.Login{}))
		must(t, first.k.Command(t.Context(), ana, acd.BeReady{}))
		s := first.k.State(ana)
		if s.Status() != acd.StatusReady {
			t.Errorf("the agent is %s, want ready", s.Status())
		}
		told := first.told()
		if !slices.IsSorted(told) || len(told) != 2 || told[1] != s.Seq {
			t.Errorf("told sequences %v, want two, up to %d", told, s.Seq)
		}
	})
}

// TestTwoNodes: a node whose memory is behind the log decides again with the other node's events.
func TestTwoNodes(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *failing, first, second *node) {
		must(t, first.k.Command(t.Context(), ana, acd.Login{}))
		must(t, second.k.Command(t.Context(), ana, acd.BeReady{}))
		must(t, first.k.Command(t.Context(), ana, acd.BeNotReady{}))
		must(t, second.k.Command(t.Context(), ana, acd.Logout{}))
		first.k.Behind(ana, second.k.State(ana).Seq)
		synctest.Wait()
		if a, b := first.k.State(ana), second.k.State(ana); a.LoggedIn || a.Seq != b.Seq {
			t.Errorf("the first node sees logged in %t at %d, want no at %d", a.LoggedIn, a.Seq, b.Seq)
		}
		if told := first.told(); !slices.IsSorted(told) {
			t.Errorf("told sequences %v, want them in order", told)
		}
	})
}

// TestSockets: when the last socket closes the grace period begins, and a new socket ends it (A20).
func TestSockets(t *testing.T) {
	inBubble(t, func(t *testing.T, log *failing, first, second *node) {
		lost := func(want bool) {
			t.Helper()
			synctest.Wait()
			if s := first.k.State(ana); !s.LoggedIn || s.Disconnected != want {
				t.Errorf("logged in %t, connection lost %t; want logged in, %t", s.LoggedIn, s.Disconnected, want)
			}
		}
		must(t, first.k.Connected(t.Context(), ana))
		must(t, first.k.Connected(t.Context(), ana))
		first.k.Disconnected(ana)
		lost(false)
		first.k.Disconnected(ana)
		lost(true)
		must(t, first.k.Connected(t.Context(), ana))
		lost(false)
		// A node that loses a socket of the same agent must not end the other node's connection.
		must(t, second.k.Connected(t.Context(), ana))
		second.k.Disconnected(ana)
		synctest.Wait()
		first.k.Behind(ana, second.k.State(ana).Seq)
		lost(false)
		// A command that the store refused is tried again.
		log.mu.Lock()
		log.next, log.written = eventlog.ErrFull, false
		log.mu.Unlock()
		first.k.Disconnected(ana)
		time.Sleep(time.Second)
		lost(true)
	})
}

// TestNodesGone: an agent's owner ends what a node that is gone has left, and nothing else.
func TestNodesGone(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *failing, first, second *node) {
		ben := conversation.AgentID{0xbe}
		must(t, first.k.Connected(t.Context(), ana))
		must(t, second.k.Connected(t.Context(), ana))
		must(t, second.k.Connected(t.Context(), ben))
		first.k.Behind(ana, second.k.State(ana).Seq)
		first.k.Behind(ben, second.k.State(ben).Seq)
		synctest.Wait()
		gone := func(name string) bool { return name == "n2" }
		first.k.NodesGone(gone, func(id conversation.AgentID) bool { return false })
		if s := first.k.State(ben); s.Disconnected {
			t.Error("a node ended the connection of an agent whom it does not own")
		}
		first.k.NodesGone(gone, func(id conversation.AgentID) bool { return true })
		if s := first.k.State(ana); s.Disconnected || !slices.Equal(s.Nodes, []string{"n1"}) {
			t.Errorf("Ana: disconnected %t, nodes %v, want n1", s.Disconnected, s.Nodes)
		}
		if s := first.k.State(ben); !s.Disconnected || s.GraceUntil.IsZero() {
			t.Errorf("Ben: disconnected %t, grace until %v", s.Disconnected, s.GraceUntil)
		}
		// The node was only slow: when it hears of it, it says that Ben is still there.
		second.k.Behind(ben, first.k.State(ben).Seq)
		synctest.Wait()
		if s := second.k.State(ben); s.Disconnected || !slices.Equal(s.Nodes, []string{"n2"}) {
			t.Errorf("Ben, later: disconnected %t, nodes %v, want n2", s.Disconnected, s.Nodes)
		}
	})
}

// TestUnknownOutcome: the Watcher is told of a failed append, and the next decision reads the log
// first.
func TestUnknownOutcome(t *testing.T) {
	inBubble(t, func(t *testing.T, log *failing, first, _ *node) {
		must(t, first.k.Command(t.Context(), ana, acd.Login{}))
		log.mu.Lock()
		log.next, log.written = eventlog.ErrUnavailable, true
		log.mu.Unlock()
		if err := first.k.Command(t.Context(), ana, acd.BeReady{}); !errors.Is(err, eventlog.ErrUnavailable) {
			t.Fatalf("command: got %v, want ErrUnavailable", err)
		}
		if want := []conversation.AgentID{ana}; !slices.Equal(first.failed, want) {
			t.Errorf("told of failed appends %v, want %v", first.failed, want)
		}
		seq, err := first.k.CatchUp(ana, 0)
		must(t, err)
		if s := first.k.State(ana); s.Seq != seq || s.Status() != acd.StatusReady {
			t.Errorf("after catching up to %d: %s at %d, want ready there", seq, s.Status(), s.Seq)
		}
	})
}

// TestLoad: the rows tell at the start who was connected; rows of a newer version are only shown.
func TestLoad(t *testing.T) {
	inBubble(t, func(t *testing.T, log *failing, first, second *node) {
		must(t, first.k.Connected(t.Context(), ana))
		ben := conversation.AgentID{0xbe}
		row, err := conversation.EncodeSnapshot(acd.FoldNumber+1, &acd.AgentState{ID: ben, LoggedIn: true})
		must(t, err)
		_, err = log.Append(t.Context(), &eventlog.Batch{Agents: []eventlog.AgentRow{{ID: eventlog.StreamID(ben), Seq: 1, State: row}}})
		must(t, err)
		other, _, err := second.k.Load(t.Context())
		must(t, err)
		if len(other) > 0 {
			t.Errorf("the other node takes %v for its own", other)
		}
		second = open(t, "n1", log, bus.NewLocal()) // the first node, started again
		defer second.close()
		connected, newer, err := second.k.Load(t.Context())
		must(t, err)
		if !slices.Equal(connected, []conversation.AgentID{ana}) || newer != 1 || len(second.told()) != 1 {
			t.Errorf("connected %v, %d of a newer version, told %v; want one of each", connected, newer, second.told())
		}
		if !second.k.State(ben).LoggedIn {
			t.Error("the agent of the newer version is not shown")
		}
		if err := second.k.Command(t.Context(), ben, acd.BeReady{}); !errors.Is(err, agents.ErrNewer) {
			t.Errorf("command to the newer version's agent: got %v, want ErrNewer", err)
		}
		second.k.Lost(connected)
		if !second.k.State(ana).Disconnected {
			t.Error("the grace of who was connected has not begun")
		}
	})
}

// TestPart: a part holds its agents until Release, even when it has nothing to add to the append.
func TestPart(t *testing.T) {
	inBubble(t, func(t *testing.T, log *failing, first, _ *node) {
		must(t, first.k.Command(t.Context(), ana, acd.Login{}))
		s := &conversation.State{}
		decide := func(cmd acd.Command) (agents.Part, error) {
			var p agents.Part
			err := first.k.Decide(&p, s, nil, &acd.ForAgent{Agent: ana, Command: cmd}, time.Now())
			return p, err
		}
		if p, err := decide(acd.Login{}); !errors.Is(err, agents.ErrNothingToDo) || p.Any() || p.Refused() {
			t.Errorf("a second login: %v, holds %t, refused %t; want ErrNothingToDo alone", err, p.Any(), p.Refused())
		}
		offer := conversation.NewID[conversation.OfferID]()
		if p, err := decide(acd.Accepted{Offer: offer}); acd.Code(err) == "" || p.Any() || !p.Refused() {
			t.Errorf("an accept without an offer: %v, holds %t, refused %t; want it refused", err, p.Any(), p.Refused())
		}
		p, err := decide(acd.BeReady{})
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- first.k.Command(t.Context(), ana, acd.BeNotReady{}) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("a command was carried out on an agent that is held: %v", err)
		default:
		}
		var b eventlog.Batch
		must(t, p.Fill(&b))
		_, err = log.Append(t.Context(), &b)
		must(t, err)
		p.Committed()
		p.Release()
		must(t, <-done)
		if got := first.k.State(ana); got.Status() != acd.StatusNotReady || got.Seq != 3 {
			t.Errorf("the agent is %s at %d, want not_ready at 3", got.Status(), got.Seq)
		}
		if held, err := first.k.Holds(ana, offer); held || err != nil {
			t.Errorf("holds an offer that was never made: %t, %v", held, err)
		}
	})
}
