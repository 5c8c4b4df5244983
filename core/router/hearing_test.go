package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// Legs of the tests below: the customer's, and those of agents and the supervisor.
var legNames = map[conversation.LegID]string{{1}: "customer", {2}: "ana", {3}: "ben", {4}: "sue"}

// told takes the commands that the phone has got since it was last asked, lets them succeed or fail with a code, and
// says what they are.
func (b *callBubble) told(code string) (out []string) {
	b.t.Helper()
	for { // one after the other: the next comes when the one before is answered
		synctest.Wait()
		b.port.mu.Lock()
		got := slices.Clone(b.port.got)
		b.port.got = nil
		b.port.mu.Unlock()
		if len(got) == 0 {
			return out
		}
		for _, cmd := range got {
			out = append(out, b.answers(cmd, code))
		}
	}
}

// answers lets a command succeed, or fail with a code, and says what it is.
func (b *callBubble) answers(cmd plugin.Outbound, code string) string {
	b.t.Helper()
	what := cmd.Call.Name()
	if cmd.Call.Session != theCall || cmd.Thread != "call-1" {
		b.t.Errorf("%s for call %s on thread %q", what, cmd.Call.Session, cmd.Thread)
	}
	if !cmd.Call.Leg().IsZero() {
		what += " " + legNames[cmd.Call.Leg()]
	}
	if cmd.Call.Hear != nil {
		for _, l := range cmd.Call.Hear.Legs {
			var hears []string
			for _, id := range l.Hears {
				hears = append(hears, legNames[id])
			}
			what += fmt.Sprintf(" %s(%s)", legNames[l.Leg], strings.Join(hears, " "))
		}
	}
	res := plugin.CommandResult{Command: cmd.Command, Outcome: conversation.StatusSent}
	if code != "" {
		res.Outcome, res.Kind, res.Code = conversation.StatusFailed, "content", code
	}
	if ack := ingest(b.r, plugin.Inbound{Plugin: "phone", Instance: "phone-1", Account: b.phone, Thread: "call-1", Result: &res}); ack.Status != plugin.Committed {
		b.t.Errorf("result of %s: %+v", what, ack)
	}
	return what
}

// joins makes an agent, whom another one invites, take part.
func (b *callBubble) joins(login string, by conversation.AgentID, conv conversation.ConversationID) conversation.AgentID {
	b.t.Helper()
	id := b.ready(login)
	_, err := b.r.Invite(b.t.Context(), by, conv, conversation.Target{Kind: conversation.TargetAgent, Agent: id}, false)
	must(b.t, err)
	synctest.Wait()
	_, _, err = b.r.Accept(b.t.Context(), id, agentOf(b.t, b.r, id).Offer.Offer)
	must(b.t, err)
	return id
}

// leg says that somebody's leg is in a state.
func (b *callBubble) leg(n byte, party conversation.Author, state conversation.LegState) {
	b.t.Helper()
	l := conversation.Leg{ID: conversation.LegID{n}, Party: party, Kind: conversation.LegWeb, State: state}
	if ack := b.says(fmt.Sprint("leg", n, state, party.Kind), plugin.CallEvent{Leg: &l}); ack.Status != plugin.Committed {
		b.t.Fatalf("leg of %s: %+v", legNames[l.ID], ack)
	}
}

func agentParty(id conversation.AgentID) conversation.Author {
	return conversation.Author{Kind: conversation.Agent, Agent: id}
}

