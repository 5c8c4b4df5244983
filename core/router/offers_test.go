package router_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// noTimeout makes offers of the world's service stand until an agent or customer ends them.
func (w *world) noTimeout() {
	w.t.Helper()
	svc := w.service
	svc.Rules.OfferTimeout = 0
	_, err := w.dir.PutService(context.Background(), svc)
	must(w.t, err)
}

// disagreement compares, from the log, the offers in conversations' rows with the offers that
// agents hold. It describes the first difference, "" if there is none.
func (w *world) disagreement() string {
	w.t.Helper()
	ctx := context.Background()
	held := map[conversation.OfferID]conversation.AgentID{}
	agents, err := w.log.Agents(ctx)
	must(w.t, err)
	for _, row := range agents {
		s := &acd.AgentState{}
		must(w.t, json.Unmarshal(row.State, s))
		if s.Offer != nil {
			held[s.Offer.Offer] = s.ID
		}
	}
	rows, err := w.log.Conversations(ctx, eventlog.ConversationQuery{})
	must(w.t, err)
	for _, row := range rows {
		s := &conversation.State{}
		must(w.t, json.Unmarshal(row.State, s))
		for _, q := range s.Requests {
			if q.State != conversation.Offered {
				continue
			}
			if held[q.Offer] != q.Agent {
				return fmt.Sprintf("conversation %s is offered to %s, who does not hold that offer", s.ID, q.Agent)
			}
			delete(held, q.Offer)
		}
	}
	for offer, agent := range held {
		return fmt.Sprintf("agent %s holds offer %s, which no conversation made", agent, offer)
	}
	return ""
}

// N16, A20: when an agent logs out while an offer is presented, the request goes to other agents at
// once, however soon the dispatcher looks for one; nothing stays offered to an agent who has gone.
func TestLogoutDuringAnOffer(t *testing.T) {
	w := newWorld(t, nil)
	w.noTimeout()
	w.inBubble(t, func(t *testing.T, b *bubble) {
		ack := b.startChat(b.r, "v", "", "hello")
		for i := range 200 {
			ana := b.ready("ana")
			if o := agentOf(t, b.r, ana).Offer; o == nil || o.Conversation != ack.Conversation {
				t.Fatalf("round %d: the agent holds %v, want an offer of %s", i, o, ack.Conversation)
			}
			must(t, b.r.Logout(t.Context(), ana))
			synctest.Wait()
			if got := b.display(ack.Conversation); got != conversation.DisplayQueued {
				t.Fatalf("round %d: after the logout the conversation is %s, want queued; %s", i, got, b.disagreement())
			}
			b.r.AgentDisconnected(ana)
			synctest.Wait()
		}
		if d := b.disagreement(); d != "" {
			t.Error(d)
		}
	})
}

// A20: the end of the grace period takes the offer back from the agent and in the conversation,
// with and without an offer timeout.
func TestGraceDuringAnOffer(t *testing.T) {
	w := newWorld(t, nil)
	w.noTimeout()
	w.inBubble(t, func(t *testing.T, b *bubble) {
		ana := b.ready("ana")
		ack := b.startChat(b.r, "v", "", "hello")
		synctest.Wait()
		b.r.AgentDisconnected(ana)
		b.after(29 * time.Second)
		if o := agentOf(t, b.r, ana).Offer; o == nil {
			t.Error("the offer is gone in the grace")
		}
		b.after(2 * time.Second)
		if s := agentOf(t, b.r, ana); s.Offer != nil || s.Reason != acd.ReasonConnection {
			t.Errorf("after the grace: not ready (%s) with offer %v, want (connection) without", s.Reason, s.Offer)
		}
		if got := b.display(ack.Conversation); got != conversation.DisplayQueued {
			t.Errorf("conversation is %s, want queued", got)
		}
		if d := b.disagreement(); d != "" {
			t.Error(d)
		}
	})
}

