package sms

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// statusParam is the query parameter that marks a webhook as a status callback; its value is the
// command's id.
const statusParam = "status"

// noReply is an empty TwiML document, which makes the carrier send no reply.
const noReply = `<?xml version="1.0" encoding="UTF-8"?><Response/>`

// hook implements carrier.
func (t *twilio) hook(req *sdk.HookRequest) reading {
	signature := req.Header.Get(signatureHeader)
	if signature == "" && t.settings.Signature != observe {
		// Refused before anything is parsed, because scanners send such requests.
		return refused(http.StatusBadRequest, "signature_missing", "signature_missing")
	}
	buffer := t.params.Get().(*[]param)
	defer func() {
		clear(*buffer)
		*buffer = (*buffer)[:0]
		t.params.Put(buffer)
	}()
	query := queryOf(req.URL)
	form, ok := parseForm((*buffer)[:0], t.formOf(req, query))
	*buffer = form
	if !ok {
		return refused(http.StatusBadRequest, "malformed", "")
	}
	sortParams(form)

	r := reading{unsigned: t.unsigned(req, query, form, signature)}
	if r.unsigned != "" && t.settings.Signature != observe {
		status := http.StatusForbidden
		if r.unsigned == "signature_missing" {
			status = http.StatusBadRequest
		}
		return refused(status, r.unsigned, r.unsigned)
	}
	// The signature covers the raw bytes, so it is checked first; from here on every value is made
	// text that can be stored. The carrier sends UTF-8; if it does not, a text with a bad byte must
	// still not be lost.
	for i := range form {
		form[i].value = clean(form[i].value)
	}
	switch account := get(form, "AccountSid"); {
	case account == "" || get(form, "MessageSid") == "":
		return refused(http.StatusBadRequest, "malformed", r.unsigned)
	case account != t.settings.AccountSid:
		return refused(http.StatusForbidden, "account", r.unsigned)
	}
	status := get(form, "MessageStatus")
	_, callback := queryParam(query, statusParam)
	switch {
	case status != "" && status != "received" && status != "receiving":
		t.status(&r, form, query)
	case callback: // a callback without a status
		return refused(http.StatusBadRequest, "malformed", r.unsigned)
	default:
		t.inbound(&r, form, req.ReceivedTime)
	}
	return r
}

// formOf returns the encoded parameters: the query of a GET, the body of a POST. A body of another
// content type has none.
func (t *twilio) formOf(req *sdk.HookRequest, query string) string {
	if req.Method == http.MethodGet {
		return query
	}
	kind, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	if kind = strings.TrimSpace(kind); kind != "" && !strings.EqualFold(kind, "application/x-www-form-urlencoded") {
		return ""
	}
	return string(req.Body)
}

// unsigned says what is wrong with the signature; "" = nothing. In a POST it covers URL and
// parameters; in a GET, and in a request with bodySHA256, the URL alone, which then contains or
// hashes everything.
func (t *twilio) unsigned(req *sdk.HookRequest, query string, form []param, signature string) string {
	if signature == "" {
		return "signature_missing"
	}
	address, _, _ := strings.Cut(req.URL, "#")
	if t.signed != "" {
		address = t.signed
		if query != "" {
			address += "?" + query
		}
	}
	params := form
	sum, hashed := queryParam(query, "bodySHA256")
	if req.Method == http.MethodGet || hashed {
		params = nil
	}
	if hashed && !bodyMatches(req.Body, sum) || !t.verifier.verify(address, params, signature) {
		return "signature"
	}
	return ""
}

// queryParam returns a parameter of a query, still encoded.
func queryParam(query, name string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value, true
		}
	}
	return "", false
}

func refused(status int, reason, unsigned string) reading {
	return reading{response: sdk.RejectHook(status, reason), kind: hookUnknown, unsigned: unsigned}
}

