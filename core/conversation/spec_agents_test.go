package conversation_test

import (
	"testing"
	"time"

	. "github.com/parley-gateway/parley/core/conversation"
)

func inviteAgent(n byte) Invite {
	return Invite{Request: request(20 + n), By: agent(1), Target: Target{Kind: TargetAgent, Agent: agent(n)}}
}

func inviteService(n byte, transfer bool) Invite {
	return Invite{
		Request: request(30 + n), By: agent(1), Target: Target{Kind: TargetService, Service: service(n)},
		Transfer: transfer, Rules: &Rules{OfferTimeout: 5_000, WrapupLimit: 1_000},
	}
}

// withSecondAgent is a web chat in which agents 1 and 2 take part.
func withSecondAgent(t *testing.T) *scene {
	t.Helper()
	c := webActive(t)
	c.do(inviteAgent(2))
	c.do(Offer{Request: request(22), Offer: offer(2), Agent: agent(2)})
	c.do(Accept{Offer: offer(2), Agent: agent(2)})
	return c
}

func TestT1_InvitedAgentJoinsAfterAccept(t *testing.T) {
	c := webActive(t)
	c.gives(inviteAgent(2), TypeRoutingRequested)
	c.refuses(inviteAgent(2), ErrAlreadyInvited).refuses(Invite{Request: request(9), By: agent(3)}, ErrNotJoined)
	c.refuses(Offer{Request: request(22), Offer: offer(2), Agent: agent(3)}, ErrInvalid)
	c.gives(Offer{Request: request(22), Offer: offer(2), Agent: agent(2)}, TypeRoutingOffered)
	if !last[*RoutingOffered](c).Invite {
		t.Fatal("the offer is not marked as an invitation (T6)")
	}
	c.refuses(post(2, agentAuthor(2)), ErrNotJoined)
	c.gives(Accept{Offer: offer(2), Agent: agent(2)}, TypeJoinedBy, TypeParticipantJoined)
	c.gives(post(2, agentAuthor(1)), TypeMessage).gives(post(3, agentAuthor(2)), TypeMessage)
	c.refuses(inviteAgent(2), ErrAlreadyJoined)
}

func TestT2_FirstAgentLeavesAndTheOtherGoesOn(t *testing.T) {
	c := withSecondAgent(t)
	c.gives(Leave{Agent: agent(1)}, TypeParticipantLeft, TypeWrapupStarted).shows(DisplayActive)
	c.refuses(post(4, agentAuthor(1)), ErrNotJoined).gives(post(5, agentAuthor(2)), TypeMessage)
	c.gives(FinishWrapup{Agent: agent(1), Disposition: "moved"}, TypeWrapupEnded) // L8: the end of this wrap-up does not conclude the conversation
	c.gives(Leave{Agent: agent(2)}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted).shows(DisplayWrapup)
	c.gives(FinishWrapup{Agent: agent(2), Disposition: "sold"}, TypeWrapupEnded, TypeConcluded).shows(DisplayConcluded)
}

func TestT4_StaysInTheDirectoryQueue(t *testing.T) {
	c := webActive(t)
	in := inviteService(2, true)
	in.Target.Kind = TargetDirectory
	c.gives(in, TypeRoutingRequested).shows(DisplayActive)
	c.gives(Leave{Agent: agent(1)}, TypeParticipantLeft, TypeWrapupStarted).shows(DisplayQueued)
	c.do(Offer{Request: request(32), Offer: offer(2), Agent: agent(2)})
	if got, want := last[*RoutingOffered](c).ExpiresAt, t0.Add(5*time.Second); !got.Equal(want) {
		t.Fatalf("offer expires %v, want %v by the target service's rules", got, want)
	}
	c.do(Decline{Offer: offer(2), Agent: agent(2), Cause: CauseRejected})
	c.shows(DisplayQueued)
	c.do(Offer{Request: request(32), Offer: offer(3), Agent: agent(3)})
	c.gives(Accept{Offer: offer(3), Agent: agent(3)}, TypeJoinedBy, TypeAssigned, TypeParticipantJoined).shows(DisplayActive)
	if c.s.Service != service(2) || c.s.Rules.WrapupLimit != 1_000 {
		t.Fatalf("after a transfer the service is %v with %+v", c.s.Service, c.s.Rules)
	}
}

func TestT3_ConferenceLeavesTheServiceAlone(t *testing.T) {
	c := webActive(t)
	c.do(inviteService(2, false))
	c.do(Offer{Request: request(32), Offer: offer(2), Agent: agent(2)})
	c.gives(Accept{Offer: offer(2), Agent: agent(2)}, TypeJoinedBy, TypeParticipantJoined)
	if c.s.Service != service(1) {
		t.Fatalf("service %v, want the first", c.s.Service)
	}
}

