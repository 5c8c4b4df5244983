package router_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// change makes a part that names a message.
func change(kind conversation.PartKind, id conversation.MessageID) []conversation.Part {
	p := conversation.Part{Kind: kind}
	switch kind {
	case conversation.PartEdit:
		p.Edit = &conversation.Edit{Message: id, Text: "other words"}
	case conversation.PartRevoke:
		p.Revoke = &conversation.Revoke{Message: id}
	default:
		p.Reaction = &conversation.Reaction{Message: id, Emoji: "👍"}
	}
	return []conversation.Part{p}
}

// talk is a chat in which a customer and an agent have each sent one message.
type talk struct {
	thread           string
	agent            conversation.AgentID
	conv             conversation.ConversationID
	customers, other conversation.MessageID // the customer's and the agent's message
}

func (w *world) talk(t *testing.T, r *router.Router, login, thread string) talk {
	t.Helper()
	ctx := t.Context()
	x := talk{thread: thread, agent: w.agents[login]}
	must(t, r.AgentConnected(ctx, x.agent))
	must(t, r.Ready(ctx, x.agent))
	ack := w.startChat(r, thread, "Cora", "hello")
	eventually(t, "offer", func() bool { return agentOf(t, r, x.agent).Offer != nil })
	conv, _, err := r.Accept(ctx, x.agent, agentOf(t, r, x.agent).Offer.Offer)
	must(t, err)
	if x.conv = ack.Conversation; conv != x.conv {
		t.Fatalf("accepted %s, want %s", conv, x.conv)
	}
	recs, err := r.Records(ctx, x.conv, conversation.AudienceAudit, 0, 100)
	must(t, err)
	for _, rec := range recs {
		if h, ok := headOf(t, rec).(*conversation.MessagePosted); ok {
			x.customers = h.ID
		}
	}
	sent, err := r.Send(ctx, router.SendRequest{Conversation: x.conv, Agent: x.agent, ClientID: "hi", Parts: textParts("hi")})
	must(t, err)
	x.other = sent.Message
	must(t, r.NotReady(ctx, x.agent, ""))
	return x
}

func headOf(t *testing.T, rec readers.Record) conversation.Head {
	t.Helper()
	h, err := conversation.DecodeHead(rec.Type, rec.Head)
	must(t, err)
	return h
}

// Customers and agents edit and revoke their own messages only, and name messages of their own
// conversation only: otherwise the desk would show changed words as somebody else's.
func TestForeignMessages(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("chat", "chat-2", &port{info: plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{
		Text: true, Connected: true, Edit: true, Revoke: true, Reaction: true}}})
	here, there := w.talk(t, r, "ana", "v1"), w.talk(t, r, "ben", "v2")
	unknown := conversation.NewID[conversation.MessageID]()
	const edit, revoke, reaction = conversation.PartEdit, conversation.PartRevoke, conversation.PartReaction
	for i, c := range []struct {
		name  string
		kind  conversation.PartKind
		id    conversation.MessageID
		agent bool
		code  string
	}{
		{"customer edits the agent's", edit, here.other, false, "not_author"},
		{"customer revokes the agent's", revoke, here.other, false, "not_author"},
		{"customer edits one of another conversation", edit, there.other, false, "no_such_message"},
		{"customer edits a customer's of another conversation", edit, there.customers, false, "no_such_message"},
		{"customer reacts to one of another conversation", reaction, there.other, false, "no_such_message"},
		{"customer revokes what is not there", revoke, unknown, false, "no_such_message"},
		{"customer names nothing", edit, conversation.MessageID{}, false, "no_such_message"},
		{"customer edits an own one", edit, here.customers, false, ""},
		{"customer reacts to the agent's", reaction, here.other, false, ""},
		{"agent edits the customer's", edit, here.customers, true, "not_author"},
		{"agent revokes the customer's", revoke, here.customers, true, "not_author"},
		{"agent edits one of another conversation", edit, there.other, true, "no_such_message"},
		{"agent edits an own one", edit, here.other, true, ""},
		{"agent reacts to the customer's", reaction, here.customers, true, ""},
		{"agent revokes an own one", revoke, here.other, true, ""},
		{"customer revokes an own one", revoke, here.customers, false, ""},
	} {
		var got string
		if c.agent {
			_, err := r.Send(t.Context(), router.SendRequest{Conversation: here.conv, Agent: here.agent, ClientID: fmt.Sprint(i), Parts: change(c.kind, c.id)})
			got = router.Code(err)
		} else {
			in := w.chatMessage(here.thread, fmt.Sprint("c", i), "")
			in.Message.Parts = change(c.kind, c.id)
			ack := ingest(r, in)
			got = ack.Code
			if again := ingest(r, in); c.code != "" && (again.Status != plugin.Refused || again.Code != c.code) {
				t.Errorf("%s, once more: got %+v, want refused as %s", c.name, again, c.code)
			}
		}
		if got != c.code {
			t.Errorf("%s: got %q, want %q", c.name, got, c.code)
		}
	}
	// Refused messages are recorded in the account's stream (N7).
	recs, err := w.log.Read(t.Context(), eventlog.StreamID(w.chat.ID), 0, 0)
	must(t, err)
	if len(recs) == 0 {
		t.Error("no refusal is in the account's stream")
	}
	// An edit is no message that can be replied to or edited.
	if _, err := r.Send(t.Context(), router.SendRequest{Conversation: here.conv, Agent: here.agent, ClientID: "e", Parts: change(edit, here.other)}); err != nil {
		t.Fatalf("edit: %v", err)
	}
	records, err := r.Records(t.Context(), here.conv, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	edited := headOf(t, records[len(records)-1]).(*conversation.MessagePosted).ID
	_, err = r.Send(t.Context(), router.SendRequest{Conversation: here.conv, Agent: here.agent, ClientID: "f", Parts: change(edit, edited)})
	if got := router.Code(err); got != "no_such_message" {
		t.Errorf("edit of an edit: got %q, want no_such_message", got)
	}
}

