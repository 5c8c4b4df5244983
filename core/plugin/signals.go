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

// CustomerSignal is typing or presence of a customer.
type CustomerSignal struct {
	Account conversation.AccountID
	Thread  string
	Kind    SignalKind
	On      bool
}

// AgentSignal goes to a customer's channel.
type AgentSignal struct {
	Conversation conversation.ConversationID
	Kind         SignalKind
	On           bool
	Name         string        // who types
	Position     int           // queue: from 1; 0 = not queued
	Waited       time.Duration // queue
}
