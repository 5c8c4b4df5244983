package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/vault"
)

const (
	// receiptAge is how long an early receipt waits for the provider id that it names (DESIGN.md
	// 5).
	receiptAge = 7 * 24 * time.Hour
	// pruneEvery is how often early receipts older than receiptAge are deleted.
	pruneEvery = time.Hour
)

// Tell writes a command's result as the status of its message into the message's conversation, and
// update to the message's outbox row in the same append. done is called once, with the sequence of
// the status event (0: the conversation had recorded that status already). Errors: ErrNotFollowed,
// ErrStopped, and those of the log.
func (g *Ingest) Tell(row eventlog.OutboxRow, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(seq uint64, err error)) {
	account := conversation.AccountID(row.Account)
	g.tell(conversation.ConversationID(row.Conversation), word{
		account: account, seq: row.Seq, keys: g.providerKeys(account, res.ProviderIDs...), ids: conversation.KeptProviderIDs(res.ProviderIDs),
		text: res.Text, update: update, done: done,
		status: conversation.SetStatus{Message: conversation.MessageID(row.CommandID), Status: res.Outcome, Kind: res.Kind, Code: res.Code},
	})
}

// word is what a plugin or provider says of an outgoing message, with the update of the message's
// outbox row.
type word struct {
	account conversation.AccountID
	status  conversation.SetStatus // without bodies
	text    string                 // the provider's
	ids     []string               // the provider's ids of the message's parts, as they are kept
	seq     uint64                 // sequence of the message
	keys    []eventlog.Key         // the provider's ids of the message's parts, which the append binds to the message
	update  eventlog.OutboxUpdate  // no update when CommandID is zero: the row is known to be settled
	done    func(seq uint64, err error)
}

// updates returns w.update as a list, nil when there is no update.
func (w *word) updates() []eventlog.OutboxUpdate {
	if w.update.CommandID == ([16]byte{}) {
		return nil
	}
	return []eventlog.OutboxUpdate{w.update}
}

// tell writes a word into its conversation. Early receipts, which named the message's provider ids
// before these were known, are joined in the same append (FT32). The log refuses this append if it
// has not seen all early receipts of the ids, and refuses to park a receipt for an id that is
// bound. So a callback and the answer to its send may come in any order and across any crash.
func (g *Ingest) tell(conv conversation.ConversationID, w word) {
	g.convs.SetStatus(conv, Word{
		Account: w.account, Keys: w.keys, Message: w.seq,
		Decide: func(_ *conversation.State, keys []eventlog.Key) (Decision, error) { return g.joinEarly(&w, keys) },
		Done: func(seq uint64, err error) {
			if !errors.Is(err, ErrBound) {
				w.done(seq, err)
				return
			}
			// Some of the ids are bound already. That says nothing about the row or the other ids,
			// so the word is told again with the ids that are left.
			if !g.runner.Go(func() {
				left, err := g.unbound(w.account, w.keys)
				if err != nil {
					w.done(0, err)
					return
				}
				w.keys = left
				g.tell(conv, w)
			}) {
				w.done(0, ErrStopped)
			}
		},
	})
}

// joinEarly decides what to write for w and the early receipts of keys. Of all their statuses the
// one that goes furthest wins (PR5).
func (g *Ingest) joinEarly(w *word, keys []eventlog.Key) (Decision, error) {
	d := Decision{Status: w.status, Outbox: w.updates()}
	d.Status.Body = statusBody(w.text, w.ids)
	if len(keys) > 0 { // the log does not have all of the ids
		d.Status.Named = namedBody(w.ids)
	}
	for _, k := range keys {
		list, err := g.log.EarlyReceipts(g.runner.Running(), eventlog.StreamID(w.account), k)
		if err != nil {
			return d, fmt.Errorf("ingest: early receipts: %w", err)
		}
		d.Receipts = append(d.Receipts, eventlog.ReceiptJoin{Account: eventlog.StreamID(w.account), Key: k, Seen: len(list)})
		for i := range list {
			if !conversation.Status(list[i].Status).After(d.Status.Status) {
				continue
			}
			said, err := g.openReceipt(&list[i])
			if err != nil {
				return d, err
			}
			d.Status.Status, d.Status.Kind, d.Status.Code, d.Status.Body = conversation.Status(list[i].Status), "", said.Code, statusBody(said.Text, w.ids)
			if d.Status.Through = 0; said.Through {
				d.Status.Through = w.seq
			}
		}
	}
	for i := range d.Outbox {
		if d.Status.Status.After(conversation.StatusUnknown) {
			d.Outbox[i].State = eventlog.OutboxSettled
		}
	}
	return d, nil
}

// unbound returns those of keys that the log has not bound.
func (g *Ingest) unbound(account conversation.AccountID, keys []eventlog.Key) (left []eventlog.Key, err error) {
	for _, k := range keys {
		_, _, err := g.log.External(g.runner.Running(), eventlog.StreamID(account), k)
		if errors.Is(err, eventlog.ErrNotFound) {
			left = append(left, k)
		} else if err != nil {
			return nil, fmt.Errorf("ingest: provider id: %w", err)
		}
	}
	return left, nil
}