// A reply must name a message of its conversation. An agent gets an error when it does not; a
// customer's message is kept without the reference.
func TestForeignReply(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	here, there := w.talk(t, r, "ana", "v1"), w.talk(t, r, "ben", "v2")
	for _, c := range []struct {
		name string
		to   conversation.MessageID
		code string
	}{
		{"own conversation", here.customers, ""},
		{"another conversation", there.customers, "no_such_message"},
	} {
		_, err := r.Send(t.Context(), router.SendRequest{Conversation: here.conv, Agent: here.agent, ClientID: c.name, Parts: textParts("so"), ReplyTo: c.to})
		if got := router.Code(err); got != c.code {
			t.Errorf("agent's reply to %s: got %q, want %q", c.name, got, c.code)
		}
		in := w.chatMessage(here.thread, c.name, "so")
		in.Message.ReplyTo = c.to
		ack := ingest(r, in)
		if ack.Status != plugin.Committed {
			t.Fatalf("customer's reply to %s: got %+v, want committed", c.name, ack)
		}
		recs, err := r.Records(t.Context(), here.conv, conversation.AudienceAudit, ack.Seq-1, 1)
		must(t, err)
		want := c.to
		if c.code != "" {
			want = conversation.MessageID{}
		}
		if got := headOf(t, recs[0]).(*conversation.MessagePosted).ReplyTo; got != want {
			t.Errorf("customer's reply to %s is in the log as a reply to %s, want %s", c.name, got, want)
		}
	}
	// An agent who takes no part must not learn which messages there are.
	_, err := r.Send(t.Context(), router.SendRequest{Conversation: here.conv, Agent: there.agent, ClientID: "x", Parts: textParts("so"), ReplyTo: there.other})
	if got := router.Code(err); got != "not_joined" {
		t.Errorf("reply by somebody outside: got %q, want not_joined", got)
	}
}

// A reply finds its message far back in a long conversation, after the conversation has left
// memory.
func TestReplyFarBack(t *testing.T) {
	w := newWorld(t, nil)
	first := w.start("n1")
	x := w.talk(t, first, "ana", "v1")
	for i := range 600 {
		if a := w.message(first, x.thread, fmt.Sprint("m", i), "and another thing"); a.Status != plugin.Committed {
			t.Fatalf("message %d: %+v", i, a)
		}
	}
	w.stop(first)
	r := w.start("n1")
	must(t, r.AgentConnected(context.Background(), x.agent))
	_, err := r.Send(t.Context(), router.SendRequest{Conversation: x.conv, Agent: x.agent, ClientID: "r", Parts: textParts("this one"), ReplyTo: x.customers})
	must(t, err)
}
