package sms

import (
	"strings"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// Error codes that the code handles by name.
const (
	codeAuth     = 20003
	codeThrottle = 20429
	codeOptedOut = 21610
	codeTooLong  = 21617
)

// codeInfo is what an error code means for a message.
type codeInfo struct {
	kind  sdk.ErrorKind
	retry bool
	text  string
}

// codeOf explains Twilio's error codes (documentation of 2026-07-21). False: the code is not
// listed.
func codeOf(code int) (codeInfo, bool) {
	no := func(k sdk.ErrorKind, text string) (codeInfo, bool) { return codeInfo{k, false, text}, true }
	yes := func(k sdk.ErrorKind, text string) (codeInfo, bool) { return codeInfo{k, true, text}, true }
	switch code {
	case codeAuth:
		return no(sdk.KindAuth, "the carrier refuses the credentials")
	case 20404:
		return no(sdk.KindInternal, "the carrier does not know the account or resource")
	case codeThrottle:
		return yes(sdk.KindThrottled, "too many requests")
	case 21211:
		return no(sdk.KindAddress, "the number is not valid")
	case 21212:
		return no(sdk.KindAuth, "the sender's number is not valid")
	case 21408:
		return no(sdk.KindAuth, "the account may not send to this region")
	case 21602:
		return no(sdk.KindContent, "the message has no text")
	case 21603:
		return no(sdk.KindInternal, "no sender was named")
	case 21604:
		return no(sdk.KindAddress, "no recipient was named")
	case 21606:
		return no(sdk.KindAuth, "the sender's number cannot send messages, or is not the account's")
	case 21608:
		return no(sdk.KindAddress, "a trial account sends to verified numbers only")
	case 21609:
		return no(sdk.KindInternal, "the carrier refuses the status callback's URL")
	case codeOptedOut:
		return no(sdk.KindAddress, "the recipient wants no more messages (STOP)")
	case 21611:
		return yes(sdk.KindThrottled, "the queue of the sender's number is full")
	case 21612:
		return no(sdk.KindAddress, "the number cannot be reached from this sender")
	case 21614:
		return no(sdk.KindAddress, "the number is no mobile number")
	case codeTooLong:
		return no(sdk.KindContent, "the text is longer than 1600 characters")
	case 21619:
		return no(sdk.KindContent, "the message cannot be created")
	case 21620:
		return no(sdk.KindContent, "the attachment's URL is not valid")
	case 21621:
		return no(sdk.KindContent, "the sender's number cannot send pictures or files")
	case 21623:
		return no(sdk.KindContent, "more than 10 attachments")
	case 21624:
		return no(sdk.KindInternal, "the validity period is not valid")
	case 21654, 21655, 21656:
		return no(sdk.KindContent, "the content template is not valid")
	case 21701, 21702, 21703, 21704, 21705, 21709:
		return no(sdk.KindAuth, "the messaging service cannot send this")
	}
	return laterCodeOf(code)
}

// laterCodeOf continues codeOf with the codes that mostly come in callbacks.
func laterCodeOf(code int) (codeInfo, bool) {
	no := func(k sdk.ErrorKind, text string) (codeInfo, bool) { return codeInfo{k, false, text}, true }
	yes := func(k sdk.ErrorKind, text string) (codeInfo, bool) { return codeInfo{k, true, text}, true }
	switch code {
	case 30001:
		return yes(sdk.KindThrottled, "the carrier's queue is full")
	case 30002:
		return no(sdk.KindAuth, "the account is suspended")
	case 30003:
		return no(sdk.KindAddress, "the phone cannot be reached")
	case 30004:
		return no(sdk.KindAddress, "blocked by the recipient or the network")
	case 30005:
		return no(sdk.KindAddress, "the number is not known")
	case 30006:
		return no(sdk.KindAddress, "a landline, or a network that cannot be reached")
	case 30007:
		return no(sdk.KindContent, "filtered as spam")
	case 30008:
		return no(sdk.KindTemporary, "the network gave no reason")
	case 30009:
		return no(sdk.KindTemporary, "a segment of an inbound message is missing")
	case 30010:
		return no(sdk.KindContent, "the price is over the limit")
	case 30011:
		return no(sdk.KindContent, "the network carries no pictures or files")
	case 30017:
		return yes(sdk.KindTemporary, "the network is congested")
	case 30018:
		return no(sdk.KindAuth, "the sender is not registered in this country")
	case 30019:
		return no(sdk.KindContent, "the message is too big for the network")
	case 30022, 30023, 30027:
		return yes(sdk.KindThrottled, "the sender's limit in this country is reached")
	case 30032:
		return no(sdk.KindAuth, "the toll-free number is not verified")
	case 30034:
		return no(sdk.KindAuth, "the number is not registered for this country")
	case 30410:
		return yes(sdk.KindTemporary, "the network did not answer in time")
	case 63001, 63007:
		return no(sdk.KindAuth, "the channel's sender is not set up")
	case 63003, 63024:
		return no(sdk.KindAddress, "the recipient is not valid for this channel")
	case 63005, 63013:
		return no(sdk.KindContent, "the channel refuses the content")
	case 63015:
		return no(sdk.KindAddress, "the recipient has not joined the channel's test")
	case 63016:
		return no(sdk.KindContent, "outside of the channel's reply window")
	case 63018, 63038:
		return yes(sdk.KindThrottled, "the channel's limit is reached")
	case 63019:
		return no(sdk.KindContent, "the channel could not take the attachment")
	case 63033:
		return no(sdk.KindAddress, "blocked by the recipient")
	case 63034:
		return no(sdk.KindContent, "the attachment is too large")
	}
	return codeInfo{}, false
}

// meaning is the text for a code; "" when it is not listed.
func meaning(code int) string {
	info, _ := codeOf(code)
	return info.text
}

// redact removes from a carrier's text what must not be logged or shown: numbers of six digits and
// more, and any of the given contents, become an ellipsis.
func redact(text string, contents ...string) string {
	text = clean(text)
	for _, c := range contents {
		if c != "" {
			text = strings.ReplaceAll(text, c, "…")
		}
	}
	var b strings.Builder
	for text != "" {
		digits := 0
		for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
			digits++
		}
		switch {
		case digits >= 6:
			b.WriteString("…")
			text = text[digits:]
		case digits > 0:
			b.WriteString(text[:digits])
			text = text[digits:]
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return clip(b.String(), 300)
}

// clip shortens text to at most n bytes, between characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}
