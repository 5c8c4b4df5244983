package messages

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/parley-gateway/parley/core/conversation"
)

// captionKind is the kind under which a channel limits captions.
const captionKind = "caption"

// Fits refuses a message of an agent or a bot that the channel's limits of single kinds of parts do not
// allow: with ErrTooLarge what is too long, too large or too many, with conversation.ErrUnsupported a type of
// file that the channel does not take, and a caption on a channel without captions. Lengths are counted in
// UTF-16 units; a channel that counts septets needs at least as many. An edit is limited as the text is.
func (m *Maker) Fits(p *conversation.Post, caps *conversation.Capabilities) error {
	files := slices.Contains(p.Kinds, conversation.PartFile) && !caps.Captions
	if len(caps.PartLimits) == 0 && !files {
		return nil
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return fmt.Errorf("messages: decode message: %w", err)
	}
	for i := range body.Parts {
		f := body.Parts[i].File
		if f != nil && f.Caption != "" && !caps.Captions {
			return fmt.Errorf("messages: caption: %w", conversation.ErrUnsupported)
		}
		if f != nil && !takesType(caps, f.MIME) {
			return fmt.Errorf("messages: type of file: %w", conversation.ErrUnsupported)
		}
	}
	for i := range caps.PartLimits {
		if what := exceeds(&caps.PartLimits[i], body.Parts); what != "" {
			return fmt.Errorf("messages: %s of %s: %w", what, caps.PartLimits[i].Kind, ErrTooLarge)
		}
	}
	return nil
}

// takesType reports whether a channel takes a type of file. Limits with types and without a size list the
// types that it takes; without such a limit it takes all.
func takesType(caps *conversation.Capabilities, mime string) bool {
	listed := false
	for i := range caps.PartLimits {
		if l := &caps.PartLimits[i]; l.Kind == string(conversation.PartFile) && len(l.MIMEs) > 0 && l.MaxBytes == 0 {
			if listed = true; isOf(l.MIMEs, mime) {
				return true
			}
		}
	}
	return !listed
}

// isOf reports whether a type is one of a list such as "image/*", "application/pdf".
func isOf(list []string, mime string) bool {
	mime, _, _ = strings.Cut(strings.ToLower(mime), ";")
	mime = strings.TrimSpace(mime)
	return slices.ContainsFunc(list, func(one string) bool {
		one = strings.ToLower(one)
		if family, all := strings.CutSuffix(one, "/*"); all {
			return strings.HasPrefix(mime, family+"/")
		}
		return one == mime || one == "*"
	})
}

// exceeds returns in what the parts are more than a limit allows; "" = they are not.
func exceeds(l *conversation.PartLimit, parts []conversation.Part) (what string) {
	count := 0
	for i := range parts {
		p := &parts[i]
		if l.MaxLength > 0 && length(textOf(l.Kind, p)) > l.MaxLength {
			return "length"
		}
		if string(p.Kind) != l.Kind {
			continue
		}
		if c := p.Choices; c != nil {
			if l.MaxCount > 0 && len(c.Options) > l.MaxCount {
				return "options"
			}
			for j := range c.Options {
				if l.MaxTitle > 0 && length(c.Options[j].Title) > l.MaxTitle {
					return "title"
				}
			}
			continue
		}
		if p.File != nil && l.MaxBytes > 0 && p.File.Size > l.MaxBytes && (len(l.MIMEs) == 0 || isOf(l.MIMEs, p.File.MIME)) {
			return "size"
		}
		count++
	}
	if l.MaxCount > 0 && count > l.MaxCount {
		return "number"
	}
	return ""
}

var markUp = regexp.MustCompile(`<[^>]*>`)

// textOf is the text of a part to which a limit of a kind applies; "" = none.
func textOf(kind string, p *conversation.Part) string {
	switch conversation.PartKind(kind) {
	case conversation.PartText:
		if p.Edit != nil {
			return p.Edit.Text
		}
		return p.Text
	case conversation.PartRichText:
		return markUp.ReplaceAllString(p.HTML, "")
	case conversation.PartChoices:
		if p.Choices != nil {
			return p.Choices.Text
		}
	case conversation.PartTemplate:
		if p.Template != nil {
			return p.Template.Rendered
		}
	case captionKind:
		if p.File != nil {
			return p.File.Caption
		}
	default: // the other kinds have no text that is limited
	}
	return ""
}

// length counts UTF-16 units.
func length(s string) (n int) {
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}
