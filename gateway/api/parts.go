package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/microcosm-cc/bluemonday"

	"github.com/parley-gateway/parley/core/conversation"
)

// Limits of a message by an agent.
const (
	maxParts     = 10
	maxTextBytes = 32 << 10
	maxClientID  = 64
)

// richText is what agents may format with (SPEC D6); all else is stripped.
func richText() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("i", "b", "em", "strong", "br")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https")
	p.RequireParseableURLs(true)
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true) // with rel noopener
	return p
}

// cleanParts checks the parts of an agent's message and completes them: HTML is
// reduced to what is allowed, and what a file is comes from the store, never
// from the client.
func (a *messages) cleanParts(ctx context.Context, conv conversation.ConversationID, parts []conversation.Part) ([]conversation.Part, error) {
	if len(parts) == 0 || len(parts) > maxParts {
		return nil, fault("invalid", Detail{"parts", fmt.Sprintf("must be 1 to %d", maxParts)})
	}
	out := make([]conversation.Part, len(parts))
	for i, p := range parts {
		clean, err := a.cleanPart(ctx, conv, p)
		if err != nil {
			return nil, err
		}
		if clean == nil {
			return nil, fault("invalid", Detail{fmt.Sprintf("parts[%d]", i), "lacks its content, or is of a kind that agents do not send"})
		}
		out[i] = *clean
	}
	return out, nil
}

// cleanPart keeps of a part only what its kind says; nil when that is missing.
func (a *messages) cleanPart(ctx context.Context, conv conversation.ConversationID, p conversation.Part) (*conversation.Part, error) {
	out := &conversation.Part{Kind: p.Kind}
	ok := false
	switch p.Kind {
	case conversation.PartText:
		out.Text = p.Text
		ok = strings.TrimSpace(p.Text) != "" && len(p.Text) <= maxTextBytes
	case conversation.PartRichText:
		out.HTML = a.html.Sanitize(p.HTML)
		ok = strings.TrimSpace(out.HTML) != "" && len(p.HTML) <= maxTextBytes
	case conversation.PartFile:
		if p.File == nil || p.File.Blob.IsZero() {
			return nil, nil
		}
		f, err := a.files.Describe(ctx, conv, p.File.Blob)
		if err != nil {
			return nil, fmt.Errorf("attachment of a message: %w", err)
		}
		out.File, ok = &f, true
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
		out.Edit, ok = p.Edit, p.Edit != nil && p.Edit.Text != ""
	case conversation.PartRevoke:
		out.Revoke, ok = p.Revoke, p.Revoke != nil
	}
	if !ok {
		return nil, nil
	}
	return out, nil
}
