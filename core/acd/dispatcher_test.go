package acd_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

var t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func agent(n int) conversation.AgentID {
	return conversation.AgentID{0xa0, 14: byte(n >> 8), 15: byte(n)}
}
func service(n int) conversation.ServiceID { return conversation.ServiceID{0x5e, 15: byte(n)} }
func offer(n int) conversation.OfferID {
	return conversation.OfferID{0x0f, 14: byte(n >> 8), 15: byte(n)}
}
func conv(n int) conversation.ConversationID { return conversation.ConversationID{0xc0, 15: byte(n)} }
func request(n int) conversation.RequestID {
	return conversation.RequestID{0x4e, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

// pair is a dispatcher together with the model that it is compared with.
type pair struct {
	d       *acd.Dispatcher
	m       *model
	pending []acd.Assignment
}

func TestDispatcherEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &pair{d: acd.NewDispatcher(), m: newModel()}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			p.step(t)
			p.compare(t)
		}
		p.drain(t)
	})
}

func (p *pair) step(t *rapid.T) {
	switch rapid.IntRange(0, 11).Draw(t, "op") {
	case 0, 1, 2, 3:
		w := drawWaiting(t)
		p.d.UpsertRequest(w)
		p.m.waiting[w.Request] = w
	case 4:
		id := request(rapid.IntRange(1, 9).Draw(t, "request"))
		p.d.RemoveRequest(id)
		delete(p.m.waiting, id)
		delete(p.m.reserved, id)
	case 5, 6, 7:
		a := drawState(t)
		p.d.UpdateAgent(a)
		p.m.agents[a.ID] = a
	case 8, 9:
		id, profile := agent(rapid.IntRange(1, 4).Draw(t, "agent")), drawProfile(t)
		p.d.SetProfile(id, profile)
		p.m.profiles[id] = profile
		if p.m.agents[id] == nil {
			p.m.agents[id] = &acd.AgentState{ID: id}
		}
	case 10:
		p.next(t)
	case 11:
		if n := len(p.pending); n > 0 {
			p.release(rapid.IntRange(0, n-1).Draw(t, "assignment"))
		}
	}
}

func (p *pair) next(t *rapid.T) bool {
	wantRequest, wantAgent, want := p.m.next()
	got, ok := p.d.Next(t0.Add(time.Hour))
	if ok != want || got.Request != wantRequest || got.Agent != wantAgent {
		t.Fatalf("Next() = %v to %v, %t; want %v to %v, %t", got.Request, got.Agent, ok, wantRequest, wantAgent, want)
	}
	if !ok {
		return false
	}
	// No offer may go beyond capacity, to an agent who has another offer, or to one who is not
	// there.
	a := p.m.agents[got.Agent]
	if p.m.taken[got.Agent] || a.Offer != nil || !a.LoggedIn || a.Disconnected {
		t.Fatalf("%v is offered to %+v", got, a)
	}
	if !got.Personal && (!a.Ready || a.Load()+got.Need.Spare > p.m.capacity(a.ID)) {
		t.Fatalf("%v is offered beyond capacity to %+v", got, a)
	}
	p.m.reserved[got.Request], p.m.taken[got.Agent] = true, true
	p.pending = append(p.pending, got)
	return true
}

func (p *pair) release(i int) {
	a := p.pending[i]
	p.d.Release(a)
	delete(p.m.taken, a.Agent)
	delete(p.m.reserved, a.Request)
	p.pending = append(p.pending[:i:i], p.pending[i+1:]...)
}

// drain makes every offer that is possible, and releases them all.
func (p *pair) drain(t *rapid.T) {
	for p.next(t) {
	}
	p.compare(t)
	for len(p.pending) > 0 {
		p.release(0)
	}
	p.compare(t)
}

func (p *pair) compare(t *rapid.T) {
	for s := 1; s <= 3; s++ {
		if d := cmp.Diff(p.m.queue(service(s)), p.d.Queue(service(s))); d != "" {
			t.Fatalf("Queue(%d) (-model +got):\n%s", s, d)
		}
		position := 0
		p.d.Waits(service(s), func(n int, w *acd.Waiting) bool {
			position++
			if at, _, ok := p.m.position(w.Request); !ok || at != n || n != position {
				t.Fatalf("Waits gives %v place %d, want %d", w.Request, n, at)
			}
			return true
		})
	}
	for r := 1; r <= 9; r++ {
		wantPosition, wantSize, want := p.m.position(request(r))
		position, size, ok := p.d.Position(request(r))
		if position != wantPosition || size != wantSize || ok != want {
			t.Fatalf("Position(%d) = %d of %d, %t; want %d of %d, %t", r, position, size, ok, wantPosition, wantSize, want)
		}
	}
}

func drawAgents(t *rapid.T, name string) []conversation.AgentID {
	var ids []conversation.AgentID
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 4), 0, 3, rapid.ID).Draw(t, name) {
		ids = append(ids, agent(n))
	}
	return ids
}

