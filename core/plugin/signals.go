package plugin

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// SignalKind tells what an ephemeral signal says.
type SignalKind string

// Kinds of signals.
const (
	SignalTyping   SignalKind = "typing"
	SignalPresence SignalKind = "presence"
	SignalQueue    SignalKind = "queue"
)

// CustomerSignal says that a customer types or is present.
type CustomerSignal struct {
	Account conversation.AccountID
	Thread  string
	Bot     conversation.ConversationID // not zero: the bot Account types in this conversation
	Kind    SignalKind
	On      bool
}

// AgentSignal is a signal for a customer's channel.
type AgentSignal struct {
	Conversation conversation.ConversationID
	Kind         SignalKind
	On           bool
	Name         string        // name of the agent who types
	Position     int           // place in the queue, from 1; 0 = not queued
	Waited       time.Duration // how long the customer has waited in the queue
}
