package eventlog

import "fmt"

// Known is what a store knows about the ids and rows that a batch names, including the effects of
// every append before it. Check asks for no more than it needs. An error is the store's own and
// ends the check.
//
// A store may answer with an assumption (that an external id is free, that a join has seen every
// receipt) if its write then proves it or undoes the append.
type Known interface {
	// Lease is the epoch under which a lease is held; held is false when no node holds it.
	Lease(name string) (epoch int64, held bool, err error)
	// Head is the last sequence of a stream, 0 when it has none.
	Head(stream StreamID) (uint64, error)
	// External is the event that an external id is bound to.
	External(account StreamID, key Key) (stream StreamID, seq uint64, bound bool, err error)
	// Thread is the conversation that is open on a thread, zero when none is.
	Thread(account StreamID, key Key) (StreamID, error)
	// Command returns State, Node and Epoch of an outbox row; there is false if there is
	// no such row.
	Command(id [16]byte) (row OutboxRow, there bool, err error)
	// Parked is how many early receipts wait for an external id. known is false when the store does
	// not count them and relies on the number that the writer has seen.
	Parked(account StreamID, key Key) (n int, known bool, err error)
}

// Checked is what an append that passed the check has to write beyond what the batch says itself.
type Checked struct {
	Appended Appended
	// Bind are the external ids that are not bound yet, each once, with Seq resolved.
	Bind []ExternalID
}

// SequenceError is the ErrConflict of a stream that is not at the sequence that the writer expects.
type SequenceError struct {
	Stream       StreamID
	Expect, Head uint64
}

// Error contains no content of events.
func (e *SequenceError) Error() string {
	return fmt.Sprintf("append to stream %x at %d, head is %d: %v", e.Stream, e.Expect, e.Head, ErrConflict)
}

// Unwrap makes errors.Is recognise an ErrConflict.
func (e *SequenceError) Unwrap() error { return ErrConflict }

// Check decides where the events of a valid batch go, the first of them at position pos, or returns
// the reason why the batch is refused. All stores use this one rule. It changes nothing, and looks
// at the parts in the order in which they are applied (see above Validate), each in the state in
// which the parts before it leave the store.
func (b *Batch) Check(k Known, pos int64) (Checked, error) {
	if name := b.Lease.Name; name != "" {
		epoch, held, err := k.Lease(name)
		if err != nil {
			return Checked{}, err
		}
		// A lease that has expired but that no other node has taken still counts as held: the epoch
		// protects against a second leader, and a clock that jumps must not stop a leader without
		// rival.
		if !held || epoch != b.Lease.Epoch {
			return Checked{}, fmt.Errorf("append under lease %s epoch %d: %w", name, b.Lease.Epoch, ErrFenced)
		}
	}
	done, err := b.place(k, pos)
	if err != nil {
		return Checked{}, err
	}
	bind, err := b.bind(k, done)
	if err != nil {
		return Checked{}, err
	}
	if err := b.checkThreads(k); err != nil {
		return Checked{}, err
	}
	if err := b.checkOutbox(k); err != nil {
		return Checked{}, err
	}
	if err := b.checkReceipts(k, bind); err != nil {
		return Checked{}, err
	}
	return Checked{Appended: done, Bind: bind}, nil
}

// place gives each stream append its first sequence and position.
func (b *Batch) place(k Known, pos int64) (Appended, error) {
	done := Appended{Streams: make([]AppendedStream, len(b.Streams))}
	for i := range b.Streams {
		s := &b.Streams[i]
		head, err := k.Head(s.Stream)
		if err != nil {
			return Appended{}, err
		}
		for j := range b.Streams[:i] { // a batch may append to the same stream twice
			if b.Streams[j].Stream == s.Stream {
				head += uint64(len(b.Streams[j].Events))
			}
		}
		if s.Expect != ExpectAny && s.Expect != head {
			return Appended{}, &SequenceError{Stream: s.Stream, Expect: s.Expect, Head: head}
		}
		done.Streams[i] = AppendedStream{FirstSeq: head + 1, FirstPos: pos}
		pos += int64(len(s.Events))
	}
	return done, nil
}

// boundKey names a thread or an external id of an account.
type boundKey struct {
	account StreamID
	key     Key
}

