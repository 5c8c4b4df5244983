package hosttest

import (
	"fmt"
	"slices"
	"testing"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// references are cases of messages that refer to others by the provider's ids. What a host cannot
// resolve it keeps.
func references() []eventCase {
	named := func(key, id string) *pluginv1.Event {
		return edited(hello(key), func(m *pluginv1.Message) { m.ProviderIds = []string{id} })
	}
	reaction := func(id string) *pluginv1.Part {
		return &pluginv1.Part{Part: &pluginv1.Part_Reaction{Reaction: &pluginv1.Reaction{ProviderId: id, Emoji: "👍"}}}
	}
	edit := func(id string) *pluginv1.Part {
		return &pluginv1.Part{Part: &pluginv1.Part_Edit{Edit: &pluginv1.Edit{ProviderId: id, Text: "hello again"}}}
	}
	revoke := func(id string) *pluginv1.Part {
		return &pluginv1.Part{Part: &pluginv1.Part_Revoke{Revoke: &pluginv1.Revoke{ProviderId: id}}}
	}
	quote := func(key, id string) *pluginv1.Event {
		return edited(hello(key), func(m *pluginv1.Message) { m.ReplyToProviderId = id })
	}
	return []eventCase{
		{name: "references by provider's ids", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: named("m", "reference/1"), want: "committed", in: 1},
			{say: quote("q", "reference/1"), want: "committed", in: 2},
			{say: message("r", reaction("reference/1")), want: "committed", in: 3},
			{say: message("e", edit("reference/1")), want: "committed", in: 4},
			{say: message("d", revoke("reference/1")), want: "committed", in: 5},
			{say: message("r", reaction("reference/1")), want: "duplicate", as: 4},
			{say: message("d", revoke("reference/1")), want: "duplicate", as: 6},
		}},
		{name: "references to what nobody has", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: quote("q", "reference/none"), want: "committed", in: 1},
			{say: message("r", reaction("reference/none")), want: "committed", in: 2},
			{say: message("e", edit("reference/none")), want: "committed", in: 3},
			{say: message("d", revoke("reference/none")), want: "committed", in: 4},
		}},
	}
}

// begun begins a conversation on a thread of the staffed account.
func (h *Host) begun(t *testing.T, thread string) {
	t.Helper()
	h.expect(t, h.Staffed, along(thread, begin("begin "+thread)), "committed")
}

// expect emits an event of an account and fails unless the answer is one of want.
func (h *Host) expect(t *testing.T, account string, ev *pluginv1.Event, want ...string) *pluginv1.EventAck {
	t.Helper()
	ev.Account = account
	ack := h.Emit(t, ev)
	if got := verdict(ack); !slices.Contains(want, got) {
		t.Fatalf("got %s, want %q", got, want)
	}
	return ack
}

// tools lets a session of a tool live: the tool reports it, some reports come again or late, and it
// ends.
func tools(t *testing.T, h *Host) {
	report := func(id string, revision uint64, state pluginv1.SessionState, edit func(*pluginv1.ToolSession)) *pluginv1.Event {
		s := &pluginv1.ToolSession{Session: id, Revision: revision, State: state}
		if edit != nil {
			edit(s)
		}
		return &pluginv1.Event{DedupeKey: fmt.Sprintf("%s/%d", id, revision), Kind: &pluginv1.Event_Tool{Tool: &pluginv1.ToolEvent{Session: s}}}
	}
	const waiting, active, ended = pluginv1.SessionState_SESSION_STATE_WAITING, pluginv1.SessionState_SESSION_STATE_ACTIVE, pluginv1.SessionState_SESSION_STATE_ENDED
	t.Run("life", func(t *testing.T) {
		h.begun(t, "tool's life")
		id := h.Tool(t, "tool's life")
		h.expect(t, h.Staffed, report(id, 1, waiting, nil), "committed")
		panels := func(s *pluginv1.ToolSession) {
			s.Panel = &pluginv1.Panel{Revision: 3, Blocks: `[{"type":"text","text":"Here we go"},{"type":"button","action":"end","label":"End"}]`}
			s.CustomerPanel = &pluginv1.Panel{Revision: 3, Blocks: `[{"type":"text","text":"Hello"}]`}
			s.Note = "It has begun."
		}
		h.expect(t, h.Staffed, report(id, 3, active, panels), "committed")
		// A repeat and an older report change nothing; a host may say so or not.
		h.expect(t, h.Staffed, report(id, 3, active, panels), "committed", "duplicate")
		h.expect(t, h.Staffed, report(id, 2, waiting, nil), "committed", "duplicate")
		finished := func(s *pluginv1.ToolSession) { s.Cause = "finished"; s.CustomerPanel = &pluginv1.Panel{Revision: 4} }
		h.expect(t, h.Staffed, report(id, 4, ended, finished), "committed")
		h.expect(t, h.Staffed, report(id, 4, ended, finished), "committed", "duplicate")
		h.expect(t, h.Staffed, report(id, 5, active, panels), "committed", "duplicate") // it stays ended
	})
	t.Run("whose it is not", func(t *testing.T) {
		h.begun(t, "tool's stranger")
		id := h.Tool(t, "tool's stranger")
		h.expect(t, h.Account, report(id, 1, active, nil), "refused unknown_session")
		h.expect(t, h.Staffed, report(nobody, 1, active, nil), "refused unknown_session")
		h.expect(t, h.Staffed, report(id, 1, active, nil), "committed")
	})
}

