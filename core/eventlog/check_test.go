package eventlog_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/eventlog"
)

// store answers Check from plain maps. fault, when set, is the error of every answer.
type store struct {
	leases   map[string]int64
	heads    map[eventlog.StreamID]uint64
	external map[id]event
	threads  map[id]eventlog.StreamID
	commands map[[16]byte]eventlog.OutboxRow
	parked   map[id]int
	trusts   bool // does not count parked receipts, but believes the join
	fault    error
}

type id struct {
	account eventlog.StreamID
	key     eventlog.Key
}

type event struct {
	stream eventlog.StreamID
	seq    uint64
}

func (s *store) Lease(name string) (int64, bool, error) {
	epoch, held := s.leases[name]
	return epoch, held, s.fault
}

func (s *store) Head(stream eventlog.StreamID) (uint64, error) { return s.heads[stream], s.fault }

func (s *store) External(account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, uint64, bool, error) {
	e, bound := s.external[id{account, key}]
	return e.stream, e.seq, bound, s.fault
}

func (s *store) Thread(account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	return s.threads[id{account, key}], s.fault
}

func (s *store) Command(command [16]byte) (eventlog.OutboxRow, bool, error) {
	o, there := s.commands[command]
	return o, there, s.fault
}

func (s *store) Parked(account eventlog.StreamID, key eventlog.Key) (int, bool, error) {
	return s.parked[id{account, key}], !s.trusts, s.fault
}

// The streams, account, keys and commands of the cases.
var (
	one, two = eventlog.StreamID{1}, eventlog.StreamID{2}
	account  = eventlog.StreamID{9}
	k1, k2   = eventlog.Key{1}, eventlog.Key{2}
	c1, c2   = [16]byte{1}, [16]byte{2}
)

func appendTo(stream eventlog.StreamID, expect uint64, n int) eventlog.StreamAppend {
	return eventlog.StreamAppend{Stream: stream, Expect: expect, Events: make([]eventlog.Event, n)}
}

func bind(key eventlog.Key, stream eventlog.StreamID, index int, seq uint64) eventlog.ExternalID {
	return eventlog.ExternalID{Account: account, Key: key, Stream: stream, Index: index, Seq: seq}
}

// full is a store that holds something of each kind.
func full() *store {
	return &store{
		leases:   map[string]int64{"acd": 3},
		heads:    map[eventlog.StreamID]uint64{one: 5},
		external: map[id]event{{account, k1}: {one, 2}},
		threads:  map[id]eventlog.StreamID{{account, k1}: one},
		commands: map[[16]byte]eventlog.OutboxRow{c1: {State: eventlog.OutboxQueued, Node: "a"}},
		parked:   map[id]int{{account, k2}: 2},
	}
}

