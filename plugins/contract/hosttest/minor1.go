package hosttest

import (
	"math"
	"strings"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// minorOne are events of minor 1 that no conversation could take, for hosts that speak it.
func minorOne() []eventCase {
	const invalid, tooLarge, unsupported = "refused invalid", "refused too_large", "refused unsupported"
	long := strings.Repeat("x", maxField+1)
	bot := func(a *pluginv1.BotAction) *pluginv1.Event {
		return along(none, &pluginv1.Event{DedupeKey: "k", Kind: &pluginv1.Event_Bot{Bot: a}})
	}
	post := func(conversation, client string, parts ...*pluginv1.Part) *pluginv1.Event {
		return bot(&pluginv1.BotAction{Conversation: conversation, Action: &pluginv1.BotAction_Post{Post: &pluginv1.BotPost{ClientId: client, Parts: parts}}})
	}
	tool := func(s *pluginv1.ToolSession) *pluginv1.Event {
		return along(none, &pluginv1.Event{DedupeKey: "k", Kind: &pluginv1.Event_Tool{Tool: &pluginv1.ToolEvent{Session: s}}})
	}
	active := func(edit func(*pluginv1.ToolSession)) *pluginv1.ToolSession {
		s := &pluginv1.ToolSession{Session: nobody, State: pluginv1.SessionState_SESSION_STATE_ACTIVE, Revision: 1}
		edit(s)
		return s
	}
	call := func(e *pluginv1.CallEvent) *pluginv1.Event {
		return &pluginv1.Event{DedupeKey: "k", Kind: &pluginv1.Event_Call{Call: e}}
	}
	leg := func(l *pluginv1.CallLeg) *pluginv1.Event {
		return call(&pluginv1.CallEvent{Session: nobody, Event: &pluginv1.CallEvent_Leg{Leg: l}})
	}
	customer := &pluginv1.Party{Kind: "customer"}
	used := func(t *pluginv1.CustomerTool) *pluginv1.Event {
		return action("k", &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Tool{Tool: t}})
	}
	called := func(c *pluginv1.CustomerCall) *pluginv1.Event {
		return action("k", &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Call{Call: c}})
	}
	form := func(f *pluginv1.FormAnswer) *pluginv1.Event {
		return action("k", &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Form{Form: f}})
	}
	satisfied := func(s *pluginv1.Satisfaction) *pluginv1.Event {
		return action("k", &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Satisfaction{Satisfaction: s}})
	}
	sip, up := pluginv1.LegKind_LEG_KIND_SIP, pluginv1.LegState_LEG_STATE_UP
	return []eventCase{
		one("bot's post with a thread", invalid, along("t", post(nobody, "c", text("x")))),
		one("bot's post in no conversation", invalid, post("c", "c", text("x"))),
		one("bot's post without a client id", invalid, post(nobody, "", text("x"))),
		one("bot's post with a long client id", invalid, post(nobody, strings.Repeat("x", maxClientID+1), text("x"))),
		one("bot's post without parts", invalid, post(nobody, "c")),
		one("bot without an action", unsupported, bot(&pluginv1.BotAction{Conversation: nobody})),
		one("bot with a long reason", tooLarge, bot(&pluginv1.BotAction{Conversation: nobody, Action: &pluginv1.BotAction_HandOver{HandOver: &pluginv1.BotHandOver{Reason: long}}})),
		one("bot without attributes", invalid, bot(&pluginv1.BotAction{Conversation: nobody, Action: &pluginv1.BotAction_Attributes{Attributes: &pluginv1.Attributes{}}})),
		one("tool's event with a thread", invalid, along("t", tool(active(func(*pluginv1.ToolSession) {})))),
		one("tool without a session", invalid, tool(active(func(s *pluginv1.ToolSession) { s.Session = "" }))),
		one("tool without a state", invalid, tool(active(func(s *pluginv1.ToolSession) { s.State = 0 }))),
		one("tool with a long note", tooLarge, tool(active(func(s *pluginv1.ToolSession) { s.Note = long }))),
		one("large panel", tooLarge, tool(active(func(s *pluginv1.ToolSession) {
			s.Panel = &pluginv1.Panel{Blocks: `["` + strings.Repeat("x", contract.MaxPanel) + `"]`}
		}))),
		one("panel that is no array", invalid, tool(active(func(s *pluginv1.ToolSession) { s.Panel = &pluginv1.Panel{Blocks: `{"type":"text"}`} }))),
		one("customer's panel that is no JSON", invalid, tool(active(func(s *pluginv1.ToolSession) { s.CustomerPanel = &pluginv1.Panel{Blocks: `[<b>]`} }))),
		one("call without a session", invalid, call(&pluginv1.CallEvent{Event: &pluginv1.CallEvent_State{State: &pluginv1.CallState{}}})),
		one("call without an event", unsupported, call(&pluginv1.CallEvent{Session: nobody})),
		one("leg without an id", invalid, leg(&pluginv1.CallLeg{Party: customer, Kind: sip, State: up})),
		one("leg of nobody", invalid, leg(&pluginv1.CallLeg{Leg: nobody, Kind: sip, State: up})),
		one("leg without a kind", unsupported, leg(&pluginv1.CallLeg{Leg: nobody, Party: customer, State: up})),
		one("leg without a state", unsupported, leg(&pluginv1.CallLeg{Leg: nobody, Party: customer, Kind: sip})),
		one("letters for digits", invalid, call(&pluginv1.CallEvent{Session: nobody, Event: &pluginv1.CallEvent_Digits{Digits: &pluginv1.CallDigits{Leg: nobody, Digits: "five"}}})),
		one("quality out of range", invalid, call(&pluginv1.CallEvent{Session: nobody, Event: &pluginv1.CallEvent_Ended{Ended: &pluginv1.CallEnded{
			Quality: []*pluginv1.LegQuality{{Leg: nobody, Loss: math.NaN()}},
		}}})),
		one("customer's tool without an action", invalid, used(&pluginv1.CustomerTool{Session: nobody})),
		one("customer starts a session that is there", invalid, used(&pluginv1.CustomerTool{Session: nobody, Account: nobody, Action: "start"})),
		one("customer's fields that are no object", invalid, used(&pluginv1.CustomerTool{Session: nobody, Action: "send", Values: `[1]`})),
		one("customer's fields too large", tooLarge, used(&pluginv1.CustomerTool{Session: nobody, Action: "send", Values: `{"a":"` + strings.Repeat("x", contract.MaxPanel) + `"}`})),
		one("customer's call of an unknown kind", unsupported, called(&pluginv1.CustomerCall{Session: nobody, Action: "sing"})),
		one("customer's call without a session", invalid, called(&pluginv1.CustomerCall{Action: "answer"})),
		one("form with an answer, and cancelled", invalid, form(&pluginv1.FormAnswer{Session: nobody, Sealed: []byte("x"), Cancelled: true})),
		one("form with neither", invalid, form(&pluginv1.FormAnswer{Session: nobody})),
		one("form too large", tooLarge, form(&pluginv1.FormAnswer{Session: nobody, Sealed: make([]byte, 64<<10+1)})),
		one("satisfaction with no conversation's id", invalid, satisfied(&pluginv1.Satisfaction{Conversation: "c"})),
		one("receipt by sequence and by id", invalid, &pluginv1.Event{Kind: &pluginv1.Event_Receipt{Receipt: &pluginv1.Receipt{Conversation: nobody, ReadProviderId: "p"}}}),
		one("quote of a long id", tooLarge, edited(hello("k"), func(m *pluginv1.Message) { m.ReplyToProviderId = long })),
	}
}
