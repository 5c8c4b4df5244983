package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

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

// agent returns an agent's stream, making it when needed.
func (r *Router) agent(id conversation.AgentID) *agent {
	r.agentsMu.Lock()
	defer r.agentsMu.Unlock()
	a := r.agents[id]
	if a == nil {
		a = newAgent(id, &acd.AgentState{ID: id})
		a.stale = true
		r.agents[id] = a
	}
	return a
}

func newAgent(id conversation.AgentID, s *acd.AgentState) *agent {
	a := &agent{id: id, sem: make(chan struct{}, 1), state: s}
	a.view.Store(s)
	return a
}

func (r *Router) agentLoggedIn(id conversation.AgentID) bool { return r.agent(id).view.Load().LoggedIn }

// lock takes the agent's stream and brings it up to the log.
func (a *agent) lock(r *Router) error {
	select {
	case a.sem <- struct{}{}:
	case <-r.ctx.Done():
		return ErrStopped
	}
	a.mu.Lock()
	stale := a.stale || a.behind > a.state.Seq
	a.mu.Unlock()
	if !stale {
		return nil
	}
	if err := a.catchUp(r); err != nil {
		<-a.sem
		return err
	}
	return nil
}

// catchUp folds what the log has beyond the state. It needs sem.
func (a *agent) catchUp(r *Router) error {
	s, err := r.foldAgent(a.state)
	if err == nil {
		err = r.checkAgent(a.id)
	}
	if errors.Is(err, ErrNewer) {
		r.metrics.newer.Inc()
	}
	if err != nil {
		return err
	}
	changed := s.Seq != a.state.Seq
	a.state, a.stale = s, false
	if changed {
		r.agentChanged(a)
	}
	return nil
}

// foldAgent folds what the log has beyond a state into a copy of it.
func (r *Router) foldAgent(from *acd.AgentState) (*acd.AgentState, error) {
	s := from.Clone()
	for {
		recs, err := r.log.Read(r.ctx, eventlog.StreamID(s.ID), s.Seq, 256)
		if err != nil {
			return nil, fmt.Errorf("router: read agent %s: %w", s.ID, err)
		}
		for _, rec := range recs {
			h, err := acd.DecodeHead(conversation.Type(rec.Type), rec.Head)
			if err != nil {
				return nil, fmt.Errorf("router: read agent %s: %w", s.ID, newer(err))
			}
			if err := s.Apply(conversation.Event{Seq: rec.Seq, At: rec.At.UTC(), Head: h}); err != nil {
				return nil, fmt.Errorf("router: fold agent %s at seq %d: %w", s.ID, rec.Seq, err)
			}
		}
		if len(recs) < 256 {
			return s, nil
		}
	}
}

// checkAgent looks whether a newer version has written the agent's row: what
// this one made of the events would replace it.
func (r *Router) checkAgent(id conversation.AgentID) error {
	row, err := r.log.Agent(r.ctx, eventlog.StreamID(id))
	if errors.Is(err, eventlog.ErrNotFound) {
		return nil
	}
	if err == nil {
		if _, err = acd.DecodeState(row.State); errors.Is(err, conversation.ErrOlderFold) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("router: read agent %s: %w", id, newer(err))
	}
	return nil
}

// agentWork is one agent's part in an append.
type agentWork struct {
	a      *agent
	next   *acd.AgentState
	events []conversation.Event
}

// agentsTx is the agents' part of an append. All its agents are held.
type agentsTx struct {
	r       *Router
	work    []*agentWork
	refused bool // by an agent whose state may be behind the log
}

func (t *agentsTx) any() bool { return len(t.work) > 0 }

// touchesAgents reports whether events may have consequences for agents.
func touchesAgents(events []conversation.Event) bool {
	return slices.ContainsFunc(events, func(ev conversation.Event) bool { return conversation.ConcernsAgents(ev.Head) })
}

// errNothingToDo refuses a task whose agent has nothing to do any more.
var errNothingToDo = errors.New("nothing to do")

