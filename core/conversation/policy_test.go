package conversation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	. "github.com/parley-gateway/parley/core/conversation"
)

var outside = Author{Kind: Outside}

// assembly is an open conversation with somebody of each kind: agents 1 and 2 take part, 3 is being invited, 4 is not
// there; 5 monitors, 6 coaches, 7 is in barge, 8 has supervised and left.
func assembly(t *testing.T) *scene {
	c := webBot(t)
	c.do(Join{Agent: agent(1)})
	c.do(Join{Agent: agent(2)})
	c.do(Invite{Request: request(7), By: agent(1), Target: Target{Kind: TargetAgent, Agent: agent(3)}})
	c.do(Offer{Request: request(7), Offer: offer(7), Agent: agent(3)})
	for n, m := range map[byte]Mode{5: ModeMonitor, 6: ModeCoach, 7: ModeBarge, 8: ModeBarge} {
		c.do(Supervise{Agent: agent(n), Mode: m})
	}
	c.do(Supervise{Agent: agent(8)})
	return c
}

// people are the columns and rows of the tables below, in their order.
func people() ([]Author, []string) {
	return []Author{customer, outside, robot, agentAuthor(1), agentAuthor(3), agentAuthor(4), supervisor(5), supervisor(6), supervisor(7), supervisor(8), {Kind: System}},
		[]string{"customer", "outside", "bot", "agent", "invited", "stranger", "monitor", "coach", "barge", "left", "system"}
}

// table compares what may says of each pair of people with rows of x (may) and . (may not). A row is
// somebody who acts, a column the one who is concerned.
func table(t *testing.T, what string, may func(row, column Author) bool, want map[string]string) {
	t.Helper()
	all, names := people()
	for i, row := range all {
		got := make([]byte, len(all))
		for j, column := range all {
			got[j] = '.'
			if may(row, column) {
				got[j] = 'x'
			}
		}
		w, ok := want[names[i]]
		if !ok {
			w = strings.Repeat(".", len(all))
		}
		if string(got) != w {
			t.Errorf("%s: %s: %s\nwant %s of %q", what, names[i], got, w, names)
		}
	}
}

// H2, H3, C2: who may hear whom, and who may bring whom into a call.
func TestCallPolicy(t *testing.T) {
	c := assembly(t)
	//                    customer outside bot agent invited stranger monitor coach barge left system
	table(t, "hears", c.s.MayHear, map[string]string{
		"customer": "xxxx....x..",
		"outside":  "xxxx....x..",
		"bot":      "xxxx....x..",
		"agent":    "xxxx...xx..",
		"monitor":  "xxxx...xx..",
		"coach":    "xxxx...xx..",
		"barge":    "xxxx...xx..",
	})
	table(t, "invites", c.s.MayInvite, map[string]string{
		"customer": "x..........",
		"bot":      "x.x........",
		"agent":    "xxxxx......",
		"monitor":  "......x....",
		"coach":    ".......x...",
		"barge":    "xxxxx...x..",
		"system":   "xxxxx.xxx..",
	})
	var begin []string
	all, names := people()
	for i, who := range all {
		if c.s.MayBeginCall(who) {
			begin = append(begin, names[i])
		}
	}
	if d := cmp.Diff([]string{"customer", "bot", "agent", "barge", "system"}, begin); d != "" {
		t.Errorf("begins (-want +got):\n%s", d)
	}
	for by, want := range map[Author][]string{
		customer: {"bot", "agent", "barge", "system"}, outside: {"bot", "agent", "barge", "system"},
		agentAuthor(1): {"customer"}, robot: {"customer"}, {Kind: System}: {"customer"},
	} {
		var answer []string
		for i, who := range all {
			if c.s.MayAnswer(&Session{Kind: SessionCall, By: by, State: SessionStateWaiting}, who) {
				answer = append(answer, names[i])
			}
		}
		if d := cmp.Diff(want, answer); d != "" {
			t.Errorf("answers a call of %+v (-want +got):\n%s", by, d)
		}
	}
	if c.s.MayAnswer(nil, agentAuthor(1)) || c.s.MayAnswer(&Session{Kind: SessionTool, By: customer}, agentAuthor(1)) {
		t.Error("what is no call may be answered")
	}
	c.do(End{By: Author{Kind: System}})
	never := func(Author, Author) bool { return false }
	for _, may := range []func(a, b Author) bool{c.s.MayHear, c.s.MayInvite, func(a, _ Author) bool { return c.s.MayBeginCall(a) },
		func(a, _ Author) bool { return c.s.MayAnswer(&Session{Kind: SessionCall, By: customer}, a) }, never} {
		table(t, "after the end", may, nil)
	}
}