func TestCheck(t *testing.T) {
	type streams = []eventlog.StreamAppend
	type ids = []eventlog.ExternalID
	type threads = []eventlog.Thread
	type updates = []eventlog.OutboxUpdate
	type at = []eventlog.AppendedStream
	thread := func(key eventlog.Key, c eventlog.StreamID) threads {
		return threads{{Account: account, Key: key, Conversation: c}}
	}
	update := func(c [16]byte, s eventlog.OutboxState, node string) eventlog.OutboxUpdate {
		return eventlog.OutboxUpdate{CommandID: c, State: s, Node: node}
	}
	row := func(c [16]byte) []eventlog.OutboxRow {
		return []eventlog.OutboxRow{{CommandID: c, State: eventlog.OutboxQueued, Node: "a", Index: -1}}
	}
	park := func(key eventlog.Key) []eventlog.EarlyReceipt {
		return []eventlog.EarlyReceipt{{Account: account, Key: key, Status: "sent"}}
	}
	join := func(key eventlog.Key, seen int) []eventlog.ReceiptJoin {
		return []eventlog.ReceiptJoin{{Account: account, Key: key, Seen: seen}}
	}
	for name, c := range map[string]struct {
		batch eventlog.Batch
		want  at
		bind  ids
		err   error // errors with fields are compared as a whole, others with errors.Is
	}{
		"nothing":                    {},
		"a new stream":               {batch: eventlog.Batch{Streams: streams{appendTo(two, 0, 3)}}, want: at{{1, 10}}},
		"where it is":                {batch: eventlog.Batch{Streams: streams{appendTo(one, 5, 1)}}, want: at{{6, 10}}},
		"anywhere":                   {batch: eventlog.Batch{Streams: streams{appendTo(one, eventlog.ExpectAny, 1)}}, want: at{{6, 10}}},
		"twice the same stream":      {batch: eventlog.Batch{Streams: streams{appendTo(one, 5, 2), appendTo(two, 0, 1), appendTo(one, 7, 1)}}, want: at{{6, 10}, {1, 12}, {8, 13}}},
		"without events":             {batch: eventlog.Batch{Streams: streams{appendTo(one, 5, 0), appendTo(two, 0, 1)}}, want: at{{6, 10}, {1, 10}}},
		"behind":                     {batch: eventlog.Batch{Streams: streams{appendTo(one, 4, 1)}}, err: &eventlog.SequenceError{Stream: one, Expect: 4, Head: 5}},
		"ahead":                      {batch: eventlog.Batch{Streams: streams{appendTo(two, 0, 1), appendTo(one, 6, 1)}}, err: eventlog.ErrConflict},
		"there though new":           {batch: eventlog.Batch{Streams: streams{appendTo(one, 0, 0)}}, err: eventlog.ErrConflict},
		"lease held":                 {batch: eventlog.Batch{Lease: eventlog.LeaseRef{Name: "acd", Epoch: 3}}},
		"lease of an older epoch":    {batch: eventlog.Batch{Lease: eventlog.LeaseRef{Name: "acd", Epoch: 2}}, err: eventlog.ErrFenced},
		"lease that nobody holds":    {batch: eventlog.Batch{Lease: eventlog.LeaseRef{Name: "other"}}, err: eventlog.ErrFenced},
		"lease before anything":      {batch: eventlog.Batch{Lease: eventlog.LeaseRef{Name: "other"}, Streams: streams{appendTo(one, 0, 1)}}, err: eventlog.ErrFenced},
		"a new id":                   {batch: eventlog.Batch{Streams: streams{appendTo(two, 0, 2)}, External: ids{bind(k2, two, 1, 0)}}, want: at{{1, 10}}, bind: ids{bind(k2, two, -1, 2)}},
		"id of an older event":       {batch: eventlog.Batch{External: ids{bind(k2, one, -1, 4)}}, bind: ids{bind(k2, one, -1, 4)}},
		"id bound to the same event": {batch: eventlog.Batch{External: ids{bind(k1, one, -1, 2)}}},
		"id bound to another event":  {batch: eventlog.Batch{External: ids{bind(k1, one, -1, 3)}}, err: &eventlog.DuplicateError{Account: account, Key: k1, Stream: one, Seq: 2}},
		"id twice to the same event": {batch: eventlog.Batch{External: ids{bind(k2, one, -1, 4), bind(k2, one, -1, 4)}}, bind: ids{bind(k2, one, -1, 4)}},
		"id twice to two events":     {batch: eventlog.Batch{External: ids{bind(k2, one, -1, 4), bind(k2, one, -1, 5)}}, err: &eventlog.DuplicateError{Account: account, Key: k2, Stream: one, Seq: 4}},
		"a free thread":              {batch: eventlog.Batch{OpenThreads: thread(k2, two)}},
		"a thread open on itself":    {batch: eventlog.Batch{OpenThreads: thread(k1, one)}},
		"a thread of another":        {batch: eventlog.Batch{OpenThreads: thread(k1, two)}, err: &eventlog.ThreadOpenError{Thread: thread(k1, one)[0]}},
		"a thread closed before":     {batch: eventlog.Batch{CloseThreads: thread(k1, one), OpenThreads: thread(k1, two)}},
		"closed by who has it not":   {batch: eventlog.Batch{CloseThreads: thread(k1, two), OpenThreads: thread(k1, two)}, err: &eventlog.ThreadOpenError{Thread: thread(k1, one)[0]}},
		"a thread opened by two":     {batch: eventlog.Batch{OpenThreads: append(thread(k2, one), thread(k2, two)...)}, err: &eventlog.ThreadOpenError{Thread: thread(k2, one)[0]}},
		"a new command":              {batch: eventlog.Batch{Outbox: row(c2)}},
		"a command that exists":      {batch: eventlog.Batch{Outbox: row(c1)}, err: eventlog.ErrConflict},
		"a command twice":            {batch: eventlog.Batch{Outbox: append(row(c2), row(c2)...)}, err: eventlog.ErrConflict},
		"a command and its update":   {batch: eventlog.Batch{Outbox: row(c2), OutboxUpdates: updates{update(c2, eventlog.OutboxBegun, "a")}}},
		"update of no command":       {batch: eventlog.Batch{OutboxUpdates: updates{update(c2, eventlog.OutboxBegun, "a")}}, err: eventlog.ErrNotFound},
		"begin by its node":          {batch: eventlog.Batch{OutboxUpdates: updates{update(c1, eventlog.OutboxBegun, "a")}}},
		"begin by another node":      {batch: eventlog.Batch{OutboxUpdates: updates{update(c1, eventlog.OutboxBegun, "b")}}, err: eventlog.ErrConflict},
		"taken over, then begun": {batch: eventlog.Batch{OutboxUpdates: updates{
			update(c1, "", "b"), {CommandID: c1, State: eventlog.OutboxBegun, Node: "b", Epoch: 1}}}},
		"taken over, then begun as before": {batch: eventlog.Batch{OutboxUpdates: updates{update(c1, "", "b"), update(c1, eventlog.OutboxBegun, "b")}}, err: eventlog.ErrConflict},
		"begin after it was away":          {batch: eventlog.Batch{OutboxUpdates: updates{update(c1, "", "b"), update(c1, "", "a"), update(c1, eventlog.OutboxBegun, "a")}}, err: eventlog.ErrConflict},
		"settled, then queued again":       {batch: eventlog.Batch{OutboxUpdates: updates{update(c1, eventlog.OutboxSettled, "a"), update(c1, eventlog.OutboxQueued, "a")}}, err: eventlog.ErrConflict},
		"all seen":                         {batch: eventlog.Batch{JoinReceipts: join(k2, 2)}},
		"none seen, none there":            {batch: eventlog.Batch{JoinReceipts: join(k1, 0)}},
		"one not seen":                     {batch: eventlog.Batch{JoinReceipts: join(k2, 1)}, err: eventlog.ErrConflict},
		"one seen that is gone":            {batch: eventlog.Batch{JoinReceipts: join(k2, 3)}, err: eventlog.ErrConflict},
		"parked for no event":              {batch: eventlog.Batch{ParkReceipts: park(k2)}},
		"parked for an event":              {batch: eventlog.Batch{ParkReceipts: park(k1)}, err: &eventlog.DuplicateError{Account: account, Key: k1, Stream: one, Seq: 2}},
		"parked for one of the batch":      {batch: eventlog.Batch{External: ids{bind(k2, one, -1, 4)}, ParkReceipts: park(k2)}, err: &eventlog.DuplicateError{Account: account, Key: k2, Stream: one, Seq: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.batch.Check(full(), 10)
			if !sameError(err, c.err) {
				t.Fatalf("got %v (%+v), want %v", err, err, c.err)
			}
			if err != nil {
				return
			}
			if d := cmp.Diff(append(at{}, c.want...), append(at{}, got.Appended.Streams...)); d != "" {
				t.Errorf("places (-want +got):\n%s", d)
			}
			if d := cmp.Diff(append(ids{}, c.bind...), append(ids{}, got.Bind...)); d != "" {
				t.Errorf("ids to bind (-want +got):\n%s", d)
			}
		})
	}
}

