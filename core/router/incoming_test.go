package router_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
)

var theCall = conversation.SessionID{0x55, 15: 9}

// callBubble is a bubble with a plugin that has calls.
type callBubble struct {
	*bubble
	phone, other conversation.AccountID // accounts of it
	sue          conversation.AgentID   // a supervisor
	port         *port
}

func withPhone(t *testing.T, test func(t *testing.T, b *callBubble)) {
	t.Helper()
	w := newWorld(t, nil)
	acc, err := w.dir.PutAccount(t.Context(), directory.Account{Plugin: "phone", Name: "phone", Service: w.service.ID, Enabled: true}, nil)
	must(t, err)
	other, err := w.dir.PutAccount(t.Context(), directory.Account{Plugin: "phone", Name: "other", Service: w.service.ID, Enabled: true}, nil)
	must(t, err)
	sue, err := w.dir.PutUser(t.Context(), directory.User{Login: "sue", Name: "Sue", Role: directory.RoleSupervisor})
	must(t, err)
	w.inBubble(t, func(t *testing.T, in *bubble) {
		b := &callBubble{in, acc.ID, other.ID, sue.ID, newPort(plugin.Info{ID: "phone", Channel: true, Capabilities: conversation.Capabilities{Calls: true}, Calls: []string{"hear", "hang_up"}})}
		b.r.PluginReady("phone", "phone-1", b.port)
		test(t, b)
	})
}

func (b *callBubble) says(key string, e plugin.CallEvent) plugin.Ack {
	if e.Session.IsZero() {
		e.Session = theCall
	}
	ack := ingest(b.r, plugin.Inbound{Plugin: "phone", Instance: "phone-1", Account: b.phone, Thread: "call-1", DedupeKey: key, Call: &e})
	synctest.Wait()
	return ack
}

func (b *callBubble) rings() conversation.ConversationID {
	b.t.Helper()
	ack := b.says("in", plugin.CallEvent{Incoming: &plugin.CallIncoming{
		Address: "+15550001111", Name: "Cora", Called: "+15559990000", Leg: conversation.Leg{ID: conversation.LegID{1}, Kind: conversation.LegSIP, State: conversation.LegRinging}}})
	if ack.Status != plugin.Committed || ack.Conversation.IsZero() {
		b.t.Fatalf("the call that came in: %+v", ack)
	}
	return ack.Conversation
}

func (b *callBubble) state(conv conversation.ConversationID) conversation.State {
	b.t.Helper()
	info, err := b.r.Info(b.t.Context(), conv)
	must(b.t, err)
	return info.State
}

func TestCallFromStartToEnd(t *testing.T) {
	withPhone(t, func(t *testing.T, b *callBubble) {
		ana := b.ready("ana")
		conv := b.rings()
		if b.rings() != conv {
			t.Error("the repeat of a call that came in is another conversation")
		}
		info, err := b.r.Info(t.Context(), conv)
		must(t, err)
		if x := info.State.Session(theCall); x == nil || x.State != conversation.SessionStateWaiting || x.Pin != (conversation.Pin{Node: "n1", Instance: "phone-1"}) || len(x.Legs) != 1 {
			t.Fatalf("call %+v", x)
		}
		if info.Started.Address != "+15550001111" || info.Started.Attributes["called"] != "+15559990000" {
			t.Errorf("started %+v", info.Started)
		}
		_, _, err = b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
		must(t, err)
		leg := conversation.Leg{ID: conversation.LegID{1}, Party: conversation.Author{Kind: conversation.Customer}, Kind: conversation.LegSIP, State: conversation.LegUp}
		for key, e := range map[string]plugin.CallEvent{"leg": {Leg: &leg, LegName: "Cora"}, "active": {State: conversation.SessionStateActive}, "digits": {Digits: &plugin.CallDigits{Leg: leg.ID, Digits: "12#"}}} {
			if ack := b.says(key, e); ack.Status != plugin.Committed || ack.Conversation != conv || ack.Seq == 0 {
				t.Errorf("%s: %+v", key, ack)
			}
			if ack := b.says(key, e); ack.Seq != 0 && ack.Status != plugin.Duplicate { // what changes nothing has no event
				t.Errorf("%s again: %+v", key, ack)
			}
		}
		n := 0
		for _, typ := range types(t, b.r, conv) {
			if typ == string(conversation.TypeSessionDigits) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d events of digits, want one", n)
		}
		b.after(3 * time.Hour)
		if s := b.state(conv); !s.CallActive() || s.Display() != conversation.DisplayActive || s.Session(theCall).Legs[0].State != conversation.LegUp {
			t.Errorf("in the call: %+v", s.Sessions)
		}
		for want, e := range map[string]plugin.CallEvent{
			"unknown_session": {Session: conversation.SessionID{7}, State: conversation.SessionStateActive},
			"invalid":         {Digits: &plugin.CallDigits{Digits: "12x"}},
		} {
			if ack := b.says("", e); ack.Status != plugin.Refused || ack.Code != want {
				t.Errorf("got %+v, want refused %s", ack, want)
			}
		}
		if ack := b.says("end", plugin.CallEvent{Ended: &plugin.CallEnded{Cause: conversation.CauseHangup, Code: "16"}}); ack.Status != plugin.Committed || ack.Seq == 0 {
			t.Errorf("end: %+v", ack)
		}
		if ack := b.says("late", plugin.CallEvent{State: conversation.SessionStateActive}); ack.Status != plugin.Committed || ack.Seq != 0 || ack.Conversation != conv {
			t.Errorf("after the end: %+v", ack)
		}
		_, err = b.r.Leave(t.Context(), ana, conv, false)
		must(t, err)
		if ack := b.says("later", plugin.CallEvent{State: conversation.SessionStateActive}); ack.Status != plugin.Committed || ack.Conversation != conv {
			t.Errorf("after the conversation: %+v", ack)
		}
		if ack := b.says("other", plugin.CallEvent{Session: conversation.SessionID{7}, State: conversation.SessionStateActive}); ack.Status != plugin.Refused || ack.Code != "unknown_session" {
			t.Errorf("a call that never was: %+v", ack)
		}
	})
}

