package acd_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// centre is a small contact centre that works as the router does: it decides in the conversation,
// derives the agents' commands, decides them, applies all events or none, tells the dispatcher, and
// makes the offers that it returns.
type centre struct {
	t      *rapid.T
	now    time.Time
	convs  []*conversation.State
	agents []*acd.AgentState
	d      *acd.Dispatcher
	ids    int
}

const (
	centreAgents   = 4
	centreServices = 2
)

// limits of the agents: the default, half of it, twice as much, and two chats at most.
var limits = [centreAgents]acd.Limits{{}, {Percent: 50}, {Percent: 200}, {Max: map[string]int{acd.MediumChat: 2}}}

func (c *centre) id() int { c.ids++; return c.ids }

func TestCentre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &centre{t: t, now: t0, d: acd.NewDispatcher()}
		for i := range centreAgents {
			a := &acd.AgentState{ID: agent(i + 1)}
			c.agents = append(c.agents, a)
			p := acd.Profile{Services: []conversation.ServiceID{service(1)}, Limits: limits[i]}
			if i%2 == 0 {
				p.Services = append(p.Services, service(2))
			}
			c.d.SetProfile(a.ID, p)
			c.command(a, acd.Login{})
			c.command(a, acd.BeReady{})
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			c.now = c.now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 7, 25}).Draw(t, "seconds")) * time.Second)
			c.ticks()
			c.step()
			c.dispatch()
			c.check()
		}
	})
}

// do carries out a conversation's command together with the agents' commands that follow from it
// and those in with. If any of them is refused, nothing is applied.
func (c *centre) do(s *conversation.State, cmd conversation.Command, with ...acd.ForAgent) bool {
	events, err := conversation.Decide(s, cmd, c.now)
	if err != nil {
		return false
	}
	after := s.Clone()
	for _, ev := range events {
		if err := after.Apply(ev); err != nil {
			c.t.Fatalf("Apply(%s): %v", ev.Head.Type(), err)
		}
	}
	changed := map[conversation.AgentID]*acd.AgentState{}
	for _, x := range append(acd.Consequences(after, events), with...) {
		a := changed[x.Agent]
		if a == nil {
			a = c.agent(x.Agent).Clone()
			changed[x.Agent] = a
		}
		if p, ok := x.Command.(acd.Present); ok {
			p.Limits = limits[int(x.Agent[15])-1]
			x.Command = p
		}
		agentEvents, err := acd.Decide(a, x.Command, c.now)
		if err != nil {
			_, offered := cmd.(conversation.Offer)
			sv, supervised := cmd.(conversation.Supervise)
			if !offered && !(supervised && sv.Mode != "" && a.Away()) {
				c.t.Fatalf("%T%+v: agent refuses %T%+v: %v; agent %+v", cmd, cmd, x.Command, x.Command, err, a)
			}
			return false
		}
		for _, ev := range agentEvents {
			if err := a.Apply(ev); err != nil {
				c.t.Fatalf("Apply(%s): %v", ev.Head.Type(), err)
			}
		}
	}
	*s = *after
	for id, a := range changed {
		*c.agent(id) = *a
		c.d.UpdateAgent(a)
	}
	c.d.UpdateConversation(s)
	return true
}

// command carries out an agent's own command.
func (c *centre) command(a *acd.AgentState, cmd acd.Command) {
	events, err := acd.Decide(a, cmd, c.now)
	if err != nil {
		return
	}
	for _, ev := range events {
		if err := a.Apply(ev); err != nil {
			c.t.Fatalf("Apply(%s): %v", ev.Head.Type(), err)
		}
	}
	c.d.UpdateAgent(a)
}

func (c *centre) agent(id conversation.AgentID) *acd.AgentState {
	return c.agents[int(id[15])-1]
}

func (c *centre) conversation(id conversation.ConversationID) *conversation.State {
	return c.convs[int(id[15])-1]
}

// ticks sends a Tick to every conversation and agent whose deadline has passed.
func (c *centre) ticks() {
	for _, s := range c.convs {
		if at, ok := s.NextDeadline(); ok && !at.After(c.now) {
			c.do(s, conversation.Tick{})
		}
	}
	for _, a := range c.agents {
		if at, ok := a.NextDeadline(); ok && !at.After(c.now) {
			c.stepBack(a, acd.Tick{}, conversation.CauseConnection)
			if a.Ready {
				c.t.Fatalf("still Ready after the grace: %+v", a)
			}
		}
	}
}