// sameError compares an error that has fields as a whole, and any other with errors.Is.
func sameError(got, want error) bool {
	var dup, wantDup *eventlog.DuplicateError
	var open, wantOpen *eventlog.ThreadOpenError
	var seq, wantSeq *eventlog.SequenceError
	switch {
	case want == nil:
		return got == nil
	case errors.As(want, &wantDup):
		return errors.As(got, &dup) && *dup == *wantDup
	case errors.As(want, &wantOpen):
		return errors.As(got, &open) && *open == *wantOpen
	case errors.As(want, &wantSeq):
		return errors.As(got, &seq) && *seq == *wantSeq && errors.Is(got, eventlog.ErrConflict)
	}
	return errors.Is(got, want)
}

// A store that believes the writer does not count the parked receipts.
func TestCheckTrusts(t *testing.T) {
	s := full()
	s.trusts = true
	b := eventlog.Batch{JoinReceipts: []eventlog.ReceiptJoin{{Account: account, Key: k2, Seen: 7}}}
	if _, err := b.Check(s, 1); err != nil {
		t.Error(err)
	}
}

// An error of the store must end the check, whichever question it answers.
func TestCheckStoreFails(t *testing.T) {
	thread := []eventlog.Thread{{Account: account, Key: k2, Conversation: two}}
	for name, b := range map[string]eventlog.Batch{
		"lease":   {Lease: eventlog.LeaseRef{Name: "acd", Epoch: 3}},
		"head":    {Streams: []eventlog.StreamAppend{appendTo(one, 5, 1)}},
		"id":      {External: []eventlog.ExternalID{bind(k2, one, -1, 4)}},
		"thread":  {OpenThreads: thread},
		"close":   {CloseThreads: thread, OpenThreads: thread},
		"command": {Outbox: []eventlog.OutboxRow{{CommandID: c2}}},
		"update":  {OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: c1}}},
		"join":    {JoinReceipts: []eventlog.ReceiptJoin{{Account: account, Key: k2, Seen: 2}}},
		"park":    {ParkReceipts: []eventlog.EarlyReceipt{{Account: account, Key: k2, Status: "sent"}}},
	} {
		s := full()
		s.fault = errors.New("disk gone")
		if _, err := b.Check(s, 1); !errors.Is(err, s.fault) {
			t.Errorf("%s: got %v, want the store's error", name, err)
		}
	}
}

