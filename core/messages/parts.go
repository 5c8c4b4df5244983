package messages

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
)

// Limits of a message.
const (
	maxText  = 64 << 10 // bytes of text over all parts
	maxParts = 32
	maxEmoji = 64 // bytes of a reaction: one emoji, which may be several code points
)

// Codes that Check returns.
const (
	invalid  = "invalid"
	tooLarge = "too_large"
)

// Check returns the code for which parts cannot be a message, whoever wrote them: "too_large" or
// "invalid"; "" when they can.
func Check(parts []conversation.Part) string {
	if len(parts) > maxParts {
		return tooLarge
	}
	size := 0
	for i := range parts {
		p := &parts[i]
		size += len(p.Text) + len(p.HTML)
		if p.Raw != nil {
			size += len(p.Raw.Data)
		}
		if p.Edit != nil {
			size += len(p.Edit.Text)
		}
		if p.Reaction != nil && (len(p.Reaction.Emoji) > maxEmoji || !utf8.ValidString(p.Reaction.Emoji)) || p.Edit != nil && !utf8.ValidString(p.Edit.Text) {
			return invalid
		}
		if !utf8.ValidString(p.Text) || !utf8.ValidString(p.HTML) {
			return invalid
		}
		switch p.Kind {
		case conversation.PartText, conversation.PartRichText:
			if p.Text == "" && p.HTML == "" {
				return invalid
			}
		case conversation.PartFile:
			if p.File == nil || p.File.Blob.IsZero() {
				return invalid
			}
		case "":
			return invalid
		default: // of the other kinds only the size is bounded
		}
	}
	if size > maxText {
		return tooLarge
	}
	return ""
}

func kindsOf(parts []conversation.Part) (kinds []conversation.PartKind, blobs []conversation.BlobID) {
	kinds = make([]conversation.PartKind, len(parts))
	for i := range parts {
		kinds[i] = parts[i].Kind
		if parts[i].File != nil {
			blobs = append(blobs, parts[i].File.Blob)
		}
	}
	return kinds, blobs
}

func messageBody(parts []conversation.Part, name string, ids []string) (json.RawMessage, error) {
	if b := plainBody(parts, name, ids); b != nil {
		return b, nil
	}
	b, err := json.Marshal(conversation.MessageBody{Parts: parts, Name: name, ProviderIDs: ids})
	if err != nil {
		return nil, fmt.Errorf("messages: encode message: %w", err)
	}
	return b, nil
}

// plainBody encodes by hand the body of nearly every message: one text with nothing to escape. It
// returns nil for all other bodies. The result equals that of encoding/json.
func plainBody(parts []conversation.Part, name string, ids []string) json.RawMessage {
	if len(parts) != 1 || !plain(parts[0].Text) || !plain(name) || len(ids) > 1 || len(ids) == 1 && !plain(ids[0]) {
		return nil
	}
	p := parts[0]
	p.Text = ""
	if p != (conversation.Part{Kind: conversation.PartText}) || parts[0].Text == "" {
		return nil
	}
	b := make([]byte, 0, len(parts[0].Text)+len(name)+64)
	b = append(append(b, `{"parts":[{"kind":"text","text":"`...), parts[0].Text...)
	b = append(b, `"}]`...)
	if name != "" {
		b = append(append(append(b, `,"name":"`...), name...), '"')
	}
	if len(ids) == 1 {
		b = append(append(append(b, `,"provider_ids":["`...), ids[0]...), `"]`...)
	}
	return append(b, '}')
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
