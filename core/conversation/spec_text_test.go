package conversation_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/parley-gateway/parley/core/conversation"
)

// unread fails unless this many messages wait for the agent; 0: none waits for any agent.
func (c *scene) unread(owner byte, count int) *scene {
	c.t.Helper()
	got := 0
	if u := c.s.Unread; u != nil {
		got = u.Count
		if u.Owner != agent(owner) || u.Seq == 0 || u.At.IsZero() {
			c.t.Fatalf("unread %+v, want agent %d's", *u, owner)
		}
	}
	if got != count {
		c.t.Fatalf("%d unread, want %d", got, count)
	}
	return c
}

// direct is an exchange that began with a text to agent 1's own number.
func direct(t *testing.T) *scene {
	t.Helper()
	c := newScene(t)
	c.do(Start{ID: conv(1), Kind: Inbound, Channel: "sms", Capabilities: smsCaps, Owner: agent(1), First: post(1, customer)})
	return c
}

func TestO1_O2_Unread(t *testing.T) {
	seen := func(c *scene, by byte, seq uint64) Mark { return Mark{By: agentAuthor(by), Read: seq} }
	t.Run("a direct number counts from the first text on", func(t *testing.T) {
		c := direct(t).unread(1, 1)
		c.do(post(2, customer))
		c.after(time.Minute).gives(post(3, customer), TypeMessage).unread(1, 3)
		if u := c.s.Unread; u.Seq != c.s.Seq || !u.At.Equal(t0.Add(time.Minute)) {
			t.Errorf("unread %+v, want the newest message's time and sequence", *u)
		}
	})
	t.Run("seen by the owner, who never joined", func(t *testing.T) {
		c := direct(t)
		c.gives(seen(c, 1, c.s.Seq), TypeReceipt).unread(1, 0)
		c.gives(post(2, customer), TypeMessage).unread(1, 1)
	})
	t.Run("seen before the newest came", func(t *testing.T) {
		c := direct(t)
		old := c.s.Seq
		c.do(post(2, customer))
		c.gives(seen(c, 1, old), TypeReceipt).unread(1, 2)
	})
	t.Run("nobody else may say so", func(t *testing.T) {
		direct(t).refuses(Mark{By: agentAuthor(2), Read: 3}, ErrNotJoined).unread(1, 1)
	})
	t.Run("a customer's receipt is not the owner's", func(t *testing.T) {
		direct(t).gives(Mark{By: customer, Read: 3}, TypeReceipt).unread(1, 1)
	})
	t.Run("somebody joins, and the owner has it open", func(t *testing.T) {
		c := direct(t).gives(Join{Agent: agent(2)}, TypeUnparked, TypeParticipantJoined).unread(1, 0)
		c.gives(post(2, customer), TypeMessage).unread(1, 0)
	})
	t.Run("the end leaves nothing unread", func(t *testing.T) {
		direct(t).gives(CustomerEnd{}, TypeEnded, TypeConcluded).unread(1, 0)
	})
	t.Run("a reply waits for its owner, also once the queue has it", func(t *testing.T) {
		c := sms(t)
		c.do(Park{Owner: agent(1)})
		c.gives(post(2, customer), TypeMessage, TypeUnparked, TypeRoutingRequested).unread(1, 1)
		c.gives(post(3, customer), TypeMessage).unread(1, 2)
		c.after(5*minute).gives(Tick{}, TypeRoutingRequested).unread(1, 2)
		c.gives(post(4, customer), TypeMessage).unread(1, 3)
		c.do(Offer{Request: request(102), Offer: offer(1), Agent: agent(2)})
		c.gives(Accept{Offer: offer(1), Agent: agent(2)}, TypeJoinedBy, TypeParticipantJoined).unread(1, 0)
	})
	t.Run("the owner sees a reply that went on to the queue", func(t *testing.T) {
		c := sms(t)
		c.do(Park{Owner: agent(1)})
		c.do(post(2, customer))
		c.after(5 * minute).do(Tick{})
		c.gives(seen(c, 1, c.s.Seq), TypeReceipt).unread(1, 0)
		c.gives(post(3, customer), TypeMessage).unread(1, 0) // the reply now belongs to the queue, so it is not unread for the owner
	})
	t.Run("a service that does not ask owners", func(t *testing.T) {
		c := sms(t)
		c.s.Rules.OwnerFirst = 0
		c.do(Park{Owner: agent(1)})
		c.gives(post(2, customer), TypeMessage, TypeUnparked, TypeRoutingRequested).unread(1, 0)
	})
	t.Run("a web chat in the queue is nobody's", func(t *testing.T) {
		web(t).gives(post(2, customer), TypeMessage).unread(1, 0)
	})
}

