package pluginhost_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// able is a plugin that declares everything of minor 1.
func able() *pluginv1.DescribeResponse {
	return &pluginv1.DescribeResponse{
		Id: "test", Minor: 1, Tool: &pluginv1.ToolInfo{Title: "t"}, Bot: &pluginv1.BotInfo{Name: "b"},
		Calls:     &pluginv1.CallInfo{Commands: []string{"dial", "hang_up"}},
		Abilities: []string{contract.AbilityMarkRead, contract.AbilityTyping, contract.AbilityTemplates},
	}
}

// A plugin counts as frozen after the silence that it declared, within the host's bounds.
func TestSessionSilence(t *testing.T) {
	for declared, want := range map[uint32]time.Duration{
		1: 1150 * time.Millisecond, 1500: 1150 * time.Millisecond, 5000: 4650 * time.Millisecond, 3600000: 29650 * time.Millisecond,
	} {
		d := able()
		d.Name, d.SilenceMs = "silent", declared
		inSession(t, d, nil, func(t *testing.T, _ *fakeCore, s *pluginhost.TestSession, _ *peer) {
			start := time.Now()
			<-s.Done()
			if took := time.Since(start); took != want || !errors.Is(s.Cause(), pluginhost.ErrUnresponsive) {
				t.Errorf("silence of %d ms: got %v after %v, want unresponsive after %v", declared, s.Cause(), took, want)
			}
		})
	}
}

// Commands of minor 1 reach a plugin that declared them; to another they fail and are not sent.
func TestSessionMinor1Commands(t *testing.T) {
	a := newAccount()
	leg := conversation.NewID[conversation.LegID]()
	read := plugin.Outbound{Command: uuid.New(), Account: a, MarkRead: &plugin.MarkReadCommand{ProviderIDs: []string{"p"}}}
	dial := plugin.Outbound{Command: uuid.New(), Account: a, Call: &plugin.CallCommand{Dial: &plugin.CallDial{Leg: leg}}}
	hold := plugin.Outbound{Command: uuid.New(), Account: a, Call: &plugin.CallCommand{Hold: &plugin.CallHold{Leg: leg}}}
	empty := plugin.Outbound{Command: uuid.New(), Account: a, Call: &plugin.CallCommand{}}
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		for _, o := range []plugin.Outbound{read, dial} {
			s.Port().Offer(o)
			if got := p.next().GetCommands().GetCommands(); len(got) != 1 || got[0].GetCommandId() != uuid.UUID(o.Command).String() {
				t.Errorf("command: got %v", got)
			}
		}
		for _, o := range []plugin.Outbound{hold, empty} {
			s.Port().Offer(o)
			p.none()
			if got := core.results[o.Command]; len(got) != 1 || got[0].Code != "unsupported" {
				t.Errorf("call command that the plugin does not take: got %+v", got)
			}
		}
	})
	captioned := plugin.Outbound{Command: uuid.New(), Account: a, Send: &plugin.SendCommand{To: "+1", Parts: []conversation.Part{
		{Kind: conversation.PartFile, File: &conversation.File{Caption: "c"}},
	}}}
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		for _, o := range []plugin.Outbound{read, dial, captioned} {
			if !s.Port().Offer(o) {
				t.Fatal("command was refused, want it taken and failed")
			}
			p.none()
			if got := core.results[o.Command]; len(got) != 1 || got[0].Code != "unsupported" {
				t.Errorf("command of minor 1 to minor 0: got %+v", got)
			}
		}
		if s.Port().Offer(plugin.Outbound{Command: uuid.New(), Account: a, Typing: &plugin.TypingCommand{}}) {
			t.Error("typing to minor 0: got taken")
		}
	})
	nothing := able()
	nothing.Delivery = pluginv1.Delivery_DELIVERY_NONE
	inSession(t, nothing, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		o := outbound(a)
		s.Port().Offer(o)
		p.none()
		if got := core.results[o.Command]; len(got) != 1 || got[0].Code != "unsupported" {
			t.Errorf("message to what is no channel: got %+v", got)
		}
	})
}