// Decide refuses the call commands that the policy does not allow, and lets nobody address a leg that he
// may not know of (H3).
func TestCallPolicyDecides(t *testing.T) {
	c := assembly(t).gives(call(1, customer), TypeSessionRequested)
	legs := map[byte]Author{1: customer, 2: agentAuthor(1), 3: supervisor(5), 4: supervisor(6), 5: outside}
	for n := byte(1); n <= 5; n++ {
		c.gives(SetLeg{Session: session(1), Leg: Leg{ID: leg(n), Party: legs[n], Kind: LegWeb, State: LegUp}}, TypeSessionLeg)
	}
	for _, who := range []Author{agentAuthor(4), supervisor(8), {Kind: System}, {Kind: Bot, Bot: AccountID{9}}} {
		c.refuses(SetLeg{Session: session(1), Leg: Leg{ID: leg(9), Party: who, Kind: LegWeb, State: LegUp}}, ErrDenied)
	}
	c.gives(SetLeg{Session: session(1), Leg: Leg{ID: leg(8), Party: agentAuthor(3), Kind: LegWeb, State: LegRinging}}, TypeSessionLeg)
	pair := func(a, b byte) []LegHears { return []LegHears{{Leg: leg(a), Hears: []LegID{leg(b)}}} }
	for name, tc := range map[string]struct {
		by    Author
		what  string
		leg   byte
		party Author
		hears []LegHears
		want  error
	}{
		"an agent invites another":                {by: agentAuthor(1), what: CallInvite, leg: 9, party: agentAuthor(2)},
		"an agent dials out":                      {by: agentAuthor(1), what: CallDial, leg: 9},
		"an agent invites a stranger":             {by: agentAuthor(1), what: CallInvite, leg: 9, party: agentAuthor(4), want: ErrDenied},
		"an agent invites a supervisor":           {by: agentAuthor(1), what: CallInvite, leg: 9, party: supervisor(6), want: ErrDenied},
		"a bot dials out":                         {by: robot, what: CallDial, leg: 9, want: ErrDenied},
		"a customer dials out":                    {by: customer, what: CallDial, leg: 9, want: ErrDenied},
		"a supervisor comes in":                   {by: supervisor(5), what: CallInvite, leg: 9, party: supervisor(5)},
		"a supervisor who left comes in":          {by: supervisor(8), what: CallInvite, leg: 9, party: supervisor(8), want: ErrNotJoined},
		"an agent answers":                        {by: agentAuthor(1), what: CallAnswer, leg: 1},
		"the caller answers":                      {by: customer, what: CallAnswer, leg: 1, want: ErrDenied},
		"a coach answers":                         {by: supervisor(6), what: CallAnswer, leg: 1, want: ErrDenied},
		"an agent hangs up":                       {by: agentAuthor(1), what: CallHangUp},
		"an agent mutes the customer":             {by: agentAuthor(1), what: CallMute, leg: 1},
		"an agent mutes a coach":                  {by: agentAuthor(1), what: CallMute, leg: 4},
		"an agent mutes a monitor":                {by: agentAuthor(1), what: CallMute, leg: 3, want: ErrInvalid},
		"a monitor leaves the call":               {by: supervisor(5), what: CallHangUp, leg: 3},
		"a monitor ends the call":                 {by: supervisor(5), what: CallHangUp, want: ErrDenied},
		"a coach mutes the customer":              {by: supervisor(6), what: CallMute, leg: 1, want: ErrDenied},
		"a customer mutes the own leg":            {by: customer, what: CallMute, leg: 1},
		"a customer mutes the agent":              {by: customer, what: CallMute, leg: 2, want: ErrInvalid},
		"a customer ends the call":                {by: customer, what: CallHangUp},
		"a customer records":                      {by: customer, what: "record", want: ErrDenied},
		"a coach records":                         {by: supervisor(6), what: "record", want: ErrDenied},
		"one in barge records":                    {by: supervisor(7), what: "record"},
		"the gateway lets the agent hear a coach": {by: Author{Kind: System}, what: CallHear, hears: pair(2, 4)},
		"the customer is to hear a coach":         {by: Author{Kind: System}, what: CallHear, hears: pair(1, 4), want: ErrDenied},
		"the agent is to hear a monitor":          {by: Author{Kind: System}, what: CallHear, hears: pair(2, 3), want: ErrDenied},
		"an invited agent is to hear":             {by: agentAuthor(1), what: CallHear, hears: pair(8, 1), want: ErrDenied},
		"a leg that is not there":                 {by: agentAuthor(1), what: CallHear, hears: pair(1, 20), want: ErrDenied},
		"a leg hears itself":                      {by: agentAuthor(1), what: CallHear, hears: pair(1, 1), want: ErrDenied},
		"a customer says who hears":               {by: customer, what: CallHear, want: ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			cmd := CommandCall{Session: session(1), Command: message(4), What: tc.what, By: tc.by, Party: tc.party, Hears: tc.hears}
			if tc.leg != 0 {
				cmd.Leg = leg(tc.leg)
			}
			if tc.want != nil {
				c.refuses(cmd, tc.want)
				return
			}
			c.gives(cmd, TypeSessionCommand)
			h := last[*SessionCommand](c)
			if ofSupervisor := tc.by.Kind == Supervisor || tc.leg == 4; AudienceAgent.Sees(h.Audience()) == ofSupervisor {
				t.Errorf("the command is for %s", h.Audience())
			}
		})
	}
}

