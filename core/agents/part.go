package agents

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Part is the agents' part of one append. All its agents are held from Decide until Release. The
// zero value has no agents.
type Part struct {
	k       *Keeper
	held    []*change
	refused bool
}

// change is one agent's part in an append.
type change struct {
	a      *agent
	next   *acd.AgentState
	events []conversation.Event
}

// Any reports whether the append touches agents.
func (p *Part) Any() bool { return len(p.held) > 0 }

// Refused reports whether a decision failed because of an agent's state. That state may be behind
// the log, so it is read again before the next decision.
func (p *Part) Refused() bool { return p.refused }

// Concerned reports whether events may have consequences for agents.
func Concerned(events []conversation.Event) bool {
	return slices.ContainsFunc(events, func(ev conversation.Event) bool { return conversation.ConcernsAgents(ev.Head) })
}

// Decide holds the agents whom events of a conversation concern and decides for them. Then it
// decides the command that belongs to them (with; nil: none), which fails with ErrNothingToDo if it
// has no event. before is the conversation's state without the events. On error no agent is held.
func (k *Keeper) Decide(p *Part, before *conversation.State, events []conversation.Event, with *acd.ForAgent, now time.Time) error {
	p.k = k
	after := before.Clone()
	for _, ev := range events {
		if err := after.Apply(ev); err != nil {
			return fmt.Errorf("agents: apply %s: %w", ev.Head.Type(), err)
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
		if err := p.hold(id); err != nil {
			p.Release()
			return err
		}
	}
	for i, c := range cmds {
		n, err := p.apply(c.Agent, c.Command, now)
		if err == nil && n == 0 && with != nil && i == len(cmds)-1 {
			err = ErrNothingToDo
		}
		if err != nil {
			if acd.Code(err) != "" {
				p.refused = true
				p.Stale()
			}
			p.Release()
			return err
		}
	}
	return nil
}

func (p *Part) hold(id conversation.AgentID) error {
	a := p.k.agent(id)
	if err := p.k.lock(a); err != nil {
		return err
	}
	p.held = append(p.held, &change{a: a, next: a.state.Clone()})
	return nil
}

// apply decides a command for a held agent and returns how many events it has.
func (p *Part) apply(id conversation.AgentID, cmd acd.Command, now time.Time) (n int, err error) {
	for _, c := range p.held {
		if c.a.id != id {
			continue
		}
		if present, ok := cmd.(acd.Present); ok {
			present.Limits = p.k.watcher.Limits(id)
			cmd = present
		}
		events, err := acd.Decide(c.next, cmd, now)
		if err != nil {
			return 0, err
		}
		for _, ev := range events {
			if err := c.next.Apply(ev); err != nil {
				return 0, fmt.Errorf("agents: apply %s: %w", ev.Head.Type(), err)
			}
		}
		c.events = append(c.events, events...)
		n = len(events)
	}
	return n, nil
}

// Fill adds the agents' streams and rows to the batch.
func (p *Part) Fill(b *eventlog.Batch) error {
	for _, c := range p.held {
		if len(c.events) == 0 {
			continue
		}
		sa := eventlog.StreamAppend{Stream: eventlog.StreamID(c.a.id), Expect: c.events[0].Seq - 1}
		for _, ev := range c.events {
			head, err := json.Marshal(ev.Head)
			if err != nil {
				return fmt.Errorf("agents: encode %s: %w", ev.Head.Type(), err)
			}
			sa.Events = append(sa.Events, eventlog.Event{Type: string(ev.Head.Type()), At: ev.At, Head: head})
		}
		row, err := acd.EncodeState(c.next)
		if err != nil {
			return fmt.Errorf("agents: encode %s: %w", c.a.id, err)
		}
		b.Streams = append(b.Streams, sa)
		b.Agents = append(b.Agents, eventlog.AgentRow{ID: eventlog.StreamID(c.a.id), Seq: c.next.Seq, State: row})
	}
	return nil
}

// Committed makes the appended states visible. The agents stay held.
func (p *Part) Committed() {
	for _, c := range p.held {
		if len(c.events) == 0 {
			continue
		}
		for _, ev := range c.events {
			p.k.metrics.event(ev, c.a.state.Offer)
		}
		c.a.state = c.next
		p.k.show(c.a)
		p.k.bus.Publish(bus.Hint{Node: p.k.node, Kind: bus.Agent, Stream: c.a.id, Seq: c.next.Seq})
	}
}

// Stale makes the held agents read the log again before their next decision: the append has failed,
// perhaps because another node has changed these agents.
func (p *Part) Stale() {
	for _, c := range p.held {
		c.a.stale = true
	}
}

// Failed does what Stale does, and tells the Watcher of each agent that the append would have
// changed.
func (p *Part) Failed(err error) {
	p.Stale()
	for _, c := range p.held {
		if len(c.events) > 0 {
			p.k.watcher.AppendFailed(c.a.id, err)
		}
	}
}

// Release ends the holding of all agents of the part.
func (p *Part) Release() {
	for _, c := range p.held {
		c.a.unlock()
	}
	p.held = nil
}
