package acd

import "github.com/parley-gateway/parley/core/conversation"

// ForAgent is a command for one agent's stream.
type ForAgent struct {
	Agent   conversation.AgentID
	Command Command
}

// Consequences derives, from the events of one conversation, the commands for its agents' streams,
// in order. after is the conversation's state with the events applied. The router decides each
// command and appends the events of all streams in one batch, so that a conversation and its agents
// never disagree. Most events, such as messages, lead to no command: the result is then nil and
// nothing was allocated.
func Consequences(after *conversation.State, events []conversation.Event) []ForAgent {
	var out []ForAgent
	for i := range events {
		if agent, cmd := consequence(after, events, i); cmd != nil {
			out = append(out, ForAgent{Agent: agent, Command: cmd})
		}
	}
	return out
}

func consequence(after *conversation.State, events []conversation.Event, i int) (conversation.AgentID, Command) {
	switch h := events[i].Head.(type) {
	case *conversation.RoutingOffered:
		return h.Agent, present(after, h)
	case *conversation.JoinedBy:
		return h.Agent, Accepted{Offer: h.Offer}
	case *conversation.RoutingDeclined:
		return h.Agent, EndOffer{Offer: h.Offer, Cause: h.Cause}
	case *conversation.RoutingCancelled:
		if !h.Offer.IsZero() {
			return h.Agent, EndOffer{Offer: h.Offer, Cause: h.Cause}
		}
	case *conversation.ParticipantJoined:
		if h.Who.Kind == conversation.Agent {
			n := NeedOf(&after.Rules)
			return h.Who.Agent, Engage{Conversation: after.ID, Medium: n.Medium, Share: n.Share}
		}
	case *conversation.ParticipantLeft:
		if h.Who.Kind == conversation.Agent && !wrapsUp(events[i+1:], h.Who.Agent) {
			return h.Who.Agent, Release{Conversation: after.ID, Cause: h.Cause}
		}
	case *conversation.WrapupStarted:
		return h.Agent, StartWrapup{Conversation: after.ID, Until: h.Until}
	case *conversation.WrapupEnded:
		if h.Cause != conversation.CauseAccepted { // if accepted, the agent has joined the conversation again and keeps it
			return h.Agent, Release{Conversation: after.ID, Cause: h.Cause}
		}
	case *conversation.SupervisorJoined:
		return h.Agent, supervision(after, h.Agent)
	case *conversation.SupervisorLeft:
		return h.Agent, supervision(after, h.Agent)
	}
	return conversation.AgentID{}, nil
}

// supervision is the command for somebody who supervises or did. A change of mode is a leaving and a
// joining in the conversation, and nothing to the agent's stream.
func supervision(after *conversation.State, a conversation.AgentID) Command {
	if after.ModeOf(a) != "" {
		return Supervise{Conversation: after.ID}
	}
	return EndSupervision{Conversation: after.ID}
}

func present(after *conversation.State, h *conversation.RoutingOffered) Present {
	rules := &after.Rules
	if r := after.Request(h.Request); r != nil {
		rules = after.RulesOf(r)
	}
	n := NeedOf(rules)
	return Present{
		Offer: h.Offer, Conversation: after.ID, Request: h.Request, Medium: n.Medium,
		Share: n.Share, Spare: n.Spare, Invite: h.Invite, ExpiresAt: h.ExpiresAt,
	}
}

// wrapsUp reports whether the agent who left goes on to after-call work: then the event that starts
// this work directly follows the event of leaving.
func wrapsUp(next []conversation.Event, a conversation.AgentID) bool {
	if len(next) == 0 {
		return false
	}
	h, ok := next[0].Head.(*conversation.WrapupStarted)
	return ok && h.Agent == a
}
