package wire_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

var (
	id1 = uuid.MustParse("01920000-0000-7000-8000-000000000001")
	id2 = uuid.MustParse("01920000-0000-7000-8000-000000000002")
	at1 = time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
)

type minor1Event struct {
	name string
	e    *pluginv1.Event
	want plugin.Inbound // as far as the kind goes
}

func call(e *pluginv1.CallEvent) *pluginv1.Event {
	e.Session = id1.String()
	return &pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_Call{Call: e}}
}

func bot(b *pluginv1.BotAction) *pluginv1.Event {
	b.Conversation = id1.String()
	return &pluginv1.Event{Kind: &pluginv1.Event_Bot{Bot: b}}
}

func customer(a *pluginv1.CustomerAction) *pluginv1.Event {
	e := action(a)
	e.Thread = "t"
	return e
}

func wireLeg() *pluginv1.CallLeg {
	return &pluginv1.CallLeg{
		Leg: id2.String(), Party: &pluginv1.Party{Kind: "agent", Id: id1.String(), Name: "Ana"}, Kind: pluginv1.LegKind_LEG_KIND_WEB,
		State: pluginv1.LegState_LEG_STATE_ENDED, Audio: true, Video: true, Muted: true, Cause: "busy", Code: "486",
	}
}

func coreLeg() conversation.Leg {
	return conversation.Leg{
		ID: conversation.LegID(id2), Party: conversation.Author{Kind: conversation.Agent, Agent: conversation.AgentID(id1)}, Kind: conversation.LegWeb,
		State: conversation.LegEnded, Audio: true, Video: true, Muted: true, Cause: "busy", Code: "486",
	}
}

func wireSession() *pluginv1.ToolSession {
	return &pluginv1.ToolSession{
		Session: id1.String(), State: pluginv1.SessionState_SESSION_STATE_ACTIVE, Code: "c", Revision: 3, Note: "n",
		Panel: &pluginv1.Panel{Revision: 3, Blocks: ` [{"a":1}]`}, CustomerPanel: &pluginv1.Panel{Revision: 4, Blocks: "[ ]"},
	}
}

func coreSession() *plugin.ToolSession {
	return &plugin.ToolSession{
		Session: conversation.SessionID(id1), Instance: "p.1", State: conversation.SessionStateActive, Code: "c", Revision: 3, Note: "n",
		Panel: &plugin.Panel{Revision: 3, Blocks: json.RawMessage(`[{"a":1}]`)}, CustomerPanel: &plugin.Panel{Revision: 4},
	}
}

