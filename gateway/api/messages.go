package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Limits of a message by an agent.
const (
	maxParts    = 10
	MaxText     = 32 << 10 // in bytes
	MaxClientID = 64
)

// SendMessage commits an agent's message, for the socket and for REST alike. The router checks
// whether the agent takes part, looks up files, and cleans HTML.
func SendMessage(ctx context.Context, r Router, id auth.Identity, conv conversation.ConversationID, clientID string, parts []conversation.Part, replyTo conversation.MessageID) (router.Sent, error) {
	if conv.IsZero() {
		return router.Sent{}, NewFault("not_found")
	}
	if clientID == "" || len(clientID) > MaxClientID {
		return router.Sent{}, NewFault("invalid", Detail{"client_id", "must be 1 to 64 bytes"})
	}
	clean, err := CleanParts(parts)
	if err != nil {
		return router.Sent{}, err
	}
	return r.Send(ctx, router.SendRequest{Conversation: conv, Agent: id.User, ClientID: clientID, Parts: clean, ReplyTo: replyTo})
}

// AddNote commits a note of an agent or a supervisor.
func AddNote(ctx context.Context, r Router, id auth.Identity, conv conversation.ConversationID, clientID string, parts []conversation.Part) (router.Sent, error) {
	if conv.IsZero() {
		return router.Sent{}, NewFault("not_found")
	}
	if clientID == "" || len(clientID) > MaxClientID {
		return router.Sent{}, NewFault("invalid", Detail{"client_id", "must be 1 to 64 bytes"})
	}
	clean, err := CleanParts(parts)
	if err != nil {
		return router.Sent{}, err
	}
	return r.AddNote(ctx, router.SendRequest{Conversation: conv, Agent: id.User, ClientID: clientID, Parts: clean})
}

// CleanParts checks the parts of an agent's message.
func CleanParts(parts []conversation.Part) ([]conversation.Part, error) {
	if len(parts) == 0 || len(parts) > maxParts {
		return nil, NewFault("invalid", Detail{"parts", fmt.Sprintf("must be 1 to %d", maxParts)})
	}
	clean := make([]conversation.Part, len(parts))
	for i, p := range parts {
		var ok bool
		if clean[i], ok = cleanPart(p); !ok {
			return nil, NewFault("invalid", Detail{fmt.Sprintf("parts[%d]", i), "lacks its content, is too long, or is of a kind that agents do not send"})
		}
	}
	return clean, nil
}

// cleanPart keeps only those fields of a part that its kind uses; ok is false for a part that an
// agent may not send.
func cleanPart(p conversation.Part) (out conversation.Part, ok bool) {
	out.Kind = p.Kind
	switch p.Kind {
	case conversation.PartText:
		out.Text = p.Text
		ok = strings.TrimSpace(p.Text) != "" && len(p.Text) <= MaxText
	case conversation.PartRichText:
		out.HTML = p.HTML
		ok = strings.TrimSpace(p.HTML) != "" && len(p.HTML) <= MaxText
	case conversation.PartFile:
		out.File, ok = p.File, p.File != nil && !p.File.Blob.IsZero()
	case conversation.PartLocation:
		out.Location, ok = p.Location, p.Location != nil
	case conversation.PartContact:
		out.Contact, ok = p.Contact, p.Contact != nil
	case conversation.PartChoices:
		out.Choices, ok = p.Choices, p.Choices != nil && len(p.Choices.Options) > 0
	case conversation.PartTemplate:
		out.Template, ok = p.Template, p.Template != nil
	case conversation.PartReaction:
		out.Reaction, ok = p.Reaction, p.Reaction != nil
	case conversation.PartEdit:
		out.Edit, ok = p.Edit, p.Edit != nil && p.Edit.Text != "" && len(p.Edit.Text) <= MaxText
	case conversation.PartRevoke:
		out.Revoke, ok = p.Revoke, p.Revoke != nil
	default: // only customers send answers, and only Parley makes system and unsupported parts
	}
	return out, ok
}
