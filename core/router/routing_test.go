package router_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

func agentOf(t testing.TB, r *router.Router, id conversation.AgentID) *acd.AgentState {
	t.Helper()
	s, err := r.Agent(context.Background(), id)
	if err != nil {
		t.Fatalf("agent: %v", err)
	}
	return &s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// offerTo waits until the agent has an offer.
func offerTo(t testing.TB, r *router.Router, id conversation.AgentID) acd.HeldOffer {
	t.Helper()
	eventually(t, "offer", func() bool { return agentOf(t, r, id).Offer != nil })
	return *agentOf(t, r, id).Offer
}

func TestStoryOfAChat(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana := w.agents["ana"]
	must(t, r.AgentConnected(ctx, ana))
	if got := agentOf(t, r, ana).Status(); got != acd.StatusNotReady {
		t.Fatalf("after login: got %s, want not_ready", got)
	}
	ack := w.startChat(r, "v", "Cora", "hello")
	must(t, r.Ready(ctx, ana))
	o := offerTo(t, r, ana)
	if s := agentOf(t, r, ana); s.Status() != acd.StatusBusy {
		t.Errorf("A2: at the offer the agent is %s, want busy", s.Status())
	}
	conv, _, err := r.Accept(ctx, ana, o.Offer)
	must(t, err)
	if conv != ack.Conversation {
		t.Fatalf("accepted %s, want %s", conv, ack.Conversation)
	}
	sent, err := r.Send(ctx, router.SendRequest{Conversation: conv, Agent: ana, ClientID: "c1", Parts: textParts("hi Cora")})
	must(t, err)
	again, err := r.Send(ctx, router.SendRequest{Conversation: conv, Agent: ana, ClientID: "c1", Parts: textParts("hi Cora")})
	must(t, err)
	if again != sent {
		t.Errorf("retry of a send: got %+v, want the same message %+v", again, sent)
	}
	if _, err := r.Send(ctx, router.SendRequest{Conversation: conv, Agent: w.agents["ben"], ClientID: "x", Parts: textParts("me too")}); !errors.Is(err, conversation.ErrNotJoined) {
		t.Errorf("a stranger's message: got %v, want ErrNotJoined", err)
	}
	_, err = r.Leave(ctx, ana, conv, false)
	must(t, err)
	if got := agentOf(t, r, ana).Status(); got != acd.StatusACW {
		t.Errorf("R3: after the end the agent is %s, want acw", got)
	}
	if _, err := r.FinishWrapup(ctx, ana, conv, "nonsense", ""); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("unknown disposition: got %v, want ErrInvalid", err)
	}
	_, err = r.FinishWrapup(ctx, ana, conv, "sold", "went well")
	must(t, err)
	if got := agentOf(t, r, ana).Status(); got != acd.StatusReady {
		t.Errorf("R3: after ACW the agent is %s, want ready", got)
	}
	got := types(t, r, conv)
	if last := got[len(got)-1]; last != string(conversation.TypeConcluded) {
		t.Errorf("last event: got %s, want concluded; all: %v", last, got)
	}
}

// A16: a rejected chat is offered to another agent; A9: the agent who rejected it is Not Ready.
func TestRejectGoesOn(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana, ben := w.agents["ana"], w.agents["ben"]
	for _, id := range []conversation.AgentID{ana, ben} {
		must(t, r.AgentConnected(ctx, id))
		must(t, r.Ready(ctx, id))
	}
	w.startChat(r, "v", "", "hello")
	var first, second conversation.AgentID
	eventually(t, "offer", func() bool {
		if agentOf(t, r, ana).Offer != nil {
			first, second = ana, ben
		} else if agentOf(t, r, ben).Offer != nil {
			first, second = ben, ana
		}
		return !first.IsZero()
	})
	must(t, r.Reject(ctx, first, agentOf(t, r, first).Offer.Offer))
	if got := agentOf(t, r, first).Status(); got != acd.StatusNotReady {
		t.Errorf("A9: rejecter is %s, want not_ready", got)
	}
	offerTo(t, r, second)
}

// A19: the customer leaves while the chat is offered to an agent.
func TestCustomerLeavesDuringOffer(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana := w.agents["ana"]
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	ack := w.startChat(r, "v", "", "hello")
	o := offerTo(t, r, ana)
	ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", Action: &plugin.CustomerAction{End: true}})
	eventually(t, "agent back in ready", func() bool { return agentOf(t, r, ana).Status() == acd.StatusReady })
	if _, _, err := r.Accept(ctx, ana, o.Offer); !errors.Is(err, conversation.ErrOfferGone) {
		t.Errorf("accept after the customer left: got %v, want ErrOfferGone", err)
	}
	info, err := r.Info(ctx, ack.Conversation)
	must(t, err)
	if info.State.EndCause != conversation.CauseAbandoned && info.State.EndCause != conversation.CauseCustomer {
		t.Errorf("end cause: got %s", info.State.EndCause)
	}
}

