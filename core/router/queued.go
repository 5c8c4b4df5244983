package router

import (
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// queueing returns the commands that a task queues for plugins beside its messages. It is called
// with the state after the task's events. The commands' rows are in the append of these events.
type queueing func(s *conversation.State) ([]*outbox.Command, error)

// callsOut makes the function that queues commands for calls, which an event of the same append names or
// leads to; nil: there are none. It may read the log.
func (r *Router) callsOut(s *conversation.State, calls []sessionwork.CallOut) (queueing, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	from := make([]outbox.Origin, len(calls))
	for i, c := range calls {
		var err error
		if from[i], err = r.origin(s, c.Account); err != nil {
			return nil, err
		}
		from[i].Command = c.Command
	}
	return func(s *conversation.State) (cmds []*outbox.Command, err error) {
		for i, c := range calls {
			from[i].Seq = s.Seq
			cmd, err := r.outbox.Call(from[i], c.Pin, c.Do, c.Within)
			if err != nil {
				return nil, err
			}
			cmds = append(cmds, cmd)
		}
		return cmds, nil
	}, nil
}

// tellEnd queues the end of a call or tool at its plugin, before ev ends it in the state. Every end is told
// that the plugin has not reported itself, so that neither outlives its conversation.
func (tx *tx) tellEnd(t *task, ev *conversation.Event) {
	h, ok := ev.Head.(*conversation.SessionEnded)
	if !ok {
		return
	}
	r, x := tx.l.r, tx.l.state.Session(h.Session)
	if call := sessionwork.HangUpOf(x, h, t.reported); call != nil {
		tx.order(call, ev.Seq)
	} else if tool := sessionwork.ToolEndOf(x, h, t.reported); tool != nil {
		tx.queueOwn(r.outbox.ToolEnd(tx.origin(x.Account, ev.Seq), x.Pin, tool))
	}
}

// callsFollow queues what the calls' plugins are to change after events that changed who takes part, or how.
// before is from before these events.
func (tx *tx) callsFollow(before sessionwork.Parts) {
	for _, out := range tx.l.r.sessions.PartsChanged(before, tx.l.state) {
		tx.order(&out, tx.l.state.Seq)
	}
}

// order queues a command for a call that the gateway itself gives, because of the event seq.
func (tx *tx) order(out *sessionwork.CallOut, seq uint64) {
	from := tx.origin(out.Account, seq)
	from.Command = out.Command
	tx.queueOwn(tx.l.r.outbox.Call(from, out.Pin, out.Do, out.Within))
}

// origin is where a command comes from that the gateway itself gives, because of the event seq. It has no thread where
// that cannot be read: the session's id is enough for a plugin to find it.
func (tx *tx) origin(account conversation.AccountID, seq uint64) outbox.Origin {
	from, err := tx.l.r.origin(tx.l.state, account)
	if err != nil {
		tx.l.r.logger.Warn("a command about a session goes to its plugin without a thread", "conversation_id", tx.l.id, "err", err)
		from = outbox.Origin{Conversation: tx.l.id, Account: account}
	}
	from.Seq = seq
	return from
}

// queueOwn queues a command that the gateway itself gives.
func (tx *tx) queueOwn(c *outbox.Command, err error) {
	if err != nil { // only what cannot be JSON
		tx.l.r.logger.Error("a command about a session cannot be told to its plugin", "conversation_id", tx.l.id, "err", err)
		return
	}
	tx.queue(c)
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

// payloads reports whether a queued command has a payload, which is sealed under the conversation's key.
func (tx *tx) payloads() bool {
	return slices.ContainsFunc(tx.sends, func(c *outbox.Command) bool { return c.Payload() != nil })
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