func TestT5_EndChatWithAnInvitationPending(t *testing.T) {
	t.Run("asks", func(t *testing.T) {
		c := webActive(t)
		c.do(inviteAgent(2))
		c.refuses(Leave{Agent: agent(1)}, ErrInvitePending)
		c.gives(CancelInvite{Request: request(22), By: agent(1)}, TypeRoutingCancelled)
		c.gives(Leave{Agent: agent(1)}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted)
	})
	t.Run("queues", func(t *testing.T) {
		c := webActive(t)
		c.do(inviteAgent(2))
		c.gives(Leave{Agent: agent(1), Queue: true, Request: request(9)},
			TypeRoutingCancelled, TypeParticipantLeft, TypeWrapupStarted, TypeRoutingRequested).shows(DisplayQueued)
		c.refuses(CancelInvite{Request: request(9), By: agent(1)}, ErrNotJoined)
	})
	t.Run("declined returns to the inviter", func(t *testing.T) {
		c := webActive(t)
		c.do(inviteAgent(2))
		c.do(Offer{Request: request(22), Offer: offer(2), Agent: agent(2)})
		c.gives(Decline{Offer: offer(2), Agent: agent(2), Cause: CauseRejected}, TypeRoutingDeclined).shows(DisplayActive)
		if c.s.Request(request(22)) != nil {
			t.Fatal("the invitation is still there")
		}
		c.gives(Leave{Agent: agent(1)}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted)
	})
	t.Run("the invitee comes while the queue is asked", func(t *testing.T) {
		c := webActive(t)
		c.do(inviteAgent(2))
		c.do(inviteService(2, false))
		c.gives(Leave{Agent: agent(1)}, TypeParticipantLeft, TypeWrapupStarted).shows(DisplayQueued)
		c.do(Offer{Request: request(22), Offer: offer(2), Agent: agent(2)})
		c.gives(Accept{Offer: offer(2), Agent: agent(2)}, TypeJoinedBy, TypeParticipantJoined).shows(DisplayActive)
	})
}

func TestN17_JoinByHand(t *testing.T) {
	c := webActive(t)
	c.refuses(Join{Agent: agent(1)}, ErrAlreadyJoined)
	c.do(inviteAgent(3))
	c.gives(Join{Agent: agent(2)}, TypeParticipantJoined)                       // the invitation of agent 3 is kept
	c.gives(Join{Agent: agent(3)}, TypeRoutingCancelled, TypeParticipantJoined) // the invitation of this agent is no longer needed

	q := web(t)
	q.do(Offer{Request: request(1), Offer: offer(1), Agent: agent(1)})
	q.gives(Join{Agent: agent(2)}, TypeRoutingCancelled, TypeParticipantJoined).shows(DisplayActive)
}

func TestR1_CustomerEnds(t *testing.T) {
	c := webActive(t)
	c.gives(CustomerEnd{}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted).shows(DisplayWrapup)
	c.refuses(post(2, customer), ErrEnded).refuses(post(2, agentAuthor(1)), ErrEnded).refuses(CustomerEnd{}, ErrEnded)
	c.refuses(Leave{Agent: agent(1)}, ErrEnded).refuses(Leave{Agent: agent(9)}, ErrNotJoined).refuses(post(2, agentAuthor(9)), ErrNotJoined) // an agent who never took part is not told that it has ended
	if c.s.EndCause != CauseCustomer {
		t.Fatalf("end cause %q, want %q", c.s.EndCause, CauseCustomer)
	}
}

func TestR4_Wrapup(t *testing.T) {
	t.Run("disposition", func(t *testing.T) {
		c := webActive(t)
		c.refuses(FinishWrapup{Agent: agent(1)}, ErrNoWrapup)
		c.do(Leave{Agent: agent(1)})
		c.refuses(FinishWrapup{Agent: agent(1)}, ErrDispositionNeeded)
		c.gives(FinishWrapup{Agent: agent(1), Disposition: "sold", Body: []byte(`{"notes":"n"}`)}, TypeWrapupEnded, TypeConcluded)
		c.refuses(FinishWrapup{Agent: agent(1), Disposition: "sold"}, ErrNoWrapup)
	})
	t.Run("limit", func(t *testing.T) {
		c := webActive(t)
		c.do(Leave{Agent: agent(1)})
		c.after(59*time.Second).gives(Tick{}).after(time.Second).gives(Tick{}, TypeWrapupEnded, TypeConcluded)
	})
	t.Run("without ACW it is concluded at once", func(t *testing.T) {
		start := startWeb()
		start.Rules.WrapupLimit = 0
		c := newScene(t)
		c.do(start)
		c.do(Join{Agent: agent(1)})
		c.gives(Leave{Agent: agent(1)}, TypeEnded, TypeParticipantLeft, TypeConcluded)
	})
	t.Run("without limit it waits", func(t *testing.T) {
		start := startWeb()
		start.Rules.WrapupLimit = -1
		c := newScene(t)
		c.do(start)
		c.do(Join{Agent: agent(1)})
		c.do(Leave{Agent: agent(1)})
		if at, ok := c.s.NextDeadline(); ok {
			t.Fatalf("deadline %v, want none", at)
		}
	})
}

func TestH1_Flag(t *testing.T) {
	c := webActive(t)
	c.refuses(Flag{By: agent(2), On: true}, ErrNotJoined)
	c.gives(Flag{By: agent(1), On: true}, TypeFlagSet).gives(Flag{By: agent(1), On: true})
	c.gives(Flag{By: agent(1)}, TypeFlagCleared).gives(Flag{By: agent(1)})
}

func TestS1_BanEndsAtOnce(t *testing.T) {
	c := webActive(t)
	c.gives(End{By: agentAuthor(1), Cause: CauseBan}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted).shows(DisplayWrapup)
}
