package hosttest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// reply begins a conversation on a thread of the staffed account, lets the agent answer, and
// returns the send command that the plugin gets.
func (h *Host) reply(t *testing.T, thread string) *pluginv1.Command {
	t.Helper()
	first := hello("begin " + thread)
	first.Account, first.Thread = h.Staffed, thread
	if got := verdict(h.Emit(t, first)); got != "committed" {
		t.Fatalf("first message: got %s, want committed", got)
	}
	h.Reply(t, thread, "an answer")
	return find(t, h.Wire, "command for "+thread, func(f *pluginv1.HostFrame) (*pluginv1.Command, bool) {
		for _, c := range f.GetCommands().GetCommands() {
			if c.GetThread() == thread && c.GetSend() != nil {
				return c, true
			}
		}
		return nil, false
	})
}

// begins sends a Begin and reports whether it was granted.
func (p *Plugin) begins(t *testing.T, seq uint64, command string) bool {
	t.Helper()
	p.mu.Lock()
	before := len(p.frames)
	p.mu.Unlock()
	if err := p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Begin{Begin: &pluginv1.Begin{Seq: seq, CommandId: command}}}); err != nil {
		t.Fatal(err)
	}
	var ack *pluginv1.BeginAck
	p.until(t, "answer to a Begin", func() bool {
		for _, f := range p.frames[before:] {
			if a := f.GetBeginAck(); a.GetCommandId() == command && a.GetSeq() == seq && a != nil {
				ack = a
			}
		}
		return ack != nil
	})
	return !ack.GetRefused()
}

// said is an event that a plugin sends about a command, and the expected answer.
type said struct {
	say  *pluginv1.Event
	want string
}

func commands(t *testing.T, h *Host) {
	p := h.Wire
	outcome := func(c *pluginv1.Command, o pluginv1.Outcome, ids ...string) *pluginv1.Event {
		ev := result(&pluginv1.Result{CommandId: c.GetCommandId(), Outcome: o, ProviderIds: ids})
		ev.Account, ev.Thread = h.Staffed, c.GetThread()
		return ev
	}
	word := func(id string, s pluginv1.MessageStatus) *pluginv1.Event {
		ev := status(&pluginv1.DeliveryStatus{ProviderId: id, Status: s})
		ev.Account = h.Staffed
		return ev
	}
	check := func(t *testing.T, list ...said) {
		t.Helper()
		for i, s := range list {
			if got := verdict(h.Emit(t, s.say)); got != s.want {
				t.Errorf("word %d: got %s, want %s", i+1, got, s.want)
			}
		}
	}
	t.Run("begin", func(t *testing.T) {
		c := h.reply(t, "begin thread")
		for what, id := range map[string]string{"nobody's command": nobody, "no id": "c", "nothing": ""} {
			if p.begins(t, c.GetSeq(), id) {
				t.Errorf("Begin of %s: granted", what)
			}
		}
		for i := range 2 {
			if !p.begins(t, c.GetSeq(), c.GetCommandId()) {
				t.Errorf("Begin %d: refused", i+1)
			}
		}
		check(t, said{outcome(c, pluginv1.Outcome_OUTCOME_SENT, "begin/1"), "committed"})
		if p.begins(t, c.GetSeq(), c.GetCommandId()) {
			t.Error("Begin after the result: granted")
		}
	})
	t.Run("result twice", func(t *testing.T) {
		c := h.reply(t, "result thread")
		p.begins(t, c.GetSeq(), c.GetCommandId())
		sent := outcome(c, pluginv1.Outcome_OUTCOME_SENT, "result/1")
		strange := outcome(c, pluginv1.Outcome_OUTCOME_SENT, "result/1")
		strange.Account = h.Account
		check(t, said{strange, "refused unknown_command"}, said{sent, "committed"}, said{sent, "committed"},
			said{outcome(c, pluginv1.Outcome_OUTCOME_FAILED), "duplicate"}, said{outcome(c, pluginv1.Outcome_OUTCOME_UNKNOWN), "duplicate"},
			said{strange, "refused unknown_command"})
	})
	t.Run("statuses in any order", func(t *testing.T) {
		c := h.reply(t, "status thread")
		p.begins(t, c.GetSeq(), c.GetCommandId())
		read, delivered, sent := word("status/1", pluginv1.MessageStatus_MESSAGE_STATUS_READ), word("status/1", pluginv1.MessageStatus_MESSAGE_STATUS_DELIVERED), word("status/1", pluginv1.MessageStatus_MESSAGE_STATUS_SENT)
		check(t, said{delivered, "committed"}, said{outcome(c, pluginv1.Outcome_OUTCOME_SENT, "status/1"), "committed"},
			said{read, "committed"}, said{delivered, "committed"}, said{sent, "committed"}, said{read, "committed"})
	})
	t.Run("status of a command", func(t *testing.T) {
		c := h.reply(t, "named thread")
		p.begins(t, c.GetSeq(), c.GetCommandId())
		named := status(&pluginv1.DeliveryStatus{ProviderId: "named/1", CommandId: c.GetCommandId(), Status: pluginv1.MessageStatus_MESSAGE_STATUS_DELIVERED})
		named.Account = h.Staffed
		strange := status(named.GetStatus())
		strange.Account = h.Account
		check(t, said{strange, "refused unknown_command"}, said{named, "committed"}, said{named, "committed"},
			said{outcome(c, pluginv1.Outcome_OUTCOME_FAILED), "duplicate"})
	})
	t.Run("deferred", func(t *testing.T) {
		ev := deferred("deferred, to be processed")
		ev.Account, ev.Thread = h.Account, "deferred thread"
		check(t, said{ev, "committed"})
		c := find(t, p, "process command", func(f *pluginv1.HostFrame) (*pluginv1.Command, bool) {
			for _, c := range f.GetCommands().GetCommands() {
				if c.GetThread() == ev.GetThread() && c.GetProcess() != nil {
					return c, true
				}
			}
			return nil, false
		})
		if got := string(c.GetProcess().GetOpaque()); got != "later" || c.GetConversation() != "" {
			t.Errorf("process command: got %q in conversation %q, want what was deferred, in none", got, c.GetConversation())
		}
		done := outcome(c, pluginv1.Outcome_OUTCOME_SENT)
		done.Account = h.Account
		check(t, said{done, "committed"}, said{done, "duplicate"})
	})
}

