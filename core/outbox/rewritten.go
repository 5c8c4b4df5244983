package outbox

import (
	"context"
	"errors"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Rewritten makes the outbox forget the texts of a conversation's messages that it has in memory. What
// is not handed out yet is read again, and goes out as the log has it now.
func (o *Outbox) Rewritten(conv conversation.ConversationID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rewritten++
	for _, c := range o.byID {
		if c.row.Kind == KindSend && conversation.ConversationID(c.row.Conversation) == conv {
			c.body = nil
		}
	}
}

// openPayload opens the payload of a row in memory. If its key is lost, the conversation may have got
// another key meanwhile, under which the payload was sealed anew in the log.
func (o *Outbox) openPayload(ctx context.Context, row eventlog.OutboxRow) ([]byte, error) {
	payload, err := o.convs.OpenPayload(row)
	if !errors.Is(err, ErrUnreadable) {
		return payload, err
	}
	now, again := o.log.OutboxRow(ctx, row.CommandID)
	switch {
	case errors.Is(again, eventlog.ErrNotFound):
		return nil, err
	case again != nil:
		return nil, again // it may be readable after all
	case now.Payload == nil || now.KeyID == row.KeyID:
		return nil, err
	}
	return o.convs.OpenPayload(now)
}