func minor1Events() []minor1Event {
	leg, command := coreLeg(), [16]byte(id2)
	session := conversation.SessionID(id1)
	return []minor1Event{
		{"reply window", &pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_ReplyWindow{ReplyWindow: &pluginv1.ReplyWindow{Expires: at1.UnixMicro()}}},
			plugin.Inbound{ReplyWindow: &plugin.ReplyWindow{Expires: at1}}},
		{"no reply window", &pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_ReplyWindow{}}, plugin.Inbound{ReplyWindow: &plugin.ReplyWindow{}}},
		{"incoming", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Incoming{Incoming: &pluginv1.CallIncoming{
			From: &pluginv1.Address{Address: "+1", Name: "n"}, Called: "+2", Leg: wireLeg(), Locale: "de",
			Attributes: []*pluginv1.Attribute{{Name: "a", Value: "b"}},
		}}}), plugin.Inbound{Call: &plugin.CallEvent{Session: session, Incoming: &plugin.CallIncoming{
			Address: "+1", Name: "n", Called: "+2", Leg: leg, Locale: "de", Attributes: map[string]string{"a": "b"},
		}}}},
		{"leg", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Leg{Leg: wireLeg()}}),
			plugin.Inbound{Call: &plugin.CallEvent{Session: session, Leg: &leg, LegName: "Ana"}}},
		{"digits", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Digits{Digits: &pluginv1.CallDigits{Leg: id2.String(), Digits: "09*#AD"}}}),
			plugin.Inbound{Call: &plugin.CallEvent{Session: session, Digits: &plugin.CallDigits{Leg: conversation.LegID(id2), Digits: "09*#AD"}}}},
		{"played", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Played{Played: &pluginv1.CallPlayed{
			Leg: id2.String(), CommandId: id2.String(), Digits: "1", Cancelled: true,
		}}}), plugin.Inbound{Call: &plugin.CallEvent{Session: session, Played: &plugin.CallPlayed{
			Leg: conversation.LegID(id2), Command: command, Digits: "1", Cancelled: true,
		}}}},
		{"recording", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Recording{Recording: &pluginv1.CallRecording{
			File: &pluginv1.File{Blob: id2.String(), Name: "n"}, Begun: at1.UnixMicro(), DurationMs: 1500,
		}}}), plugin.Inbound{Call: &plugin.CallEvent{Session: session, Recording: &plugin.CallRecording{
			File: conversation.File{Blob: conversation.BlobID(id2), Name: "n"}, Begun: at1, Duration: 1500 * time.Millisecond,
		}}}},
		{"state", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_State{State: &pluginv1.CallState{State: pluginv1.SessionState_SESSION_STATE_WAITING}}}),
			plugin.Inbound{Call: &plugin.CallEvent{Session: session, State: conversation.SessionStateWaiting}}},
		{"ended", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Ended{Ended: &pluginv1.CallEnded{
			Cause: "no_answer", Code: "480", Quality: []*pluginv1.LegQuality{{Leg: id2.String(), Loss: .1, JitterMs: 2, RoundTripMs: 3, Mos: 4.5}},
		}}}), plugin.Inbound{Call: &plugin.CallEvent{Session: session, Ended: &plugin.CallEnded{
			Cause: "no_answer", Code: "480", Quality: []plugin.LegQuality{{
				Leg: conversation.LegID(id2), Loss: .1, Jitter: 2 * time.Millisecond, RoundTrip: 3 * time.Millisecond, MOS: 4.5,
			}},
		}}}},
		{"ended for a reason that is no name", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Ended{Ended: &pluginv1.CallEnded{Cause: "Mr Smith hung up", Code: strings.Repeat("x", 300)}}}),
			plugin.Inbound{Call: &plugin.CallEvent{Session: session, Ended: &plugin.CallEnded{Cause: conversation.CauseFailed, Code: strings.Repeat("x", 256)}}}},
		{"tool", &pluginv1.Event{Kind: &pluginv1.Event_Tool{Tool: &pluginv1.ToolEvent{Session: wireSession()}}}, plugin.Inbound{Tool: coreSession()}},
		{"tool ended", &pluginv1.Event{Kind: &pluginv1.Event_Tool{Tool: &pluginv1.ToolEvent{Session: &pluginv1.ToolSession{
			Session: id1.String(), State: pluginv1.SessionState_SESSION_STATE_ENDED, Cause: "declined",
		}}}}, plugin.Inbound{Tool: &plugin.ToolSession{Session: session, Instance: "p.1", Ended: true, Cause: "declined"}}},
		{"post", bot(&pluginv1.BotAction{Action: &pluginv1.BotAction_Post{Post: &pluginv1.BotPost{
			ClientId: "c", ReplyTo: id2.String(), Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: "a"}}}},
		}}}), plugin.Inbound{Bot: &plugin.BotAction{Conversation: conversation.ConversationID(id1), Post: &plugin.BotPost{
			ClientID: "c", ReplyTo: conversation.MessageID(id2), Parts: []conversation.Part{{Kind: conversation.PartText, Text: "a"}},
		}}}},
		{"hand over", bot(&pluginv1.BotAction{Action: &pluginv1.BotAction_HandOver{HandOver: &pluginv1.BotHandOver{Service: "s", Reason: "r"}}}),
			plugin.Inbound{Bot: &plugin.BotAction{Conversation: conversation.ConversationID(id1), HandOver: &plugin.BotHandOver{Service: "s", Reason: "r"}}}},
		{"bot's end", bot(&pluginv1.BotAction{Action: &pluginv1.BotAction_End{End: &pluginv1.BotEnd{Reason: "r"}}}),
			plugin.Inbound{Bot: &plugin.BotAction{Conversation: conversation.ConversationID(id1), End: &plugin.BotEnd{Reason: "r"}}}},
		{"bot's attributes", bot(&pluginv1.BotAction{Action: &pluginv1.BotAction_Attributes{Attributes: &pluginv1.Attributes{
			Attributes: []*pluginv1.Attribute{{Name: "a", Value: "b"}},
		}}}), plugin.Inbound{Bot: &plugin.BotAction{Conversation: conversation.ConversationID(id1), Attributes: map[string]string{"a": "b"}}}},
		{"receipt by provider's id", &pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_Receipt{Receipt: &pluginv1.Receipt{DeliveredProviderId: "a", ReadProviderId: "b"}}},
			plugin.Inbound{Receipt: &plugin.InboundReceipt{DeliveredID: "a", ReadID: "b"}}},
		{"customer's tool", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Tool{Tool: &pluginv1.CustomerTool{
			Session: id1.String(), Action: "send", Values: ` {"a":1}`, Revision: 2,
		}}}), plugin.Inbound{Action: &plugin.CustomerAction{Tool: &plugin.CustomerTool{
			Session: session, Action: "send", Values: json.RawMessage(` {"a":1}`), Revision: 2,
		}}}},
		{"customer starts a tool", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Tool{Tool: &pluginv1.CustomerTool{
			Account: id2.String(), Action: "start",
		}}}), plugin.Inbound{Action: &plugin.CustomerAction{Tool: &plugin.CustomerTool{Account: conversation.AccountID(id2), Action: "start"}}}},
		{"customer's call", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Call{Call: &pluginv1.CustomerCall{Session: id1.String(), Action: "mute"}}}),
			plugin.Inbound{Action: &plugin.CustomerAction{Call: &plugin.CustomerCall{Session: session, Action: "mute"}}}},
		{"customer calls", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Call{Call: &pluginv1.CustomerCall{Action: "start"}}}),
			plugin.Inbound{Action: &plugin.CustomerAction{Call: &plugin.CustomerCall{Action: "start"}}}},
		{"satisfaction", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Satisfaction{Satisfaction: &pluginv1.Satisfaction{
			Conversation: id1.String(), Score: -4, Comment: "c",
		}}}), plugin.Inbound{Action: &plugin.CustomerAction{Satisfaction: &plugin.Satisfaction{Conversation: conversation.ConversationID(id1), Score: -4, Comment: "c"}}}},
		{"form", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Form{Form: &pluginv1.FormAnswer{Session: id1.String(), Sealed: []byte("s")}}}),
			plugin.Inbound{Action: &plugin.CustomerAction{Form: &plugin.FormAnswer{Session: session, Sealed: []byte("s")}}}},
		{"form cancelled", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Form{Form: &pluginv1.FormAnswer{Session: id1.String(), Cancelled: true}}}),
			plugin.Inbound{Action: &plugin.CustomerAction{Form: &plugin.FormAnswer{Session: session, Cancelled: true}}}},
	}
}