// Typing takes no place of other commands, and its Result concerns nobody.
func TestSessionTyping(t *testing.T) {
	a := newAccount()
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		for range 3 * contract.AccountWindow {
			if !s.Port().Offer(plugin.Outbound{Command: uuid.New(), Account: a, Thread: "t", Typing: &plugin.TypingCommand{On: true}}) {
				t.Fatal("typing was dropped though the plugin keeps up")
			}
			got := p.next().GetCommands().GetCommands()
			if len(got) != 1 || !got[0].GetTyping().GetOn() || got[0].GetSeq() == 0 {
				t.Fatalf("typing: got %v", got)
			}
			p.event(a, result(uuid.MustParse(got[0].GetCommandId()), pluginv1.Outcome_OUTCOME_SENT))
			if ack := p.ack(); ack.GetStatus() != pluginv1.AckStatus_ACK_STATUS_COMMITTED {
				t.Fatalf("result of typing: got %v", ack)
			}
		}
		core.mu.Lock()
		if len(core.results) != 0 {
			t.Errorf("results at the core: got %d, want none", len(core.results))
		}
		core.mu.Unlock()
		taken := 0
		for range 1000 {
			if s.Port().Offer(plugin.Outbound{Command: uuid.New(), Account: a, Typing: &plugin.TypingCommand{}}) {
				taken++
			}
		}
		if taken != 256 {
			t.Errorf("typing for a plugin that does not answer: %d taken, want 256", taken)
		}
		if begun, unbegun := s.Unsettled(t.Context()); len(begun)+len(unbegun) != 0 {
			t.Errorf("under way: got %d commands, want none", len(begun)+len(unbegun))
		}
	})
}

// A generation that is being drained takes commands only for the calls that it holds.
func TestSessionDraining(t *testing.T) {
	a := newAccount()
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, _ *fakeCore, s *pluginhost.TestSession, p *peer) {
		s.StopCommands()
		if s.Port().Offer(outbound(a)) {
			t.Error("message while draining: got taken")
		}
		if !s.Port().Offer(plugin.Outbound{Command: uuid.New(), Account: a, Call: &plugin.CallCommand{HangUp: &plugin.CallHangUp{}}}) {
			t.Error("call command while draining: got refused")
		}
		if got := p.next().GetCommands().GetCommands(); len(got) != 1 || got[0].GetCall().GetHangUp() == nil {
			t.Errorf("call command while draining: got %v", got)
		}
	})
}

// Notices reach bots and tools, and nobody else.
func TestSessionNotices(t *testing.T) {
	a, conv := newAccount(), conversation.NewID[conversation.ConversationID]()
	notice := plugin.BotNotice{Account: a, Conversation: conv, Seq: 4}
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, _ *fakeCore, s *pluginhost.TestSession, p *peer) {
		if !s.Port().NoticeBot(notice) {
			t.Error("notice for a bot: got refused")
		}
		if got := p.next().GetBotNotices().GetNotices(); len(got) != 1 || got[0].GetConversation() != conv.String() || got[0].GetSeq() != 4 {
			t.Errorf("notice for a bot: got %v", got)
		}
		s.NoticeTool(plugin.ToolNotice{Account: a, Conversation: conv, What: "joined"})
		if got := p.next().GetToolNotices().GetNotices(); len(got) != 1 || got[0].GetWhat() != "joined" {
			t.Errorf("notice for a tool: got %v", got)
		}
		s.Cut()
		if s.Port().NoticeBot(notice) {
			t.Error("notice for a generation that is gone: got taken")
		}
	})
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, _ *fakeCore, s *pluginhost.TestSession, p *peer) {
		s.NoticeTool(plugin.ToolNotice{What: "joined"})
		if s.Port().NoticeBot(notice) {
			t.Error("notice for what is no bot: got taken")
		}
		p.none()
	})
}

// A notice that found no room is announced when there is room, although no command was refused.
func TestSessionNoticesFull(t *testing.T) {
	a, conv := newAccount(), conversation.NewID[conversation.ConversationID]()
	notice := plugin.BotNotice{Account: a, Conversation: conv, Seq: 4}
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		synctest.Wait() // the writer has nothing to do
		left := s.FillNotices(notice)
		if s.Port().NoticeBot(notice) {
			t.Error("a notice beyond the bound was taken")
		}
		s.NoticeTool(plugin.ToolNotice{Account: a, Conversation: conv, What: "joined"}) // wakes the writer
		for left > 0 {
			left -= len(p.next().GetBotNotices().GetNotices())
		}
		synctest.Wait()
		core.mu.Lock()
		defer core.mu.Unlock()
		if core.rooms != 1 {
			t.Errorf("the core was told of room %d times, want once", core.rooms)
		}
	})
}

