package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
)

// switchboard is a floor with a call that has come in, which ana has accepted. Its conversation is the floor's.
type switchboard struct {
	*floor
	phone         directory.Account
	session       conversation.SessionID
	customer, leg conversation.LegID   // the customer's, and one of ana's
	sent          chan plugin.Outbound // commands for the plugin
	list, command string               // paths
	said          int                  // events of the call so far
}

func withCall(t *testing.T) *switchboard {
	t.Helper()
	b := &switchboard{floor: newFloor(t), sent: make(chan plugin.Outbound, 100), session: conversation.NewID[conversation.SessionID](),
		customer: conversation.NewID[conversation.LegID](), leg: conversation.NewID[conversation.LegID]()}
	b.core.PluginReady("phone", "phone-1", takingPort{got: b.sent, info: plugin.Info{
		ID: "phone", Channel: true, Capabilities: conversation.Capabilities{Calls: true},
		Calls: []string{"dial", "invite", "ring", "answer", "hear", "hold", "mute", "digits", "transfer", "play", "stop", "record", "hang_up"},
	}})
	var err error
	b.phone, err = b.dir.PutAccount(t.Context(), directory.Account{Plugin: "phone", Name: "phone", Service: b.service.ID, Enabled: true}, nil)
	b.must(t, err)
	ana := b.users["ana"].ID
	b.must(t, b.core.Ready(t.Context(), ana))
	b.conv = b.says(plugin.CallEvent{Incoming: &plugin.CallIncoming{
		Address: "+15550001111", Name: customerName, Leg: conversation.Leg{ID: b.customer, Kind: conversation.LegSIP, State: conversation.LegRinging}}})
	_, _, err = b.core.Accept(t.Context(), ana, b.offered("ana"))
	b.must(t, err)
	b.list = "/conversations/" + b.conv.String() + "/calls"
	b.command = b.list + "/" + b.session.String() + "/commands"
	return b
}

// says reports something of the call, as its plugin does.
func (b *switchboard) says(e plugin.CallEvent) conversation.ConversationID {
	b.t.Helper()
	b.said++
	e.Session = b.session
	return b.ingest(plugin.Inbound{Plugin: "phone", Instance: "phone-1", Account: b.phone.ID, Thread: "call-1", DedupeKey: fmt.Sprint("call/", b.said), Call: &e}).Conversation
}

func (b *switchboard) legIs(id conversation.LegID, who conversation.Author, s conversation.LegState) {
	b.t.Helper()
	b.says(plugin.CallEvent{Leg: &conversation.Leg{ID: id, Party: who, Kind: conversation.LegSIP, State: s, Audio: s == conversation.LegUp}})
}

// on fills a body in which %s is the customer's leg.
func (b *switchboard) on(body string) string {
	return strings.ReplaceAll(body, "%s", b.customer.String())
}

// taken returns the next command that the plugin gets, and lets it be carried out.
func (b *switchboard) taken() plugin.Outbound {
	b.t.Helper()
	for limit := time.After(20 * time.Second); ; {
		select {
		case cmd := <-b.sent:
			b.answered(cmd)
			if cmd.Call == nil || cmd.Call.Hear == nil { // nobody gives that by REST
				return cmd
			}
		case <-limit:
			b.t.Fatal("no command for the plugin")
		}
	}
}

// answered has the plugin carry out a command.
func (b *switchboard) answered(cmd plugin.Outbound) plugin.Outbound {
	b.ingest(plugin.Inbound{Plugin: "phone", Instance: "phone-1", Account: b.phone.ID, Thread: "call-1",
		Result: &plugin.CommandResult{Command: cmd.Command, Outcome: conversation.StatusSent}})
	return cmd
}

