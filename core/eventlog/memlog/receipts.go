package memlog

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// park adds an early receipt unless its status is parked already. It needs l.mu.
func (l *Log) park(e eventlog.EarlyReceipt) {
	k := boundKey{e.Account, e.Key}
	if slices.ContainsFunc(l.receipts[k], func(o eventlog.EarlyReceipt) bool { return o.Status == e.Status }) {
		return
	}
	e.At, e.Body = utc(e.At), bytes.Clone(e.Body)
	l.receipts[k] = append(l.receipts[k], e)
}

// EarlyReceipts implements eventlog.Log.
func (l *Log) EarlyReceipts(ctx context.Context, account eventlog.StreamID, key eventlog.Key) ([]eventlog.EarlyReceipt, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	out := slices.Clone(l.receipts[boundKey{account, key}])
	for i := range out {
		out[i].Body = bytes.Clone(out[i].Body)
	}
	slices.SortStableFunc(out, func(a, b eventlog.EarlyReceipt) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Status, b.Status))
	})
	return out, nil
}

// PruneReceipts implements eventlog.Log.
func (l *Log) PruneReceipts(ctx context.Context, before time.Time) (int, error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	n := 0
	for k, list := range l.receipts {
		kept := slices.DeleteFunc(slices.Clone(list), func(e eventlog.EarlyReceipt) bool { return e.At.Before(before) })
		n += len(list) - len(kept)
		if l.receipts[k] = kept; len(kept) == 0 {
			delete(l.receipts, k)
		}
	}
	return n, nil
}
