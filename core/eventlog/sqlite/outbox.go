package sqlite

import (
	"fmt"

	"github.com/parley-gateway/parley/core/eventlog"
)

func (w *writer) writeOutbox(b *eventlog.Batch, done eventlog.Appended) error {
	for i := range b.Outbox {
		o := b.Outbox[i]
		o.Seq = b.SeqOf(done, o.Conversation, o.Index, o.Seq)
		if _, err := w.sql.addOutbox.exec(o.CommandID[:], o.Account[:], idValue(o.Conversation), int64(o.Seq), o.Kind, o.Route,
			string(o.State), int64(o.Attempt), timeValue(o.NotBefore), timeValue(o.Deadline), blob(o.Payload), o.KeyID,
			o.Node, o.Epoch, outboxSum(&o)); err != nil {
			return err
		}
	}
	for i := range b.OutboxUpdates {
		if err := w.updateOutbox(&b.OutboxUpdates[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) updateOutbox(u *eventlog.OutboxUpdate) error {
	row, err := w.sql.outbox.row(u.CommandID[:])
	if err != nil {
		return err
	}
	o, err := outboxOf(row)
	if err != nil || o.State == eventlog.OutboxSettled {
		return err
	}
	had := o.Payload != nil
	u.Apply(&o)
	if had && o.Payload == nil {
		if _, err := w.sql.emptyOutbox.exec(u.CommandID[:]); err != nil {
			return err
		}
	}
	_, err = w.sql.setOutbox.exec(string(o.State), int64(o.Attempt), timeValue(o.NotBefore), timeValue(o.Deadline), o.Node, o.Epoch, outboxSum(&o),
		u.CommandID[:])
	return err
}

const outboxColumns = `command_id, account, conversation, seq, kind, route, state, attempt, not_before, deadline, payload, key_id, node, epoch, sum`

// outboxOf reads the outboxColumns and checks the row's checksum.
func outboxOf(c columns) (eventlog.OutboxRow, error) {
	r := eventlog.OutboxRow{
		CommandID:    c.id(0),
		Account:      c.id(1),
		Conversation: c.id(2),
		Seq:          uint64(c.number(3)),
		Index:        -1,
		Kind:         c.text(4),
		Route:        c.text(5),
		State:        eventlog.OutboxState(c.text(6)),
		Attempt:      int(c.number(7)),
		NotBefore:    timeOf(c.number(8)),
		Deadline:     timeOf(c.number(9)),
		Payload:      c.bytes(10),
		KeyID:        c.number(11),
		Node:         c.text(12),
		Epoch:        c.number(13),
	}
	if outboxSum(&r) != c.number(14) {
		return r, fmt.Errorf("%w: checksum of outbox command %x", eventlog.ErrCorrupt, r.CommandID)
	}
	return r, nil
}