func TestCallByREST(t *testing.T) {
	b := withCall(t)
	b.want("list", b.do("ana", "GET", b.list, nil), 200, "calls.0.id", b.session.String(), "calls.0.plugin", "phone", "calls.0.state", "waiting",
		"calls.0.legs.0.id", b.customer.String(), "calls.0.legs.0.party", "customer", "calls.0.legs.0.state", "ringing", "calls.0.legs.0.kind", "sip")
	var list struct{ Calls []struct{ Commands []string } }
	b.must(t, json.Unmarshal([]byte(b.do("ana", "GET", b.list, nil).text), &list))
	if got := strings.Join(list.Calls[0].Commands, " "); got != "dial answer hold mute digits transfer play stop record hang_up" {
		t.Errorf("commands: %s", got)
	}
	answer := b.on(`{"client_id":"a","answer":{"leg":"%s"}}`)
	given := b.do("ana", "POST", b.command, answer)
	b.want("answer", given, 202)
	cmd := b.taken()
	if cmd.Call == nil || cmd.Call.Session != b.session || cmd.Call.Answer == nil || cmd.Call.Answer.Leg != b.customer ||
		conversation.MessageID(cmd.Command).String() != given.get("command") {
		t.Fatalf("the plugin got %+v, %+v", cmd, cmd.Call)
	}
	b.want("answer again", b.do("ana", "POST", b.command, answer), 202, "command", given.get("command"), "seq", given.get("seq"))
	b.want("hold what rings", b.do("ana", "POST", b.command, b.on(`{"hold":{"leg":"%s","on":true}}`)), 409, "code", "wrong_state")
	b.legIs(b.customer, conversation.Author{Kind: conversation.Customer}, conversation.LegUp)
	b.legIs(b.leg, conversation.Author{Kind: conversation.Agent, Agent: b.users["ana"].ID}, conversation.LegUp)
	b.want("list", b.do("ana", "GET", b.list, nil), 200, "calls.0.legs.0.state", "up", "calls.0.legs.0.audio", "true",
		"calls.0.legs.1.id", b.leg.String(), "calls.0.legs.1.party", "agent", "calls.0.legs.1.agent.id", b.users["ana"].ID.String(), "calls.0.legs.1.agent.name", "Agent ana")
	b.want("the retry of what has been done", b.do("ana", "POST", b.command, answer), 202, "command", given.get("command"))
	b.want("another answer", b.do("ana", "POST", b.command, strings.Replace(answer, `"a"`, `"b"`, 1)), 409, "code", "wrong_state")
	for _, c := range []struct {
		body string
		is   func(*plugin.CallCommand) bool
	}{
		{`{"hold":{"leg":"%s","on":true}}`, func(c *plugin.CallCommand) bool { return c.Hold.Leg == b.customer && c.Hold.On }},
		{`{"mute":{"leg":"%s","on":true}}`, func(c *plugin.CallCommand) bool { return c.Mute.Leg == b.customer && c.Mute.On }},
		{`{"digits":{"leg":"%s","digits":"12#","tone_ms":200}}`, func(c *plugin.CallCommand) bool {
			return *c.Digits == plugin.CallDigits{Leg: b.customer, Digits: "12#", ToneMS: 200}
		}},
		{`{"dial":{"to":"+15550002222","from":"+15550003333","ring_ms":5000}}`, func(c *plugin.CallCommand) bool {
			return c.Dial.To == "+15550002222" && c.Dial.From == "+15550003333" && c.Dial.RingMS == 5000 && !c.Dial.Leg.IsZero() && c.Dial.Party.Who.Kind == conversation.Outside
		}},
		{`{"transfer":{"leg":"%s","to":"+15550002222"}}`, func(c *plugin.CallCommand) bool {
			return *c.Transfer == plugin.CallTransfer{Leg: b.customer, To: "+15550002222"}
		}},
		{`{"transfer":{"leg":"%s","attended_leg":"` + b.leg.String() + `"}}`, func(c *plugin.CallCommand) bool {
			return *c.Transfer == plugin.CallTransfer{Leg: b.customer, AttendedLeg: b.leg}
		}},
		{`{"play":{"leg":"%s","prompt":"wait","loop":true}}`, func(c *plugin.CallCommand) bool {
			return c.Play.Leg == b.customer && c.Play.Prompt == "wait" && c.Play.Loop && len(c.Play.Blobs) == 0
		}},
		{`{"stop":{}}`, func(c *plugin.CallCommand) bool { return c.Stop.Leg.IsZero() }},
		{`{"record":{"action":"pause"}}`, func(c *plugin.CallCommand) bool { return c.Record.Action == plugin.RecordPause }},
		{`{"hang_up":{"leg":"%s"}}`, func(c *plugin.CallCommand) bool { return c.HangUp.Leg == b.customer }},
		{`{"hang_up":{}}`, func(c *plugin.CallCommand) bool {
			return c.HangUp.Leg.IsZero() && c.HangUp.Cause == conversation.CauseHangup
		}},
	} {
		b.want(c.body, b.do("ana", "POST", b.command, b.on(c.body)), 202)
		if cmd := b.taken(); cmd.Call == nil || cmd.Call.Session != b.session || !c.is(cmd.Call) {
			t.Errorf("%s: the plugin got %+v", c.body, cmd.Call)
		}
	}
	b.says(plugin.CallEvent{Ended: &plugin.CallEnded{Cause: conversation.CauseHangup}})
	b.want("after the end", b.do("ana", "POST", b.command, `{"hang_up":{}}`), 409, "code", "no_such_session")
	b.want("the retry after the end", b.do("ana", "POST", b.command, answer), 202, "command", given.get("command"))
	if got := b.do("ana", "GET", b.list, nil); !strings.Contains(got.text, `"calls":[]`) {
		t.Errorf("calls after the end: %s", got.text)
	}
}

