package sqlite

import (
	"fmt"

	"github.com/parley-gateway/parley/core/eventlog"
)

// checkOutbox refuses commands that exist and updates that do not fit.
func (w *writer) checkOutbox(b *eventlog.Batch) error {
	if len(b.Outbox) == 0 && len(b.OutboxUpdates) == 0 {
		return nil
	}
	rows := make(map[[16]byte]eventlog.OutboxRow, len(b.Outbox)+len(b.OutboxUpdates)) // as b has left them so far
	row := func(id [16]byte) (o eventlog.OutboxRow, there bool, err error) {
		if o, there = rows[id]; there {
			return o, true, nil
		}
		c, err := w.sql.outboxState.row(id[:])
		if err != nil || c == nil {
			return o, false, err
		}
		return eventlog.OutboxRow{State: eventlog.OutboxState(c.text(0)), Node: c.text(1)}, true, nil
	}
	for i := range b.Outbox {
		id := b.Outbox[i].CommandID
		if _, there, err := row(id); err != nil {
			return err
		} else if there {
			return fmt.Errorf("outbox command %x exists: %w", id, eventlog.ErrConflict)
		}
		rows[id] = eventlog.OutboxRow{State: b.Outbox[i].State, Node: b.Outbox[i].Node}
	}
	for i := range b.OutboxUpdates {
		u := &b.OutboxUpdates[i]
		o, there, err := row(u.CommandID)
		switch {
		case err != nil:
			return err
		case !there:
			return fmt.Errorf("update outbox command %x: %w", u.CommandID, eventlog.ErrNotFound)
		case !u.Fits(o.State, o.Node):
			return fmt.Errorf("outbox command %x from %s to %s: %w", u.CommandID, o.State, u.State, eventlog.ErrConflict)
		}
		u.Apply(&o)
		rows[u.CommandID] = o
	}
	return nil
}

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
	u.Apply(&o)
	_, err = w.sql.setOutbox.exec(string(o.State), int64(o.Attempt), timeValue(o.NotBefore), timeValue(o.Deadline), o.Node, o.Epoch, outboxSum(&o),
		u.CommandID[:])
	return err
}

const outboxColumns = `command_id, account, conversation, seq, kind, route, state, attempt, not_before, deadline, payload, key_id, node, epoch, sum`

// outboxOf reads the outboxColumns and checks their sum.
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