// rewrite appends events to an agent's stream without the router, as an earlier version may have
// left the stream.
func (w *world) rewrite(id conversation.AgentID, change func(s *acd.AgentState) []conversation.Head) {
	w.t.Helper()
	ctx := context.Background()
	agents, err := w.log.Agents(ctx)
	must(w.t, err)
	s := &acd.AgentState{}
	for _, row := range agents {
		if row.ID == eventlog.StreamID(id) {
			must(w.t, json.Unmarshal(row.State, s))
		}
	}
	sa := eventlog.StreamAppend{Stream: eventlog.StreamID(id), Expect: s.Seq}
	for _, h := range change(s) {
		ev := conversation.Event{Seq: s.Seq + 1, At: time.Now().UTC().Truncate(time.Millisecond), Head: h}
		must(w.t, s.Apply(ev))
		head, err := conversation.Encode(ev)
		must(w.t, err)
		sa.Events = append(sa.Events, eventlog.Event{Type: string(h.Type()), At: ev.At, Head: head})
	}
	row := eventlog.AgentRow{ID: eventlog.StreamID(id), Seq: s.Seq, State: []byte(encoded(w.t, s))}
	_, err = w.log.Append(ctx, &eventlog.Batch{Streams: []eventlog.StreamAppend{sa}, Agents: []eventlog.AgentRow{row}})
	must(w.t, err)
}

// offeredTo makes an offer without timeout to an agent, which only the agent's answer ends.
func offeredTo(t *testing.T, w *world, r *router.Router, login string) (conversation.AgentID, plugin.Ack) {
	t.Helper()
	id := w.agents[login]
	must(t, r.AgentConnected(t.Context(), id))
	must(t, r.Ready(t.Context(), id))
	ack := w.startChat(r, "v", "", "hello")
	eventually(t, "offer", func() bool { return agentOf(t, r, id).Offer != nil })
	return id, ack
}

// An offer that the agent's stream does not know, as earlier versions could leave it, is taken back
// at the next start and made to another agent.
func TestOfferThatNobodyHolds(t *testing.T) {
	for name, edit := range map[string]func([]byte) []byte{
		"this version's row":   func(state []byte) []byte { return state },
		"an earlier version's": func(state []byte) []byte { return append([]byte("{"), numberless(state)...) },
	} {
		t.Run(name, func(t *testing.T) { offerThatNobodyHolds(t, edit) })
	}
}

func offerThatNobodyHolds(t *testing.T, edit func(state []byte) []byte) {
	t.Helper()
	w := newWorld(t, nil)
	w.noTimeout()
	first := w.start("n1")
	ana, ack := offeredTo(t, w, first, "ana")
	w.stop(first)
	w.rewrite(ana, func(s *acd.AgentState) []conversation.Head {
		return []conversation.Head{
			&acd.OfferEnded{Offer: s.Offer.Offer, Conversation: s.Offer.Conversation, Cause: conversation.CauseLogout},
			&acd.LoggedOut{Cause: conversation.CauseLogout},
		}
	})
	w.wrote(ack.Conversation, "", "", edit)
	r := w.start("n1")
	ben := w.agents["ben"]
	must(t, r.AgentConnected(t.Context(), ben))
	must(t, r.Ready(t.Context(), ben))
	eventually(t, "offer to the next agent", func() bool {
		o := agentOf(t, r, ben).Offer
		return o != nil && o.Conversation == ack.Conversation
	})
}

// An agent can log out although the agent's stream has an offer that no conversation knows.
func TestLogoutWithAnOfferThatIsNone(t *testing.T) {
	w := newWorld(t, nil)
	first := w.start("n1")
	ana := w.agents["ana"]
	must(t, first.AgentConnected(t.Context(), ana))
	w.stop(first)
	w.rewrite(ana, func(*acd.AgentState) []conversation.Head {
		return []conversation.Head{&acd.Offered{
			Offer: conversation.NewID[conversation.OfferID](), Conversation: conversation.NewID[conversation.ConversationID](),
			Request: conversation.NewID[conversation.RequestID](), Medium: acd.MediumChat, Share: 25,
		}}
	})
	r := w.start("n1")
	must(t, r.Logout(t.Context(), ana))
	if s := agentOf(t, r, ana); s.LoggedIn || s.Offer != nil {
		t.Errorf("after the logout: logged in %t with offer %v, want neither", s.LoggedIn, s.Offer)
	}
}
