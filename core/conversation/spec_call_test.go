package conversation_test

import (
	"encoding/json"
	"testing"

	. "github.com/parley-gateway/parley/core/conversation"
)

// A session that no plugin answers for ends by itself, so that it does not fill the state for ever.
func TestRequestedSessionExpires(t *testing.T) {
	c := webActive(t).gives(call(1, customer), TypeSessionRequested).deadline(minute)
	c.after(minute).gives(Tick{}, TypeSessionEnded)
	if h := last[*SessionEnded](c); h.Cause != CauseFailed || h.Code != CodeNoAnswer || h.By.Kind != System || c.s.Sessions != nil {
		t.Fatalf("ended %+v, left %+v", h, c.s.Sessions)
	}
	c.gives(tool(2, agentAuthor(1)), TypeSessionRequested).gives(ChangeSession{Session: session(2), State: SessionStateWaiting}, TypeSessionChanged)
	c.after(3 * minute).gives(Tick{})
	if c.s.Session(session(2)) == nil {
		t.Error("a session that was answered for ended by itself")
	}
}

// M8: a tool stays with the agent who has it, and passes to another one when that agent leaves.
func TestToolsAreHandedOn(t *testing.T) {
	c := webActive(t).gives(tool(1, agentAuthor(1)), TypeSessionRequested)
	c.do(Join{Agent: agent(2)})
	has := func(want Author) {
		t.Helper()
		if got := c.s.Session(session(1)).For; got != want {
			t.Errorf("the tool is for %+v, want %+v", got, want)
		}
	}
	has(agentAuthor(1))
	c.do(Leave{Agent: agent(1)})
	has(agentAuthor(2))
	c.do(Requeue{Agent: agent(2), Request: request(9)})
	has(Author{})
	c.do(Join{Agent: agent(3)})
	has(agentAuthor(3))
}

func TestLoseOneSession(t *testing.T) {
	c := webActive(t).active(1).active(2)
	c.gives(LoseSessions{Pin: Pin{Node: "a", Instance: "voice-9"}, Session: session(1)}) // it is held elsewhere by now
	c.gives(LoseSessions{Pin: here, Session: session(1)}, TypeSessionEnded)
	if h := last[*SessionEnded](c); h.Session != session(1) || len(c.s.Sessions) != 1 {
		t.Errorf("lost %+v, left %+v", h, c.s.Sessions)
	}
}

func TestCustomerPanels(t *testing.T) {
	body := json.RawMessage(`{"blocks":[]}`)
	for _, a := range []Audience{AudienceCustomer, AudienceAgent} {
		req := tool(1, agentAuthor(1))
		req.Audience = a
		c := webActive(t).gives(req, TypeSessionRequested)
		panel := func(n uint64) ShowCustomerPanel {
			return ShowCustomerPanel{Session: session(1), Revision: n, Body: body}
		}
		if a == AudienceAgent {
			c.refuses(panel(1), ErrInvalid)
			continue
		}
		before := c.s.LastVisible[AudienceCustomer]
		c.gives(panel(2), TypeSessionCustomerPanel).gives(panel(1)).gives(panel(2)).gives(panel(3), TypeSessionCustomerPanel)
		if c.s.LastVisible[AudienceCustomer] == before || c.s.Session(session(1)).Revision != 0 {
			t.Errorf("state %+v", c.s.Session(session(1)))
		}
		c.refuses(ShowCustomerPanel{Session: session(1), Revision: 9}, ErrInvalid)
		c.refuses(ShowCustomerPanel{Session: session(2), Revision: 9, Body: body}, ErrNoSuchSession)
	}
}

