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
		o := &b.Outbox[i]
		seq := b.SeqOf(done, o.Conversation, o.Index, o.Seq)
		if _, err := w.sql.addOutbox.exec(o.CommandID[:], o.Account[:], idValue(o.Conversation), int64(seq), o.Kind, o.Route, //nolint:gosec // below 2^63
			string(o.State), int64(o.Attempt), timeValue(o.NotBefore), timeValue(o.Deadline), blob(o.Payload), o.KeyID,
			o.Node, o.Epoch); err != nil {
			return err
		}
	}
	for i := range b.OutboxUpdates {
		u := &b.OutboxUpdates[i]
		if _, err := w.sql.setOutbox.exec(string(u.State), int64(u.Attempt), u.Node, u.Epoch, timeValue(u.NotBefore),
			u.CommandID[:]); err != nil {
			return err
		}
	}
	return nil
}