func (c *centre) withdraw(a *acd.AgentState, cause conversation.Cause, with ...acd.ForAgent) {
	if o := a.Offer; o != nil && !c.do(c.conversation(o.Conversation), conversation.Decline{Offer: o.Offer, Agent: a.ID, Cause: cause}, with...) {
		c.t.Fatalf("the conversation does not know the offer %+v", o)
	}
}

// stepBack ends the agent's offer and carries out cmd, which ends the agent's taking offers, at
// once.
func (c *centre) stepBack(a *acd.AgentState, cmd acd.Command, cause conversation.Cause) {
	if a.Offer == nil {
		c.command(a, cmd)
	} else {
		c.withdraw(a, cause, acd.ForAgent{Agent: a.ID, Command: cmd})
	}
	c.dispatch() // at once, since an agent who still took offers would get one here
	if a.Offer != nil {
		c.t.Fatalf("%T leaves the agent with an offer: %+v", cmd, a)
	}
}

// logout logs an agent out and ends the agent's part in every conversation.
func (c *centre) logout(a *acd.AgentState) {
	c.stepBack(a, acd.Logout{}, conversation.CauseLogout)
	for len(a.Work) > 0 {
		s := c.conversation(a.Work[0].Conversation)
		if !c.do(s, conversation.Requeue{Agent: a.ID, Cause: conversation.CauseLogout, Request: request(c.id())}) {
			c.t.Fatalf("agent %v is not in %v", a.ID, s.ID)
		}
	}
	for len(a.Supervises) > 0 {
		if s := c.conversation(a.Supervises[0]); !c.do(s, conversation.Supervise{Agent: a.ID, Cause: conversation.CauseLogout}) {
			c.t.Fatalf("agent %v does not supervise %v", a.ID, s.ID)
		}
	}
}

func (c *centre) step() {
	t := c.t
	a := c.agents[rapid.IntRange(0, centreAgents-1).Draw(t, "agent")]
	if len(c.convs) < 12 && rapid.IntRange(0, 3).Draw(t, "arrive") == 0 {
		c.arrive()
		return
	}
	switch rapid.IntRange(0, 13).Draw(t, "op") {
	case 0, 1, 2:
		if o := a.Offer; o != nil {
			c.do(c.conversation(o.Conversation), conversation.Accept{Offer: o.Offer, Agent: a.ID})
		}
	case 3:
		c.withdraw(a, conversation.CauseRejected)
	case 4:
		if a.LoggedIn {
			c.command(a, acd.BeReady{})
		} else {
			c.command(a, acd.Login{})
		}
	case 5:
		c.command(a, acd.BeNotReady{Reason: "break"})
	case 6:
		c.command(a, acd.Disconnect{})
	case 7:
		c.command(a, acd.Connect{})
	case 8:
		c.logout(a)
	default:
		c.work(a)
	}
}

func (c *centre) arrive() {
	t := c.t
	s := &conversation.State{}
	c.convs = append(c.convs, s)
	c.do(s, conversation.Start{
		ID: conv(len(c.convs)), Kind: conversation.Inbound, Capabilities: conversation.Capabilities{Connected: rapid.Bool().Draw(t, "web")},
		Service: service(rapid.IntRange(1, centreServices).Draw(t, "service")), Request: request(c.id()),
		Rules: conversation.Rules{
			OfferTimeout: 20_000, InactivityEnd: 60_000, ParkAfter: 30_000, OwnerFirst: 10_000,
			WrapupLimit: rapid.SampledFrom([]conversation.Millis{0, 15_000}).Draw(t, "wrapup"),
			Share:       rapid.SampledFrom([]int{25, 50}).Draw(t, "share"), Spare: 25,
		},
	})
}