func drawWaiting(t *rapid.T) acd.Waiting {
	n := rapid.IntRange(1, 9).Draw(t, "request")
	w := acd.Waiting{
		Request: request(n), Conversation: conv(rapid.IntRange(1, 5).Draw(t, "conversation")),
		Need: rapid.SampledFrom([]acd.Need{
			{Medium: "chat", Share: 25, Spare: 25}, {Medium: "sms", Share: 25, Spare: 25}, {Medium: "voice", Share: 100, Spare: 50}, {Medium: "email", Share: 100, Spare: 100},
		}).Draw(t, "need"),
		WaitingSince: t0.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "since")) * time.Second),
		Priority:     rapid.SampledFrom([]int{0, 0, 10}).Draw(t, "priority"),
	}
	switch rapid.IntRange(0, 3).Draw(t, "target") {
	case 0:
		w.Agent = agent(rapid.IntRange(1, 5).Draw(t, "asked"))
		w.Personal = rapid.Bool().Draw(t, "personal")
	default:
		w.Service = service(rapid.IntRange(1, 3).Draw(t, "service"))
		w.Skills = rapid.SampledFrom([]string{"", "", "a", "a,b"}).Draw(t, "skills")
		if rapid.Bool().Draw(t, "declined") {
			w.DeclinedBy = drawAgents(t, "declined by")
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "conference") == 0 {
		w.Exclude = drawAgents(t, "exclude")
	}
	return w
}

func drawProfile(t *rapid.T) acd.Profile {
	p := acd.Profile{
		Skills: rapid.SampledFrom([][]string{nil, {"a"}, {"b", "a"}}).Draw(t, "agent skills"),
		Limits: acd.Limits{
			Percent: rapid.SampledFrom([]int{0, 0, 50, 200}).Draw(t, "capacity"),
			Max:     rapid.SampledFrom([]map[string]int{nil, nil, {"chat": 2}, {"chat": 0}, {"sms": 1}}).Draw(t, "max"),
		},
	}
	for _, n := range rapid.SliceOfN(rapid.IntRange(1, 3), 0, 4).Draw(t, "services") {
		p.Services = append(p.Services, service(n)) // the same service may be listed twice
	}
	return p
}

func drawState(t *rapid.T) *acd.AgentState {
	a := &acd.AgentState{
		ID: agent(rapid.IntRange(1, 4).Draw(t, "agent")), LoggedIn: rapid.IntRange(0, 5).Draw(t, "in") > 0,
		Ready:        rapid.IntRange(0, 4).Draw(t, "ready") > 0,
		Disconnected: rapid.IntRange(0, 9).Draw(t, "line") == 0,
		IdleSince:    t0.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "idle")) * time.Second),
	}
	if rapid.IntRange(0, 9).Draw(t, "pending") == 0 {
		a.Pending = []acd.Reason{acd.ReasonManual}
	}
	if rapid.IntRange(0, 5).Draw(t, "offered") == 0 {
		a.Offer = &acd.HeldOffer{Offer: offer(1), Medium: "chat", Share: 25, Invite: rapid.Bool().Draw(t, "invite")}
	}
	for range rapid.IntRange(0, 3).Draw(t, "work") {
		a.Work = append(a.Work, acd.Work{Medium: rapid.SampledFrom([]string{"chat", "sms"}).Draw(t, "medium"), Share: 25, Wrapup: rapid.Bool().Draw(t, "wrapup")})
	}
	return a
}

// TestManyBuckets makes and empties more buckets than the first word of a mask holds, and more than
// are kept when empty.
func TestManyBuckets(t *testing.T) {
	const many = 1500
	d := acd.NewDispatcher()
	skill := func(n int) string { return fmt.Sprintf("s%04d", n) }
	for n := 1; n <= many; n += 7 { // agent n has skills n and n+7, so only every seventh skill belongs to an agent
		d.SetProfile(agent(n), acd.Profile{Services: []conversation.ServiceID{service(1)}, Skills: []string{skill(n), skill(n + 7)}})
		d.UpdateAgent(&acd.AgentState{ID: agent(n), LoggedIn: true, Ready: true, IdleSince: t0.Add(time.Duration(n) * time.Second)})
	}
	for _, size := range []int{many, 200} { // first all at once, then a few at a time, so that empty buckets are reused
		for from := 1; from <= many; from += size {
			to := min(from+size-1, many)
			for n := from; n <= to; n++ {
				d.UpsertRequest(acd.Waiting{
					Request: request(n), Service: service(1), Skills: skill(n), Need: acd.Need{Share: 25, Spare: 25},
					WaitingSince: t0.Add(time.Duration(n) * time.Second),
				})
			}
			for n := from; n <= to; n++ {
				if n%7 == 1 {
					a, ok := d.Next(t0)
					if want := agent(max(n-7, 1)); !ok || a.Request != request(n) || a.Agent != want {
						t.Fatalf("Next() = %v to %v, %t; want %v to %v", a.Request, a.Agent, ok, request(n), want)
					}
					d.Release(a)
				}
				d.RemoveRequest(request(n))
			}
			if a, ok := d.Next(t0); ok {
				t.Fatalf("Next() = %+v, want none", a)
			}
		}
	}
	d.RemoveAgent(agent(1))
	if got := d.Queue(service(1)); got.Waiting != 0 || got.LoggedIn != (many+6)/7-1 {
		t.Fatalf("Queue = %+v", got)
	}
}