// What contradicts itself, is out of bounds or cannot be done is refused by a code, and nothing of it is recorded.
func TestCallFaultsByREST(t *testing.T) {
	b := withCall(t)
	b.legIs(b.customer, conversation.Author{Kind: conversation.Customer}, conversation.LegUp)
	none := conversation.NewID[conversation.LegID]().String()
	long := strings.Repeat("1", 300)
	b.eventsSince()
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"no command":              {`{}`, 422, "invalid"},
		"two commands":            {`{"stop":{},"hang_up":{}}`, 422, "invalid"},
		"an unknown command":      {`{"hear":{"legs":[]}}`, 422, "invalid"},
		"a command of ours":       {`{"invite":{"leg":"%s"}}`, 422, "invalid"},
		"no JSON":                 {`{"hang_up":`, 400, "malformed"},
		"no leg":                  {`{"hold":{"on":true}}`, 422, "invalid"},
		"a leg that is no id":     {`{"hold":{"leg":"x","on":true}}`, 422, "invalid"},
		"a zero leg":              {`{"hold":{"leg":"00000000-0000-0000-0000-000000000000","on":true}}`, 422, "invalid"},
		"a leg that is not there": {`{"hold":{"leg":"` + none + `","on":true}}`, 409, "no_such_leg"},
		"digits that are none":    {`{"digits":{"leg":"%s","digits":"12x"}}`, 422, "invalid"},
		"no digits":               {`{"digits":{"leg":"%s","digits":""}}`, 422, "invalid"},
		"many digits":             {`{"digits":{"leg":"%s","digits":"` + long + `"}}`, 422, "invalid"},
		"a line break":            {`{"dial":{"to":"sip:a@b.example\r\nX: y"}}`, 422, "invalid"},
		"a line break, caller id": {`{"dial":{"to":"+1","from":"+1\nX"}}`, 422, "invalid"},
		"a control character":     {`{"play":{"prompt":"hello\u0007"}}`, 422, "invalid"},
		"a long number":           {`{"dial":{"to":"` + long + `"}}`, 422, "invalid"},
		"a leg of the caller's":   {`{"dial":{"to":"+1","leg":"` + none + `"}}`, 422, "invalid"},
		"files to play":           {`{"play":{"blobs":["` + none + `"]}}`, 422, "invalid"},
		"transfer to nobody":      {`{"transfer":{"leg":"%s"}}`, 422, "invalid"},
		"transfer to two":         {`{"transfer":{"leg":"%s","to":"+1","attended_leg":"` + none + `"}}`, 422, "invalid"},
		"transfer to itself":      {`{"transfer":{"leg":"%s","attended_leg":"%s"}}`, 409, "wrong_state"},
		"no action":               {`{"record":{"action":"erase"}}`, 422, "invalid"},
		"not supported":           {`{"video":{"leg":"%s","on":true}}`, 422, "unsupported"},
		"answer what is up":       {`{"answer":{"leg":"%s"}}`, 409, "wrong_state"},
		"take back what is up":    {`{"hold":{"leg":"%s","on":false}}`, 409, "wrong_state"},
		"a long client id":        {`{"client_id":"` + long + `","hang_up":{}}`, 422, "invalid"},
		"a large body":            {`{"client_id":"` + strings.Repeat("1", 20<<10) + `"}`, 413, "too_large"},
	} {
		b.want(name, b.do("ana", "POST", b.command, b.on(c.body)), c.status, "code", c.code)
	}
	unknown := b.list + "/" + none + "/commands"
	b.want("no such call", b.do("ana", "POST", unknown, `{"hang_up":{}}`), 409, "code", "no_such_session")
	b.want("no id of a call", b.do("ana", "POST", b.list+"/x/commands", `{"hang_up":{}}`), 422, "code", "invalid")
	if n := b.eventsSince(); n > 0 || len(b.sent) > 0 {
		t.Errorf("%d events, %d commands after refusals", n, len(b.sent))
	}
	b.core.PluginGone("phone", "phone-1")
	got := b.do("ana", "POST", b.command, `{"hang_up":{}}`)
	if code := got.get("code"); code != "unavailable" && code != "no_such_session" { // as long as the call is not recorded as lost
		t.Errorf("without the plugin: %d %s", got.status, got.text)
	}
}

