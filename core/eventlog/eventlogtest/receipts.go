package eventlogtest

import (
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

// What a provider says before its id is known waits and is joined once
// (FT32).
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
		{Account: account, Key: Key(1), Status: "sent", At: at(8)}, // a repeat: the first stays
	}})
	other := receipt(1, "failed", 2)
	other.Account = ID(51)
	mustAppend(t, l, &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{other}})
	diff(t, "oldest first", parked(account, 1), []eventlog.EarlyReceipt{bare, receipt(1, "delivered", 5), receipt(1, "read", 9)})
	diff(t, "another account's", parked(ID(51), 1), []eventlog.EarlyReceipt{other})

	// A refused append neither parks nor joins.
	b := batch(ID(1), 4, event("stale"))
	b.ParkReceipts = []eventlog.EarlyReceipt{receipt(3, "sent", 1)}
	b.JoinReceipts = []eventlog.ExternalRef{{Account: account, Key: Key(1)}}
	_, err := l.Append(t.Context(), b)
	wantErr(t, "stale append", err, eventlog.ErrConflict)
	if n, m := len(parked(account, 3)), len(parked(account, 1)); n != 0 || m != 3 {
		t.Errorf("after a refused append: %d and %d parked, want 0 and 3", n, m)
	}

	b = batch(ID(1), 0, event("status"))
	b.JoinReceipts = []eventlog.ExternalRef{{Account: account, Key: Key(1)}, {Account: account, Key: Key(99)}}
	mustAppend(t, l, b)
	diff(t, "joined", parked(account, 1), []eventlog.EarlyReceipt(nil))
	diff(t, "the other account's stays", parked(ID(51), 1), []eventlog.EarlyReceipt{other})
	// Parked after the join of its own append: a status for what comes next.
	mustAppend(t, l, &eventlog.Batch{
		JoinReceipts: []eventlog.ExternalRef{{Account: account, Key: Key(2)}},
		ParkReceipts: []eventlog.EarlyReceipt{receipt(2, "failed", 4)},
	})
	diff(t, "joined, then parked", parked(account, 2), []eventlog.EarlyReceipt{receipt(2, "failed", 4)})

	if n, err := l.PruneReceipts(t.Context(), at(4)); err != nil || n != 1 {
		t.Errorf("prune: removed %d, %v, want the one before", n, err)
	}
	if n, m := len(parked(ID(51), 1)), len(parked(account, 2)); n != 0 || m != 1 {
		t.Errorf("after pruning: %d and %d parked, want 0 and 1", n, m)
	}
}