// Everything of minor 1 reaches the core whole, and nothing of it is taken from a plugin of minor 0 or
// from one that did not declare it.
func TestMinor1Events(t *testing.T) {
	account := conversation.NewID[conversation.AccountID]()
	none := wire.Plugin{ID: "p", Instance: "p.1", Minor: 1}
	old := everything
	old.Minor = 0
	for _, tt := range minor1Events() {
		t.Run(tt.name, func(t *testing.T) {
			got, err := everything.ToInbound(account, tt.e)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Plugin, tt.want.Instance, tt.want.Account, tt.want.Thread = "p", "p.1", account, tt.e.GetThread()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			if _, err := old.ToInbound(account, tt.e); err == nil || wire.Code(err) != "unsupported" {
				t.Errorf("from minor 0: got %v, want unsupported", err)
			}
			_, err = none.ToInbound(account, tt.e)
			declared := tt.want.Call != nil || tt.want.Tool != nil || tt.want.Bot != nil
			if declared != (err != nil) || err != nil && wire.Code(err) != "unsupported" {
				t.Errorf("from a plugin that declared nothing: got %v", err)
			}
		})
	}
}

// What breaks a limit or a rule of the contract is refused with the code that says so.
func TestMinor1Refused(t *testing.T) {
	tool := func(change func(*pluginv1.ToolSession)) *pluginv1.Event {
		s := wireSession()
		change(s)
		return &pluginv1.Event{Kind: &pluginv1.Event_Tool{Tool: &pluginv1.ToolEvent{Session: s}}}
	}
	leg := func(change func(*pluginv1.CallLeg)) *pluginv1.Event {
		l := wireLeg()
		change(l)
		return call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Leg{Leg: l}})
	}
	customerTool := func(c *pluginv1.CustomerTool) *pluginv1.Event {
		return customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Tool{Tool: c}})
	}
	customerCall := func(c *pluginv1.CustomerCall) *pluginv1.Event {
		return customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Call{Call: c}})
	}
	form := func(f *pluginv1.FormAnswer) *pluginv1.Event {
		return customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Form{Form: f}})
	}
	quality := func(q *pluginv1.LegQuality, n int) *pluginv1.Event {
		e := &pluginv1.CallEnded{}
		for range n {
			e.Quality = append(e.Quality, q)
		}
		return call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Ended{Ended: e}})
	}
	attributes := make([]*pluginv1.Attribute, 65)
	for i := range attributes {
		attributes[i] = &pluginv1.Attribute{Name: "a"}
	}
	post := func(p *pluginv1.BotPost) *pluginv1.Event {
		return bot(&pluginv1.BotAction{Action: &pluginv1.BotAction_Post{Post: p}})
	}
	text := []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: "a"}}}}
	big := strings.Repeat("x", 5<<10)
	tests := []struct {
		name string
		e    *pluginv1.Event
		want string
	}{
		{"panel of 64 KiB and a byte", tool(func(s *pluginv1.ToolSession) { s.Panel.Blocks = `["` + strings.Repeat("x", 64<<10-3) + `"]` }), "too_large"},
		{"panel that is an object", tool(func(s *pluginv1.ToolSession) { s.Panel.Blocks = `{}` }), "invalid"},
		{"panel that is no JSON", tool(func(s *pluginv1.ToolSession) { s.CustomerPanel.Blocks = `[1,]` }), "invalid"},
		{"tool without a session", tool(func(s *pluginv1.ToolSession) { s.Session = "" }), "invalid"},
		{"tool without a state", tool(func(s *pluginv1.ToolSession) { s.State = 0 }), "invalid"},
		{"tool with a long note", tool(func(s *pluginv1.ToolSession) { s.Note = big }), "too_large"},
		{"tool on a thread", func() *pluginv1.Event {
			e := tool(func(*pluginv1.ToolSession) {})
			e.Thread = "t"
			return e
		}(), "invalid"},
		{"call without a session", &pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_Call{Call: &pluginv1.CallEvent{}}}, "invalid"},
		{"call in which nothing happens", call(&pluginv1.CallEvent{}), "unsupported"},
		{"call that is over as a state", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_State{State: &pluginv1.CallState{State: pluginv1.SessionState_SESSION_STATE_ENDED}}}), "invalid"},
		{"leg without an id", leg(func(l *pluginv1.CallLeg) { l.Leg = "" }), "invalid"},
		{"leg of an agent without an id", leg(func(l *pluginv1.CallLeg) { l.Party.Id = "" }), "invalid"},
		{"leg of nobody", leg(func(l *pluginv1.CallLeg) { l.Party = nil }), "invalid"},
		{"leg of a new kind", leg(func(l *pluginv1.CallLeg) { l.Kind = 7 }), "unsupported"},
		{"leg in a new state", leg(func(l *pluginv1.CallLeg) { l.State = 77 }), "unsupported"},
		{"wrong digits", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Digits{Digits: &pluginv1.CallDigits{Leg: id1.String(), Digits: "1E2"}}}), "invalid"},
		{"no digits", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Digits{Digits: &pluginv1.CallDigits{Leg: id1.String()}}}), "invalid"},
		{"many digits", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Digits{Digits: &pluginv1.CallDigits{Leg: id1.String(), Digits: strings.Repeat("1", 129)}}}), "too_large"},
		{"played by no command", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Played{Played: &pluginv1.CallPlayed{}}}), "invalid"},
		{"recording without a file", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Recording{Recording: &pluginv1.CallRecording{}}}), "invalid"},
		{"recording without an end", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Recording{Recording: &pluginv1.CallRecording{
			File: &pluginv1.File{Blob: id1.String()}, DurationMs: math.MaxUint64,
		}}}), "invalid"},
		{"quality that is no number", quality(&pluginv1.LegQuality{Leg: id1.String(), Loss: math.NaN()}, 1), "invalid"},
		{"quality beyond its range", quality(&pluginv1.LegQuality{Leg: id1.String(), Mos: 6}, 1), "invalid"},
		{"quality of too many legs", quality(&pluginv1.LegQuality{Leg: id1.String()}, 65), "too_large"},
		{"incoming with too many attributes", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Incoming{Incoming: &pluginv1.CallIncoming{Leg: wireLeg(), Attributes: attributes}}}), "too_large"},
		{"incoming without a leg", call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_Incoming{Incoming: &pluginv1.CallIncoming{}}}), "invalid"},
		{"bot without a conversation", &pluginv1.Event{Kind: &pluginv1.Event_Bot{Bot: &pluginv1.BotAction{Action: &pluginv1.BotAction_End{}}}}, "invalid"},
		{"bot that does nothing", bot(&pluginv1.BotAction{}), "unsupported"},
		{"post without a client id", post(&pluginv1.BotPost{Parts: text}), "invalid"},
		{"post with a long client id", post(&pluginv1.BotPost{ClientId: strings.Repeat("x", 65), Parts: text}), "invalid"},
		{"post without parts", post(&pluginv1.BotPost{ClientId: "c"}), "invalid"},
		{"bot without attributes", bot(&pluginv1.BotAction{Action: &pluginv1.BotAction_Attributes{}}), "invalid"},
		{"bot with a long reason", bot(&pluginv1.BotAction{Action: &pluginv1.BotAction_HandOver{HandOver: &pluginv1.BotHandOver{Reason: big}}}), "too_large"},
		{"receipt in both ways", &pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_Receipt{Receipt: &pluginv1.Receipt{Conversation: id1.String(), ReadProviderId: "a"}}}, "invalid"},
		{"receipt of nothing", &pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_Receipt{Receipt: &pluginv1.Receipt{}}}, "invalid"},
		{"tool's values that are a list", customerTool(&pluginv1.CustomerTool{Session: id1.String(), Action: "a", Values: "[]"}), "invalid"},
		{"tool's values that are blank", customerTool(&pluginv1.CustomerTool{Session: id1.String(), Action: "a", Values: " "}), "invalid"},
		{"tool's values of 64 KiB and a byte", customerTool(&pluginv1.CustomerTool{Session: id1.String(), Action: "a", Values: `{"a":"` + strings.Repeat("x", 64<<10) + `"}`}), "too_large"},
		{"tool without an action", customerTool(&pluginv1.CustomerTool{Session: id1.String()}), "invalid"},
		{"tool's action without a session", customerTool(&pluginv1.CustomerTool{Account: id1.String(), Action: "a"}), "invalid"},
		{"tool's start without an account", customerTool(&pluginv1.CustomerTool{Action: "start"}), "invalid"},
		{"tool's start with a session", customerTool(&pluginv1.CustomerTool{Session: id1.String(), Account: id1.String(), Action: "start"}), "invalid"},
		{"call's action that is new", customerCall(&pluginv1.CustomerCall{Session: id1.String(), Action: "dance"}), "unsupported"},
		{"call's action without a session", customerCall(&pluginv1.CustomerCall{Action: "end"}), "invalid"},
		{"call's start with a session", customerCall(&pluginv1.CustomerCall{Session: id1.String(), Action: "start"}), "invalid"},
		{"satisfaction with a very long comment", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Satisfaction{Satisfaction: &pluginv1.Satisfaction{Comment: strings.Repeat("x", 17<<10)}}}), "too_large"},
		{"satisfaction with what is no conversation", customer(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Satisfaction{Satisfaction: &pluginv1.Satisfaction{Conversation: "x"}}}), "invalid"},
		{"form of 64 KiB and a byte", form(&pluginv1.FormAnswer{Session: id1.String(), Sealed: make([]byte, 64<<10+1)}), "too_large"},
		{"form without an answer", form(&pluginv1.FormAnswer{Session: id1.String()}), "invalid"},
		{"form both answered and cancelled", form(&pluginv1.FormAnswer{Session: id1.String(), Sealed: []byte("a"), Cancelled: true}), "invalid"},
		{"form without a session", form(&pluginv1.FormAnswer{Cancelled: true}), "invalid"},
	}
	for _, tt := range tests {
		_, err := everything.ToInbound(conversation.AccountID(id1), tt.e)
		if err == nil || wire.Code(err) != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
			continue
		}
		if strings.Contains(err.Error(), "xxxx") {
			t.Errorf("%s: the error quotes what was sent: %v", tt.name, err)
		}
	}
	for _, blocks := range []string{`["` + strings.Repeat("x", 64<<10-4) + `"]`, "", "[]"} {
		if _, err := wire.ToPanel(&pluginv1.Panel{Blocks: blocks}); err != nil {
			t.Errorf("panel of %d bytes: got %v", len(blocks), err)
		}
	}
}