// Templates of own accounts reach the core; a list that breaks a limit leaves the earlier one.
func TestSessionTemplates(t *testing.T) {
	a := newAccount()
	send := func(p *peer, account conversation.AccountID, n int) {
		l := &pluginv1.TemplateList{Account: account.String()}
		for range n {
			l.Templates = append(l.Templates, &pluginv1.TemplateInfo{Name: "n", Status: "approved"})
		}
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_TemplateLists{TemplateLists: &pluginv1.TemplateLists{Lists: []*pluginv1.TemplateList{l}}}})
		synctest.Wait()
	}
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, _ *pluginhost.TestSession, p *peer) {
		send(p, a, 2)
		send(p, a, 1001)
		send(p, newAccount(), 1)
		core.mu.Lock()
		defer core.mu.Unlock()
		if len(core.templates) != 1 || len(core.templates[a]) != 2 {
			t.Errorf("templates: got %v", core.templates)
		}
	})
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, _ *pluginhost.TestSession, p *peer) {
		send(p, a, 1)
		core.mu.Lock()
		defer core.mu.Unlock()
		if len(core.templates) != 0 {
			t.Errorf("templates of minor 0: got %v", core.templates)
		}
	})
}

// A bot reads the conversation that it names, and signals that it types there.
func TestSessionBot(t *testing.T) {
	a, conv := newAccount(), conversation.NewID[conversation.ConversationID]()
	subscribe := func(p *peer, f *pluginv1.Subscribe) {
		f.Account, f.Audience, f.Credit = a.String(), "bot", 10
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Subscribe{Subscribe: f}})
	}
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, _ *pluginhost.TestSession, p *peer) {
		subscribe(p, &pluginv1.Subscribe{Subscription: 1, Conversation: conv.String(), AfterSeq: 3})
		synctest.Wait()
		if r := core.reader(0); r == nil || r.spec.Bot != conv || r.spec.AfterSeq != 3 || r.spec.Audience != conversation.AudienceBot {
			t.Fatalf("subscription at the core: got %+v", r)
		}
		for id, f := range map[uint64]*pluginv1.Subscribe{
			2: {Subscription: 2}, 3: {Subscription: 3, Conversation: conv.String(), Thread: "t"},
			4: {Subscription: 4, Conversation: conv.String(), AfterConversation: conv.String()},
		} {
			subscribe(p, f)
			if end := p.next().GetSubscriptionEnd(); end.GetSubscription() != id || end.GetCode() != "invalid" {
				t.Errorf("subscription %d: got %v, want invalid", id, end)
			}
		}
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Signals{Signals: &pluginv1.Signals{Signals: []*pluginv1.Signal{
			{Account: a.String(), Conversation: conv.String(), Kind: pluginv1.SignalKind_SIGNAL_KIND_TYPING, On: true},
			{Account: a.String(), Kind: pluginv1.SignalKind_SIGNAL_KIND_TYPING, On: true},
		}}}})
		synctest.Wait()
		core.mu.Lock()
		defer core.mu.Unlock()
		if len(core.signals) != 1 || core.signals[0].Bot != conv {
			t.Errorf("signals of a bot: got %+v", core.signals)
		}
	})
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, _ *fakeCore, _ *pluginhost.TestSession, p *peer) {
		subscribe(p, &pluginv1.Subscribe{Subscription: 1, Conversation: conv.String()})
		if end := p.next().GetSubscriptionEnd(); end.GetCode() != "unknown_audience" {
			t.Errorf("subscription of what is no bot: got %v", end)
		}
	})
}

// The core is told of a description that has changed, and only of that.
func TestSessionInfo(t *testing.T) {
	a := newAccount()
	inSession(t, able(), []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, _ *peer) {
		info := s.Port().Info()
		s.SetInfo(info)
		info.Accounts = map[conversation.AccountID]plugin.AccountTraits{a: {OneNode: true}}
		s.SetInfo(info)
		s.SetInfo(info)
		now := s.Port().Info()
		if len(core.infos) != 1 || !core.infos[0].OneNodeOf(a) || !now.OneNodeOf(a) {
			t.Errorf("descriptions at the core: got %+v", core.infos)
		}
	})
}
