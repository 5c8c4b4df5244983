package postgres

import "github.com/parley-gateway/parley/core/eventlog"

// known answers eventlog.Batch.Check from the plan: from what the plan has read, from the appends
// that it holds already, and otherwise from what the lane believes, which the writes prove. It
// never returns an error.
type known struct{ p *plan }

func (k known) Lease(name string) (epoch int64, held bool, err error) {
	l, ok := k.p.leases[name]
	return l.epoch, ok && l.node != "", nil
}

func (k known) Head(stream eventlog.StreamID) (uint64, error) { return k.p.heads[stream].seq, nil }

func (k known) External(account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, bound bool, err error) {
	e, bound := k.p.external[boundKey{account, key}]
	return e.stream, e.seq, bound, nil
}

func (k known) Thread(account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	if t := k.p.threads[boundKey{account, key}]; t != nil {
		return t.now, nil
	}
	return eventlog.StreamID{}, nil
}

func (k known) Command(id [16]byte) (row eventlog.OutboxRow, there bool, err error) {
	if c := k.p.commands[id]; c != nil {
		return c.row, true, nil
	}
	return row, false, nil
}

// Parked does not count the stored receipts unless the plan is careful: the number of rows that the
// join removes shows whether it was right. If an append of the plan has parked receipts, others may
// be stored too; the plan is then stale, and the careful plan counts them.
func (k known) Parked(account eventlog.StreamID, key eventlog.Key) (n int, known bool, err error) {
	m := k.p.receipts[boundKey{account, key}]
	switch {
	case m != nil && (k.p.careful || m.joined):
		return m.count(), true, nil
	case m != nil && len(m.staged) > 0:
		k.p.stale = true
		return -1, true, nil
	}
	return 0, k.p.careful, nil
}
