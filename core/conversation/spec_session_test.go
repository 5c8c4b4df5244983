package conversation_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/parley-gateway/parley/core/conversation"
)

func session(n byte) SessionID { return SessionID{0x55, 15: n} }
func leg(n byte) LegID         { return LegID{0x1e, 15: n} }

var here = Pin{Node: "a", Instance: "voice-1"}

func call(n byte, by Author) RequestSession {
	return RequestSession{Session: session(n), Kind: SessionCall, Plugin: "voice", By: by, Audience: AudienceCustomer}
}

func tool(n byte, by Author) RequestSession {
	return RequestSession{Session: session(n), Kind: SessionTool, Plugin: "surfly", By: by, For: by, Audience: AudienceAgent, Pin: Pin{Node: "a", Instance: "surfly-1"}}
}

// active gives a conversation an active call, held by here.
func (c *scene) active(n byte) *scene {
	c.t.Helper()
	return c.gives(call(n, customer), TypeSessionRequested).
		gives(ChangeSession{Session: session(n), State: SessionStateActive, Pin: here}, TypeSessionChanged)
}

func TestSessionMovesForward(t *testing.T) {
	c := webActive(t).gives(call(1, customer), TypeSessionRequested).gives(call(1, customer))
	c.gives(ChangeSession{Session: session(1), State: SessionStateActive, Pin: here}, TypeSessionChanged)
	c.gives(ChangeSession{Session: session(1), State: SessionStateWaiting, Pin: here}) // the session has passed this state, so there is no event
	c.gives(ChangeSession{Session: session(1), Pin: Pin{Node: "a", Instance: "voice-2"}}, TypeSessionChanged)
	if x := c.s.Session(session(1)); x == nil || x.State != SessionStateActive || x.Pin.Instance != "voice-2" || !x.ActiveAt.Equal(c.now) {
		t.Fatalf("session = %+v", x)
	}
	c.gives(EndSession{Session: session(1), By: customer}, TypeSessionEnded)
	if h := last[*SessionEnded](c); h.Cause != CauseFinished || h.Kind != SessionCall || c.s.Sessions != nil {
		t.Fatalf("ended %+v, left %+v", h, c.s.Sessions)
	}
	c.refuses(EndSession{Session: session(1), By: customer}, ErrNoSuchSession)
	c.refuses(ChangeSession{Session: session(1), State: SessionStateActive}, ErrNoSuchSession)
	c.refuses(SetLeg{Session: session(1)}, ErrNoSuchSession).refuses(ShowPanel{Session: session(1)}, ErrNoSuchSession)
}

func TestSessionRefusals(t *testing.T) {
	c := webActive(t)
	for name, change := range map[string]func(*RequestSession){
		"no id":       func(c *RequestSession) { c.Session = SessionID{} },
		"no kind":     func(c *RequestSession) { c.Kind = "" },
		"no plugin":   func(c *RequestSession) { c.Plugin = "" },
		"by nobody":   func(c *RequestSession) { c.By = Author{} },
		"no audience": func(c *RequestSession) { c.Audience = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := call(1, customer)
			change(&bad)
			c.refuses(bad, ErrInvalid)
		})
	}
	c.refuses(call(1, agentAuthor(2)), ErrNotJoined).refuses(call(1, robot), ErrNotJoined)
	c.gives(tool(1, agentAuthor(1)), TypeSessionRequested).refuses(call(1, customer), ErrInvalid)
	c.refuses(ChangeSession{Session: session(1), State: "over"}, ErrInvalid)
	c.refuses(EndSession{Session: session(1)}, ErrInvalid).refuses(EndSession{Session: session(1), By: agentAuthor(2)}, ErrNotJoined)
	c.refuses(SetLeg{Session: session(1), Leg: Leg{ID: leg(1), Party: customer, Kind: LegSIP, State: LegUp}}, ErrInvalid)
	c.refuses(ShowPanel{Session: session(1), Revision: 1}, ErrInvalid).refuses(LoseSessions{}, ErrInvalid)
	for n := byte(2); n <= 8; n++ {
		c.gives(call(n, customer), TypeSessionRequested)
	}
	c.refuses(call(9, customer), ErrTooManySessions)
	c.do(End{By: Author{Kind: System}})
	c.refuses(call(9, customer), ErrEnded).refuses(call(9, agentAuthor(3)), ErrNotJoined).gives(LoseSessions{Pin: here})
}