// bots lets an account be the bot of conversations: it posts, tells, hands over and ends.
func bots(t *testing.T, h *Host) {
	does := func(conversation, key string, a *pluginv1.BotAction) *pluginv1.Event {
		a.Conversation = conversation
		return &pluginv1.Event{DedupeKey: conversation + "/" + key, Kind: &pluginv1.Event_Bot{Bot: a}}
	}
	post := func(conversation, key, client string) *pluginv1.Event {
		return does(conversation, key, &pluginv1.BotAction{Action: &pluginv1.BotAction_Post{Post: &pluginv1.BotPost{
			ClientId: client, Parts: []*pluginv1.Part{text("an answer")},
		}}})
	}
	leaves := map[string]*pluginv1.BotAction{
		"hand over": {Action: &pluginv1.BotAction_HandOver{HandOver: &pluginv1.BotHandOver{Reason: "a question for people"}}},
		"end":       {Action: &pluginv1.BotAction_End{End: &pluginv1.BotEnd{Reason: "all is said"}}},
	}
	for name, leave := range leaves {
		t.Run("posts, then "+name, func(t *testing.T) {
			thread := "bot " + name
			id := h.Bot(t, thread, func() { h.begun(t, thread) })
			first := h.expect(t, h.Staffed, post(id, "1", "c1"), "committed")
			if first.GetConversationId() != id {
				t.Errorf("the post is in conversation %q, want %s", first.GetConversationId(), id)
			}
			for _, key := range []string{"1", "2"} { // a repeat is known by its client id, too
				if again := h.expect(t, h.Staffed, post(id, key, "c1"), "duplicate"); again.GetLogSeq() != first.GetLogSeq() {
					t.Errorf("the post again under the key %s: seq %d, want %d", key, again.GetLogSeq(), first.GetLogSeq())
				}
			}
			if second := h.expect(t, h.Staffed, post(id, "3", "c2"), "committed"); second.GetLogSeq() <= first.GetLogSeq() {
				t.Errorf("the second post has seq %d, the first %d", second.GetLogSeq(), first.GetLogSeq())
			}
			h.expect(t, h.Staffed, does(id, "4", &pluginv1.BotAction{Action: &pluginv1.BotAction_Attributes{Attributes: &pluginv1.Attributes{
				Attributes: []*pluginv1.Attribute{{Name: "wish", Value: "a refund"}},
			}}}), "committed")
			h.expect(t, h.Staffed, does(id, "5", leave), "committed")
			h.expect(t, h.Staffed, does(id, "5", leave), "duplicate")
			refused := "refused not_joined"
			if leave.GetEnd() != nil {
				refused = "refused ended"
			}
			h.expect(t, h.Staffed, post(id, "6", "c3"), refused)
			h.expect(t, h.Staffed, post(id, "1", "c1"), "duplicate") // what was posted stays posted
		})
	}
	t.Run("of another account", func(t *testing.T) {
		id := h.Bot(t, "bot's stranger", func() { h.begun(t, "bot's stranger") })
		h.expect(t, h.Account, post(id, "1", "c1"), "refused not_joined")
		h.expect(t, h.Staffed, post(id, "2", "c1"), "committed")
	})
}