// Every command of minor 1 must reach the plugin with everything that the core put into it, and every
// kind of call command must be covered.
func TestCommandsDown(t *testing.T) {
	leg, other := conversation.LegID(id1), conversation.LegID(id2)
	party := plugin.Party{Who: conversation.Author{Kind: conversation.Bot, Bot: conversation.AccountID(id1)}, Name: "n"}
	calls := []plugin.CallCommand{
		{Dial: &plugin.CallDial{Leg: leg, Party: party, To: "+1", From: "+2", RingMS: 1, Video: true, Attributes: map[string]string{"a": "b"}}},
		{Invite: &plugin.CallInvite{Leg: leg, Party: party, Video: true, RingMS: 1}},
		{Ring: &plugin.CallRing{Leg: leg, EarlyMedia: true}},
		{Answer: &plugin.CallAnswer{Leg: leg}},
		{Hear: &plugin.CallHearing{Legs: []plugin.LegHears{{Leg: leg, Hears: []conversation.LegID{other}}}}},
		{Hold: &plugin.CallHold{Leg: leg, On: true, Music: conversation.BlobID(id1)}},
		{Mute: &plugin.CallMute{Leg: leg, On: true}},
		{Video: &plugin.CallVideo{Leg: leg, On: true}},
		{Digits: &plugin.CallDigits{Leg: leg, Digits: "1", ToneMS: 2}},
		{Transfer: &plugin.CallTransfer{Leg: leg, To: "+1", AttendedLeg: other}},
		{Play: &plugin.CallPlay{Leg: leg, Blobs: []conversation.BlobID{conversation.BlobID(id1)}, Prompt: "p", Loop: true, Digits: 1, EndDigit: "#", DigitsMS: 2}},
		{Stop: &plugin.CallStop{Leg: leg}},
		{Record: &plugin.CallRecord{Action: plugin.RecordPause}},
		{HangUp: &plugin.CallHangUp{Leg: leg, Cause: "c"}},
	}
	oneof := (&pluginv1.CallCommand{}).ProtoReflect().Descriptor().Oneofs().ByName("command")
	if len(calls) != oneof.Fields().Len() {
		t.Errorf("call commands: %d of %d are covered", len(calls), oneof.Fields().Len())
	}
	for i := range calls {
		calls[i].Session = conversation.SessionID(id1)
		got := wire.FromOutbound(1, &plugin.Outbound{Call: &calls[i]}).GetCall()
		f := got.ProtoReflect().WhichOneof(oneof)
		if f == nil || string(f.Name()) != calls[i].Name() || got.GetSession() != id1.String() {
			t.Errorf("call command %d: got %v, named %q", i, got, calls[i].Name())
			continue
		}
		noneEmpty(t, string(f.Name()), got.ProtoReflect().Get(f).Message())
	}
	read := wire.FromOutbound(1, &plugin.Outbound{MarkRead: &plugin.MarkReadCommand{Message: conversation.MessageID(id1), ProviderIDs: []string{"a", "b"}}})
	noneEmpty(t, "mark_read", read.GetMarkRead().ProtoReflect())
	if read.GetMarkRead().GetProviderId() != "a" {
		t.Errorf("mark_read: got %v", read)
	}
	typing := wire.FromOutbound(1, &plugin.Outbound{Typing: &plugin.TypingCommand{On: true, ProviderID: "a"}})
	noneEmpty(t, "typing", typing.GetTyping().ProtoReflect())
	if name := (&plugin.CallCommand{}).Name(); name != "" {
		t.Errorf("empty call command: named %q", name)
	}
}

