package sdk

import (
	"encoding/json"
	"strings"
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
	Audience string // "customer" or "bot" (minor 1); "" means customer
	// Conversation is what a bot reads, with Audience "bot" and an empty thread (minor 1). The cursor
	// then counts by its Seq only.
	Conversation ConversationID
	Credit       uint32 // records that may wait for the handler; 0 = 64
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

// Said is a message, as its record shows it.
type Said struct {
	ID    MessageID
	By    string   // the kind of its author: "customer", "agent", "bot", "supervisor", "system"
	Name  string   // the author's, as the customer sees it; "" = not known
	Kinds []string // of its parts: "text", "file", "reaction", ...
	Text  string   // its text parts, joined by line feeds
}

// Said reads a record of the type message/1; false for a record of another type, or one that cannot
// be read.
func (r *Record) Said() (Said, bool) {
	if r.Type != "message/1" {
		return Said{}, false
	}
	var head struct {
		ID     MessageID `json:"id"`
		Author struct {
			Kind string `json:"kind"`
		} `json:"author"`
		Kinds []string `json:"kinds"`
	}
	var body struct {
		Name  string `json:"name"`
		Parts []struct {
			Kind string `json:"kind"`
			Text string `json:"text"`
		} `json:"parts"`
	}
	if json.Unmarshal(r.Head, &head) != nil || len(r.Body) > 0 && json.Unmarshal(r.Body, &body) != nil {
		return Said{}, false
	}
	out := Said{ID: head.ID, By: head.Author.Kind, Name: body.Name, Kinds: head.Kinds}
	var texts []string
	for _, p := range body.Parts {
		if p.Kind == "text" {
			texts = append(texts, p.Text)
		}
	}
	out.Text = strings.Join(texts, "\n")
	return out, true
}
