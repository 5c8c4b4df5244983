package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/vault"
)

const (
	// receiptAge is how long a status waits for the id that it names (DESIGN.md 5).
	receiptAge = 7 * 24 * time.Hour
	// pruneEvery is how often older ones are looked for.
	pruneEvery = time.Hour
	maxCode    = 256 // bytes of a provider's code
)

// word is what a provider says of an outgoing message.
type word struct {
	account conversation.AccountID
	status  conversation.SetStatus
	seq     uint64                // of the message
	keys    []eventlog.Key        // the provider's ids of its parts, to be bound to it
	update  eventlog.OutboxUpdate // none when CommandID is zero: the row is known to be settled
	done    func(outcome, error)  // never told of duplicates
}

// updates are w.update as a list.
func (w *word) updates() []eventlog.OutboxUpdate {
	if w.update.CommandID == ([16]byte{}) {
		return nil
	}
	return []eventlog.OutboxUpdate{w.update}
}

// tell carries a word out. What was said of the ids before they were known is
// joined in the same append (FT32): the log refuses an append that has not seen
// all of it, and parking for an id that is bound, so that a callback and the
// answer to its send meet in any order and across any crash.
func (r *Router) tell(conv conversation.ConversationID, w word) {
	l := r.live(conv)
	t := &task{cmd: w.status, outbox: w.updates(), account: w.account, external: w.keys, externalSeq: w.seq}
	if len(w.keys) > 0 {
		t.prepare = func(t *task, _ *conversation.State) error {
			t.external = l.notBound(w.keys)
			return r.joinEarly(t, w)
		}
	}
	t.done = func(out outcome, err error) {
		if err != nil || !out.duplicate {
			w.done(out, err)
			return
		}
		// Some of the ids are known, which says nothing about the row or the rest.
		if !r.spawn(func() {
			if w.keys, err = r.unbound(w.account, w.keys); err != nil {
				w.done(outcome{}, err)
				return
			}
			r.tell(conv, w)
		}) {
			w.done(outcome{}, ErrStopped)
		}
	}
	l.submit(t)
}

// joinEarly lets the word that goes furthest win (PR5).
func (r *Router) joinEarly(t *task, w word) error {
	best := w.status
	t.receipts = t.receipts[:0] // of an earlier attempt
	for _, k := range t.external {
		list, err := r.log.EarlyReceipts(r.ctx, eventlog.StreamID(w.account), k)
		if err != nil {
			return fmt.Errorf("router: early receipts: %w", err)
		}
		t.receipts = append(t.receipts, eventlog.ReceiptJoin{Account: eventlog.StreamID(w.account), Key: k, Seen: len(list)})
		for i := range list {
			if !conversation.Status(list[i].Status).After(best.Status) {
				continue
			}
			said, err := r.openReceipt(&list[i])
			if err != nil {
				return err
			}
			best.Status, best.Kind, best.Code, best.Body = conversation.Status(list[i].Status), "", said.Code, statusBody(said.Text)
		}
	}
	t.cmd = best
	t.outbox = w.updates()
	for i := range t.outbox {
		if best.Status.After(conversation.StatusUnknown) {
			t.outbox[i].State = eventlog.OutboxSettled
		}
	}
	return nil
}

// unbound are those of keys that the log does not know.
func (r *Router) unbound(account conversation.AccountID, keys []eventlog.Key) (left []eventlog.Key, err error) {
	for _, k := range keys {
		_, _, err := r.log.External(r.ctx, eventlog.StreamID(account), k)
		if errors.Is(err, eventlog.ErrNotFound) {
			left = append(left, k)
		} else if err != nil {
			return nil, fmt.Errorf("router: provider id: %w", err)
		}
	}
	return left, nil
}

