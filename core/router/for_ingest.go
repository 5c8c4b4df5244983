package router

import (
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/plugin"
)

// forIngest is the router as Ingest sees it: ingest.Conversations.
type forIngest struct{ r *Router }

// Arrive implements ingest.Conversations.
func (f forIngest) Arrive(acc directory.Account, in plugin.Inbound, done func(plugin.Ack)) {
	th := f.r.thread(in.Account, in.Thread)
	from := f.r.order.Arrived(order.Item{Author: order.Author{In: in.Account, Of: in.Thread}, ID: in.DedupeKey, Repeats: in.Repeats})
	to := target{service: acc.Service, user: acc.User, ignores: acc.Inbound == directory.InboundIgnore}
	th.take(arrival{in: in, from: from, to: to, done: done})
}

// SetStatus implements ingest.Conversations.
func (f forIngest) SetStatus(conv conversation.ConversationID, w ingest.Word) {
	l := f.r.live(conv)
	t := &task{account: w.Account, external: w.Keys, externalSeq: w.Message}
	t.prepare = func(t *task, s *conversation.State) error {
		t.external = l.notBound(w.Keys)
		d, err := w.Decide(s, t.external)
		t.cmd, t.outbox, t.receipts = d.Status, d.Outbox, d.Receipts
		return err
	}
	t.done = func(out outcome, err error) {
		switch {
		case err == nil && out.duplicate:
			err = ingest.ErrBound
		case unfollowed(err):
			err = fmt.Errorf("%w: %w", ingest.ErrNotFollowed, err)
		case errors.Is(err, ErrStopped):
			err = ingest.ErrStopped
		}
		w.Done(out.first, err)
	}
	l.submit(t)
}

// unfollowed reports whether err means that the conversation no longer follows the message.
func unfollowed(err error) bool {
	return err != nil && (conversation.Code(err) != "" || errors.Is(err, ErrNotFound))
}

// Tool implements ingest.Conversations.
func (f forIngest) Tool(in plugin.Inbound, done func(plugin.Ack)) {
	f.r.sessions.ToolEvent(in, f.r.ingest.Keys(in), done)
}

// Channel implements ingest.Conversations: the id of a plugin that exists, or "other".
func (f forIngest) Channel(id string) string {
	if _, ok := f.r.pluginInfo(id); ok {
		return id
	}
	return "other"
}
