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
	states := make(map[[16]byte]eventlog.OutboxState, len(b.Outbox)+len(b.OutboxUpdates))
	state := func(id [16]byte) (eventlog.OutboxState, error) {
		if s, ok := states[id]; ok {
			return s, nil
		}
		row, err := w.sql.outboxState.row(id[:])
		if err != nil || row == nil {
			return "", err
		}
		return eventlog.OutboxState(row[0].(string)), nil
	}
	for i := range b.Outbox {
		id := b.Outbox[i].CommandID
		if s, err := state(id); err != nil {
			return err
		} else if s != "" {
			return fmt.Errorf("outbox command %x exists: %w", id, eventlog.ErrConflict)
		}
		states[id] = b.Outbox[i].State
	}
	for i := range b.OutboxUpdates {
		u := &b.OutboxUpdates[i]
		s, err := state(u.CommandID)
		switch {
		case err != nil:
			return err
		case s == "":
			return fmt.Errorf("update outbox command %x: %w", u.CommandID, eventlog.ErrNotFound)
		case !s.CanBecome(u.State):
			return fmt.Errorf("outbox command %x from %s to %s: %w", u.CommandID, s, u.State, eventlog.ErrConflict)
		}
		states[u.CommandID] = u.State
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
	o.State, o.Attempt, o.Node, o.Epoch = u.State, u.Attempt, u.Node, u.Epoch
	if !u.NotBefore.IsZero() {
		o.NotBefore = u.NotBefore
	}
	if !u.Deadline.IsZero() {
		o.Deadline = u.Deadline
	}
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