// providerKeys are the keys of a message's provider ids.
func (r *Router) providerKeys(account conversation.AccountID, ids ...string) (keys []eventlog.Key) {
	for _, id := range ids {
		if k := r.externalKey(account, id); id != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// deliveryStatus takes a provider's later word on a message (Y4). It may come
// any number of times and in any order: a status only moves forward, so nothing
// is kept against repeats.
func (r *Router) deliveryStatus(in plugin.Inbound, done func(plugin.Ack)) {
	if row, ok := r.outbox.Known(in.Status.Command); ok && conversation.AccountID(row.Account) == in.Account && row.Kind == outbox.KindSend {
		r.statusOfCommand(in, row, done)
		return
	}
	if !r.spawn(func() {
		if in.Status.Command != ([16]byte{}) {
			row, err := r.log.OutboxRow(r.ctx, in.Status.Command)
			switch {
			case err == nil && (conversation.AccountID(row.Account) != in.Account || row.Kind != outbox.KindSend):
				r.refuse(in, "unknown_command", done)
				return
			case err == nil:
				r.statusOfCommand(in, row, done)
				return
			case !errors.Is(err, eventlog.ErrNotFound):
				done(r.ack(conversation.ConversationID{}, outcome{}, err))
				return
			}
		}
		if in.Status.ProviderID == "" {
			r.refuse(in, "unknown_message", done)
			return
		}
		r.statusOfID(in, done)
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// statusOfCommand takes a word on one of our own commands. Whatever it says, the
// provider has the message: the row is settled, whether the Result is still to
// come or nobody knew (PR4).
func (r *Router) statusOfCommand(in plugin.Inbound, row eventlog.OutboxRow, done func(plugin.Ack)) {
	conv := conversation.ConversationID(row.Conversation)
	var update eventlog.OutboxUpdate
	if row.State != eventlog.OutboxSettled { // then nothing changes it any more
		update = eventlog.OutboxUpdate{CommandID: row.CommandID, State: eventlog.OutboxSettled, Attempt: row.Attempt, Node: r.node}
	}
	r.tell(conv, word{
		account: in.Account, status: setStatus(in.Status, conversation.MessageID(row.CommandID)), seq: row.Seq,
		keys: r.providerKeys(in.Account, in.Status.ProviderID), update: update,
		done: func(out outcome, err error) {
			if unfollowed(err) && row.State != eventlog.OutboxSettled {
				said := plugin.CommandResult{Command: row.CommandID, Outcome: in.Status.Status, Code: cut(in.Status.Code, maxCode), Text: in.Status.Text}
				if !r.outbox.EndUntold(row, said, update, func(alone error) {
					if alone != nil {
						err = alone
					}
					done(r.ack(conv, out, err))
				}) {
					done(r.ack(conv, out, ErrStopped))
				}
				return
			}
			if err == nil && row.State != eventlog.OutboxSettled {
				r.outbox.Settled(row)
			}
			done(r.ack(conv, out, err))
		},
	})
}

// unfollowed reports whether a conversation no longer follows a message.
func unfollowed(err error) bool {
	return err != nil && (conversation.Code(err) != "" || errors.Is(err, ErrNotFound))
}

// statusOfID takes a word on a message that the provider's id names; one that
// nobody knows yet is parked.
func (r *Router) statusOfID(in plugin.Inbound, done func(plugin.Ack)) {
	key := r.externalKey(in.Account, in.Status.ProviderID)
	stream, seq, err := r.log.External(r.ctx, eventlog.StreamID(in.Account), key)
	if errors.Is(err, eventlog.ErrNotFound) {
		err = r.park(in, key)
		var dup *eventlog.DuplicateError
		switch {
		case err == nil:
			done(plugin.Ack{Status: plugin.Committed})
			return
		case errors.As(err, &dup): // the answer to the send came meanwhile
			stream, seq, err = dup.Stream, dup.Seq, nil
		}
	}
	if err != nil {
		done(r.ack(conversation.ConversationID{}, outcome{}, err))
		return
	}
	if conversation.AccountID(stream) == in.Account { // something that was refused on its way in
		r.refuse(in, "unknown_message", done)
		return
	}
	conv := conversation.ConversationID(stream)
	t := &task{account: in.Account}
	t.prepare = func(t *task, s *conversation.State) error {
		t.outbox = nil
		c := setStatus(in.Status, conversation.MessageID{})
		for i := range s.Pending {
			if p := &s.Pending[i]; p.Seq == seq {
				c.Message = p.ID
				if p.Status == conversation.StatusUnknown { // then its row is, too
					t.outbox = []eventlog.OutboxUpdate{{CommandID: [16]byte(p.ID), State: eventlog.OutboxSettled, Node: r.node}}
				}
			}
		}
		t.cmd = c
		return nil
	}
	t.done = func(o outcome, err error) { done(r.ack(conv, o, err)) }
	r.live(conv).submit(t)
}

func setStatus(st *plugin.DeliveryStatus, message conversation.MessageID) conversation.SetStatus {
	return conversation.SetStatus{Message: message, Status: st.Status, Code: cut(st.Code, maxCode), Body: statusBody(st.Text)}
}

// receiptBody is the sealed body of an early receipt.
type receiptBody struct {
	Code string `json:"code,omitempty"`
	Text string `json:"text,omitempty"`
}

// receiptAAD binds a sealed receipt to its place.
func receiptAAD(account eventlog.StreamID, key eventlog.Key) []byte {
	return append(append(make([]byte, 0, len(account)+len(key)), account[:]...), key[:]...)
}

// park keeps a word until its id is known. A *eventlog.DuplicateError says that
// it is by now.
func (r *Router) park(in plugin.Inbound, key eventlog.Key) error {
	e := eventlog.EarlyReceipt{Account: eventlog.StreamID(in.Account), Key: key, Status: string(in.Status.Status), At: r.now().UTC()}
	if b := (receiptBody{Code: cut(in.Status.Code, maxCode), Text: cut(in.Status.Text, maxField)}); b != (receiptBody{}) {
		plain, err := json.Marshal(b)
		if err != nil {
			return fmt.Errorf("router: encode early receipt: %w", err)
		}
		if e.KeyID, err = r.vault.Assign(); err != nil {
			return fmt.Errorf("router: key for an early receipt: %w", err)
		}
		if e.Body, err = r.vault.Seal(e.KeyID, receiptAAD(e.Account, key), plain); err != nil {
			return fmt.Errorf("router: seal early receipt: %w", err)
		}
	}
	_, err := r.log.Append(r.commits, &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{e}})
	return err
}

func (r *Router) openReceipt(e *eventlog.EarlyReceipt) (b receiptBody, err error) {
	if e.Body == nil {
		return b, nil
	}
	plain, err := r.vault.Open(e.KeyID, receiptAAD(e.Account, e.Key), e.Body)
	if vault.Lost(err) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(plain, &b)
	}
	if err != nil {
		return b, fmt.Errorf("router: open early receipt: %w", err)
	}
	return b, nil
}

// prune forgets early receipts whose ids nobody will bring any more.
func (r *Router) prune(ctx context.Context) {
	t := time.NewTicker(pruneEvery)
	defer t.Stop()
	for {
		n, err := r.log.PruneReceipts(ctx, r.now().Add(-receiptAge))
		switch {
		case err != nil && ctx.Err() == nil:
			r.logger.Warn("early receipts not pruned", "err", err)
		case n > 0:
			r.logger.Info("statuses of unknown messages forgotten", "count", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// cut bounds what a provider says, in bytes, and makes it UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func statusBody(text string) json.RawMessage {
	if text = cut(text, maxField); text == "" {
		return nil
	}
	b, err := json.Marshal(conversation.StatusBody{Text: text})
	if err != nil {
		return nil
	}
	return b
}