func TestConsent(t *testing.T) {
	stop := ChangeConsent{Out: true, Body: json.RawMessage(`{"keyword":"STOP"}`)}
	c := sms(t).gives(stop, TypeConsentChanged).gives(stop, TypeConsentChanged)
	c.refuses(post(2, agentAuthor(1)), ErrOptedOut)
	c.gives(post(3, customer), TypeMessage).refuses(post(4, agentAuthor(1)), ErrOptedOut) // a message does not count as consent
	system := post(5, Author{Kind: System})
	c.gives(system, TypeMessage)
	c.gives(ChangeConsent{Out: false}, TypeConsentChanged).gives(post(6, agentAuthor(1)), TypeMessage)
	c.do(Leave{Agent: agent(1)})
	c.refuses(stop, ErrEnded)

	w := webActive(t).gives(stop, TypeConsentChanged)
	w.gives(post(2, agentAuthor(1)), TypeMessage) // the customer has the page open, and so asked for messages
	w.do(AddEndpoint{Channel: "sms", Endpoint: Endpoint{Thread: "t"}, Capabilities: smsCaps})
	p := post(3, agentAuthor(1))
	p.Endpoint = 1
	w.refuses(p, ErrOptedOut)
}

// PR4: a message whose outcome is unknown or still to come stays followed, however many messages
// come after it. Otherwise nobody could settle it.
func TestPR4_UnknownIsNeverForgotten(t *testing.T) {
	c := sms(t).gives(SetStatus{Message: message(1), Status: StatusUnknown}, TypeMessageStatus)
	c.gives(post(2, agentAuthor(1)), TypeMessage) // stays accepted throughout
	for n := byte(3); n < 250; n++ {
		c.do(post(n, agentAuthor(1)))
		c.do(SetStatus{Message: message(n), Status: StatusSent})
	}
	if got := len(c.s.Pending); got != 100 {
		t.Errorf("%d followed messages, want 100", got)
	}
	c.gives(SetStatus{Message: message(2), Status: StatusUnknown}, TypeMessageStatus)
	for _, n := range []byte{1, 2} {
		c.gives(Settle{Message: message(n), Outcome: OutcomeSent, By: agent(1)}, TypeMessageSettled, TypeMessageStatus)
	}
}

// The number of unsent messages is bounded: beyond it new ones are refused, and none is dropped.
func TestTooManyUnsent(t *testing.T) {
	c := sms(t)
	many := func(n int) *Post {
		p := post(1, agentAuthor(1))
		p.ID[14], p.ID[15] = byte(n>>8), byte(n)
		return p
	}
	for n := len(c.s.Pending); n < 500; n++ {
		c.do(many(n))
	}
	c.refuses(many(500), ErrTooManyUnsent)
	c.gives(post(200, customer), TypeMessage) // a message from the customer is still accepted
	c.do(SetStatus{Message: message(1), Status: StatusFailed})
	c.gives(many(500), TypeMessage).refuses(many(501), ErrTooManyUnsent)
}

func TestPR4_SettledByAPerson(t *testing.T) {
	unknown := func(t *testing.T) *scene {
		t.Helper()
		return sms(t).gives(SetStatus{Message: message(1), Status: StatusUnknown, Code: "plugin_lost"}, TypeMessageStatus)
	}
	settle := func(o Outcome) Settle { return Settle{Message: message(1), Outcome: o, By: agent(1)} }
	status := func(c *scene, want Status) {
		t.Helper()
		if got := c.s.Pending[0].Status; got != want {
			t.Errorf("status %s, want %s", got, want)
		}
	}
	for outcome, want := range map[Outcome]Status{OutcomeSent: StatusSent, OutcomeFailed: StatusFailed} {
		c := unknown(t).gives(settle(outcome), TypeMessageSettled, TypeMessageStatus).refuses(settle(outcome), ErrNotUnknown)
		status(c, want)
		if d := cmp.Diff(&MessageSettled{Message: message(1), Outcome: outcome, By: agent(1)}, last[*MessageSettled](c)); d != "" {
			t.Errorf("settled (-want +got):\n%s", d)
		}
		if h := last[*MessageStatus](c); h.Kind != "manual" || h.Status != want {
			t.Errorf("status event %+v, want manual %s", h, want)
		}
		// A later report by the provider overrides what the person said.
		status(c.gives(SetStatus{Message: message(1), Status: StatusDelivered}, TypeMessageStatus), StatusDelivered)
	}
	c := unknown(t).gives(settle(OutcomeResend), TypeMessageSettled)
	status(c, StatusAccepted)
	c.refuses(settle(OutcomeResend), ErrNotUnknown)
	status(c.gives(SetStatus{Message: message(1), Status: StatusUnknown}, TypeMessageStatus), StatusUnknown)
	status(c.gives(SetStatus{Message: message(1), Status: StatusSent}, TypeMessageStatus), StatusSent)

	sms(t).refuses(settle(OutcomeSent), ErrNotUnknown)
	c = unknown(t).refuses(settle("maybe"), ErrInvalid).refuses(Settle{Message: message(1), Outcome: OutcomeSent}, ErrInvalid)
	c.refuses(Settle{Message: message(9), Outcome: OutcomeSent, By: agent(1)}, ErrNoSuchMessage)
	c.do(ChangeConsent{Out: true})
	c.refuses(settle(OutcomeResend), ErrOptedOut)
	c.do(Leave{Agent: agent(1)})
	c.refuses(settle(OutcomeResend), ErrEnded).gives(settle(OutcomeSent), TypeMessageSettled, TypeMessageStatus)
}