// A session's notes are for those who know of the session.
func TestSessionNotes(t *testing.T) {
	c := webActive(t).gives(tool(1, agentAuthor(1)), TypeSessionRequested)
	before := c.s.LastVisible[AudienceCustomer]
	c.gives(NoteSession{Session: session(1), Body: json.RawMessage(`{"text":"PIN 1234"}`)}, TypeSessionNoted)
	if c.s.LastVisible[AudienceCustomer] != before || c.s.LastVisible[AudienceAgent] != c.s.Seq {
		t.Error("the note of an agents' tool is for agents")
	}
	c.refuses(NoteSession{Session: session(1)}, ErrInvalid).refuses(NoteSession{Session: session(2)}, ErrNoSuchSession)
	note := func(revision uint64) NoteSession {
		return NoteSession{Session: session(1), Revision: revision, Body: json.RawMessage(`{"text":"Counted."}`)}
	}
	c.gives(note(5), TypeSessionNoted).gives(note(5)).gives(note(4)).gives(note(6), TypeSessionNoted) // what is older, or known, changes nothing
	c.gives(EndSession{Session: session(1), By: agentAuthor(1)}, TypeSessionEnded)
	c.gives(note(6)).gives(note(7), TypeSessionNoted).gives(note(7)) // the tool did not know yet
	if c.s.LastVisible[AudienceCustomer] != before {
		t.Error("the note of an agents' tool that has ended is for agents")
	}
	for i := range byte(8) {
		c.gives(tool(2+i, agentAuthor(1)), TypeSessionRequested).gives(EndSession{Session: session(2 + i), By: agentAuthor(1)}, TypeSessionEnded)
	}
	c.refuses(note(8), ErrNoSuchSession) // too many have ended since
	if len(c.s.EndedTools) != 8 {
		t.Errorf("%d ended tools are kept", len(c.s.EndedTools))
	}
	c.gives(End{By: agentAuthor(1)}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted)
	c.refuses(NoteSession{Session: session(2), Body: json.RawMessage(`{}`)}, ErrEnded)
}

func TestCallCommands(t *testing.T) {
	c := webActive(t).active(1).gives(tool(2, agentAuthor(1)), TypeSessionRequested)
	cmd := CommandCall{Session: session(1), Command: message(4), What: "hold", By: agentAuthor(1)}
	c.gives(cmd, TypeSessionCommand)
	for name, change := range map[string]func(*CommandCall){
		"no command": func(c *CommandCall) { c.Command = MessageID{} },
		"no name":    func(c *CommandCall) { c.What = "" },
		"by nobody":  func(c *CommandCall) { c.By = Author{} },
		"a tool":     func(c *CommandCall) { c.Session = session(2) },
		"no leg":     func(c *CommandCall) { c.Leg = leg(1) },
	} {
		bad := cmd
		change(&bad)
		if _, err := Decide(c.s, bad, c.now); Code(err) != "invalid" {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	bad := cmd
	bad.By = agentAuthor(2)
	c.refuses(bad, ErrNotJoined)
	bad = cmd
	bad.Session = session(3)
	c.refuses(bad, ErrNoSuchSession)
	c.gives(SetLeg{Session: session(1), Leg: Leg{ID: leg(1), Party: customer, Kind: LegSIP, State: LegUp}}, TypeSessionLeg)
	cmd.Leg = leg(1)
	c.gives(cmd, TypeSessionCommand)
	c.gives(HearDigits{Session: session(1), Leg: leg(1), Body: json.RawMessage(`{"digits":"1"}`)}, TypeSessionDigits)
	c.refuses(HearDigits{Session: session(2)}, ErrInvalid).refuses(HearDigits{Session: session(3)}, ErrNoSuchSession)
	c.do(End{By: Author{Kind: System}})
	c.refuses(cmd, ErrEnded)
	// What comes late is still recorded.
	c.gives(FailCallCommand{Session: session(1), Command: message(4), What: "hold", Kind: "temporary"}, TypeSessionCommandFailed)
	c.gives(AddRecording{Session: session(1), Blob: BlobID{1}, Body: json.RawMessage(`{}`)}, TypeSessionRecorded)
	c.refuses(FailCallCommand{}, ErrInvalid).refuses(AddRecording{Session: session(1)}, ErrInvalid)
}

func TestSeveral(t *testing.T) {
	c := webActive(t)
	c.gives(Several{call(1, customer), ChangeSession{Session: session(1), State: SessionStateWaiting, Pin: here}}, TypeSessionRequested, TypeSessionChanged)
	before := c.s.Seq
	c.refuses(Several{call(2, customer), ChangeSession{Session: session(3), State: SessionStateWaiting}}, ErrNoSuchSession)
	if c.s.Seq != before || c.s.Session(session(2)) != nil {
		t.Error("a part of what was refused was done")
	}
	c.gives(Several{})
	start := Start{
		ID: conv(7), Kind: Inbound, Channel: "voice", Service: service(1), Request: request(1),
		Endpoint: Endpoint{Account: AccountID{1}, Thread: "aa"}, Body: json.RawMessage(`{}`), AssignedBody: json.RawMessage(`{}`),
	}
	events, err := Decide(&State{}, Several{start, call(1, customer)}, c.now)
	if err != nil || events[len(events)-1].Head.Type() != TypeSessionRequested || events[len(events)-1].Seq != uint64(len(events)) {
		t.Errorf("start with a call: %v, %v", events, err)
	}
}
