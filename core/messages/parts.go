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
		if p.File != nil {
			size += len(p.File.Caption)
			if !utf8.ValidString(p.File.Caption) {
				return invalid
			}
		}
		if p.Template != nil {
			n, ok := templateSize(p.Template)
			if size += n; !ok {
				return invalid
			}
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

// maxValues bounds the values of one template.
const maxValues = 64

// templateSize returns the bytes of a template's texts, and false for a template with too many values or
// with a text that is not UTF-8.
func templateSize(t *conversation.Template) (size int, ok bool) {
	texts := append([]string{t.Name, t.Language, t.Rendered}, t.Values...)
	for i := range t.Placed {
		texts = append(texts, t.Placed[i].Place, t.Placed[i].Name, t.Placed[i].Text)
	}
	ok = len(t.Values) <= maxValues && len(t.Placed) <= maxValues
	for _, s := range texts {
		size += len(s)
		ok = ok && utf8.ValidString(s)
	}
	return size, ok
}

func kindsOf(parts []conversation.Part) (kinds []conversation.PartKind, blobs []conversation.BlobID) {
	kinds = make([]conversation.PartKind, len(parts))
	for i := range parts {
		kinds[i] = parts[i].Kind
	}
	return kinds, conversation.Blobs(parts)
}

// file is where a message keeps one of its attachments.
type file struct {
	part int // of the message
	at   **conversation.File
}

// files lists the attachments of parts in the order of conversation.Blobs.
func files(parts []conversation.Part) (out []file) {
	add := func(i int, at **conversation.File) {
		if *at != nil && !(*at).Blob.IsZero() {
			out = append(out, file{i, at})
		}
	}
	for i := range parts {
		add(i, &parts[i].File)
		if t := parts[i].Template; t != nil {
			for j := range t.Placed {
				add(i, &t.Placed[j].File)
			}
		}
	}
	return out
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