// H3, H4: a supervisor's leg is seen as the supervisor is, and what agents and customers see of it says nothing more.
func TestSupervisorsLegs(t *testing.T) {
	c := webActive(t).active(1)
	c.do(Supervise{Agent: agent(5), Mode: ModeMonitor})
	at := func(state LegState) SetLeg {
		return SetLeg{Session: session(1), Leg: Leg{ID: leg(5), Party: supervisor(5), Kind: LegWeb, State: state}}
	}
	// view is what a circle knows of the leg: the state in the last event that it saw; "" = nothing.
	view := func(a Audience) (state LegState) {
		for _, ev := range c.events {
			if h, ok := ev.Head.(*SessionLeg); ok && a.Sees(h.Audience()) {
				state = h.Leg.State
			}
		}
		return state
	}
	want := func(when string, agents, supervisors LegState) {
		t.Helper()
		if view(AudienceAgent) != agents || view(AudienceSupervisor) != supervisors || view(AudienceBot) != "" || view(AudienceCustomer) != "" {
			t.Errorf("%s: agents see %q, supervisors %q, bots %q, customers %q; want %q, %q", when, view(AudienceAgent), view(AudienceSupervisor),
				view(AudienceBot), view(AudienceCustomer), agents, supervisors)
		}
		if l := c.s.Session(session(1)).Legs[0]; l.State != supervisors {
			t.Errorf("%s: the leg is %s", when, l.State)
		}
	}
	c.do(at(LegUp))
	want("monitor", "", LegUp)
	c.gives(HearDigits{Session: session(1), Leg: leg(5), Body: []byte(`{"digits":"1"}`)}) // nobody else may learn of the leg
	c.do(Supervise{Agent: agent(5), Mode: ModeCoach})
	want("coach", LegUp, LegUp)
	c.do(Supervise{Agent: agent(5), Mode: ModeBarge})
	want("barge", LegUp, LegUp)
	c.do(Supervise{Agent: agent(5), Mode: ModeMonitor})
	want("monitor again", LegEnded, LegUp)
	c.do(at(LegHeld))
	want("held", LegEnded, LegHeld)
	c.do(Supervise{Agent: agent(5)})
	c.do(at(LegEnded))
	want("gone", LegEnded, LegEnded)
}

