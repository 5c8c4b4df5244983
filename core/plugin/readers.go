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
	After    conversation.ConversationID // the conversation after which to read; zero: read the open one from its start
	AfterSeq uint64
	Audience conversation.Audience
	// Bot names the conversation that a bot reads (Audience is the bots', Account the bot's, Thread
	// empty). Zero: the reader is a customer's.
	Bot    conversation.ConversationID
	Credit int // how many records may be under way before the reader gives more credit
}

// Record is an opened event as a reader receives it. Head and Body are the stored bytes and must
// not be changed.
type Record struct {
	Conversation conversation.ConversationID
	Seq, Prev    uint64
	At           time.Time
	Type         conversation.Type
	Head, Body   json.RawMessage
}

// Sink receives what a reader reads. Its methods are called one at a time and must not block: the
// host queues the records, whose number is bounded by credit.
type Sink interface {
	// Records delivers records in order; live says that no more are waiting.
	Records(recs []Record, live bool)
	// Signal delivers an ephemeral signal.
	Signal(AgentSignal)
	// End says that the subscription is over; code is a published reason.
	End(code string)
}

// Reader is an open subscription.
type Reader interface {
	// Credit allows n more records.
	Credit(n int)
	// Close ends the reader; no method of the sink runs after Close returns.
	Close()
}

// SubscribeError refuses a subscription with a published reason. A Core may return it, wrapped,
// from Subscribe; for any other error the plugin is told "unavailable".
type SubscribeError struct{ Code string }

// Error names the code.
func (e *SubscribeError) Error() string { return "subscribe refused: " + e.Code }
