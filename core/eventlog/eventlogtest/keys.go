package eventlogtest

import (
	"errors"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

func externalIDs(t *testing.T, l eventlog.Log) {
	account, s := ID(50), ID(1)
	b := batch(s, 0, events("a", 3)...)
	b.External = []eventlog.ExternalID{
		{Account: account, Key: Key(1), Stream: s, Index: 0},
		{Account: account, Key: Key(2), Stream: s, Index: 2},
		{Account: account, Key: Key(3), Stream: ID(2), Index: 0, Seq: 9}, // the batch does not append to this stream
		{Account: account, Key: Key(4), Stream: s, Index: -1, Seq: 2},
		{Account: ID(51), Key: Key(1), Stream: s, Index: 1}, // the same key of another account
	}
	mustAppend(t, l, b)
	for _, c := range []struct {
		account, key int
		stream       int
		seq          uint64
	}{{50, 1, 1, 1}, {50, 2, 1, 3}, {50, 3, 2, 9}, {50, 4, 1, 2}, {51, 1, 1, 2}} {
		stream, seq, err := l.External(t.Context(), ID(c.account), Key(c.key))
		if err != nil || stream != ID(c.stream) || seq != c.seq {
			t.Errorf("External(%d, %d): got %x, %d, %v, want stream %d seq %d", c.account, c.key, stream, seq, err, c.stream, c.seq)
		}
	}
	_, _, err := l.External(t.Context(), account, Key(99))
	wantErr(t, "unknown external id", err, eventlog.ErrNotFound)

	// A repeat must write nothing, wherever it stands among new ids (PR3).
	for name, ids := range map[string][]eventlog.ExternalID{
		"alone":     {{Account: account, Key: Key(2), Stream: ID(3)}},
		"after new": {{Account: account, Key: Key(10), Stream: ID(3)}, {Account: account, Key: Key(2), Stream: ID(3)}},
		"before":    {{Account: account, Key: Key(2), Stream: ID(3)}, {Account: account, Key: Key(10), Stream: ID(3)}},
	} {
		b := batch(ID(3), 0, event("repeat"))
		b.External = ids
		_, err := l.Append(t.Context(), b)
		var dup *eventlog.DuplicateError
		if !errors.As(err, &dup) || dup.Account != account || dup.Key != Key(2) || dup.Stream != s || dup.Seq != 3 {
			t.Errorf("%s: got %v (%+v), want a DuplicateError naming seq 3", name, err, dup)
		}
		if n := wholeStream(t, l, ID(3)); n != 0 {
			t.Errorf("%s: the repeat left %d events", name, n)
		}
		_, _, err = l.External(t.Context(), account, Key(10))
		wantErr(t, name+": the new id beside the repeat", err, eventlog.ErrNotFound)
	}

	// An id bound again to the very same event, together with something new, is no error (PR4: a
	// provider names its id in each callback).
	b = batch(s, 3, event("status"))
	b.External = []eventlog.ExternalID{
		{Account: account, Key: Key(2), Stream: s, Index: -1, Seq: 3},
		{Account: account, Key: Key(11), Stream: s, Index: -1, Seq: 3},
		{Account: account, Key: Key(11), Stream: s, Index: -1, Seq: 3},
	}
	mustAppend(t, l, b)
	for _, k := range []int{2, 11} {
		if stream, seq, err := l.External(t.Context(), account, Key(k)); err != nil || stream != s || seq != 3 {
			t.Errorf("External(%d) bound again: got %x, %d, %v, want seq 3", k, stream, seq, err)
		}
	}
	b = batch(s, 4, event("status"))
	b.External = []eventlog.ExternalID{
		{Account: account, Key: Key(2), Stream: s, Index: -1, Seq: 3},
		{Account: account, Key: Key(12), Stream: s, Index: -1, Seq: 3},
		{Account: account, Key: Key(4), Stream: s, Index: -1, Seq: 3}, // is bound to seq 2 already
	}
	_, err = l.Append(t.Context(), b)
	if dup := new(eventlog.DuplicateError); !errors.As(err, &dup) || dup.Key != Key(4) {
		t.Errorf("an id of another event among known ones: error %v, want a DuplicateError of that id", err)
	}
	if _, seq, err := l.External(t.Context(), account, Key(2)); err != nil || seq != 3 {
		t.Errorf("the known id after a refused append: got %d, %v, want it kept", seq, err)
	}
	_, _, err = l.External(t.Context(), account, Key(12))
	wantErr(t, "the new id of a refused append", err, eventlog.ErrNotFound)

	b = batch(ID(4), 0, event("twice"), event("twice"))
	b.External = []eventlog.ExternalID{{Account: account, Key: Key(20), Stream: ID(4)}, {Account: account, Key: Key(20), Stream: ID(4), Index: 1}}
	_, err = l.Append(t.Context(), b)
	var dup *eventlog.DuplicateError
	if !errors.As(err, &dup) {
		t.Errorf("the same id twice in one append: error %v, want a DuplicateError", err)
	}
	_, _, err = l.External(t.Context(), account, Key(20))
	wantErr(t, "the id given twice", err, eventlog.ErrNotFound)
}

// The same provider message in many retries of carriers at the same time must give one event (PR3).
func externalRace(t *testing.T, l eventlog.Log) {
	const ids, tries = 10, 12
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := make([]int, ids)
	for i := range ids {
		for range tries {
			wg.Go(func() {
				b := batch(ID(100+i), eventlog.ExpectAny, event("m"))
				b.External = []eventlog.ExternalID{{Account: ID(1), Key: Key(i), Stream: ID(100 + i)}}
				_, err := l.Append(t.Context(), b)
				var dup *eventlog.DuplicateError
				switch {
				case err == nil:
					mu.Lock()
					won[i]++
					mu.Unlock()
				case !errors.As(err, &dup) || dup.Stream != ID(100+i) || dup.Seq != 1:
					t.Errorf("repeat: %v, want a DuplicateError naming the first", err)
				}
			})
		}
	}
	wg.Wait()
	for i := range ids {
		if n := wholeStream(t, l, ID(100+i)); won[i] != 1 || n != 1 {
			t.Errorf("id %d: %d acknowledged, %d stored, want 1 and 1", i, won[i], n)
		}
	}
}

func threads(t *testing.T, l eventlog.Log) {
	account := ID(50)
	thread := func(key, conversation int) eventlog.Thread {
		return eventlog.Thread{Account: account, Key: Key(key), Conversation: ID(conversation)}
	}
	holder := func(key int) (int, error) {
		c, err := l.Thread(t.Context(), account, Key(key))
		for n := range 10 {
			if c == ID(n) {
				return n, err
			}
		}
		return -1, err
	}
	_, err := holder(1)
	wantErr(t, "thread never opened", err, eventlog.ErrNotFound)

	b := batch(ID(1), 0, event("a"))
	b.OpenThreads = []eventlog.Thread{thread(1, 1), thread(2, 1)}
	mustAppend(t, l, b)
	if c, err := holder(1); err != nil || c != 1 {
		t.Errorf("thread 1: got %d, %v, want 1", c, err)
	}

	b = batch(ID(2), 0, event("b"))
	b.OpenThreads = []eventlog.Thread{thread(3, 2), thread(1, 2)}
	_, err = l.Append(t.Context(), b)
	var open *eventlog.ThreadOpenError
	if !errors.As(err, &open) || open.Thread != thread(1, 1) {
		t.Errorf("second conversation on thread 1: got %v (%+v), want a ThreadOpenError naming the first", err, open)
	}
	if n := wholeStream(t, l, ID(2)); n != 0 {
		t.Errorf("the refused append left %d events", n)
	}
	_, err = holder(3)
	wantErr(t, "thread of the refused append", err, eventlog.ErrNotFound)

	mustAppend(t, l, &eventlog.Batch{OpenThreads: []eventlog.Thread{thread(1, 1)}})  // opened again by the conversation that holds it
	mustAppend(t, l, &eventlog.Batch{CloseThreads: []eventlog.Thread{thread(1, 2)}}) // closed by another conversation, which has no effect
	if c, err := holder(1); err != nil || c != 1 {
		t.Errorf("thread 1 after another conversation closed it: got %d, %v, want 1", c, err)
	}
	b = batch(ID(2), 0, event("c")) // ends the first conversation and opens the second in one append
	b.CloseThreads = []eventlog.Thread{thread(1, 1)}
	b.OpenThreads = []eventlog.Thread{thread(1, 2)}
	mustAppend(t, l, b)
	if c, err := holder(1); err != nil || c != 2 {
		t.Errorf("thread 1 after the change: got %d, %v, want 2", c, err)
	}
	mustAppend(t, l, &eventlog.Batch{CloseThreads: []eventlog.Thread{thread(1, 2)}})
	_, err = holder(1)
	wantErr(t, "thread closed", err, eventlog.ErrNotFound)
	if c, err := holder(2); err != nil || c != 1 {
		t.Errorf("thread 2: got %d, %v, want 1", c, err)
	}
}

// A hundred first messages of one visitor must open one conversation (PR7).
func threadRace(t *testing.T, l eventlog.Log) {
	const tries = 100
	var wg sync.WaitGroup
	var mu sync.Mutex
	var winners []eventlog.StreamID
	for i := range tries {
		wg.Go(func() {
			b := batch(ID(100+i), 0, event("hello"))
			b.OpenThreads = []eventlog.Thread{{Account: ID(1), Key: Key(1), Conversation: ID(100 + i)}}
			_, err := l.Append(t.Context(), b)
			var open *eventlog.ThreadOpenError
			switch {
			case err == nil:
				mu.Lock()
				winners = append(winners, ID(100+i))
				mu.Unlock()
			case !errors.As(err, &open):
				t.Errorf("loser: %v, want a ThreadOpenError", err)
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d conversations opened on one thread, want 1", len(winners))
	}
	if c, err := l.Thread(t.Context(), ID(1), Key(1)); err != nil || c != winners[0] {
		t.Errorf("Thread: got %x, %v, want the winner %x", c, err, winners[0])
	}
	if recs, err := l.Tail(t.Context(), 0, 0); err != nil || len(recs) != 1 {
		t.Errorf("the log has %d events, %v, want 1", len(recs), err)
	}
}