// providerKeys returns the keys of a message's provider ids, without empty and repeated ones.
func (g *Ingest) providerKeys(account conversation.AccountID, ids ...string) (keys []eventlog.Key) {
	for _, id := range ids {
		if k := g.externalKey(account, id); id != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// deliveryStatus takes a provider's status report for a message that was sent (Y4). A report may
// come any number of times and in any order: a status only moves forward, so no id is kept to
// recognise repeats.
func (g *Ingest) deliveryStatus(in plugin.Inbound, done func(plugin.Ack)) {
	if row, ok := g.outbox.Known(in.Status.Command); ok && conversation.AccountID(row.Account) == in.Account && row.Kind == outbox.KindSend {
		g.statusOfCommand(in, row, done)
		return
	}
	if !g.runner.Go(func() {
		if in.Status.Command != ([16]byte{}) {
			row, err := g.log.OutboxRow(g.runner.Running(), in.Status.Command)
			switch {
			case err == nil && (conversation.AccountID(row.Account) != in.Account || row.Kind != outbox.KindSend):
				g.refuse(in, "unknown_command", done)
				return
			case err == nil:
				g.statusOfCommand(in, row, done)
				return
			case !errors.Is(err, eventlog.ErrNotFound):
				done(g.ack(conversation.ConversationID{}, 0, err))
				return
			}
		}
		if in.Status.ProviderID == "" {
			g.refuse(in, "unknown_message", done)
			return
		}
		g.statusOfID(in, false, done)
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// receiptOfIDs takes a customer's receipt that names messages by the provider's ids. It holds for all earlier
// messages, too. done is called once, with Retry if a part of it is not durable.
func (g *Ingest) receiptOfIDs(in plugin.Inbound, done func(plugin.Ack)) {
	r := *in.Receipt
	in.Receipt = nil
	report := func(id string, s conversation.Status, done func(plugin.Ack)) {
		in := in
		in.Status = &plugin.DeliveryStatus{ProviderID: id, Status: s}
		if !g.runner.Go(func() { g.statusOfID(in, true, done) }) {
			done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
		}
	}
	if r.ReadID == "" {
		report(r.DeliveredID, conversation.StatusDelivered, done)
		return
	}
	if r.DeliveredID == "" || r.DeliveredID == r.ReadID {
		report(r.ReadID, conversation.StatusRead, done)
		return
	}
	report(r.ReadID, conversation.StatusRead, func(read plugin.Ack) {
		if read.Status == plugin.Retry {
			done(read)
			return
		}
		report(r.DeliveredID, conversation.StatusDelivered, done)
	})
}

// statusOfCommand takes a status report for a message whose outbox row is known. Whatever the
// report says, the provider has the message, so the row is settled, whether its Result is still to
// come or its outcome was unknown (PR4).
func (g *Ingest) statusOfCommand(in plugin.Inbound, row eventlog.OutboxRow, done func(plugin.Ack)) {
	conv := conversation.ConversationID(row.Conversation)
	var update eventlog.OutboxUpdate
	if row.State != eventlog.OutboxSettled { // a settled row is never updated again
		update = eventlog.OutboxUpdate{CommandID: row.CommandID, State: eventlog.OutboxSettled, Attempt: row.Attempt, Node: g.node}
	}
	g.tell(conv, word{
		account: in.Account, status: setStatus(in.Status, conversation.MessageID(row.CommandID)), seq: row.Seq, text: in.Status.Text,
		keys: g.providerKeys(in.Account, in.Status.ProviderID), ids: conversation.KeptProviderIDs([]string{in.Status.ProviderID}), update: update,
		done: func(seq uint64, err error) {
			if errors.Is(err, ErrNotFollowed) && row.State != eventlog.OutboxSettled {
				said := plugin.CommandResult{Command: row.CommandID, Outcome: in.Status.Status, Code: cut(in.Status.Code, maxCode), Text: in.Status.Text}
				if !g.outbox.EndUntold(row, said, update, func(alone error) {
					if alone != nil {
						err = alone
					}
					done(g.ack(conv, seq, err))
				}) {
					done(g.ack(conv, seq, ErrStopped))
				}
				return
			}
			if err == nil && row.State != eventlog.OutboxSettled {
				g.outbox.Settled(row)
			}
			done(g.ack(conv, seq, err))
		},
	})
}

// statusOfID takes a status report that names its message by the provider's id. A report for an id
// that is not known yet is parked as an early receipt. With through it holds for all earlier messages of the
// conversation, too.
func (g *Ingest) statusOfID(in plugin.Inbound, through bool, done func(plugin.Ack)) {
	key := g.externalKey(in.Account, in.Status.ProviderID)
	stream, seq, err := g.log.External(g.runner.Running(), eventlog.StreamID(in.Account), key)
	if errors.Is(err, eventlog.ErrNotFound) {
		err = g.park(in, through, key)
		var dup *eventlog.DuplicateError
		switch {
		case err == nil:
			done(plugin.Ack{Status: plugin.Committed})
			return
		case errors.As(err, &dup): // the answer to the send has bound the id meanwhile
			stream, seq, err = dup.Stream, dup.Seq, nil
		}
	}
	if err != nil {
		done(g.ack(conversation.ConversationID{}, 0, err))
		return
	}
	if conversation.AccountID(stream) == in.Account { // the id belongs to an event on the account's stream, so it is no message of a conversation
		g.refuse(in, "unknown_message", done)
		return
	}
	conv := conversation.ConversationID(stream)
	g.convs.SetStatus(conv, Word{
		Account: in.Account,
		Decide: func(s *conversation.State, _ []eventlog.Key) (d Decision, _ error) {
			d.Status = setStatus(in.Status, conversation.MessageID{})
			d.Status.Body = statusBody(in.Status.Text, nil)
			if through {
				d.Status.Through = seq
			}
			for i := range s.Pending {
				if p := &s.Pending[i]; p.Seq == seq {
					d.Status.Message = p.ID
					if p.Status == conversation.StatusUnknown { // then the message's outbox row is unknown, too, and is settled now
						d.Outbox = []eventlog.OutboxUpdate{{CommandID: [16]byte(p.ID), State: eventlog.OutboxSettled, Node: g.node}}
					}
				}
			}
			return d, nil
		},
		Done: func(seq uint64, err error) { done(g.ack(conv, seq, err)) },
	})
}

func setStatus(st *plugin.DeliveryStatus, message conversation.MessageID) conversation.SetStatus {
	return conversation.SetStatus{Message: message, Status: st.Status, Code: cut(st.Code, maxCode)}
}

// receiptBody is the sealed body of an early receipt.
type receiptBody struct {
	Code string `json:"code,omitempty"`
	Text string `json:"text,omitempty"`
	// Through: the receipt holds for all earlier messages of the conversation, too.
	Through bool `json:"through,omitempty"`
}

// receiptAAD binds a sealed receipt to its account and provider id.
func receiptAAD(account eventlog.StreamID, key eventlog.Key) []byte {
	return append(append(make([]byte, 0, len(account)+len(key)), account[:]...), key[:]...)
}

// park keeps a status report as an early receipt until its provider id is known. A
// *eventlog.DuplicateError means that the id has become known meanwhile.
func (g *Ingest) park(in plugin.Inbound, through bool, key eventlog.Key) error {
	e := eventlog.EarlyReceipt{Account: eventlog.StreamID(in.Account), Key: key, Status: string(in.Status.Status), At: g.now().UTC()}
	if b := (receiptBody{Code: cut(in.Status.Code, maxCode), Text: cut(in.Status.Text, maxField), Through: through}); b != (receiptBody{}) {
		plain, err := json.Marshal(b)
		if err != nil {
			return fmt.Errorf("ingest: encode early receipt: %w", err)
		}
		if e.KeyID, err = g.vault.Assign(); err != nil {
			return fmt.Errorf("ingest: key for an early receipt: %w", err)
		}
		if e.Body, err = g.vault.Seal(e.KeyID, receiptAAD(e.Account, key), plain); err != nil {
			return fmt.Errorf("ingest: seal early receipt: %w", err)
		}
	}
	_, err := g.log.Append(g.runner.Commits(), &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{e}})
	return err
}

func (g *Ingest) openReceipt(e *eventlog.EarlyReceipt) (b receiptBody, err error) {
	if e.Body == nil {
		return b, nil
	}
	plain, err := g.vault.Open(e.KeyID, receiptAAD(e.Account, e.Key), e.Body)
	if vault.Lost(err) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(plain, &b)
	}
	if err != nil {
		return b, fmt.Errorf("ingest: open early receipt: %w", err)
	}
	return b, nil
}

// Run deletes, until ctx ends, early receipts whose provider ids did not become known within
// receiptAge.
func (g *Ingest) Run(ctx context.Context) {
	t := time.NewTicker(pruneEvery)
	defer t.Stop()
	for {
		n, err := g.log.PruneReceipts(ctx, g.now().Add(-receiptAge))
		switch {
		case err != nil && ctx.Err() == nil:
			g.logger.Warn("early receipts not pruned", "err", err)
		case n > 0:
			g.logger.Info("statuses of unknown messages forgotten", "count", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func statusBody(text string, ids []string) json.RawMessage {
	if text = cut(text, maxField); text == "" && len(ids) == 0 {
		return nil
	}
	b, err := json.Marshal(conversation.StatusBody{Text: text, ProviderIDs: ids})
	if err != nil {
		return nil
	}
	return b
}

// namedBody is the body of further ids; nil for none.
func namedBody(ids []string) json.RawMessage {
	if len(ids) == 0 {
		return nil
	}
	b, err := json.Marshal(conversation.NamedBody{ProviderIDs: ids})
	if err != nil {
		return nil
	}
	return b
}
