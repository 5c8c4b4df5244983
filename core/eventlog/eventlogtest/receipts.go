package eventlogtest

import (
	"errors"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

// A provider's report that comes before its id is known must wait, and must be joined once (FT32).
func earlyReceipts(t *testing.T, l eventlog.Log) {
	account := ID(50)
	receipt := func(key int, status string, n int) eventlog.EarlyReceipt {
		return eventlog.EarlyReceipt{Account: account, Key: Key(key), Status: status, At: at(n), Body: []byte("sealed " + status), KeyID: 7}
	}
	parked := func(a eventlog.StreamID, key int) []eventlog.EarlyReceipt {
		t.Helper()
		list, err := l.EarlyReceipts(t.Context(), a, Key(key))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	bare := eventlog.EarlyReceipt{Account: account, Key: Key(1), Status: "sent", At: at(3)}
	diff(t, "nothing parked", parked(account, 1), []eventlog.EarlyReceipt(nil))
	mustAppend(t, l, &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{receipt(1, "read", 9), bare, receipt(2, "sent", 1)}})
	mustAppend(t, l, &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{
		receipt(1, "delivered", 5),
		{Account: account, Key: Key(1), Status: "sent", At: at(8)}, // a repeat: the first one stays
	}})
	other := receipt(1, "failed", 2)
	other.Account = ID(51)
	mustAppend(t, l, &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{other}})
	diff(t, "oldest first", parked(account, 1), []eventlog.EarlyReceipt{bare, receipt(1, "delivered", 5), receipt(1, "read", 9)})
	diff(t, "another account's", parked(ID(51), 1), []eventlog.EarlyReceipt{other})

	join := func(key, seen int) []eventlog.ReceiptJoin {
		return []eventlog.ReceiptJoin{{Account: account, Key: Key(key), Seen: seen}}
	}
	refused := func(name string, b *eventlog.Batch, want error) {
		t.Helper()
		_, err := l.Append(t.Context(), b)
		wantErr(t, name, err, want)
		if n, m := len(parked(account, 3)), len(parked(account, 1)); n != 0 || m != 3 {
			t.Errorf("%s: %d and %d parked, want 0 and 3", name, n, m)
		}
	}
	// A refused append must neither park nor join; a join that has not seen every receipt is
	// refused.
	b := batch(ID(1), 4, event("stale"))
	b.ParkReceipts, b.JoinReceipts = []eventlog.EarlyReceipt{receipt(3, "sent", 1)}, join(1, 3)
	refused("stale append", b, eventlog.ErrConflict)
	b = batch(ID(1), 0, event("status"))
	b.JoinReceipts = join(1, 2)
	refused("one came since it was read", b, eventlog.ErrConflict)
	b.JoinReceipts = join(1, 0)
	refused("none seen", b, eventlog.ErrConflict)
	b.JoinReceipts = join(1, 4)
	refused("more seen than there are", b, eventlog.ErrConflict)
	b.JoinReceipts = append(join(1, 3), join(2, 0)...)
	refused("only one of two seen", b, eventlog.ErrConflict)

	b.JoinReceipts = append(join(1, 3), join(99, 0)...)
	b.External = []eventlog.ExternalID{{Account: account, Key: Key(1), Stream: ID(1)}}
	mustAppend(t, l, b)
	diff(t, "joined", parked(account, 1), []eventlog.EarlyReceipt(nil))
	diff(t, "the other account's stays", parked(ID(51), 1), []eventlog.EarlyReceipt{other})

	// From now on the event is known, so no receipt may be parked for it any more.
	_, err := l.Append(t.Context(), &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{receipt(1, "failed", 8)}})
	var dup *eventlog.DuplicateError
	if !errors.As(err, &dup) || dup.Stream != ID(1) || dup.Seq != 1 || dup.Key != Key(1) || dup.Account != account {
		t.Errorf("parking for a bound id: got %v (%+v), want a DuplicateError naming seq 1", err, dup)
	}
	b = batch(ID(1), 1, event("both"))
	b.External = []eventlog.ExternalID{{Account: account, Key: Key(7), Stream: ID(1)}}
	b.ParkReceipts = []eventlog.EarlyReceipt{receipt(7, "sent", 8)}
	if _, err = l.Append(t.Context(), b); !errors.As(err, &dup) || dup.Seq != 2 {
		t.Errorf("parking for an id that the append binds: got %v, want a DuplicateError", err)
	}
	if n := wholeStream(t, l, ID(1)); n != 1 || len(parked(account, 1))+len(parked(account, 7)) != 0 {
		t.Errorf("refused parking left something: %d events", n)
	}

	if n, err := l.PruneReceipts(t.Context(), at(2)); err != nil || n != 1 {
		t.Errorf("prune: removed %d, %v, want the one before", n, err)
	}
	if n, m := len(parked(ID(51), 1)), len(parked(account, 2)); n != 1 || m != 0 {
		t.Errorf("after pruning: %d and %d parked, want 1 and 0", n, m)
	}
}

// A callback and the answer to its send arrive at the same time: the callback must be joined or
// refused with the event's place, never neither (FT32).
func receiptRace(t *testing.T, l eventlog.Log) {
	const ids = 60
	account := ID(50)
	for i := range ids {
		mustAppend(t, l, batch(ID(100+i), 0, event("m")))
	}
	var wg sync.WaitGroup
	joined, told := make([]int, ids), make([]bool, ids)
	for i := range ids {
		wg.Go(func() { // the answer: binds the id and joins the receipts parked so far
			for {
				list, err := l.EarlyReceipts(t.Context(), account, Key(i))
				if err != nil {
					t.Error(err)
					return
				}
				b := &eventlog.Batch{
					External:     []eventlog.ExternalID{{Account: account, Key: Key(i), Stream: ID(100 + i), Index: -1, Seq: 1}},
					JoinReceipts: []eventlog.ReceiptJoin{{Account: account, Key: Key(i), Seen: len(list)}},
				}
				if _, err = l.Append(t.Context(), b); err == nil {
					joined[i] = len(list)
					return
				}
				if !errors.Is(err, eventlog.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() { // the callback: parks a receipt
			_, err := l.Append(t.Context(), &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{{Account: account, Key: Key(i), Status: "sent", At: start}}})
			var dup *eventlog.DuplicateError
			if err != nil && !errors.As(err, &dup) {
				t.Error(err)
			}
			told[i] = err != nil
		})
	}
	wg.Wait()
	for i := range ids {
		left, err := l.EarlyReceipts(t.Context(), account, Key(i))
		if err != nil || len(left) != 0 || (joined[i] == 1) == told[i] {
			t.Errorf("id %d: joined %d, callback told of the event: %v, left %d, %v", i, joined[i], told[i], len(left), err)
		}
	}
}
