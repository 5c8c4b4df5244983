package eventlog

import (
	"errors"
	"fmt"
	"slices"
)

// The order in which an implementation applies a batch: lease check, streams,
// external ids, closed threads, opened threads (so that one append can end a
// conversation and open the next on its thread), rows, new outbox rows,
// outbox updates, joined receipts removed, receipts parked.

// ErrInvalid: a batch contradicts itself, which is a fault of the program. Nothing was written.
var ErrInvalid = errors.New("eventlog: invalid batch")

// Validate reports contradictions within the batch, which fail whatever the store holds, as
// ErrInvalid. Implementations call it before they queue an append.
func (b *Batch) Validate() error {
	for i := range b.Streams {
		s := &b.Streams[i]
		if s.Stream == (StreamID{}) {
			return fmt.Errorf("%w: stream %d has no id", ErrInvalid, i)
		}
		for j := range s.Events {
			e := &s.Events[j]
			switch {
			case e.Type == "":
				return fmt.Errorf("%w: stream %d event %d has no type", ErrInvalid, i, j)
			case (len(e.Body) == 0) != (e.KeyID == 0) || e.KeyID < 0:
				return fmt.Errorf("%w: stream %d event %d (%s): a body and its key go together", ErrInvalid, i, j, e.Type)
			}
		}
	}
	for i := range b.External {
		if x := &b.External[i]; !b.indexFits(x.Stream, x.Index) {
			return fmt.Errorf("%w: external id %d points at event %d, which is not in the batch", ErrInvalid, i, x.Index)
		}
	}
	for i := range b.Outbox {
		o := &b.Outbox[i]
		switch {
		case o.CommandID == [16]byte{}:
			return fmt.Errorf("%w: outbox row %d has no command id", ErrInvalid, i)
		case !o.State.Known():
			return fmt.Errorf("%w: outbox row %d has state %q", ErrInvalid, i, o.State)
		case !b.indexFits(o.Conversation, o.Index):
			return fmt.Errorf("%w: outbox row %d points at event %d, which is not in the batch", ErrInvalid, i, o.Index)
		}
	}
	for i := range b.OutboxUpdates {
		if u := &b.OutboxUpdates[i]; u.State != "" && !u.State.Known() {
			return fmt.Errorf("%w: outbox update %d has state %q", ErrInvalid, i, u.State)
		}
	}
	for i := range b.ParkReceipts {
		e := &b.ParkReceipts[i]
		switch {
		case e.Status == "":
			return fmt.Errorf("%w: early receipt %d has no status", ErrInvalid, i)
		case (len(e.Body) == 0) != (e.KeyID == 0) || e.KeyID < 0:
			return fmt.Errorf("%w: early receipt %d: a body and its key go together", ErrInvalid, i)
		}
	}
	for i := range b.Conversations {
		if b.Conversations[i].ID == (StreamID{}) {
			return fmt.Errorf("%w: conversation row %d has no id", ErrInvalid, i)
		}
	}
	return nil
}

// MaxKeyID is the largest data key id that the batch uses.
func (b *Batch) MaxKeyID() int64 {
	var m int64
	for i := range b.Streams {
		for j := range b.Streams[i].Events {
			m = max(m, b.Streams[i].Events[j].KeyID)
		}
	}
	for i := range b.Conversations {
		m = max(m, b.Conversations[i].KeyID)
	}
	for i := range b.Outbox {
		m = max(m, b.Outbox[i].KeyID)
	}
	for i := range b.ParkReceipts {
		m = max(m, b.ParkReceipts[i].KeyID)
	}
	return m
}

// indexOf is the index of a stream's first StreamAppend, or -1.
func (b *Batch) indexOf(stream StreamID) int {
	return slices.IndexFunc(b.Streams, func(s StreamAppend) bool { return s.Stream == stream })
}

func (b *Batch) indexFits(stream StreamID, index int) bool {
	at := b.indexOf(stream)
	return index < 0 || at < 0 || index < len(b.Streams[at].Events)
}

// SeqOf resolves the sequence that an ExternalID or OutboxRow refers to: that of the event at index
// in the stream's append, or seq as given when the stream has no append in this batch or index is
// negative. done are the sequences assigned to b.
func (b *Batch) SeqOf(done Appended, stream StreamID, index int, seq uint64) uint64 {
	at := b.indexOf(stream)
	if at < 0 || index < 0 {
		return seq
	}
	return done.Streams[at].FirstSeq + uint64(index)
}

// Known reports whether s is one of the outbox states.
func (s OutboxState) Known() bool {
	switch s {
	case OutboxQueued, OutboxBegun, OutboxSettled, OutboxUnknown:
		return true
	}
	return false
}

// Pending reports whether the command is still to be carried out: it is queued or begun.
func (s OutboxState) Pending() bool {
	return s == OutboxQueued || s == OutboxBegun
}

// Fits reports whether u may update row, of which only State, Node and Epoch matter. A settled row
// never changes, and every node may settle a row, since a final outcome is true whoever learns of
// it. Otherwise a pending row is changed only by the node to which it belongs, and only if the row
// has not been another node's since that node read it (Epoch): of two nodes that hold a command in
// memory one succeeds, and a node that was away for a while does not begin, and does not queue
// again, what another node may have sent meanwhile (promises.md 4.10). A command may be begun if it
// is queued, or begun already, since the answer to the first Begin may have been lost. An unknown
// command cannot be begun: first a person, on any node, must decide to queue it again, or a receipt
// settles it (PR4).
func (u *OutboxUpdate) Fits(row OutboxRow) bool {
	switch {
	case u.State == "":
		return true
	case row.State == OutboxSettled, u.State == OutboxSettled:
		return u.State == OutboxSettled
	case row.State == OutboxUnknown:
		return u.State != OutboxBegun
	}
	return row.Node == u.Node && row.Epoch == u.Epoch
}

// Apply changes a row as u says. A settled row stays as it is. A row that becomes settled loses its
// payload: nobody needs it any more, and it may quote people.
func (u *OutboxUpdate) Apply(o *OutboxRow) {
	if o.State == OutboxSettled {
		return
	}
	if o.Node != u.Node {
		o.Node = u.Node
		o.Epoch++
	}
	if u.State == "" {
		return
	}
	o.State, o.Attempt = u.State, u.Attempt
	if o.State == OutboxSettled {
		o.Payload, o.KeyID = nil, 0
	}
	if !u.NotBefore.IsZero() {
		o.NotBefore = u.NotBefore
	}
	if !u.Deadline.IsZero() {
		o.Deadline = u.Deadline
	}
}

// MergeAgents is the list of agents for a conversation row that has the list stored and is written
// with the list now: an agent once listed stays listed, and is active only if now says so. The
// result shares no memory with either list.
func MergeAgents(stored, now []ConversationAgent) []ConversationAgent {
	out := make([]ConversationAgent, 0, max(len(stored), len(now)))
	for _, a := range stored {
		out = append(out, ConversationAgent{Agent: a.Agent})
	}
	for _, a := range now {
		if i := slices.IndexFunc(out, func(o ConversationAgent) bool { return o.Agent == a.Agent }); i >= 0 {
			out[i].Active = a.Active
		} else {
			out = append(out, a)
		}
	}
	return out
}