// Requests to a tool and notices must be complete; a party that is nobody, or the system, is unset.
func TestToolDown(t *testing.T) {
	agent := plugin.Party{Who: conversation.Author{Kind: conversation.Agent, Agent: conversation.AgentID(id1)}, Name: "Ana"}
	session, account, conv := conversation.SessionID(id1), conversation.AccountID(id1), conversation.ConversationID(id1)
	for name, m := range map[string]proto.Message{
		"start": wire.FromToolStart(&plugin.ToolStart{
			Session: session, Account: account, Conversation: conv, Service: conversation.ServiceID(id1), By: agent, Agent: agent,
			AgentEmail: "a@x", Customer: plugin.Party{Who: conversation.Author{Kind: conversation.Customer}, Name: "n"}, Locale: "de",
			Settings: json.RawMessage("{}"), Arguments: json.RawMessage("{}"), Panels: true, Expires: at1,
		}),
		"end":    wire.FromToolEnd(session, agent, "finished"),
		"panel":  wire.FromToolPanel(session, agent),
		"act":    wire.FromToolAct(&plugin.ToolAct{Session: session, Viewer: agent, Act: id1, Action: "a", Values: json.RawMessage("{}"), Revision: 1}),
		"notice": wire.FromToolNotice(plugin.ToolNotice{Session: session, Account: account, Conversation: conv, What: "joined", Party: agent}),
		"bot":    wire.FromBotNotice(plugin.BotNotice{Account: account, Conversation: conv, Left: true, Seq: 1}),
	} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if !m.ProtoReflect().Has(f) && f.Name() != "customer" {
				t.Errorf("%s.%s is left empty", name, f.Name())
			}
		}
	}
	if p := wire.FromToolEnd(session, plugin.Party{Who: conversation.Author{Kind: conversation.System}}, "").GetBy(); p != nil {
		t.Errorf("the system as a party: got %v", p)
	}
	if p := wire.FromToolStart(&plugin.ToolStart{}).GetAgent(); p != nil {
		t.Errorf("no agent as a party: got %v", p)
	}
	dial := wire.FromOutbound(1, &plugin.Outbound{Call: &plugin.CallCommand{Dial: &plugin.CallDial{}}})
	if k := dial.GetCall().GetDial().GetParty().GetKind(); k != "outside" {
		t.Errorf("nobody known as a party: got kind %q", k)
	}
	dial = wire.FromOutbound(1, &plugin.Outbound{Call: &plugin.CallCommand{Dial: &plugin.CallDial{Party: plugin.Party{Who: conversation.Author{Kind: conversation.Outside}, Name: "Max"}}}})
	if p := dial.GetCall().GetDial().GetParty(); p.GetKind() != "outside" || p.GetId() != "" || p.GetName() != "Max" {
		t.Errorf("somebody outside as a party: got %v", p)
	}
}