// Who takes no part learns of no call. Agents see a supervisor's leg as far as they may know of the supervisor,
// and neither those who only look nor other agents command.
func TestCallIsForWhoTakesPart(t *testing.T) {
	b := withCall(t)
	b.legIs(b.customer, conversation.Author{Kind: conversation.Customer}, conversation.LegUp)
	for _, login := range []string{"ben", "cem", "otto", "sue", "adam"} {
		code := "not_found"
		if login == "sue" || login == "adam" {
			code = "not_joined"
		}
		for _, got := range []answer{b.do(login, "GET", b.list, nil), b.do(login, "POST", b.command, `{"hang_up":{}}`)} {
			b.want(login, got, statusOf[code], "code", code)
			if strings.Contains(got.text, b.customer.String()) {
				t.Errorf("%s learns of the call: %s", login, got.text)
			}
		}
	}
	sue := b.users["sue"].ID
	b.must(t, b.core.AgentConnected(t.Context(), sue))
	hers := conversation.NewID[conversation.LegID]()
	supervise := func(mode conversation.Mode) {
		t.Helper()
		_, err := b.core.Supervise(t.Context(), sue, b.conv, mode)
		b.must(t, err)
	}
	sees := func(login string) bool {
		t.Helper()
		got := b.do(login, "GET", b.list, nil)
		b.want(login+" lists", got, 200, "calls.0.legs.0.id", b.customer.String())
		return strings.Contains(got.text, hers.String()) || strings.Contains(got.text, sue.String())
	}
	holdHers := `{"hold":{"leg":"` + hers.String() + `","on":true}}`
	supervise(conversation.ModeMonitor)
	b.legIs(hers, conversation.Author{Kind: conversation.Supervisor, Agent: sue}, conversation.LegUp)
	if sees("ana") || !sees("sue") {
		t.Error("ana sees the leg of a supervisor who monitors, or the supervisor does not see it")
	}
	b.want("ana holds what she may not know of", b.do("ana", "POST", b.command, holdHers), 409, "code", "no_such_leg")
	b.want("who monitors has no commands", b.do("sue", "GET", b.list, nil), 200, "calls.0.commands.0", "")
	b.want("who monitors commands", b.do("sue", "POST", b.command, `{"hang_up":{}}`), 409, "code", "not_joined")
	supervise(conversation.ModeCoach)
	b.legIs(hers, conversation.Author{Kind: conversation.Supervisor, Agent: sue}, conversation.LegHeld)
	if !sees("ana") {
		t.Error("ana does not see the leg of a supervisor who coaches")
	}
	b.want("ana holds a supervisor's leg", b.do("ana", "POST", b.command, strings.Replace(holdHers, "true", "false", 1)), 403, "code", "denied")
	b.want("who coaches commands", b.do("sue", "POST", b.command, `{"hang_up":{}}`), 409, "code", "not_joined")
	for len(b.sent) > 0 {
		if cmd := b.answered(<-b.sent); cmd.Call == nil || cmd.Call.Hear == nil { // who hears whom follows from the modes
			t.Fatalf("the plugin got %+v", cmd)
		}
	}
	supervise(conversation.ModeBarge)
	b.want("who has barged in commands", b.do("sue", "POST", b.command, b.on(`{"mute":{"leg":"%s","on":true}}`)), 202)
	if cmd := b.taken(); cmd.Call == nil || cmd.Call.Mute == nil {
		t.Errorf("the plugin got %+v", cmd.Call)
	}
	b.want("the same client id, of another person, is another command", b.do("ana", "POST", b.command, `{"client_id":"x","stop":{}}`), 202)
	b.want("the same client id, of another person, is another command", b.do("sue", "POST", b.command, `{"client_id":"x","stop":{}}`), 202)
	if one, two := b.taken(), b.taken(); one.Command == two.Command {
		t.Error("one command of two")
	}
}