// bind returns the external ids that the append must bind. An id bound already to the same event is
// left out; an id bound to another event is a *DuplicateError.
func (b *Batch) bind(k Known, done Appended) ([]ExternalID, error) {
	if len(b.External) == 0 {
		return nil, nil
	}
	bind := make([]ExternalID, 0, len(b.External))
	var places map[boundKey]int // index in bind; made only when there are several ids
	for _, x := range b.External {
		x.Index, x.Seq = -1, b.SeqOf(done, x.Stream, x.Index, x.Seq)
		id := boundKey{x.Account, x.Key}
		stream, seq, bound, err := k.External(x.Account, x.Key)
		if err != nil {
			return nil, err
		}
		if at, twice := places[id]; twice {
			stream, seq, bound = bind[at].Stream, bind[at].Seq, true
		}
		switch {
		case !bound:
			if len(b.External) > 1 {
				if places == nil {
					places = make(map[boundKey]int, len(b.External))
				}
				places[id] = len(bind)
			}
			bind = append(bind, x)
		case stream != x.Stream || seq != x.Seq:
			return nil, &DuplicateError{Account: x.Account, Key: x.Key, Stream: stream, Seq: seq}
		}
	}
	return bind, nil
}

// checkThreads refuses to open a thread on which another conversation is still open after the batch
// has closed its threads.
func (b *Batch) checkThreads(k Known) error {
	if len(b.OpenThreads) == 0 {
		return nil
	}
	changed := make(map[boundKey]StreamID, len(b.OpenThreads)+len(b.CloseThreads))
	holder := func(t *Thread) (StreamID, error) {
		if c, ok := changed[boundKey{t.Account, t.Key}]; ok {
			return c, nil
		}
		return k.Thread(t.Account, t.Key)
	}
	for i := range b.CloseThreads {
		t := &b.CloseThreads[i]
		c, err := holder(t)
		if err != nil {
			return err
		}
		if c == t.Conversation {
			changed[boundKey{t.Account, t.Key}] = StreamID{}
		}
	}
	for i := range b.OpenThreads {
		t := &b.OpenThreads[i]
		c, err := holder(t)
		if err != nil {
			return err
		}
		if c != (StreamID{}) && c != t.Conversation {
			return &ThreadOpenError{Thread: Thread{Account: t.Account, Key: t.Key, Conversation: c}}
		}
		changed[boundKey{t.Account, t.Key}] = t.Conversation
	}
	return nil
}

// checkOutbox refuses new commands that exist already, and updates that do not fit their row.
func (b *Batch) checkOutbox(k Known) error {
	if len(b.Outbox)+len(b.OutboxUpdates) == 0 {
		return nil
	}
	rows := make(map[[16]byte]OutboxRow, len(b.Outbox)+len(b.OutboxUpdates)) // State, Node and Epoch of each row, as b has changed them so far
	row := func(id [16]byte) (o OutboxRow, there bool, err error) {
		if o, there = rows[id]; !there {
			o, there, err = k.Command(id)
		}
		return o, there, err
	}
	for i := range b.Outbox {
		o := &b.Outbox[i]
		if _, there, err := row(o.CommandID); err != nil {
			return err
		} else if there {
			return fmt.Errorf("outbox command %x exists: %w", o.CommandID, ErrConflict)
		}
		rows[o.CommandID] = OutboxRow{State: o.State, Node: o.Node, Epoch: o.Epoch}
	}
	for i := range b.OutboxUpdates {
		u := &b.OutboxUpdates[i]
		o, there, err := row(u.CommandID)
		switch {
		case err != nil:
			return err
		case !there:
			return fmt.Errorf("update outbox command %x: %w", u.CommandID, ErrNotFound)
		case !u.Fits(o):
			return fmt.Errorf("outbox command %x from %s to %s: %w", u.CommandID, o.State, u.State, ErrConflict)
		}
		u.Apply(&o)
		rows[u.CommandID] = o
	}
	return nil
}

// checkReceipts refuses joins that have not seen every receipt. It also refuses to park a receipt
// for an id that is bound, by this batch or before: the event exists, so the writer can use it.
func (b *Batch) checkReceipts(k Known, bind []ExternalID) error {
	for i := range b.JoinReceipts {
		j := &b.JoinReceipts[i]
		n, known, err := k.Parked(j.Account, j.Key)
		if err != nil {
			return err
		}
		if known && n != j.Seen {
			return fmt.Errorf("join %d early receipts, %d are parked: %w", j.Seen, n, ErrConflict)
		}
	}
	for i := range b.ParkReceipts {
		p := &b.ParkReceipts[i]
		for j := range bind {
			if x := &bind[j]; x.Account == p.Account && x.Key == p.Key {
				return &DuplicateError{Account: p.Account, Key: p.Key, Stream: x.Stream, Seq: x.Seq}
			}
		}
		stream, seq, bound, err := k.External(p.Account, p.Key)
		if err != nil {
			return err
		}
		if bound {
			return &DuplicateError{Account: p.Account, Key: p.Key, Stream: stream, Seq: seq}
		}
	}
	return nil
}
