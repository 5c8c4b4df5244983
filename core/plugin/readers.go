package plugin

import (
	"encoding/json"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// SubscriptionSpec names a reader of a thread.
type SubscriptionSpec struct {
	Plugin   string
	Account  conversation.AccountID
	Thread   string
	After    conversation.ConversationID // zero: the open one from its start
	AfterSeq uint64
	Audience conversation.Audience
	Credit   int // records that may be in flight
}

// Record is an opened event as a reader gets it. Head and Body are the stored
// bytes and must not be changed.
type Record struct {
	Conversation conversation.ConversationID
	Seq, Prev    uint64
	At           time.Time
	Type         conversation.Type
	Head, Body   json.RawMessage
}

// Sink takes what a reader gets. Its methods are called one at a time and
// must not block: the host queues (records are bounded by credit).
type Sink interface {
	// Records delivers in order; live tells that nothing more is waiting.
	Records(recs []Record, live bool)
	// Signal delivers something ephemeral.
	Signal(AgentSignal)
	// End says that the subscription is over; code is a published reason.
	End(code string)
}

// Reader is an open subscription.
type Reader interface {
	// Credit lets n more records come.
	Credit(n int)
	// Close ends it; no method of the sink runs after Close returns.
	Close()
}

// SubscribeError refuses a subscription with a published reason. A Core may
// return it, wrapped, from Subscribe; any other error reads "unavailable".
type SubscribeError struct{ Code string }

// Error names the code.
func (e *SubscribeError) Error() string { return "subscribe refused: " + e.Code }
