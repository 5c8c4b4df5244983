package sqlite

import "github.com/parley-gateway/parley/core/eventlog"

// known answers eventlog.Batch.Check from the open transaction.
type known struct {
	w        *writer
	believes bool // assume that external ids are free instead of reading them
}

func (k *known) Lease(name string) (epoch int64, held bool, err error) {
	row, err := k.w.sql.lease.row(name)
	if err != nil || row == nil {
		return 0, false, err
	}
	return row[1].(int64), row[0].(string) != "", nil
}

func (k *known) Head(stream eventlog.StreamID) (uint64, error) {
	if h, ok := k.w.heads[stream]; ok {
		return h, nil
	}
	row, err := k.w.sql.head.row(stream[:])
	if err != nil {
		return 0, err
	}
	return uint64(row[0].(int64)), nil
}

func (k *known) External(account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, bound bool, err error) {
	if k.believes {
		return stream, 0, false, nil
	}
	row, err := k.w.sql.external.row(account[:], key[:])
	if err != nil || row == nil {
		return stream, 0, false, err
	}
	return idOf(row[0].([]byte)), uint64(row[1].(int64)), true, nil
}

func (k *known) Thread(account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	row, err := k.w.sql.thread.row(account[:], key[:])
	if err != nil || row == nil {
		return eventlog.StreamID{}, err
	}
	return idOf(row[0].([]byte)), nil
}

func (k *known) Command(id [16]byte) (o eventlog.OutboxRow, there bool, err error) {
	row, err := k.w.sql.outboxState.row(id[:])
	if err != nil || row == nil {
		return o, false, err
	}
	o.State, o.Node, o.Epoch = eventlog.OutboxState(row.text(0)), row.text(1), row.number(2)
	return o, true, nil
}

func (k *known) Parked(account eventlog.StreamID, key eventlog.Key) (n int, known bool, err error) {
	row, err := k.w.sql.countReceipts.row(account[:], key[:])
	if err != nil {
		return 0, false, err
	}
	return int(row[0].(int64)), true, nil
}
