package acd_test

import (
	"slices"
	"testing"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// TestConsequencesConcernAgents: conversation.ConcernsAgents must be true for every event from
// which Consequences derives a command, since the router asks for consequences only then. Each
// event that concerns agents leads to a command, unless the next event leads to one for both.
func TestConsequencesConcernAgents(t *testing.T) {
	byAgent := conversation.Author{Kind: conversation.Agent, Agent: agent(1)}
	byBot := conversation.Author{Kind: conversation.Bot}
	heads := []conversation.Head{
		&conversation.RoutingCancelled{Request: request(1), Offer: offer(1), Agent: agent(1)},
		&conversation.ParticipantJoined{Who: byAgent}, &conversation.ParticipantJoined{Who: byBot},
		&conversation.ParticipantLeft{Who: byAgent}, &conversation.ParticipantLeft{Who: byBot},
		&conversation.WrapupEnded{Agent: agent(1), Cause: conversation.CauseFinished},
	}
	for _, typ := range conversation.Types() {
		h, err := conversation.DecodeHead(typ, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, h)
	}
	for _, h := range heads {
		out := acd.Consequences(&conversation.State{}, []conversation.Event{{Seq: 1, At: t0, Head: h}})
		if got := conversation.ConcernsAgents(h); got != (len(out) > 0) {
			t.Errorf("%s %+v: concerns agents: %t, consequences: %v", h.Type(), h, got, out)
		}
	}
	back := &conversation.WrapupEnded{Agent: agent(1), Cause: conversation.CauseAccepted} // a JoinedBy event follows
	if !conversation.ConcernsAgents(back) {
		t.Error("after-call work that ends with another offer does not concern its agent")
	}
}

// TestTypes: each type's constructor makes a head of exactly this type, for agents to see.
func TestTypes(t *testing.T) {
	for _, typ := range acd.Types() {
		h, err := acd.DecodeHead(typ, []byte("{}"))
		if err != nil || h.Type() != typ || h.Audience() != conversation.AudienceAgent {
			t.Errorf("DecodeHead(%s): %T, %v", typ, h, err)
		}
		if slices.Contains(conversation.Types(), typ) {
			t.Errorf("%s is a type of conversations too", typ)
		}
	}
}