// A20: when a call ends, the conversation of an agent who is gone is handed on.
func TestCallEndsWithoutItsAgent(t *testing.T) {
	for name, goes := range map[string]func(*callBubble, conversation.AgentID){
		"connection lost": func(b *callBubble, ana conversation.AgentID) { b.r.AgentDisconnected(ana) },
		"logged out":      func(b *callBubble, ana conversation.AgentID) { must(b.t, b.r.Logout(b.t.Context(), ana)) },
	} {
		withPhone(t, func(t *testing.T, b *callBubble) {
			ana := b.ready("ana")
			conv := b.rings()
			_, _, err := b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
			must(t, err)
			b.says("active", plugin.CallEvent{State: conversation.SessionStateActive})
			goes(b, ana)
			b.after(10 * time.Minute)
			if s := b.state(conv); !s.JoinedAgent(ana) {
				t.Errorf("%s, in the call: conversation %s, want it the agent's", name, s.Display())
			}
			b.says("end", plugin.CallEvent{Ended: &plugin.CallEnded{Cause: conversation.CauseHangup}})
			b.after(2 * time.Second)
			if s := b.state(conv); s.JoinedAgent(ana) {
				t.Errorf("%s, after the call: conversation %s, want it handed on", name, s.Display())
			}
		})
	}
}

// A plugin that dies loses its calls, and the conversation goes on.
func TestCallPluginDies(t *testing.T) {
	withPhone(t, func(t *testing.T, b *callBubble) {
		ana := b.ready("ana")
		conv := b.rings()
		_, _, err := b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
		must(t, err)
		b.says("active", plugin.CallEvent{State: conversation.SessionStateActive})
		b.r.PluginGone("phone", "phone-1")
		b.after(time.Second)
		s := b.state(conv)
		if len(s.Sessions) != 0 || s.Display() != conversation.DisplayActive {
			t.Errorf("live %+v, conversation %s", s.Sessions, s.Display())
		}
		all := types(t, b.r, conv)
		if all[len(all)-1] != string(conversation.TypeSessionEnded) {
			t.Errorf("events %q", all)
		}
	})
}

// The ids of calls are made by plugins: an account that gives one to a second call is refused, on every thread
// and whether or not the first call has ended, and another account may use it as well.
func TestCallIDInUse(t *testing.T) {
	withPhone(t, func(t *testing.T, b *callBubble) {
		in := func(account conversation.AccountID, thread, key string) plugin.Ack {
			ack := ingest(b.r, plugin.Inbound{Plugin: "phone", Instance: "phone-1", Account: account, Thread: thread, DedupeKey: key, Call: &plugin.CallEvent{Session: theCall,
				Incoming: &plugin.CallIncoming{Address: "+15550001111", Leg: conversation.Leg{ID: conversation.LegID{1}, Kind: conversation.LegSIP, State: conversation.LegRinging}}}})
			synctest.Wait()
			return ack
		}
		conv := b.rings()
		refused := func(when, thread, key string) {
			t.Helper()
			if ack := in(b.phone, thread, key); ack.Status != plugin.Refused || ack.Code != "invalid" {
				t.Errorf("%s: %+v, want refused invalid", when, ack)
			}
		}
		refused("a new thread", "call-2", "in-2")
		second := in(b.other, "call-1", "in")
		if second.Status != plugin.Committed || second.Conversation == conv {
			t.Fatalf("another account's call: %+v", second)
		}
		if ack := b.says("end", plugin.CallEvent{Ended: &plugin.CallEnded{}}); ack.Conversation != conv {
			t.Errorf("end: %+v", ack)
		}
		if s := b.state(second.Conversation); s.Session(theCall) == nil {
			t.Error("the end of one account's call ended the other's")
		}
		refused("an ended call's id on its own thread", "call-1", "in-3")
		refused("an ended call's id on a new thread", "call-3", "in-4")
		if ack := in(b.phone, "call-1", "in"); ack.Status != plugin.Duplicate || ack.Conversation != conv {
			t.Errorf("the repeat of the first: %+v, want a duplicate", ack)
		}
		// The other account's call is still known by its own key: the process that has it may die.
		b.r.PluginGone("phone", "phone-1")
		b.after(time.Second)
		if s := b.state(second.Conversation); s.Session(theCall) != nil {
			t.Error("the other account's call is not lost with its plugin")
		}
	})
}