// Q2, N16, A20: while a call is active nothing ends, parks or queues the conversation
// again; afterwards the clocks begin anew.
func TestActiveCallHoldsTheClocks(t *testing.T) {
	t.Run("inactivity", func(t *testing.T) {
		c := webActive(t).after(5*minute).gives(Tick{}, TypeInactivityWarned)
		c.gives(call(1, customer), TypeSessionRequested).deadline(6 * minute)                                             // by then the plugin must have answered
		c.gives(ChangeSession{Session: session(1), State: SessionStateWaiting}, TypeSessionChanged).deadline(10 * minute) // it only rings
		c.gives(ChangeSession{Session: session(1), State: SessionStateActive}, TypeInactivityOff, TypeSessionChanged).noDeadline()
		c.after(60*minute).gives(Tick{}).gives(EndSession{Session: session(1), By: customer}, TypeSessionEnded).deadline(70 * minute)
	})
	t.Run("nobody answers", func(t *testing.T) {
		c := sms(t).active(1).noDeadline().after(120 * minute)
		c.gives(EndSession{Session: session(1), By: customer}, TypeSessionEnded).deadline(135 * minute) // parks; it was answered
	})
	t.Run("parking", func(t *testing.T) {
		c := sms(t).active(1).refuses(Park{Owner: agent(1)}, ErrCallActive)
		c.gives(EndSession{Session: session(1), By: customer}, TypeSessionEnded)
		c.gives(Park{Owner: agent(1)}, TypeParticipantLeft, TypeParked).refuses(call(2, customer), ErrParked)
	})
	t.Run("an agent who is gone", func(t *testing.T) {
		c := webActive(t).active(1).refuses(Requeue{Agent: agent(1), Request: request(9)}, ErrCallActive)
		c.do(Join{Agent: agent(2)})
		c.gives(Requeue{Agent: agent(1), Request: request(9)}, TypeParticipantLeft)
	})
	t.Run("a bot", func(t *testing.T) {
		c := webBot(t).active(1).after(60 * minute).gives(Tick{}).noDeadline()
		c.gives(EndSession{Session: session(1), By: customer}, TypeSessionEnded).deadline(61 * minute)
	})
	t.Run("a tool holds nothing", func(t *testing.T) {
		c := webActive(t).gives(tool(1, agentAuthor(1)), TypeSessionRequested)
		c.gives(ChangeSession{Session: session(1), State: SessionStateActive}, TypeSessionChanged).deadline(5 * minute)
		c.gives(Requeue{Agent: agent(1), Request: request(9)}, TypeParticipantLeft, TypeRoutingRequested)
	})
}

func TestSessionsEndWithTheConversation(t *testing.T) {
	c := webActive(t).active(1).gives(tool(2, agentAuthor(1)), TypeSessionRequested)
	c.gives(CustomerEnd{}, TypeSessionEnded, TypeSessionEnded, TypeEnded, TypeParticipantLeft, TypeWrapupStarted)
	if h := last[*SessionEnded](c); h.Cause != CauseEnded || c.s.Sessions != nil {
		t.Fatalf("ended %+v, left %+v", h, c.s.Sessions)
	}
}

func TestParkingEndsTools(t *testing.T) {
	c := sms(t).gives(tool(1, agentAuthor(1)), TypeSessionRequested)
	c.gives(Park{Owner: agent(1)}, TypeSessionEnded, TypeParticipantLeft, TypeParked)
}

// FT2: the sessions that a process held are lost when the process is gone, and no others.
func TestLoseSessions(t *testing.T) {
	c := webActive(t).active(1).gives(tool(2, agentAuthor(1)), TypeSessionRequested)
	c.gives(LoseSessions{Pin: Pin{Node: "b"}}).gives(LoseSessions{Pin: Pin{Node: "a", Instance: "voice-0"}})
	c.gives(LoseSessions{Pin: here}, TypeSessionEnded).shows(DisplayActive)
	if h := last[*SessionEnded](c); h.Session != session(1) || h.Cause != CauseLost || h.By.Kind != System {
		t.Fatalf("lost %+v", h)
	}
	c.gives(LoseSessions{Pin: Pin{Node: "a"}}, TypeSessionEnded).deadline(5 * minute)
}

