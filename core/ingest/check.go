package ingest

import (
	"strings"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/plugin"
)

// Limits of what a plugin may bring in one event, in bytes.
const (
	maxField   = 4 << 10 // one name, address, attribute or URL
	maxCode    = 256     // a provider's code, which is cut at this length
	maxKeyword = 160     // the words of an opt-out, which are cut at this length
)

// ValidThread reports whether clear, a plugin's name for a thread, is neither empty nor too long.
func ValidThread(clear string) bool { return clear != "" && len(clear) <= maxField }

// check returns the code with which an event is refused because no conversation could take it:
// "invalid" or "too_large"; "" for an event that passes.
func check(in *plugin.Inbound) string {
	if in.Result == nil && in.Status == nil && in.Deferred == nil && in.Tool == nil && in.Bot == nil && !ValidThread(in.Thread) {
		return "invalid"
	}
	if len(in.DedupeKey) > maxField {
		return "invalid"
	}
	if st := in.Status; st != nil {
		known := false
		for _, s := range []conversation.Status{conversation.StatusSent, conversation.StatusDelivered, conversation.StatusRead, conversation.StatusFailed} {
			known = known || st.Status == s
		}
		if !known || len(st.ProviderID) > maxField || st.ProviderID == "" && st.Command == ([16]byte{}) {
			return "invalid"
		}
	}
	if r := in.Receipt; r != nil && byProvider(r) &&
		(!r.Conversation.IsZero() || r.Delivered != 0 || r.Read != 0 || len(r.DeliveredID) > maxField || len(r.ReadID) > maxField) {
		return "invalid"
	}
	if w := in.ReplyWindow; w != nil && w.Expires.Year() > 9999 {
		return "invalid"
	}
	if m := in.Message; m != nil {
		if len(m.Parts) == 0 || len(m.ClientID) > 64 || len(m.Address) > maxField || len(m.Name) > maxField {
			return "invalid"
		}
		return messages.Check(m.Parts)
	}
	if in.Bot != nil {
		return checkBot(in.Bot)
	}
	if a := in.Action; a != nil {
		if s := a.Start; s != nil {
			for _, f := range []string{s.Body.Address, s.Body.Name, s.Body.FirstName, s.Body.LastName, s.Body.Email, s.Body.Phone, s.Body.Locale, s.Body.Subject} {
				if len(f) > maxField || !utf8.ValidString(f) {
					return "invalid"
				}
			}
			if len(s.ClientID) > 64 || !checkAttributes(s.Body.Attributes) || !checkPage(s.Body.Page) {
				return "invalid"
			}
			return messages.Check(s.Parts)
		}
		if !checkAttributes(a.Attributes) || !checkPage(a.Page) {
			return "invalid"
		}
	}
	return ""
}

// byProvider reports whether a receipt names messages by the provider's ids.
func byProvider(r *plugin.InboundReceipt) bool { return r.DeliveredID != "" || r.ReadID != "" }

// checkBot is check for what a bot does.
func checkBot(b *plugin.BotAction) string {
	done := 0
	for _, set := range []bool{b.Post != nil, b.HandOver != nil, b.End != nil, b.Attributes != nil} {
		if set {
			done++
		}
	}
	if b.Conversation.IsZero() || done != 1 || !checkAttributes(b.Attributes) {
		return "invalid"
	}
	if p := b.Post; p != nil {
		if len(p.Parts) == 0 || len(p.ClientID) > 64 {
			return "invalid"
		}
		return messages.Check(p.Parts)
	}
	if h := b.HandOver; h != nil && (len(h.Service) > maxField || !validText(h.Reason)) || b.End != nil && !validText(b.End.Reason) {
		return "invalid"
	}
	return ""
}

func validText(s string) bool { return len(s) <= maxField && utf8.ValidString(s) }

func checkPage(p *conversation.PageBody) bool {
	return p == nil || len(p.URL) <= maxField && len(p.Title) <= maxField && utf8.ValidString(p.URL) && utf8.ValidString(p.Title)
}

func checkAttributes(m map[string]string) bool {
	if len(m) > 64 {
		return false
	}
	for k, v := range m {
		if len(k) > 128 || len(v) > maxField || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return false
		}
	}
	return true
}

// cut makes s, which is a provider's text, valid UTF-8 and shortens it to n bytes at most.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
