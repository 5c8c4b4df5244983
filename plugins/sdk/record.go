package sdk

import (
	"encoding/json"
	"time"
)

// Cursor is a place in a thread's history: the last record that a reader has got.
type Cursor struct {
	Conversation ConversationID // "" = the open conversation from its start, or nothing if none is open
	Seq          uint64
}

// SubscribeOptions refine a subscription. The zero value is right for showing the thread to its
// customer.
type SubscribeOptions struct {
	Audience string // "customer" or "bot"; "" means customer
	Credit   uint32 // records that may wait for the handler; 0 = 64
}

// Record is an event of the log as the audience sees it.
type Record struct {
	Conversation ConversationID
	Seq          uint64
	Prev         uint64 // seq of the record before this one that the audience could see; 0 = none
	Time         time.Time
	Type         string          // the event's type, "name/version"
	Head         json.RawMessage // the bytes that are stored
	Body         json.RawMessage // as it was decided; nil = none
}

// RecordBatch is what a subscription's handler gets. Its records may be kept.
type RecordBatch struct {
	Records []Record
	Live    bool   // the reader is now up to date
	End     string // not "": the host ended the subscription for this reason; nothing follows
}

// RecordHandler takes a subscription's batches, one after another. When it returns, the host gets
// credit for more, so a slow handler slows only the reading of its own subscription.
type RecordHandler func(RecordBatch)

// Subscription is an open reader.
type Subscription interface {
	// Close ends the subscription. The handler may still be running, and is not called again.
	Close()
}

// SignalKind is what a signal reports.
type SignalKind int

// Kinds of signals.
const (
	SignalTyping SignalKind = iota + 1
	SignalPresence
	SignalQueue
)

// Signal is something that matters only now. It is never stored, and is dropped first under load.
type Signal struct {
	Account      AccountID
	Thread       ThreadID
	Conversation ConversationID
	Kind         SignalKind
	On           bool          // typing: started; presence: connected
	Name         string        // who types (an agent's display name); only in signals from the host
	Position     uint32        // queue: place from 1; 0 = not queued
	Wait         time.Duration // queue: time waited so far, in whole milliseconds
}