func TestToolAnswers(t *testing.T) {
	acted, err := everything.ToToolActed(&pluginv1.ToolActResponse{
		Session: wireSession(), Panel: &pluginv1.Panel{Revision: 1, Blocks: "[1]"},
		Effects: []*pluginv1.Effect{
			{Effect: &pluginv1.Effect_InsertText{InsertText: "a"}}, {Effect: &pluginv1.Effect_OpenUrl{OpenUrl: "https://x/y"}},
			{Effect: &pluginv1.Effect_Toast{Toast: "t"}}, {}, {Effect: &pluginv1.Effect_End{End: true}},
		},
	})
	want := plugin.ToolAnswer{
		Session: coreSession(), Panel: &plugin.Panel{Revision: 1, Blocks: json.RawMessage("[1]")},
		Effects: []plugin.Effect{{InsertText: "a"}, {OpenURL: "https://x/y"}, {Toast: "t"}, {End: true}},
	}
	if diff := cmp.Diff(want, acted); diff != "" || err != nil {
		t.Errorf("act: %v (-want +got):\n%s", err, diff)
	}
	started, err := everything.ToToolStarted(&pluginv1.ToolStartResponse{Fault: &pluginv1.ToolFault{Code: "busy", Text: "t", RetryAfterMs: 1500}})
	if diff := cmp.Diff(plugin.ToolAnswer{Fault: &plugin.ToolFault{Code: "busy", Text: "t", RetryAfter: 1500 * time.Millisecond}}, started); diff != "" || err != nil {
		t.Errorf("fault: %v (-want +got):\n%s", err, diff)
	}
	if started, err := everything.ToToolStarted(&pluginv1.ToolStartResponse{Session: wireSession()}); err != nil || !cmp.Equal(started.Session, coreSession()) {
		t.Errorf("start: got %+v, %v", started, err)
	}
	requested := wireSession()
	requested.State = pluginv1.SessionState_SESSION_STATE_REQUESTED
	for name, m := range map[string]*pluginv1.ToolStartResponse{
		"nothing": {}, "requested": {Session: requested}, "fault without a code": {Fault: &pluginv1.ToolFault{Text: "t"}},
	} {
		if _, err := everything.ToToolStarted(m); err == nil {
			t.Errorf("start that answers with %s: got no error", name)
		}
	}
	for _, url := range []string{"javascript:alert(1)", "//x", "data:text/html,x", "https://", "%"} {
		if _, err := everything.ToToolActed(&pluginv1.ToolActResponse{Effects: []*pluginv1.Effect{{Effect: &pluginv1.Effect_OpenUrl{OpenUrl: url}}}}); err == nil {
			t.Errorf("window at %s: got no error", url)
		}
	}
	if _, err := everything.ToToolActed(&pluginv1.ToolActResponse{Effects: make([]*pluginv1.Effect, 17)}); err == nil {
		t.Error("17 effects: got no error")
	}
}