// What a customer does in a call is carried out or refused with the code that the contract gives, and a repeat
// is a duplicate (C6).
func TestCustomerUsesCall(t *testing.T) {
	withPhone(t, func(t *testing.T, b *callBubble) {
		conv := b.rings()
		act := func(key string, c plugin.CustomerCall) plugin.Ack {
			ack := ingest(b.r, plugin.Inbound{Plugin: "phone", Instance: "phone-1", Account: b.phone, Thread: "call-1", DedupeKey: key, Action: &plugin.CustomerAction{Call: &c}})
			synctest.Wait()
			return ack
		}
		for name, c := range map[string]struct {
			call plugin.CustomerCall
			want string
		}{
			"begins one":           {plugin.CustomerCall{Action: "start"}, "unsupported"},
			"answers":              {plugin.CustomerCall{Session: theCall, Action: "answer"}, "unsupported"},
			"mutes":                {plugin.CustomerCall{Session: theCall, Action: "mute"}, "unsupported"},
			"declines the own one": {plugin.CustomerCall{Session: theCall, Action: "decline"}, "denied"},
			"ends another":         {plugin.CustomerCall{Session: conversation.SessionID{7}, Action: "end"}, "no_such_session"},
			"mutes another":        {plugin.CustomerCall{Session: conversation.SessionID{7}, Action: "mute"}, "no_such_session"},
		} {
			for range 2 {
				if ack := act(name, c.call); ack.Status != plugin.Refused || ack.Code != c.want {
					t.Errorf("%s: %+v, want refused %s", name, ack, c.want)
				}
			}
		}
		if ack := act("end", plugin.CustomerCall{Session: theCall, Action: "end"}); ack.Status != plugin.Committed || ack.Conversation != conv || ack.Seq == 0 {
			t.Errorf("end: %+v", ack)
		}
		if ack := act("end", plugin.CustomerCall{Session: theCall, Action: "end"}); ack.Status != plugin.Duplicate || ack.Conversation != conv {
			t.Errorf("end again: %+v", ack)
		}
		if ack := act("end 2", plugin.CustomerCall{Session: theCall, Action: "end"}); ack.Status != plugin.Refused || ack.Code != "no_such_session" {
			t.Errorf("end of what is over: %+v", ack)
		}
		s := b.state(conv)
		if len(s.Sessions) != 0 || s.Phase != conversation.PhaseOpen {
			t.Errorf("after the end: %+v, %s", s.Sessions, s.Phase)
		}
		// A call that our side began, and that the customer does not take.
		b.wrote(conv, string(conversation.TypeSessionRequested), `{"session":"55000000-0000-7000-8000-000000000002","kind":"call","plugin":"phone","by":{"kind":"system"},"audience":"customer"}`, nil)
		b.wrote(conv, string(conversation.TypeSessionRequested), `{"session":"55000000-0000-7000-8000-000000000003","kind":"call","plugin":"phone","by":{"kind":"system"},"audience":"agent"}`, nil)
		b.after(time.Second)
		ours := conversation.SessionID{0x55, 6: 0x70, 8: 0x80, 15: 2}
		if ack := act("secret", plugin.CustomerCall{Session: conversation.SessionID{0x55, 6: 0x70, 8: 0x80, 15: 3}, Action: "end"}); ack.Code != "no_such_session" {
			t.Errorf("the end of a call that the customer does not know of: %+v", ack)
		}
		if ack := act("decline", plugin.CustomerCall{Session: ours, Action: "decline"}); ack.Status != plugin.Committed {
			t.Errorf("decline: %+v", ack)
		}
		if s := b.state(conv); s.Session(ours) != nil {
			t.Error("a declined call goes on")
		}
		if ack := ingest(b.r, plugin.Inbound{Plugin: "phone", Account: b.phone, Thread: "nobody", DedupeKey: "x", Action: &plugin.CustomerAction{Call: &plugin.CustomerCall{Action: "start"}}}); ack.Status != plugin.Refused || ack.Code != "ended" {
			t.Errorf("without a conversation: %+v", ack)
		}
	})
}