func TestLegsMoveForward(t *testing.T) {
	c := webActive(t).active(1)
	set := func(n byte, state LegState, more ...func(*Leg)) SetLeg {
		l := Leg{ID: leg(n), Party: customer, Kind: LegSIP, State: state, Audio: true}
		for _, f := range more {
			f(&l)
		}
		return SetLeg{Session: session(1), Leg: l}
	}
	c.gives(set(1, LegRinging), TypeSessionLeg).gives(set(1, LegRinging)).gives(set(1, LegUp), TypeSessionLeg)
	c.gives(set(1, LegDialling)) // the leg has passed this state, so there is no event
	c.gives(set(1, LegHeld), TypeSessionLeg).gives(set(1, LegUp), TypeSessionLeg)
	c.gives(set(1, LegUp, func(l *Leg) { l.Muted = true }), TypeSessionLeg)
	c.refuses(set(1, LegUp, func(l *Leg) { l.Kind = LegWeb }), ErrInvalid).refuses(set(1, "gone"), ErrInvalid)
	c.gives(set(1, LegEnded, func(l *Leg) { l.Cause, l.Code = CauseFailed, "486" }), TypeSessionLeg).gives(set(1, LegUp))
	c.refuses(set(1, LegUp, func(l *Leg) { l.Party = Author{Kind: Outside} }), ErrInvalid) // another party's leg
	if l := c.s.Session(session(1)).Legs; len(l) != 1 || l[0].Code != "486" || l[0].State != LegEnded {
		t.Fatalf("legs = %+v", l)
	}
	c.refuses(set(2, LegRinging, func(l *Leg) { l.Party = Author{} }), ErrInvalid)
	c.gives(set(2, LegRinging, func(l *Leg) { l.Party = Author{Kind: Outside} }), TypeSessionLeg)
	for n := byte(3); n <= 32; n++ {
		c.gives(set(n, LegDialling), TypeSessionLeg)
	}
	c.refuses(set(33, LegDialling), ErrInvalid)
}

func TestPanelsGrow(t *testing.T) {
	c := webActive(t).gives(tool(1, agentAuthor(1)), TypeSessionRequested)
	panel := func(n uint64) ShowPanel {
		return ShowPanel{Session: session(1), Revision: n, Body: json.RawMessage(`{"blocks":[]}`)}
	}
	c.gives(panel(2), TypeSessionPanel).gives(panel(2)).gives(panel(1)).gives(panel(3), TypeSessionPanel)
	if got := c.s.Session(session(1)).Revision; got != 3 {
		t.Fatalf("revision %d", got)
	}
}

// Each event of a session is for the circle that the session names; legs and panels
// are for agents.
func TestSessionAudience(t *testing.T) {
	for _, a := range []Audience{AudienceCustomer, AudienceBot, AudienceAgent, AudienceSupervisor, AudienceAudit} {
		c := webActive(t)
		req := call(1, customer)
		req.Audience = a
		before := c.s.LastVisible
		c.do(req)
		c.do(ChangeSession{Session: session(1), State: SessionStateActive})
		c.do(EndSession{Session: session(1), By: customer})
		want := before
		for i := a; int(i) < len(want); i++ {
			want[i] = c.s.Seq
		}
		if d := cmp.Diff(want, c.s.LastVisible); d != "" {
			t.Errorf("%s: LastVisible (-want +got):\n%s", a, d)
		}
	}
}

func TestAudienceNames(t *testing.T) {
	for name, want := range map[string]Audience{
		"customer": AudienceCustomer, "bot": AudienceBot, "agent": AudienceAgent, "supervisor": AudienceSupervisor, "audit": AudienceAudit,
		"": 0, "everybody": AudienceAudit,
	} {
		var a Audience
		if err := a.UnmarshalText([]byte(name)); err != nil || a != want {
			t.Errorf("audience %q reads as %d, %v; want %d", name, a, err, want)
		}
		if b, err := want.MarshalText(); err != nil || string(b) != want.String() {
			t.Errorf("audience %d writes %q, %v", want, b, err)
		}
	}
	if _, err := Audience(9).MarshalText(); err == nil {
		t.Error("there is no audience 9, and it was written")
	}
}
