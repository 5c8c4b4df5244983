package router

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
)

// queueing returns the commands that a task queues for plugins beside its messages. It is called
// with the state after the task's events. The commands' rows are in the append of these events.
type queueing func(s *conversation.State) ([]*outbox.Command, error)

// Call has a plugin carry out a command for a live call of a conversation, and returns the command's
// id when that is durable. The command goes to the generation that holds the call; if no generation
// does yet, to the account's latest one. within is how long the command is worth carrying out; 0,
// and more than that, is 15 seconds. What comes of it comes as events of the call; a command that
// fails for good is told to the conversation, or recorded on the account. The caller checks who may
// ask for what. Errors: ErrNotFound, conversation.ErrNoSuchSession, conversation.ErrInvalid.
func (r *Router) Call(ctx context.Context, conv conversation.ConversationID, cmd *plugin.CallCommand, within time.Duration) (command [16]byte, err error) {
	t := &task{}
	var from outbox.Origin
	t.prepare = func(_ *task, s *conversation.State) error {
		x := s.Session(cmd.Session)
		switch {
		case x == nil:
			return fmt.Errorf("router: call: %w", conversation.ErrNoSuchSession)
		case x.Kind != conversation.SessionCall || x.Account.IsZero():
			return fmt.Errorf("router: call: session is no call of an account: %w", conversation.ErrInvalid)
		}
		var err error
		from, err = r.origin(s, x.Account)
		return err
	}
	t.queue = func(s *conversation.State) ([]*outbox.Command, error) {
		from.Seq = s.Seq
		c, err := r.outbox.Call(from, s.Session(cmd.Session).Pin, cmd, within)
		if err != nil {
			return nil, err
		}
		command = c.Row().CommandID
		return []*outbox.Command{c}, nil
	}
	_, err = r.live(conv).do(ctx, t)
	return command, err
}

// MarkRead tells an account's provider how far the customer's messages in a conversation have been
// read. It does nothing for a plugin that does not take read marks. The caller knows the provider's
// ids of the message. Errors: ErrNotFound.
func (r *Router) MarkRead(ctx context.Context, conv conversation.ConversationID, account conversation.AccountID, cmd *plugin.MarkReadCommand) error {
	acc, _ := r.dir.Snapshot().Account(account)
	if info, ok := r.pluginInfo(acc.Plugin); !ok || !info.MarkRead {
		return nil
	}
	t := &task{}
	var from outbox.Origin
	t.prepare = func(_ *task, s *conversation.State) (err error) {
		from, err = r.origin(s, account)
		return err
	}
	t.queue = func(s *conversation.State) ([]*outbox.Command, error) {
		from.Seq = s.Seq
		c, err := r.outbox.MarkRead(from, cmd)
		return []*outbox.Command{c}, err
	}
	_, err := r.live(conv).do(ctx, t)
	return err
}

// origin is where a conversation's commands for an account come from. An account over which the
// conversation has no endpoint, as one that only dials, has no thread. It may read the log.
func (r *Router) origin(s *conversation.State, account conversation.AccountID) (outbox.Origin, error) {
	from := outbox.Origin{Conversation: s.ID, Account: account}
	i := slices.IndexFunc(s.Endpoints, func(e conversation.Endpoint) bool { return e.Account == account })
	if i < 0 {
		return from, nil
	}
	to, err := r.readers.Address(r.ctx, s.ID, i)
	if err != nil {
		return from, fmt.Errorf("router: thread of a command: %w", notFound(err))
	}
	from.Thread = to.Thread
	return from, nil
}

// payloadAAD binds a sealed payload to its conversation and command.
func payloadAAD(row *eventlog.OutboxRow) []byte {
	return append(append(make([]byte, 0, len(row.Conversation)+len(row.CommandID)), row.Conversation[:]...), row.CommandID[:]...)
}

// queue adds commands to the append.
func (tx *tx) queue(cmds ...*outbox.Command) { tx.sends = append(tx.sends, cmds...) }

// fillOutbox adds the rows of the queued commands to the batch, with their payloads sealed.
func (tx *tx) fillOutbox() error {
	for _, c := range tx.sends {
		if plain := c.Payload(); plain != nil {
			row := c.Row()
			sealed, err := tx.sealed(func(key int64) ([]byte, error) { return tx.l.r.vault.Seal(key, payloadAAD(&row), plain) })
			if err != nil {
				return fmt.Errorf("router: seal command %x: %w", row.CommandID, err)
			}
			c.Seal(sealed, tx.l.key)
		}
		tx.batch.Outbox = append(tx.batch.Outbox, c.Row())
	}
	return nil
}

// handOver gives the queued commands, whose rows are committed, to the outbox, and tells the nodes
// to which some of them belong. The commands are the outbox's from then on.
func (tx *tx) handOver() {
	r := tx.l.r
	r.outbox.Add(tx.sends...)
	for i := range tx.batch.Outbox {
		if row := &tx.batch.Outbox[i]; row.Node != r.node {
			r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.Outbox, Stream: row.Account})
		}
	}
}
