package conversation_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/parley-gateway/parley/core/conversation"
)

func supervisor(n byte) Author { return Author{Kind: Supervisor, Agent: agent(n)} }

func note(n byte, by Author) AddNote {
	return AddNote{ID: message(n), Author: by, Kinds: []PartKind{PartText}, Body: json.RawMessage(`{"parts":[{"kind":"text","text":"hm"}]}`)}
}

// seen lists the types that a reader of circle a sees after the first n events.
func (c *scene) seen(a Audience, n int) []Type {
	types := []Type{}
	for _, ev := range c.events[n:] {
		if a.Sees(ev.Head.Audience()) {
			types = append(types, ev.Head.Type())
		}
	}
	return types
}

// Each circle sees a supervisor come and go just as the mode shows it, whatever the way
// from mode to mode.
func TestModesShowThemselvesToTheirCircle(t *testing.T) {
	in, out := TypeSupervisorJoined, TypeSupervisorLeft
	for name, tc := range map[string]struct {
		modes                       []Mode
		customer, agent, supervisor []Type
	}{
		"monitor":             {[]Mode{ModeMonitor, ""}, nil, nil, []Type{in, out}},
		"coach":               {[]Mode{ModeCoach, ""}, nil, []Type{in, out}, []Type{in, out}},
		"barge":               {[]Mode{ModeBarge, ""}, []Type{in, out}, []Type{in, out}, []Type{in, out}},
		"monitor, then coach": {[]Mode{ModeMonitor, ModeCoach}, nil, []Type{in}, []Type{in, out, in}},
		"coach, then monitor": {[]Mode{ModeCoach, ModeMonitor}, nil, []Type{in, out}, []Type{in, out, in}},
		"barge, then coach":   {[]Mode{ModeBarge, ModeCoach}, []Type{in, out}, []Type{in, out, in}, []Type{in, out, in}},
		"the same twice":      {[]Mode{ModeCoach, ModeCoach}, nil, []Type{in}, []Type{in}},
	} {
		t.Run(name, func(t *testing.T) {
			c := webActive(t)
			before := len(c.events)
			for _, m := range tc.modes {
				c.do(Supervise{Agent: agent(3), Mode: m})
				if got := c.s.ModeOf(agent(3)); got != m {
					t.Fatalf("mode %q, want %q", got, m)
				}
			}
			for a, want := range map[Audience][]Type{AudienceCustomer: tc.customer, AudienceBot: tc.customer, AudienceAgent: tc.agent, AudienceSupervisor: tc.supervisor} {
				if d := cmp.Diff(append([]Type{}, want...), c.seen(a, before)); d != "" {
					t.Errorf("seen by %s (-want +got):\n%s", a, d)
				}
			}
		})
	}
}

func TestSupervisorsHandleNothing(t *testing.T) {
	c := web(t).gives(Supervise{Agent: agent(3), Mode: ModeBarge}, TypeSupervisorJoined).shows(DisplayQueued).noDeadline()
	c.refuses(Leave{Agent: agent(3)}, ErrNotJoined)
	c.gives(Join{Agent: agent(3)}, TypeRoutingCancelled, TypeSupervisorLeft, TypeParticipantJoined)
	c.refuses(Supervise{Agent: agent(3), Mode: ModeMonitor}, ErrAlreadyJoined).gives(Supervise{Agent: agent(3)})
	c.refuses(Supervise{Mode: ModeMonitor}, ErrInvalid).refuses(Supervise{Agent: agent(4), Mode: "listen"}, ErrInvalid)
	c.gives(Supervise{Agent: agent(4), Mode: ModeMonitor}, TypeSupervisorJoined)
	c.gives(Leave{Agent: agent(3)}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted, TypeSupervisorLeft)
	c.refuses(Supervise{Agent: agent(5), Mode: ModeMonitor}, ErrNotJoined)
}

// A coach must not end what customers know of, since they would learn who ended it (H3, H4).
func TestSupervisorsEndSessions(t *testing.T) {
	for _, tc := range []struct {
		circle Audience
		mode   Mode
		err    error
	}{
		{AudienceCustomer, ModeMonitor, ErrNotJoined},
		{AudienceCustomer, ModeCoach, ErrDenied},
		{AudienceCustomer, ModeBarge, nil},
		{AudienceAgent, ModeCoach, nil},
	} {
		request := tool(1, agentAuthor(1))
		request.Audience = tc.circle
		c := webActive(t).gives(request, TypeSessionRequested)
		c.gives(Supervise{Agent: agent(3), Mode: tc.mode}, TypeSupervisorJoined)
		end := EndSession{Session: session(1), By: supervisor(3), Cause: CauseFinished}
		if tc.err != nil {
			c.refuses(end, tc.err)
		} else {
			c.gives(end, TypeSessionEnded)
		}
	}
}

func TestSupervisorsLeaveWhatIsParked(t *testing.T) {
	c := sms(t).gives(Supervise{Agent: agent(3), Mode: ModeCoach}, TypeSupervisorJoined)
	c.gives(Park{Owner: agent(1)}, TypeParticipantLeft, TypeSupervisorLeft, TypeParked)
	c.refuses(Supervise{Agent: agent(3), Mode: ModeCoach}, ErrParked)
}

// A supervisor who listens says nothing, one who coaches speaks to agents, and one who barges in
// speaks to everybody.
func TestNotesAndWordsByMode(t *testing.T) {
	c := webActive(t)
	for _, tc := range []struct {
		mode       Mode
		note, post error
	}{{"", ErrNotJoined, ErrNotJoined}, {ModeMonitor, ErrNotJoined, ErrNotJoined}, {ModeCoach, nil, ErrNotJoined}, {ModeBarge, nil, nil}} {
		c.do(Supervise{Agent: agent(3), Mode: tc.mode})
		if _, err := Decide(c.s, note(9, supervisor(3)), c.now); Code(err) != Code(tc.note) {
			t.Errorf("%q: a note gives %v, want %v", tc.mode, err, tc.note)
		}
		if _, err := Decide(c.s, post(9, supervisor(3)), c.now); Code(err) != Code(tc.post) {
			t.Errorf("%q: a message gives %v, want %v", tc.mode, err, tc.post)
		}
	}
	c.gives(note(9, agentAuthor(1)), TypeNote).refuses(note(10, agentAuthor(2)), ErrNotJoined).refuses(note(10, customer), ErrInvalid)
	bad := note(10, agentAuthor(1))
	bad.Kinds = []PartKind{PartReaction}
	c.refuses(bad, ErrUnsupported)
	bad.Kinds = nil
	c.refuses(bad, ErrInvalid)
	if AudienceBot.Sees(last[*Note](c).Audience()) || !AudienceAgent.Sees(last[*Note](c).Audience()) {
		t.Error("a note is for agents and nobody further out")
	}
}