// Whatever people's parts are: who hears at all hears all that the customer hears, nobody hears one who monitors or takes no
// part, and a supervisor's part is no way to bring in others.
func TestCallPolicyHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &run{live: &State{}, folded: &State{}, now: t0}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			r.step(t)
		}
		s := r.live
		all := []Author{customer, outside, robot, {Kind: System}, {Kind: "x"}}
		for n := byte(1); n <= 3; n++ {
			all = append(all, agentAuthor(n), supervisor(n))
		}
		here := func(a Author) bool {
			return a.Kind == Customer || a == outside || slices.ContainsFunc(s.Participants, func(p Participant) bool { return p.Who == a && p.State == Joined })
		}
		for _, a := range all {
			for _, b := range all {
				hears := s.MayHear(a, b)
				switch {
				case hears && (s.Phase != PhaseOpen || !here(a) || !here(b)):
					t.Fatalf("%+v hears %+v, who are not both there: %s", a, b, row(s))
				case hears && b.Kind == Supervisor && (s.ModeOf(b.Agent) == ModeMonitor || s.ModeOf(b.Agent) == ModeCoach && a.Kind != Agent && a.Kind != Supervisor):
					t.Fatalf("%+v hears %+v in %s", a, b, s.ModeOf(b.Agent))
				case s.MayHear(customer, b) && here(a) && !hears:
					t.Fatalf("the customer hears %+v and %+v does not: %s", b, a, row(s))
				case s.MayInvite(a, b) && (a.Kind == Supervisor && s.ModeOf(a.Agent) != ModeBarge || b.Kind == Supervisor && a.Kind != System) && a != b:
					t.Fatalf("%+v invites %+v", a, b)
				}
			}
		}
		for i := range s.Sessions {
			for _, h := range s.Hearing(s.Sessions[i].ID) {
				if slices.Contains(h.Hears, h.Leg) || len(h.Hears) >= len(s.Sessions[i].Legs) {
					t.Fatalf("leg %s hears %v", h.Leg, h.Hears)
				}
			}
		}
	})
}

func TestHearing(t *testing.T) {
	c := assembly(t).gives(call(1, customer), TypeSessionRequested).gives(tool(2, agentAuthor(1)), TypeSessionRequested)
	for n, who := range []Author{customer, agentAuthor(1), supervisor(5), supervisor(6), outside} {
		c.do(SetLeg{Session: session(1), Leg: Leg{ID: leg(byte(n + 1)), Party: who, Kind: LegWeb, State: LegUp}})
	}
	c.do(SetLeg{Session: session(1), Leg: Leg{ID: leg(5), Party: outside, Kind: LegWeb, State: LegEnded}})
	want := []LegHears{
		{leg(1), []LegID{leg(2)}}, {leg(2), []LegID{leg(1), leg(4)}}, {leg(3), []LegID{leg(1), leg(2), leg(4)}}, {leg(4), []LegID{leg(1), leg(2)}},
	}
	if d := cmp.Diff(want, c.s.Hearing(session(1))); d != "" {
		t.Errorf("hearing (-want +got):\n%s", d)
	}
	if c.s.Hearing(session(2)) != nil || c.s.Hearing(session(3)) != nil {
		t.Error("what is no call has people who hear each other")
	}
	c.gives(CommandCall{Session: session(1), Command: message(4), What: CallHear, By: Author{Kind: System}, Hears: want}, TypeSessionCommand)
}