// inbound interprets a text or a picture from a customer.
func (t *twilio) inbound(r *reading, form []param, received time.Time) {
	to := canonical(get(form, "To"))
	ours := t.settings.Number != "" && to == t.settings.Number ||
		t.settings.MessagingServiceSid != "" && get(form, "MessagingServiceSid") == t.settings.MessagingServiceSid
	if !ours {
		*r = refused(http.StatusNotFound, "address", r.unsigned)
		return
	}
	from := canonical(get(form, "From"))
	if from == "" {
		*r = refused(http.StatusBadRequest, "malformed", r.unsigned)
		return
	}
	r.segments, _ = strconv.Atoi(get(form, "NumSegments"))
	r.segments = min(max(r.segments, 1), 100)
	r.response = sdk.HookResponse{Header: t.taken, Body: []byte(noReply)}

	it := item{
		Sid: get(form, "MessageSid"), From: from, Name: get(form, "ProfileName"), Text: get(form, "Body"),
		Media: mediaOf(form),
	}
	it.IDs = append(it.IDs, it.Sid)
	for _, name := range [...]string{"SmsSid", "SmsMessageSid"} { // deprecated copies of the sid
		if id := get(form, name); id != "" && id != it.Sid {
			it.IDs = append(it.IDs, id)
		}
	}
	ev := sdk.Event{Thread: sdk.ThreadID(from), DedupeKey: it.Sid}
	r.kind = hookMessage
	consent, isConsent := consentOf(get(form, "OptOutType"), it.Text)
	switch {
	case isConsent && len(it.Media) == 0:
		r.kind, ev.Body = hookOptOut, consent
	case len(it.Media) > 0 && t.settings.Media:
		// Pictures must still be fetched: the event is made durable first, and they are fetched
		// afterwards.
		if !received.IsZero() {
			it.At = received.UnixMicro()
		}
		opaque, err := json.Marshal(&it)
		if err != nil { // cannot happen: strings and integers always encode
			*r = refused(http.StatusBadRequest, "malformed", r.unsigned)
			return
		}
		// The key must differ from the sid, because the message that comes later has the sid as its
		// key.
		ev.DedupeKey = it.Sid + ":media"
		r.kind, ev.Body = hookMedia, sdk.Deferred{Opaque: opaque}
	default:
		parts := it.text()
		for _, m := range it.Media {
			parts = append(parts, unavailable(m, "off"))
		}
		ev.Body = it.message(parts, it.IDs)
	}
	r.response.Events = append(r.response.Events, ev)
	if isConsent && len(it.Media) > 0 {
		r.response.Events = append(r.response.Events, sdk.Event{Thread: ev.Thread, DedupeKey: it.Sid + ":consent", Body: consent})
	}
}

// mediaOf lists the attachments. A NumMedia that is not a number counts as none, because the text
// must not be lost.
func mediaOf(form []param) []attachment {
	n, _ := strconv.Atoi(get(form, "NumMedia"))
	var out []attachment
	for i := range min(max(n, 0), maxMedia) {
		index := strconv.Itoa(i)
		out = append(out, attachment{URL: get(form, "MediaUrl"+index), MIME: get(form, "MediaContentType"+index)})
	}
	return out
}

// consentOf recognises an opt-out or its end: as the carrier marks it, or by the words that the
// carrier itself acts upon, alone in a message and in upper or lower case. HELP is an ordinary
// message.
func consentOf(kind, text string) (sdk.OptOut, bool) {
	word := strings.TrimSpace(text)
	switch kind {
	case "STOP", "START":
		return sdk.OptOut{Out: kind == "STOP", Keyword: word}, true
	case "":
	default:
		return sdk.OptOut{}, false
	}
	if len(word) > len("UNSUBSCRIBE") {
		return sdk.OptOut{}, false
	}
	switch strings.ToUpper(word) {
	case "STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL":
		return sdk.OptOut{Out: true, Keyword: word}, true
	case "START", "UNSTOP":
		return sdk.OptOut{Keyword: word}, true
	}
	return sdk.OptOut{}, false
}

// status interprets a status callback. Callbacks come in any order and more than once; the gateway
// decides which of them counts (PR5).
func (t *twilio) status(r *reading, form []param, query string) {
	r.kind = hookStatus
	sid, word := get(form, "MessageSid"), get(form, "MessageStatus")
	code, text := get(form, "ErrorCode"), get(form, "ErrorMessage")
	st := sdk.DeliveryStatus{ProviderID: sid, Command: commandOf(query)}
	switch word {
	case "sent":
		st.Status = sdk.StatusSent
	case "delivered", "partially_delivered":
		st.Status = sdk.StatusDelivered
	case "read":
		st.Status = sdk.StatusRead
	case "failed", "undelivered", "canceled":
		st.Status = sdk.StatusFailed
	default:
		return // queued, accepted, scheduled, sending: of no use to an agent
	}
	if code != "" && code != "0" {
		st.Code = clip(code, 16)
		if text == "" {
			n, _ := strconv.Atoi(code)
			text = meaning(n)
		}
		st.Text = redact(text)
	} else if word == "canceled" {
		st.Code, st.Text = word, "canceled before it was sent"
	}
	thread := sdk.ThreadID(canonical(get(form, "To")))
	// RawDlrDoneDate has no time zone, so the event has no ProviderTime.
	r.response.Events = append(r.response.Events, sdk.Event{Thread: thread, DedupeKey: sid + ":" + word, Body: st})
	if code == strconv.Itoa(codeOptedOut) {
		r.response.Events = append(r.response.Events, sdk.Event{Thread: thread, DedupeKey: sid + ":consent", Body: sdk.OptOut{Out: true}})
	}
}

// commandOf returns the command id in the query; "" when there is none.
func commandOf(query string) sdk.CommandID {
	id, _ := queryParam(query, statusParam)
	if len(id) != 36 || uuid.Validate(id) != nil {
		return ""
	}
	return sdk.CommandID(id)
}

// canonical is an address in the form that threads are named by: a plus that was decoded as a
// space, in a GET that was written by hand, becomes a plus again. Short codes and alphanumeric
// senders stay as they are.
func canonical(address string) string {
	trimmed := strings.TrimSpace(address)
	if len(trimmed) > 7 && trimmed[0] >= '1' && trimmed[0] <= '9' && strings.HasPrefix(address, " ") {
		return "+" + trimmed
	}
	return trimmed
}

// clean replaces bytes that are not UTF-8, so that every store accepts the text.
func clean(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