func (p *Plugin) subscribes(t *testing.T, s *pluginv1.Subscribe) {
	t.Helper()
	if err := p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Subscribe{Subscribe: s}}); err != nil {
		t.Fatal(err)
	}
}

// overBy waits until the host ends a subscription, and returns the code of the end.
func (p *Plugin) overBy(t *testing.T, id uint64) string {
	t.Helper()
	return find(t, p, fmt.Sprintf("end of subscription %d", id), func(f *pluginv1.HostFrame) (string, bool) {
		e := f.GetSubscriptionEnd()
		return e.GetCode(), e != nil && e.GetSubscription() == id
	})
}

func subscriptions(t *testing.T, h *Host) {
	p := h.Wire
	var id uint64 // id of the last subscription
	for name, c := range map[string]struct {
		sub  *pluginv1.Subscribe
		want string
	}{
		"nobody's account":         {&pluginv1.Subscribe{Account: nobody, Thread: "t"}, "unknown_account"},
		"no account":               {&pluginv1.Subscribe{Thread: "t"}, "unknown_account"},
		"an agent's audience":      {&pluginv1.Subscribe{Account: h.Account, Thread: "t", Audience: "agent"}, "unknown_audience"},
		"after no id":              {&pluginv1.Subscribe{Account: h.Account, Thread: "t", AfterConversation: "c"}, "invalid"},
		"thread that was no UTF-8": {&pluginv1.Subscribe{Account: h.Account, Thread: "t" + string(rune(contract.Substitute))}, "invalid"},
	} {
		id++
		t.Run(name, func(t *testing.T) {
			c.sub.Subscription, c.sub.Credit = id, 10
			p.subscribes(t, c.sub)
			if got := p.overBy(t, id); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	t.Run("an id that is in use", func(t *testing.T) {
		id++
		sub := &pluginv1.Subscribe{Subscription: id, Account: h.Account, Thread: "t", Credit: 10}
		p.subscribes(t, sub)
		p.subscribes(t, sub)
		if got := p.overBy(t, id); got != "duplicate" {
			t.Errorf("got %s, want duplicate", got)
		}
	})
	t.Run("what does not exist", func(t *testing.T) {
		for _, f := range []*pluginv1.PluginFrame{
			{Frame: &pluginv1.PluginFrame_Unsubscribe{Unsubscribe: &pluginv1.Unsubscribe{Subscription: 1 << 40}}},
			{Frame: &pluginv1.PluginFrame_RecordCredit{RecordCredit: &pluginv1.RecordCredit{Subscription: 1 << 40, Credit: 1}}},
			{},
		} {
			if err := p.send(f); err != nil {
				t.Fatal(err)
			}
		}
		ev := deferred("after frames that mean nothing")
		ev.Account = h.Account
		if got := verdict(h.Emit(t, ev)); got != "committed" {
			t.Errorf("event afterwards: got %s, want committed", got)
		}
	})
}

// sessions checks that a host ends the session of a plugin that breaks the contract. start makes a
// host for each case.
func sessions(t *testing.T, delivery pluginv1.Delivery, start func(t *testing.T, p *Plugin) *Host) {
	many := make([]*pluginv1.Event, 8*contract.EventWindow)
	for name, violate := range map[string]func(t *testing.T, h *Host){
		"more events than the window": func(t *testing.T, h *Host) {
			for i := range many {
				many[i] = deferred(fmt.Sprint("flood ", i))
				many[i].Account, many[i].Seq = h.Account, uint64(i+1)
			}
			_ = h.Wire.send(eventFrame(many...))
		},
		"a frame above the limit": func(t *testing.T, h *Host) {
			ev := message("large", text(strings.Repeat("x", contract.MaxMessageSize)))
			ev.Account, ev.Thread, ev.Seq = h.Account, "large", 1
			_ = h.Wire.send(eventFrame(ev))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlugin(t, delivery)
			h := start(t, p)
			violate(t, h)
			p.until(t, "end of the session", func() bool { return p.ended > 0 })
		})
	}
}