// H2, H3, DESIGN.md 3: the plugin of a call learns who hears whom whenever that changes, and ends the legs of people who have left.
func TestWhoHearsWhom(t *testing.T) {
	withPhone(t, func(t *testing.T, b *callBubble) {
		must(t, b.r.AgentConnected(t.Context(), b.sue))
		ana := b.ready("ana")
		conv := b.rings()
		want := func(when string, want ...string) {
			t.Helper()
			if d := cmp.Diff(want, b.told("")); d != "" {
				t.Errorf("%s: the phone is told (-want +got):\n%s", when, d)
			}
		}
		supervise := func(m conversation.Mode) {
			t.Helper()
			_, err := b.r.Supervise(t.Context(), b.sue, conv, m)
			must(t, err)
		}
		want("a call rings")
		b.leg(2, agentParty(ana), conversation.LegRinging)
		want("the telephone of the agent who is offered the call rings")
		_, _, err := b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
		must(t, err)
		want("the agent accepts", "hear customer(ana) ana(customer)")
		b.leg(2, agentParty(ana), conversation.LegUp)
		b.leg(2, agentParty(ana), conversation.LegHeld)
		want("a leg comes up and is held")
		supervise(conversation.ModeMonitor)
		want("a supervisor without a leg")
		sue := conversation.Author{Kind: conversation.Supervisor, Agent: b.sue}
		b.leg(4, sue, conversation.LegUp)
		want("a supervisor monitors", "hear customer(ana) ana(customer) sue(customer ana)")
		supervise(conversation.ModeCoach)
		want("a supervisor coaches", "hear customer(ana) ana(customer sue) sue(customer ana)")
		supervise(conversation.ModeBarge)
		want("a supervisor barges in", "hear customer(ana sue) ana(customer sue) sue(customer ana)")
		supervise(conversation.ModeMonitor)
		want("a supervisor monitors again", "hear customer(ana) ana(customer) sue(customer ana)")
		supervise("")
		want("a supervisor leaves", "hear customer(ana) ana(customer) sue()", "hang_up sue")
		b.leg(4, sue, conversation.LegEnded)
		want("the supervisor's leg ends")
		ben := b.joins("ben", ana, conv)
		b.leg(3, agentParty(ben), conversation.LegUp)
		want("a second agent", "hear customer(ana ben) ana(customer ben) ben(customer ana)")
		_, err = b.r.Leave(t.Context(), ana, conv, false)
		must(t, err)
		want("the first agent leaves", "hear customer(ben) ana() ben(customer)", "hang_up ana")
		b.leg(2, agentParty(ana), conversation.LegEnded)
		want("the first agent's leg ends")
		_, err = b.r.Leave(t.Context(), ben, conv, false)
		must(t, err)
		want("the conversation ends", "hang_up")
	})
}

// What fails of it is told to those who may know of the legs, unless the call is over (H3).
func TestWhoHearsWhomFails(t *testing.T) {
	withPhone(t, func(t *testing.T, b *callBubble) {
		must(t, b.r.AgentConnected(t.Context(), b.sue))
		ana := b.ready("ana")
		conv := b.rings()
		_, _, err := b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
		must(t, err)
		failures := func() (out []string) {
			for _, h := range heads[conversation.SessionCommandFailed](t, b.r, conv, conversation.TypeSessionCommandFailed) {
				out = append(out, h.What+" "+h.Code+" "+h.Circle.String())
			}
			return out
		}
		b.leg(2, agentParty(ana), conversation.LegUp)
		b.told("one")
		_, err = b.r.Supervise(t.Context(), b.sue, conv, conversation.ModeMonitor)
		must(t, err)
		b.leg(4, conversation.Author{Kind: conversation.Supervisor, Agent: b.sue}, conversation.LegUp)
		b.told("two")
		_, err = b.r.Supervise(t.Context(), b.sue, conv, "")
		must(t, err)
		b.told("three")
		want := []string{"hear one ", "hear two supervisor", "hear three supervisor", "hang_up three supervisor"}
		if d := cmp.Diff(want, failures()); d != "" {
			t.Errorf("failures (-want +got):\n%s", d)
		}
		b.leg(4, conversation.Author{Kind: conversation.Supervisor, Agent: b.sue}, conversation.LegEnded)
		b.joins("ben", ana, conv)
		_, err = b.r.Leave(t.Context(), ana, conv, false)
		must(t, err)
		b.says("end", plugin.CallEvent{Ended: &plugin.CallEnded{}})
		if got := b.told("late"); len(got) != 2 {
			t.Errorf("the phone was told %q", got)
		}
		if d := cmp.Diff(want, failures()); d != "" {
			t.Errorf("failures after the call's end (-want +got):\n%s", d)
		}
	})
}
