package memlog

import "github.com/parley-gateway/parley/core/eventlog"

// known answers eventlog.Batch.Check from memory. It needs l.mu.
type known struct{ l *Log }

func (k known) Lease(name string) (epoch int64, held bool, err error) {
	if s := k.l.leases[name]; s != nil {
		return s.epoch, s.node != "", nil
	}
	return 0, false, nil
}

func (k known) Head(stream eventlog.StreamID) (uint64, error) {
	return uint64(len(k.l.streams[stream])), nil
}

func (k known) External(account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, bound bool, err error) {
	e, bound := k.l.external[boundKey{account, key}]
	return e.stream, e.seq, bound, nil
}

func (k known) Thread(account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	return k.l.threads[boundKey{account, key}], nil
}

func (k known) Command(id [16]byte) (row eventlog.OutboxRow, there bool, err error) {
	if o := k.l.commands[id]; o != nil {
		return *o, true, nil
	}
	return row, false, nil
}

func (k known) Parked(account eventlog.StreamID, key eventlog.Key) (n int, known bool, err error) {
	return len(k.l.receipts[boundKey{account, key}]), true, nil
}