// decide holds the agents that the events touch and decides for them, then the
// task's own command for its agent. On error nobody is held.
func (t *agentsTx) decide(tx *tx, s *conversation.State, events []conversation.Event, with *acd.ForAgent) error {
	t.r = tx.l.r
	after := s.Clone()
	for _, ev := range events {
		if err := after.Apply(ev); err != nil {
			return fmt.Errorf("router: apply %s: %w", ev.Head.Type(), err)
		}
	}
	cmds := acd.Consequences(after, events)
	if with != nil {
		cmds = append(cmds, *with)
	}
	ids := make([]conversation.AgentID, 0, len(cmds))
	for _, c := range cmds {
		ids = append(ids, c.Agent)
	}
	slices.SortFunc(ids, func(a, b conversation.AgentID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(ids) {
		if err := t.hold(id); err != nil {
			t.unlock()
			return err
		}
	}
	for i, c := range cmds {
		n, err := t.apply(c.Agent, c.Command, tx)
		if err == nil && n == 0 && with != nil && i == len(cmds)-1 {
			err = errNothingToDo
		}
		if err != nil {
			if acd.Code(err) != "" {
				t.refused = true
				t.conflict()
			}
			t.unlock()
			return err
		}
	}
	return nil
}

func (t *agentsTx) hold(id conversation.AgentID) error {
	a := t.r.agent(id)
	if err := a.lock(t.r); err != nil {
		return err
	}
	t.work = append(t.work, &agentWork{a: a, next: a.state.Clone()})
	return nil
}

// apply decides a command for a held agent and returns how many events it has.
func (t *agentsTx) apply(id conversation.AgentID, cmd acd.Command, tx *tx) (n int, err error) {
	for _, w := range t.work {
		if w.a.id != id {
			continue
		}
		if c, ok := cmd.(acd.Present); ok {
			c.Limits = t.r.limits(id)
			cmd = c
		}
		events, err := acd.Decide(w.next, cmd, tx.now)
		if err != nil {
			return 0, err
		}
		for _, ev := range events {
			if err := w.next.Apply(ev); err != nil {
				return 0, fmt.Errorf("router: apply %s: %w", ev.Head.Type(), err)
			}
		}
		w.events = append(w.events, events...)
		n = len(events)
	}
	return n, nil
}

// fill adds the agents' streams and rows to the batch.
func (t *agentsTx) fill(b *eventlog.Batch) error {
	for _, w := range t.work {
		if len(w.events) == 0 {
			continue
		}
		sa := eventlog.StreamAppend{Stream: eventlog.StreamID(w.a.id), Expect: w.events[0].Seq - 1}
		for _, ev := range w.events {
			head, err := json.Marshal(ev.Head)
			if err != nil {
				return fmt.Errorf("router: encode %s: %w", ev.Head.Type(), err)
			}
			sa.Events = append(sa.Events, eventlog.Event{Type: string(ev.Head.Type()), At: ev.At, Head: head})
		}
		row, err := acd.EncodeState(w.next)
		if err != nil {
			return fmt.Errorf("router: encode agent %s: %w", w.a.id, err)
		}
		b.Streams = append(b.Streams, sa)
		b.Agents = append(b.Agents, eventlog.AgentRow{ID: eventlog.StreamID(w.a.id), Seq: w.next.Seq, State: row})
	}
	return nil
}

// applied makes committed states visible. The agents stay held until unlock.
func (t *agentsTx) applied() {
	for _, w := range t.work {
		if len(w.events) == 0 {
			continue
		}
		for _, ev := range w.events {
			t.r.metrics.agentEvent(ev, w.a.state.Offer)
		}
		w.a.state = w.next
		t.r.agentChanged(w.a)
		t.r.bus.Publish(bus.Hint{Node: t.r.node, Kind: bus.Agent, Stream: w.a.id, Seq: w.next.Seq})
	}
}

// unlock lets the agents go.
func (t *agentsTx) unlock() {
	for _, w := range t.work {
		<-w.a.sem
	}
	t.work = nil
}

// agentChanged shows a committed state. The caller holds the agent.
func (r *Router) agentChanged(a *agent) {
	s := a.state
	a.view.Store(s)
	r.dispatch.Agent(s)
	if at, ok := s.NextDeadline(); ok {
		r.timers.Set(timerID{timerAgent, a.id}, at)
	}
	r.watchLost(s)
	r.readers.AgentChanged(a.id)
}

// command decides an agent's own command and commits it.
func (r *Router) command(ctx context.Context, id conversation.AgentID, cmd acd.Command) error {
	done := make(chan error, 1)
	if !r.spawn(func() { done <- r.commandNow(id, cmd) }) {
		return ErrStopped
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("router: agent %s: %w", id, ctx.Err())
	}
}

func (r *Router) commandNow(id conversation.AgentID, cmd acd.Command) error {
	for attempt := 0; ; attempt++ {
		err := r.tryCommand(id, cmd)
		if attempt == 0 && acd.Code(err) != "" && r.agentOvertaken(id) {
			continue
		}
		if !errors.Is(err, eventlog.ErrConflict) || attempt == maxRetries {
			return err
		}
		r.metrics.conflicts.Inc()
	}
}

// agentOvertaken reports whether another node has written to an agent's stream:
// a refusal then stands only if it is repeated with what that node wrote.
func (r *Router) agentOvertaken(id conversation.AgentID) bool {
	a := r.agent(id)
	recs, err := r.log.Read(r.ctx, eventlog.StreamID(id), a.view.Load().Seq, 1)
	if err != nil || len(recs) == 0 {
		return false
	}
	a.mu.Lock()
	a.behind = max(a.behind, recs[0].Seq)
	a.mu.Unlock()
	return true
}

func (r *Router) tryCommand(id conversation.AgentID, cmd acd.Command) error {
	t := agentsTx{r: r}
	if err := t.hold(id); err != nil {
		return err
	}
	defer t.unlock()
	if _, err := t.apply(id, cmd, &tx{now: r.now()}); err != nil {
		return err
	}
	var b eventlog.Batch
	if err := t.fill(&b); err != nil {
		return err
	}
	if len(b.Streams) == 0 {
		return nil
	}
	if _, err := r.log.Append(r.commits, &b); err != nil {
		t.conflict()
		if inDoubt(err) {
			t.doubt()
		}
		return fmt.Errorf("router: agent %s: %w", id, err)
	}
	t.applied()
	return nil
}

// conflict makes the held agents read the log again before their next decision.
func (t *agentsTx) conflict() {
	for _, w := range t.work {
		w.a.stale = true
	}
}

// agentStale is another node's hint.
func (r *Router) agentStale(id conversation.AgentID, seq uint64) {
	a := r.agent(id)
	a.mu.Lock()
	a.behind = max(a.behind, seq)
	a.mu.Unlock()
	r.spawn(func() {
		if err := a.lock(r); err != nil {
			return // the next who needs the agent reads again
		}
		<-a.sem
		r.stillHere(a)
	})
}