func TestTemplates(t *testing.T) {
	list := func(n int, body string) *pluginv1.TemplateList {
		l := &pluginv1.TemplateList{}
		for range n {
			l.Templates = append(l.Templates, &pluginv1.TemplateInfo{
				Name: "n", Language: "de", Category: "c", Header: "h", HeaderKind: "text", Body: body, Footer: "f", Status: "approved",
				Buttons: []*pluginv1.TemplateButton{{Kind: "url", Title: "t", Value: "v"}},
			})
		}
		return l
	}
	got, err := wire.ToTemplates(list(1, "b"))
	want := []plugin.Template{{
		Name: "n", Language: "de", Category: "c", Header: "h", HeaderKind: "text", Body: "b", Footer: "f", Status: "approved",
		Buttons: []plugin.TemplateButton{{Kind: "url", Title: "t", Value: "v"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("templates: %v (-want +got):\n%s", err, diff)
	}
	for name, l := range map[string]*pluginv1.TemplateList{
		"1001": list(1001, "b"), "a long body": list(1, strings.Repeat("x", 17<<10)), "3 MiB": list(300, strings.Repeat("x", 10<<10)),
	} {
		if _, err := wire.ToTemplates(l); err == nil || wire.Code(err) != "too_large" {
			t.Errorf("%s: got %v, want too_large", name, err)
		}
	}
	if _, err := wire.ToTemplates(&pluginv1.TemplateList{Templates: []*pluginv1.TemplateInfo{{}}}); err == nil {
		t.Error("template without a name: got no error")
	}
}

// FuzzToInbound: no event, whatever is in it, makes the conversion panic or return more than the core
// can take.
func FuzzToInbound(f *testing.F) {
	for _, tt := range minor1Events() {
		b, err := proto.Marshal(tt.e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	parts, err := proto.Marshal(&pluginv1.Event{Thread: "t", Kind: &pluginv1.Event_Message{Message: &pluginv1.Message{Parts: wire.FromParts(1, everyPart())}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(parts)
	f.Fuzz(func(t *testing.T, b []byte) {
		var e pluginv1.Event
		if proto.Unmarshal(b, &e) != nil {
			return
		}
		for _, p := range []wire.Plugin{everything, {Minor: 1}, {}} {
			in, err := p.ToInbound(conversation.AccountID(id1), &e)
			if err != nil {
				_ = wire.Code(err)
				continue
			}
			kinds := 0
			for _, set := range []bool{
				in.Message != nil, in.Result != nil, in.Status != nil, in.Receipt != nil, in.Action != nil, in.Deferred != nil,
				in.ReplyWindow != nil, in.Call != nil, in.Tool != nil, in.Bot != nil,
			} {
				if set {
					kinds++
				}
			}
			if kinds != 1 {
				t.Fatalf("event with %d kinds", kinds)
			}
			if in.Tool != nil && in.Tool.Panel != nil && len(in.Tool.Panel.Blocks) > 64<<10 {
				t.Fatal("panel over its limit")
			}
			if a := in.Action; a != nil && a.Tool != nil && a.Tool.Values != nil && !json.Valid(a.Tool.Values) {
				t.Fatal("values that are no JSON")
			}
			if m := in.Message; m != nil {
				if _, err := wire.ToParts(1, wire.FromParts(1, m.Parts)); err != nil {
					t.Fatalf("parts that do not come back: %v", err)
				}
			}
		}
	})
}

// FuzzToolAnswer: no answer of a tool makes the conversion panic.
func FuzzToolAnswer(f *testing.F) {
	b, err := proto.Marshal(&pluginv1.ToolActResponse{Session: wireSession(), Effects: []*pluginv1.Effect{{Effect: &pluginv1.Effect_OpenUrl{OpenUrl: "https://x"}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var acted pluginv1.ToolActResponse
		if proto.Unmarshal(b, &acted) == nil {
			if out, err := everything.ToToolActed(&acted); err == nil && len(out.Effects) > 16 {
				t.Fatal("effects over their limit")
			}
		}
		var started pluginv1.ToolStartResponse
		if proto.Unmarshal(b, &started) == nil {
			if out, err := everything.ToToolStarted(&started); err == nil && out.Session == nil && out.Fault == nil {
				t.Fatal("neither begun nor a fault")
			}
		}
		var list pluginv1.TemplateList
		if proto.Unmarshal(b, &list) == nil {
			_, _ = wire.ToTemplates(&list)
		}
	})
}