// An agent gets no offer beyond capacity (A18): with four chats of 25 % each in hand, the fifth
// chat waits.
func TestCapacity(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana := w.agents["ana"]
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	for i := range 5 {
		w.startChat(r, thread(i), "", "hello")
	}
	for range 4 {
		_, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
		must(t, err)
	}
	b := r.Board(ctx)
	if b.Queues[0].Waiting != 1 || b.Queues[0].Active != 4 {
		t.Errorf("board: got %d waiting and %d active, want 1 and 4", b.Queues[0].Waiting, b.Queues[0].Active)
	}
	if s := agentOf(t, r, ana); s.Offer != nil || s.Load() != 100 {
		t.Errorf("agent has offer %v at load %d, want none at 100", s.Offer, s.Load())
	}
}

// Agents are offered as much as their records say they can have in hand, neither less nor more
// (A18): by percent of capacity, and by medium.
func TestCapacityOfTheRecords(t *testing.T) {
	for _, c := range []struct {
		name     string
		capacity directory.Capacity
		want     int // number of offers, of 10 chats of 25 percent each
	}{
		{"half an agent", directory.Capacity{Percent: 50}, 2},
		{"two agents' worth", directory.Capacity{Percent: 200}, 8},
		{"three chats", directory.Capacity{Max: map[string]int{"chat": 3}}, 3},
		{"three chats of more", directory.Capacity{Percent: 200, Max: map[string]int{"chat": 3}}, 3},
		{"calls bounded, chats not", directory.Capacity{Max: map[string]int{"voice": 1}}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			ana := w.agents["ana"]
			u, _ := w.dir.Snapshot().User(ana)
			u.Capacity = c.capacity
			_, err := w.dir.PutUser(t.Context(), u)
			must(t, err)
			w.inBubble(t, func(t *testing.T, b *bubble) {
				b.ready("ana")
				for i := range 10 {
					b.startChat(b.r, thread(i), "", "hello")
				}
				synctest.Wait()
				for range 10 {
					o := agentOf(t, b.r, ana).Offer
					if o == nil {
						break
					}
					_, _, err := b.r.Accept(t.Context(), ana, o.Offer)
					must(t, err)
					synctest.Wait()
				}
				if s := agentOf(t, b.r, ana); s.Active() != c.want || s.Offer != nil {
					t.Errorf("the agent takes %d chats and holds offer %v, want %d without", s.Active(), s.Offer, c.want)
				}
				// The other chats wait in their queue without further appends.
				before := b.log.Stats().Appends
				b.after(time.Second)
				if n := b.r.Board(t.Context()).Queues[0].Waiting; n != 10-c.want {
					t.Errorf("%d chats wait, want %d", n, 10-c.want)
				}
				if n := b.log.Stats().Appends - before; n != 0 {
					t.Errorf("%d appends while nothing happens", n)
				}
			})
		})
	}
}

// A second router over the same log goes on where the first one stopped.
func TestRestart(t *testing.T) {
	w := newWorld(t, nil)
	ctx := context.Background()
	ana := w.agents["ana"]
	r := w.start("n1")
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	var convs []conversation.ConversationID
	for i := range 3 {
		convs = append(convs, w.startChat(r, thread(i), "", fmt.Sprint(i)).Conversation)
	}
	conv, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
	must(t, err)
	w.stop(r)

	r = w.start("n1")
	must(t, r.AgentConnected(ctx, ana))
	s := agentOf(t, r, ana)
	if s.Holds(conv) == nil {
		t.Errorf("after a restart the agent does not hold %s", conv)
	}
	_, err = r.Send(ctx, router.SendRequest{Conversation: conv, Agent: ana, ClientID: "c", Parts: textParts("still here")})
	must(t, err)
	if a := w.message(r, thread(0), "m", "back"); a.Status != plugin.Committed || a.Conversation != convs[0] {
		t.Errorf("message after a restart: got %+v, want committed in %s", a, convs[0])
	}
	offerTo(t, r, ana) // the waiting chats still wait
}

// T1, T2: the first agent invites a second one, who accepts; the first one leaves, and the second
// goes on.
func TestTransfer(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana, ben := w.agents["ana"], w.agents["ben"]
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	w.startChat(r, "v", "", "hello")
	conv, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
	must(t, err)
	if _, err := r.Invite(ctx, ana, conv, conversation.Target{Kind: conversation.TargetAgent, Agent: ben}, true); !errors.Is(err, acd.ErrLoggedOut) {
		t.Errorf("T6: invite of somebody logged out: got %v, want ErrLoggedOut", err)
	}
	must(t, r.AgentConnected(ctx, ben))
	_, err = r.Invite(ctx, ana, conv, conversation.Target{Kind: conversation.TargetAgent, Agent: ben}, true)
	must(t, err)
	o := offerTo(t, r, ben)
	if _, err := r.Leave(ctx, ana, conv, false); !errors.Is(err, conversation.ErrInvitePending) {
		t.Errorf("T5: End Chat with an invitation pending: got %v, want ErrInvitePending", err)
	}
	_, _, err = r.Accept(ctx, ben, o.Offer)
	must(t, err)
	_, err = r.Leave(ctx, ana, conv, false)
	must(t, err)
	_, err = r.Send(ctx, router.SendRequest{Conversation: conv, Agent: ben, ClientID: "b", Parts: textParts("I am Ben")})
	must(t, err)
	if got := agentOf(t, r, ben).Status(); got != acd.StatusBusy {
		t.Errorf("invitee: got %s, want busy", got)
	}
}
