package outbox

import (
	"context"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Codes with which a reaction, an edit or a revocation fails, of the kind "content", without being handed
// out: the message that it names was not sent, or nobody knows whether it was.
const (
	CodeReferenceFailed  = "reference_failed"
	CodeReferenceUnknown = "reference_unknown"
)

// referenceError: a message cannot be sent, because of a message that it names.
type referenceError struct{ code string }

func (e *referenceError) Error() string { return "outbox: the message that is named: " + e.code }

// refer fills in the provider's ids of the messages that m names, as they are known now: when m was
// written, the provider may not have had them yet. The lane has held m back until the earlier message
// was sent, so what is not known now was never told.
//
// An answer to a message without an id goes out as a plain message, so that the text is not lost. Where
// no id of a message is known that was sent, the plugin is given ours alone, and decides.
func (o *Outbox) refer(ctx context.Context, row *eventlog.OutboxRow, m *Message, out *plugin.SendCommand) error {
	var ids []conversation.MessageID
	if !m.ReplyTo.IsZero() {
		ids = append(ids, m.ReplyTo)
	}
	for i := range m.Parts {
		if named, _, _ := m.Parts[i].Names(); named != nil {
			ids = append(ids, *named)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	refs, err := o.convs.References(ctx, conversation.ConversationID(row.Conversation), row.Seq, ids)
	if err != nil {
		return fmt.Errorf("outbox: messages that %s names: %w", conversation.MessageID(row.CommandID), err)
	}
	if ref := refs[m.ReplyTo]; ref.Endpoint == m.Endpoint && len(ref.ProviderIDs) > 0 {
		out.ReplyToProviderID = ref.ProviderIDs[0]
	}
	for i := range out.Parts {
		named, id, all := out.Parts[i].Names()
		if named == nil {
			continue
		}
		ref := refs[*named]
		switch {
		case ref.Status == conversation.StatusFailed:
			return &referenceError{CodeReferenceFailed}
		case ref.Status == conversation.StatusUnknown:
			return &referenceError{CodeReferenceUnknown}
		case ref.Endpoint != m.Endpoint || len(ref.ProviderIDs) == 0: // another account has other ids
			*id, *all = "", nil
		default:
			*id, *all = ref.ProviderIDs[0], ref.ProviderIDs
		}
	}
	return nil
}