// work carries out a random command in one conversation, preferably one that the agent handles.
func (c *centre) work(a *acd.AgentState) {
	t := c.t
	if len(c.convs) == 0 {
		return
	}
	s := c.convs[rapid.IntRange(0, len(c.convs)-1).Draw(t, "conversation")]
	if len(a.Work) > 0 && rapid.IntRange(0, 3).Draw(t, "own") > 0 {
		s = c.conversation(a.Work[0].Conversation)
	}
	switch rapid.IntRange(0, 7).Draw(t, "work") {
	case 0:
		c.do(s, conversation.Leave{Agent: a.ID, Queue: true, Request: request(c.id())})
	case 1:
		c.do(s, conversation.FinishWrapup{Agent: a.ID})
	case 2:
		target := conversation.Target{Kind: conversation.TargetAgent, Agent: agent(rapid.IntRange(1, centreAgents).Draw(t, "invitee"))}
		c.do(s, conversation.Invite{Request: request(c.id()), By: a.ID, Target: target})
	case 3:
		target := conversation.Target{Kind: conversation.TargetService, Service: service(2)}
		c.do(s, conversation.Invite{Request: request(c.id()), By: a.ID, Target: target, Transfer: true, Rules: &conversation.Rules{OfferTimeout: 5_000}})
	case 4:
		c.do(s, conversation.CustomerEnd{})
	case 5:
		c.do(s, conversation.Join{Agent: a.ID})
	case 7:
		modes := []conversation.Mode{conversation.ModeMonitor, conversation.ModeCoach, conversation.ModeBarge, ""}
		c.do(s, conversation.Supervise{Agent: a.ID, Mode: rapid.SampledFrom(modes).Draw(t, "mode")})
	case 6:
		n := c.id()
		c.do(s, &conversation.Post{
			ID: conversation.MessageID(request(n)), Author: conversation.Author{Kind: conversation.Customer},
			Kinds: []conversation.PartKind{conversation.PartText}, Request: request(c.id()),
		})
	}
}

// dispatch makes offers until there are none left. None may be refused, since nothing changes
// between the decision and the offer.
func (c *centre) dispatch() {
	for range 100 {
		x, ok := c.d.Next(c.now)
		if !ok {
			return
		}
		if !c.do(c.conversation(x.Conversation), conversation.Offer{Request: x.Request, Offer: offer(c.id()), Agent: x.Agent}) {
			c.t.Fatalf("offer %+v is refused; agent %+v", x, c.agent(x.Agent))
		}
		c.d.Release(x)
	}
	c.t.Fatal("offers without end")
}

func (c *centre) check() {
	for _, a := range c.agents {
		c.agree(a)
		var back acd.AgentState
		b, err := json.Marshal(a)
		if err != nil {
			c.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &back); err != nil {
			c.t.Fatal(err)
		}
		if d := cmp.Diff(a, &back); d != "" {
			c.t.Fatalf("row changes in a round trip:\n%s", d)
		}
	}
	for _, s := range c.convs {
		c.served(s)
	}
}

// agree checks that the agent's state and the conversations say the same about what the agent
// holds.
func (c *centre) agree(a *acd.AgentState) {
	for _, s := range c.convs {
		p, w := s.Participant(a.ID), a.Holds(s.ID)
		in := p != nil && p.State != conversation.Left
		if in != (w != nil) || in && w.Wrapup != (p.State == conversation.Wrapup) {
			c.t.Fatalf("conversation says %+v, agent %+v", p, w)
		}
		if (s.ModeOf(a.ID) != "") != slices.Contains(a.Supervises, s.ID) {
			c.t.Fatalf("supervises %v as %q; agent's list %v", s.ID, s.ModeOf(a.ID), a.Supervises)
		}
		for i := range s.Requests {
			r := &s.Requests[i]
			mine := r.State == conversation.Offered && r.Agent == a.ID
			if mine != (a.Offer != nil && a.Offer.Offer == r.Offer && a.Offer.Conversation == s.ID) {
				c.t.Fatalf("conversation says %+v, agent %+v", r, a.Offer)
			}
		}
	}
	if o := a.Offer; o != nil && c.conversation(o.Conversation).OfferedTo(o.Offer) == nil {
		c.t.Fatalf("agent holds an offer %+v that is none", o)
	}
}

// served checks that no request waits which an available agent could take (no starvation).
func (c *centre) served(s *conversation.State) {
	for _, w := range acd.WaitingOf(s) {
		for i, a := range c.agents {
			able := w.Agent == a.ID
			if w.Agent.IsZero() {
				able = w.Service == service(1) || i%2 == 0
			}
			whole := limits[i].Percent
			if whole == 0 {
				whole = acd.Capacity
			}
			limit, bounded := limits[i].Max[w.Need.Medium] // all interactions in this test have the same medium
			room := a.Load()+w.Need.Spare <= whole && (!bounded || len(a.Work) < limit)
			free := a.Offerable() && room || w.Personal && a.Invitable()
			barred := slices.Contains(w.Exclude, a.ID) || slices.Contains(w.DeclinedBy, a.ID)
			if able && free && !barred {
				c.t.Fatalf("%+v waits although %+v could take it", w, a)
			}
		}
	}
}