// FuzzCheck: the check must not panic, whatever a batch holds; a batch that passes has sequences
// without holes, consecutive positions, and no id twice.
func FuzzCheck(f *testing.F) {
	f.Add([]byte{0, 1, 5, 1, 1, 2, 1, 0, 2, 2, 2, 3, 1, 1, 4, 1, 2, 5, 1, 6, 1, 1, 7, 1, 2, 8, 2})
	f.Add([]byte{0, 2, 0, 3, 1, 2, 2, 1, 0, 2, 3, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := batchOf(data)
		if b.Validate() != nil {
			return
		}
		s := full()
		got, err := b.Check(s, 10)
		if err != nil {
			return
		}
		pos, heads := int64(10), map[eventlog.StreamID]uint64{one: 5}
		for i, st := range b.Streams {
			if want := (eventlog.AppendedStream{FirstSeq: heads[st.Stream] + 1, FirstPos: pos}); got.Appended.Streams[i] != want {
				t.Fatalf("stream append %d is placed at %+v, want %+v", i, got.Appended.Streams[i], want)
			}
			heads[st.Stream] += uint64(len(st.Events))
			pos += int64(len(st.Events))
		}
		seen := map[id]bool{}
		for _, x := range got.Bind {
			k := id{x.Account, x.Key}
			if _, bound := s.external[k]; bound || seen[k] {
				t.Fatalf("id %x is to be bound though it is bound", x.Key)
			}
			seen[k] = true
		}
	})
}

// batchOf reads a batch of small numbers from data; it often conflicts with full.
func batchOf(data []byte) *eventlog.Batch {
	b := &eventlog.Batch{}
	next := func() byte {
		if len(data) == 0 {
			return 0
		}
		n := data[0]
		data = data[1:]
		return n
	}
	stream := func() eventlog.StreamID { return eventlog.StreamID{1 + next()%3} }
	key := func() eventlog.Key { return eventlog.Key{1 + next()%4} }
	states := []eventlog.OutboxState{"", eventlog.OutboxQueued, eventlog.OutboxBegun, eventlog.OutboxSettled, eventlog.OutboxUnknown}
	for len(data) > 0 {
		switch next() % 9 {
		case 0:
			s := appendTo(stream(), uint64(next()%8), int(next()%4))
			if s.Expect == 7 {
				s.Expect = eventlog.ExpectAny
			}
			for i := range s.Events {
				s.Events[i].Type = "t/1"
			}
			b.Streams = append(b.Streams, s)
		case 1:
			b.External = append(b.External, bind(key(), stream(), int(next()%4)-1, uint64(next()%4)))
		case 2:
			b.OpenThreads = append(b.OpenThreads, eventlog.Thread{Account: account, Key: key(), Conversation: stream()})
		case 3:
			b.CloseThreads = append(b.CloseThreads, eventlog.Thread{Account: account, Key: key(), Conversation: stream()})
		case 4:
			b.Outbox = append(b.Outbox, eventlog.OutboxRow{CommandID: [16]byte(stream()), State: states[1+next()%4], Node: "a", Index: -1})
		case 5:
			b.OutboxUpdates = append(b.OutboxUpdates, eventlog.OutboxUpdate{CommandID: [16]byte(stream()), State: states[next()%5], Node: "a"})
		case 6:
			b.JoinReceipts = append(b.JoinReceipts, eventlog.ReceiptJoin{Account: account, Key: key(), Seen: int(next() % 3)})
		case 7:
			b.ParkReceipts = append(b.ParkReceipts, eventlog.EarlyReceipt{Account: account, Key: key(), Status: "sent"})
		case 8:
			b.Lease = eventlog.LeaseRef{Name: "acd", Epoch: int64(next() % 5)}
		}
	}
	return b
}
