package desk

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// SendRequest asks to add a message or a note, of an agent or a supervisor, to a conversation.
type SendRequest struct {
	Conversation conversation.ConversationID
	Agent        conversation.AgentID
	ClientID     string // at most 64 bytes; a retry under the same id is the same message
	Parts        []conversation.Part
	ReplyTo      conversation.MessageID
}

// Sent answers a SendRequest after the commit.
type Sent struct {
	Message conversation.MessageID
	Seq     uint64
}

// Board is the supervisors' view of agents and queues.
type Board struct {
	At     time.Time
	Agents []BoardAgent
	Queues []BoardQueue
}

// BoardAgent is an agent's line on the board.
type BoardAgent struct {
	ID      conversation.AgentID
	Name    string
	Status  string // logged_out, not_ready, ready, busy, acw
	Reason  string
	Pending bool // the agent becomes Not Ready when the present work ends
	Since   time.Time
	Active  int // number of conversations that the agent has joined
	Offers  int
	Wrapup  int
	Load    int // percent of capacity in use
}

// BoardQueue is a service's line on the board.
type BoardQueue struct {
	Service      conversation.ServiceID
	Name         string
	Waiting      int
	OldestSince  time.Time // since when the longest waiting request waits; zero: none waits
	Offered      int
	Active       int // number of conversations with an agent
	AgentsReady  int
	AgentsServed int // number of agents logged in who serve the service
}
