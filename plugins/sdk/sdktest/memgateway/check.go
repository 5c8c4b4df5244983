package memgateway

import (
	"strings"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of an event, in bytes unless a line says otherwise.
const (
	maxField     = 4 << 10  // one thread, key, name, address or URL
	maxText      = 64 << 10 // text over all parts
	maxParts     = 32       // number of parts
	maxClientID  = 64
	maxEmoji     = 64
	maxAttribute = 128 // name of an attribute
	maxSeveral   = 64  // number of attributes
)

// Codes of refusals.
const (
	invalid     = "invalid"
	tooLarge    = "too_large"
	unsupported = "unsupported"
)

// isID reports whether s has the form of the gateway's ids.
func isID(s string) bool {
	_, err := uuid.Parse(s)
	return err == nil && len(s) == 36
}

// Mended reports whether bytes of a name were replaced because they were no UTF-8. Such a name is
// refused, since two different names may have become the same.
func Mended(name string) bool { return strings.IndexByte(name, contract.Substitute) >= 0 }

func anyLong(fields ...string) bool {
	for _, f := range fields {
		if len(f) > maxField {
			return true
		}
	}
	return false
}

// fault returns the code with which the gateway refuses an event before it looks anything up; ""
// when the gateway does not.
func fault(ev *pluginv1.Event) string {
	named := ev.GetThread() != "" || ev.GetStatus() != nil || ev.GetDeferred() != nil || ev.GetTool() != nil || ev.GetBot() != nil
	if ev.GetKind() == nil {
		return unsupported
	}
	if !named || Mended(ev.GetThread()) || Mended(ev.GetDedupeKey()) || anyLong(ev.GetThread(), ev.GetDedupeKey()) {
		return invalid
	}
	switch k := ev.GetKind().(type) {
	case *pluginv1.Event_Message:
		return messageFault(k.Message)
	case *pluginv1.Event_Status:
		return statusFault(k.Status)
	case *pluginv1.Event_Receipt:
		return receiptFault(k.Receipt)
	case *pluginv1.Event_Action:
		return actionFault(k.Action)
	}
	return newFault(ev)
}

func receiptFault(r *pluginv1.Receipt) string {
	byID := r.GetDeliveredProviderId() != "" || r.GetReadProviderId() != ""
	switch {
	case !byID && !isID(r.GetConversation()), byID && (r.GetConversation() != "" || r.GetDeliveredSeq() != 0 || r.GetReadSeq() != 0):
		return invalid
	case anyLong(r.GetDeliveredProviderId(), r.GetReadProviderId()):
		return tooLarge
	}
	return ""
}

func messageFault(m *pluginv1.Message) string {
	if len(m.GetParts()) == 0 || len(m.GetClientId()) > maxClientID || anyLong(m.GetFrom().GetAddress(), m.GetFrom().GetName()) ||
		m.GetReplyTo() != "" && !isID(m.GetReplyTo()) {
		return invalid
	}
	if anyLong(m.GetReplyToProviderId()) {
		return tooLarge
	}
	return partsFault(m.GetParts())
}

func statusFault(st *pluginv1.DeliveryStatus) string {
	switch st.GetStatus() {
	case pluginv1.MessageStatus_MESSAGE_STATUS_SENT, pluginv1.MessageStatus_MESSAGE_STATUS_DELIVERED,
		pluginv1.MessageStatus_MESSAGE_STATUS_READ, pluginv1.MessageStatus_MESSAGE_STATUS_FAILED:
	default:
		return unsupported
	}
	if st.GetProviderId() == "" && st.GetCommandId() == "" || anyLong(st.GetProviderId()) || st.GetCommandId() != "" && !isID(st.GetCommandId()) {
		return invalid
	}
	return ""
}

func actionFault(a *pluginv1.CustomerAction) string {
	switch k := a.GetAction().(type) {
	case nil:
		return unsupported
	case *pluginv1.CustomerAction_Start:
		s := k.Start
		if anyLong(s.GetFrom().GetAddress(), s.GetFrom().GetName(), s.GetFirstName(), s.GetLastName(), s.GetEmail(), s.GetPhone(),
			s.GetLocale(), s.GetSubject(), s.GetPage().GetUrl(), s.GetPage().GetTitle()) ||
			len(s.GetClientId()) > maxClientID || attributesFault(s.GetAttributes()) {
			return invalid
		}
		return partsFault(s.GetParts())
	case *pluginv1.CustomerAction_Page:
		if anyLong(k.Page.GetUrl(), k.Page.GetTitle()) {
			return invalid
		}
	case *pluginv1.CustomerAction_Attributes:
		if attributesFault(k.Attributes.GetAttributes()) {
			return invalid
		}
	}
	return useFault(a)
}

func attributesFault(list []*pluginv1.Attribute) bool {
	names := map[string]struct{}{}
	for _, a := range list {
		if len(a.GetName()) > maxAttribute || anyLong(a.GetValue()) {
			return true
		}
		names[a.GetName()] = struct{}{}
	}
	return len(names) > maxSeveral
}

// badReference reports whether a reference names no message: by our id, or else by the provider's.
func badReference(r interface {
	GetMessage() string
	GetProviderId() string
	GetProviderIds() []string
},
) bool {
	if r.GetMessage() == "" {
		return r.GetProviderId() == "" && len(r.GetProviderIds()) == 0
	}
	return !isID(r.GetMessage())
}

func partsFault(parts []*pluginv1.Part) string {
	for _, p := range parts { // a malformed id is "invalid" even if there are too many parts
		switch k := p.GetPart().(type) {
		case *pluginv1.Part_File:
			if !isID(k.File.GetBlob()) || k.File.GetBlob() == uuid.Nil.String() {
				return invalid
			}
		case *pluginv1.Part_Reaction:
			if badReference(k.Reaction) {
				return invalid
			}
		case *pluginv1.Part_Edit:
			if badReference(k.Edit) {
				return invalid
			}
		case *pluginv1.Part_Revoke:
			if badReference(k.Revoke) {
				return invalid
			}
		}
	}
	if len(parts) > maxParts {
		return tooLarge
	}
	size := 0
	for _, p := range parts {
		size += len(p.GetText().GetText()) + len(p.GetRichText().GetHtml()) + len(p.GetEdit().GetText()) + len(p.GetUnsupported().GetRaw())
		switch k := p.GetPart().(type) {
		case *pluginv1.Part_Text:
			if k.Text.GetText() == "" {
				return invalid
			}
		case *pluginv1.Part_RichText:
			if k.RichText.GetHtml() == "" {
				return invalid
			}
		case *pluginv1.Part_Reaction:
			if len(k.Reaction.GetEmoji()) > maxEmoji {
				return invalid
			}
		}
	}
	if size > maxText {
		return tooLarge
	}
	return ""
}
