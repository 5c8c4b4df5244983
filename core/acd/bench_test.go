package acd_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

const (
	benchAgents  = 10_000
	benchWaiting = 100_000
	benchSets    = 50 // number of different skill sets
	benchPerTeam = 16 // skill sets that one agent has
)

var skills = func() (names []string) {
	for s := range benchSets {
		names = append(names, fmt.Sprintf("s%02d", s))
	}
	return names
}()

// floor is a contact centre of 10,000 agents in 5 services with 50 skill sets:
// each agent qualifies for up to 64 buckets.
type floor struct {
	d      *acd.Dispatcher
	r      *rand.Rand
	states []*acd.AgentState
	n      int // requests made so far
}

func newFloor(agents int) *floor {
	f := &floor{d: acd.NewDispatcher(), r: rand.New(rand.NewPCG(1, 2)), states: make([]*acd.AgentState, agents)}
	for i := range f.states {
		id := agent(i + 1)
		p := acd.Profile{}
		for _, s := range f.r.Perm(5)[:4] {
			p.Services = append(p.Services, service(s+1))
		}
		for _, s := range f.r.Perm(benchSets)[:benchPerTeam] {
			p.Skills = append(p.Skills, skills[s])
		}
		f.d.SetProfile(id, p)
		f.states[i] = &acd.AgentState{ID: id, LoggedIn: true, Ready: true, IdleSince: t0.Add(time.Duration(i) * time.Second)}
	}
	f.warm()
	return f
}

// warm makes every bucket, as in a contact centre that has been open for hours.
func (f *floor) warm() {
	for s := range 5 {
		for k := range benchSets {
			id := request(1 << 20)
			f.d.UpsertRequest(acd.Waiting{
				Request: id, Service: service(s + 1), Skills: skills[k], Need: acd.Need{Share: 100, Spare: 100}, WaitingSince: t0,
			})
			f.d.RemoveRequest(id)
		}
	}
}

// arrive adds a request that waits since a later time than all before it.
func (f *floor) arrive(declined []conversation.AgentID) {
	f.n++
	f.d.UpsertRequest(acd.Waiting{
		Request: request(f.n), Conversation: conversation.ConversationID(request(f.n)),
		Service: service(f.r.IntN(5) + 1), Skills: skills[f.r.IntN(benchSets)],
		Need: acd.Need{Share: 100, Spare: 100}, WaitingSince: t0.Add(time.Duration(f.n) * time.Millisecond), DeclinedBy: declined,
	})
}

func (f *floor) busy(i int) {
	s := f.states[i]
	s.Work = append(s.Work[:0], acd.Work{Share: 100})
	f.d.UpdateAgent(s)
}

func (f *floor) idle(i int) {
	s := f.states[i]
	s.Work, s.IdleSince = s.Work[:0], s.IdleSince.Add(time.Hour)
	f.d.UpdateAgent(s)
}

// BenchmarkDispatch measures decisions on the whole contact centre of newFloor.
func BenchmarkDispatch(b *testing.B) {
	// All agents are busy and 100,000 requests wait: an agent becomes free, Next decides, the offer
	// is recorded, and a new request arrives.
	b.Run("overload/cycle", func(b *testing.B) {
		f := overloaded()
		b.ReportAllocs()
		for b.Loop() {
			i := f.r.IntN(benchAgents)
			f.idle(i)
			a, ok := f.d.Next(t0)
			if !ok {
				b.Fatal("nothing to hand out")
			}
			f.d.RemoveRequest(a.Request)
			f.busy(i)
			f.d.Release(a)
			f.arrive(nil)
		}
	})
	b.Run("overload/decision", func(b *testing.B) {
		f := overloaded()
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			i := f.r.IntN(benchAgents)
			f.idle(i)
			b.StartTimer()
			a, ok := f.d.Next(t0)
			b.StopTimer()
			if !ok {
				b.Fatal("nothing to hand out")
			}
			f.d.RemoveRequest(a.Request)
			f.busy(i)
			f.d.Release(a)
			f.arrive(nil)
			b.StartTimer()
		}
	})
	// All agents are idle: a request arrives, and Next finds the agent.
	b.Run("idle/cycle", func(b *testing.B) {
		f := newFloor(benchAgents)
		for i := range f.states {
			f.idle(i)
		}
		b.ReportAllocs()
		for b.Loop() {
			f.arrive(nil)
			a, ok := f.d.Next(t0)
			if !ok {
				b.Fatal("nobody takes it")
			}
			f.d.RemoveRequest(a.Request)
			i := int(a.Agent[14])<<8 + int(a.Agent[15]) - 1
			f.busy(i)
			f.d.Release(a)
			f.idle(i)
		}
	})
	// As overload, but of the longest waiting requests a thousand were declined, each by one of a
	// hundred agents.
	b.Run("overload/declined", func(b *testing.B) {
		f := newFloor(benchAgents)
		barred := make([][]conversation.AgentID, 100)
		for i := range barred {
			barred[i] = []conversation.AgentID{agent(i + 1)}
		}
		for range 1_000 {
			f.arrive(barred[f.r.IntN(100)])
		}
		f.fill()
		b.ReportAllocs()
		for b.Loop() {
			i := f.r.IntN(benchAgents)
			f.idle(i)
			a, ok := f.d.Next(t0)
			if !ok {
				b.Fatal("nothing to hand out")
			}
			f.d.RemoveRequest(a.Request)
			f.busy(i)
			f.d.Release(a)
			f.arrive(barred[f.r.IntN(100)])
		}
	})
	b.Run("position", func(b *testing.B) {
		f := overloaded()
		b.ReportAllocs()
		for b.Loop() {
			f.d.Position(request(f.r.IntN(benchWaiting) + 1))
		}
	})
	b.Run("board", func(b *testing.B) {
		f := overloaded()
		b.ReportAllocs()
		for b.Loop() {
			f.d.Queue(service(f.r.IntN(5) + 1))
		}
	})
}

func overloaded() *floor {
	f := newFloor(benchAgents)
	f.fill()
	return f
}

func (f *floor) fill() {
	for i := range f.states {
		f.busy(i)
	}
	for range benchWaiting {
		f.arrive(nil)
	}
}
