package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// writeReceipts removes the early receipts that b joins and parks its new ones.
func (w *writer) writeReceipts(b *eventlog.Batch) error {
	for i := range b.JoinReceipts {
		j := &b.JoinReceipts[i]
		if j.Seen == 0 {
			continue
		}
		if _, err := w.sql.delReceipts.exec(j.Account[:], j.Key[:]); err != nil {
			return err
		}
	}
	for i := range b.ParkReceipts {
		e := &b.ParkReceipts[i]
		if _, err := w.sql.addReceipt.exec(e.Account[:], e.Key[:], e.Status, timeValue(e.At), blob(e.Body), e.KeyID,
			receiptSum(e)); err != nil {
			return err
		}
	}
	return nil
}

// EarlyReceipts implements eventlog.Log.
func (l *Log) EarlyReceipts(ctx context.Context, account eventlog.StreamID, key eventlog.Key) ([]eventlog.EarlyReceipt, error) {
	var out []eventlog.EarlyReceipt
	err := l.query(ctx, l.reads.receipts, each(receiptOf, func(e eventlog.EarlyReceipt) { out = append(out, e) }), account[:], key[:])
	if err != nil {
		return nil, fmt.Errorf("early receipts of account %x: %w", account, err)
	}
	return out, nil
}

// PruneReceipts implements eventlog.Log.
func (l *Log) PruneReceipts(ctx context.Context, before time.Time) (int, error) {
	var pruned int64 // no result of this method: the writer may still set it when ctx ended and the caller is gone
	_, err := l.do(ctx, func(r *request) {
		r.work = func() (err error) {
			pruned, err = l.w.sql.pruneReceipts.exec(timeValue(before))
			return err
		}
	})
	if err != nil {
		return 0, fmt.Errorf("prune early receipts: %w", err)
	}
	return int(pruned), nil
}

const receiptColumns = `account, key, status, at, body, key_id, sum`

// receiptOf reads the receiptColumns and checks the row's checksum.
func receiptOf(c columns) (eventlog.EarlyReceipt, error) {
	e := eventlog.EarlyReceipt{Account: c.id(0), Status: c.text(2), At: timeOf(c.number(3)), Body: c.bytes(4), KeyID: c.number(5)}
	copy(e.Key[:], c.bytes(1))
	if receiptSum(&e) != c.number(6) {
		return e, fmt.Errorf("%w: checksum of an early receipt of account %x", eventlog.ErrCorrupt, e.Account)
	}
	return e, nil
}
