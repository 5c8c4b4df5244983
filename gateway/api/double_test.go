package api_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

// A double that takes what the router refuses hides faults of the stream and of the API. Both refuse
// the same commands, of agents who take part in a conversation, of those who do not, and in
// conversations that do not exist.
func TestStreamtestRefusesAsTheRouter(t *testing.T) {
	f := newFloor(t)
	f.stage(chatting)
	double := streamtest.NewRouter()
	ana, stranger := f.users["ana"].ID, f.users["cem"].ID
	copied := double.Open(f.service.ID, f.chat.ID)
	ctx := t.Context()
	contact, err := conversation.ParseID[conversation.ContactID](f.named["{contact}"])
	f.must(t, err)
	for _, id := range []conversation.AgentID{ana, stranger} {
		f.must(t, double.AgentConnected(ctx, id))
	}
	double.MakeJoin(ana, copied)
	for name, do := range map[string]func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error{
		"mark": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			return r.Mark(ctx, a, c, 1, 1)
		},
		"flag": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			return r.SetFlag(ctx, a, c, true)
		},
		"wrap-up": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			_, err := r.FinishWrapup(ctx, a, c, "", "")
			return err
		},
		"invite": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			_, err := r.Invite(ctx, a, c, conversation.Target{Kind: conversation.TargetService, Service: f.service.ID}, false)
			return err
		},
		"cancel": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			return r.CancelInvite(ctx, a, c, conversation.NewID[conversation.RequestID]())
		},
		"join": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			if a == stranger && c != (conversation.ConversationID{9}) {
				return nil // joins; the next command would find another state
			}
			_, err := r.Join(ctx, a, c)
			return err
		},
		"send": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			_, err := r.Send(ctx, router.SendRequest{Conversation: c, Agent: a, ClientID: "x" + a.String(), Parts: []conversation.Part{{Kind: conversation.PartText, Text: "hi"}}})
			return err
		},
		"accept": func(r stream.Router, a conversation.AgentID, _ conversation.ConversationID) error {
			_, _, err := r.Accept(ctx, a, conversation.NewID[conversation.OfferID]())
			return err
		},
		"reject": func(r stream.Router, a conversation.AgentID, _ conversation.ConversationID) error {
			return r.Reject(ctx, a, conversation.NewID[conversation.OfferID]())
		},
		"leave by a stranger": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			if a == ana && c != (conversation.ConversationID{9}) {
				return nil
			}
			_, err := r.Leave(ctx, a, c, false)
			return err
		},
		"link": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			return r.LinkContact(ctx, a, c, contact)
		},
		"settle": func(r stream.Router, a conversation.AgentID, c conversation.ConversationID) error {
			if a == ana && c != (conversation.ConversationID{9}) {
				return nil // the double follows no messages
			}
			_, err := r.SettleMessage(ctx, a, c, f.message, conversation.OutcomeSent)
			return err
		},
	} {
		for _, who := range []struct {
			name          string
			agent         conversation.AgentID
			conv, itsCopy conversation.ConversationID
		}{
			{"an agent who takes part", ana, f.conv, copied}, {"an agent who does not", stranger, f.conv, copied},
			{"no such conversation", ana, conversation.ConversationID{9}, conversation.ConversationID{9}},
		} {
			want, got := code(do(stream.FromRouter(f.core), who.agent, who.conv)), code(do(double, who.agent, who.itsCopy))
			if got != want {
				t.Errorf("%s, %s: the double says %q, the router %q", name, who.name, got, want)
			}
		}
	}
}

// code is the code with which clients hear of an error; "" when err is nil.
func code(err error) string {
	if err == nil {
		return ""
	}
	if f := api.ToFault(err, func(string, error) {}); !errors.Is(err, context.Canceled) {
		return f.Code
	}
	return err.Error()
}
