package messages

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
)

// Attach replaces what a message says of its attachments by what the store knows of them, and
// returns the attachments that no message has yet: the append of the message binds them
// (blob.LogKey). A customer's message is kept in any case: an attachment that its thread does not
// have is replaced by a part that says so. An agent's message with such an attachment fails with
// ErrInvalid.
func (m *Maker) Attach(ctx context.Context, p *conversation.Post, by blob.Sender) (fresh []conversation.BlobID, err error) {
	if len(p.Blobs) == 0 {
		return nil, nil
	}
	found := make([]blob.Found, len(p.Blobs))
	customer := p.Author.Kind == conversation.Customer
	if m.blobs != nil {
		if found, err = m.blobs.Find(ctx, by, p.Blobs); err != nil {
			return nil, fmt.Errorf("messages: attachment: %w", err)
		}
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return nil, fmt.Errorf("messages: decode message: %w", err)
	}
	missing := 0
	for n, at := range files(body.Parts) {
		f := &found[n]
		switch {
		case !f.Blob.IsZero():
			file := f.File
			file.Caption, *at.at = (*at.at).Caption, &file
			if !f.Used && !slices.Contains(fresh, f.Blob) {
				fresh = append(fresh, f.Blob)
			}
		case customer:
			body.Parts[at.part] = missingPart()
			missing++
		default:
			return nil, fmt.Errorf("messages: attachment: %w", ErrInvalid)
		}
	}
	if missing > 0 {
		m.missing.Add(float64(missing))
		m.logger.Warn("a customer's message goes on without attachments that its thread does not have", "conversation_id", by.Conversation, "message_id", p.ID, "count", missing)
	}
	p.Kinds, p.Blobs = kindsOf(body.Parts)
	if p.Body, err = messageBody(body.Parts, body.Name, body.ProviderIDs); err != nil {
		return nil, err
	}
	return fresh, nil
}

// missingPart takes the place of an attachment that is not available. Plugins send the same part
// when a provider no longer has a file (plugin-contract.md, Unsupported).
func missingPart() conversation.Part {
	return conversation.Part{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "media", Data: json.RawMessage(`{"reason":"unavailable"}`)}}
}
