package acd_test

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// model is a plain version of the dispatcher, which looks at everything for each decision.
type model struct {
	waiting  map[conversation.RequestID]acd.Waiting
	agents   map[conversation.AgentID]*acd.AgentState
	profiles map[conversation.AgentID]acd.Profile
	reserved map[conversation.RequestID]bool
	taken    map[conversation.AgentID]bool // agents reserved by Next and not yet released
}

func newModel() *model {
	return &model{
		waiting:  map[conversation.RequestID]acd.Waiting{},
		agents:   map[conversation.AgentID]*acd.AgentState{},
		profiles: map[conversation.AgentID]acd.Profile{},
		reserved: map[conversation.RequestID]bool{},
		taken:    map[conversation.AgentID]bool{},
	}
}

// ordered lists the waiting requests in the order in which they must be served.
func (m *model) ordered() []acd.Waiting {
	var all []acd.Waiting
	for id, w := range m.waiting {
		if !m.reserved[id] {
			all = append(all, w)
		}
	}
	at := func(w acd.Waiting) time.Time { return w.WaitingSince.Add(-time.Duration(w.Priority) * time.Second) }
	slices.SortFunc(all, func(a, b acd.Waiting) int {
		if c := at(a).Compare(at(b)); c != 0 {
			return c
		}
		return bytes.Compare(a.Request[:], b.Request[:])
	})
	return all
}

func (m *model) next() (conversation.RequestID, conversation.AgentID, bool) {
	for _, w := range m.ordered() {
		if a := m.agentFor(w); !a.IsZero() {
			return w.Request, a, true
		}
	}
	return conversation.RequestID{}, conversation.AgentID{}, false
}

func (m *model) capacity(id conversation.AgentID) int {
	if c := m.profiles[id].Limits.Percent; c > 0 {
		return c
	}
	return acd.Capacity
}

func (m *model) qualified(id conversation.AgentID, w acd.Waiting) bool {
	p := m.profiles[id]
	if !slices.Contains(p.Services, w.Service) || slices.Contains(w.Exclude, id) {
		return false
	}
	for skill := range strings.SplitSeq(w.Skills, ",") {
		if skill != "" && !slices.Contains(p.Skills, skill) {
			return false
		}
	}
	return true
}

func (m *model) room(id conversation.AgentID, w acd.Waiting) bool {
	a := m.agents[id]
	same := 0
	for _, x := range a.Work {
		if x.Medium == w.Need.Medium {
			same++
		}
	}
	limit, bounded := m.profiles[id].Limits.Max[w.Need.Medium]
	return a.Offerable() && !m.taken[id] && a.Load()+w.Need.Spare <= m.capacity(id) && (!bounded || same < limit)
}

func (m *model) agentFor(w acd.Waiting) conversation.AgentID {
	if !w.Agent.IsZero() {
		a := m.agents[w.Agent]
		switch {
		case a == nil, m.taken[w.Agent], slices.Contains(w.Exclude, w.Agent):
		case w.Personal && a.Invitable(), !w.Personal && m.room(w.Agent, w):
			return w.Agent
		}
		return conversation.AgentID{}
	}
	others := false
	for id, a := range m.agents {
		others = others || m.qualified(id, w) && a.InRotation() && !slices.Contains(w.DeclinedBy, id)
	}
	var best *acd.AgentState
	for id, a := range m.agents {
		if !m.qualified(id, w) || !m.room(id, w) || others && slices.Contains(w.DeclinedBy, id) {
			continue
		}
		if best == nil || better(a, best) {
			best = a
		}
	}
	if best == nil {
		return conversation.AgentID{}
	}
	return best.ID
}

// better puts the least loaded agent first, and among equals the one idle longest.
func better(a, b *acd.AgentState) bool {
	if a.Load() != b.Load() {
		return a.Load() < b.Load()
	}
	if c := a.IdleSince.Compare(b.IdleSince); c != 0 {
		return c < 0
	}
	return bytes.Compare(a.ID[:], b.ID[:]) < 0
}

func (m *model) queue(s conversation.ServiceID) acd.Queue {
	var q acd.Queue
	for _, w := range m.ordered() {
		if w.Service == s && w.Agent.IsZero() {
			if q.Waiting == 0 {
				q.OldestSince = w.WaitingSince
			}
			q.Waiting++
		}
	}
	for id, a := range m.agents {
		if !slices.Contains(m.profiles[id].Services, s) || !a.LoggedIn {
			continue
		}
		q.LoggedIn++
		if a.Offerable() && !m.taken[id] && a.Load() < m.capacity(id) {
			q.Available++
		}
	}
	return q
}

func (m *model) position(id conversation.RequestID) (position, size int, ok bool) {
	w, known := m.waiting[id]
	if !known || m.reserved[id] || !w.Agent.IsZero() {
		return 0, 0, false
	}
	for _, o := range m.ordered() {
		if o.Service == w.Service && o.Agent.IsZero() {
			size++
			if o.Request == id {
				position = size
			}
		}
	}
	return position, size, true
}
