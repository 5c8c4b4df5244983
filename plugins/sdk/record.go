package sdk

import (
	"encoding/json"
	"time"
)

// Cursor is a place in a thread's history: the last record that a reader has.
type Cursor struct {
	Conversation ConversationID // "" = the open conversation from its start, or nothing
	Seq          uint64
}

// SubscribeOptions refine a subscription. The zero value is right for a
// customer's reader.
type SubscribeOptions struct {
	Audience string // "customer" or "bot"; "" = customer
	Credit   uint32 // records that may wait for the handler; 0 = 64
}

// Record is one event of the log as the audience sees it.
type Record struct {
	Conversation ConversationID
	Seq          uint64
	Prev         uint64 // last seq that this audience could see before; 0 = none
	Time         time.Time
	Type         string          // "name/version"
	Head         json.RawMessage // as stored
	Body         json.RawMessage // as decided; nil = none
}

// RecordBatch is what a subscription's handler gets. Records may be kept.
type RecordBatch struct {
	Records []Record
	Live    bool   // the reader is now up to date
	End     string // not "": the host ended the subscription for this reason; nothing follows
}

// RecordHandler takes a subscription's batches, one after another. Credit
// for more returns with it, so a slow handler slows the host's reading and
// nothing else.
type RecordHandler func(RecordBatch)

// Subscription is an open reader.
type Subscription interface {
	// Close ends it. The handler may still be running, and is not called again.
	Close()
}

// SignalKind is what a signal tells.
type SignalKind int

// Kinds of signals.
const (
	SignalTyping SignalKind = iota + 1
	SignalPresence
	SignalQueue
)

// Signal is worth knowing only now. Never logged, shed first.
type Signal struct {
	Account      AccountID
	Thread       ThreadID
	Conversation ConversationID
	Kind         SignalKind
	On           bool          // typing: started; presence: connected
	Name         string        // who types (an agent's display name); from the host only
	Position     uint32        // queue: place from 1; 0 = not queued
	Wait         time.Duration // queue: waited so far, in milliseconds' steps
}
