package outbox

import "github.com/parley-gateway/parley/core/conversation"

// Rewritten makes the outbox forget the texts of a conversation's messages that it has in memory. What
// is not handed out yet is read again, and goes out as the log has it now.
func (o *Outbox) Rewritten(conv conversation.ConversationID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.byID {
		if conversation.ConversationID(c.row.Conversation) == conv {
			c.body = nil
		}
	}
}
