package sms

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// The plugin's own codes, for failures without a code from the carrier.
const (
	codeUnauthorized = "http_401"
	codeUnreachable  = "unreachable"
	codeNoAnswer     = "no_answer"
)

// send implements carrier. It reports a failure only if the carrier refused the message, or if not
// a byte can have reached the carrier; everything else that happens once the request may have been
// read is unknown (PR4).
func (t *twilio) send(ctx context.Context, m *outgoing) sdk.Result {
	params := &openapi.CreateMessageParams{}
	params.SetTo(m.to)
	if t.settings.MessagingServiceSid != "" {
		params.SetMessagingServiceSid(t.settings.MessagingServiceSid)
	}
	if t.settings.Number != "" {
		params.SetFrom(t.settings.Number) // with a service: one of its senders
	}
	if m.body != "" {
		params.SetBody(m.body)
	}
	if len(m.media) > 0 {
		params.SetMediaUrl(m.media)
	}
	if m.callback != "" {
		params.SetStatusCallback(m.callback)
	}
	if t.settings.SmartEncoding {
		params.SetSmartEncoded(true)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := m.begin(ctx); err != nil {
		return sdk.Retry(sdk.KindTemporary, "not_begun", "", 0)
	}
	call, api := t.call(ctx, "send")
	msg, err := api.CreateMessage(params)
	switch {
	case err == nil && msg.Sid != nil && *msg.Sid != "":
		return t.created(msg, m)
	case call.answer != nil:
		return t.odd(call.answer, m)
	default:
		return t.failure(err, m)
	}
}

// odd interprets a 2xx whose body the library cannot read as a message: a sid means that there is a
// message all the same, an error document that there is none.
func (t *twilio) odd(answer []byte, m *outgoing) sdk.Result {
	var b struct {
		Sid string `json:"sid"`
		errorBody
	}
	switch err := json.Unmarshal(answer, &b); {
	case err != nil:
		return sdk.Unknown("bad_answer", "the carrier's answer is not understood")
	case b.Sid != "":
		return sdk.Sent(b.Sid)
	case b.Code != 0:
		return t.refused(&restError{status: http.StatusBadRequest, code: b.Code, message: b.Message}, m)
	default:
		return sdk.Unknown("no_sid", "the carrier's answer names no message")
	}
}

// created interprets the message that the carrier has made.
func (t *twilio) created(msg *openapi.ApiV2010Message, m *outgoing) sdk.Result {
	status := ""
	if msg.Status != nil {
		status = *msg.Status
	}
	switch status {
	case "failed", "undelivered", "canceled":
		// No callback reports a message's first status, so it is reported here.
		code, text := status, ""
		kind := sdk.KindContent
		if msg.ErrorCode != nil && *msg.ErrorCode != 0 {
			code = strconv.Itoa(*msg.ErrorCode)
			if info, ok := codeOf(*msg.ErrorCode); ok {
				kind, text = info.kind, info.text
			}
		}
		if msg.ErrorMessage != nil && *msg.ErrorMessage != "" {
			text = redact(*msg.ErrorMessage, m.body, m.to)
		}
		r := sdk.Failed(kind, code, text) // the message exists, so it must not be sent again
		r.ProviderIDs = []string{*msg.Sid}
		return r
	}
	return sdk.Sent(*msg.Sid)
}

// failure interprets the error of a call.
func (t *twilio) failure(err error, m *outgoing) sdk.Result {
	if e, ok := errors.AsType[*restError](err); ok {
		return t.refused(e, m)
	}
	if e, ok := errors.AsType[*lostError](err); ok && !e.written {
		return sdk.Retry(sdk.KindTemporary, codeUnreachable, errUnreachable.Error(), 0)
	}
	return sdk.Unknown(codeNoAnswer, "the carrier did not answer")
}

// refused interprets an answer that is not 2xx. A 5xx means that the message was refused only if
// its code says so: the carrier may have made the message before it failed.
func (t *twilio) refused(e *restError, m *outgoing) sdk.Result {
	code, text := strconv.Itoa(e.code), redact(e.message, m.body, m.to, t.settings.Number, t.password)
	info, known := codeOf(e.code)
	switch {
	case known:
	case e.status >= 500 || e.status == http.StatusRequestTimeout:
		return sdk.Unknown("http_"+strconv.Itoa(e.status), "the carrier failed")
	case e.status == http.StatusUnauthorized || e.status == http.StatusForbidden:
		info = codeInfo{kind: sdk.KindAuth, text: errUnauthorized.Error()}
	case e.status == http.StatusTooManyRequests:
		info = codeInfo{kind: sdk.KindThrottled, retry: true, text: meaning(codeThrottle)}
	case e.status < 400: // a redirect is not followed, so nothing was processed: the base URL is wrong
		info = codeInfo{kind: sdk.KindTemporary, retry: true, text: "the carrier's address answers with a redirect"}
	case e.status == http.StatusNotFound:
		info = codeInfo{kind: sdk.KindInternal, text: meaning(20404)}
	default:
		info = codeInfo{kind: sdk.KindContent, text: "the carrier refuses the message"}
	}
	if e.code == 0 {
		code = "http_" + strconv.Itoa(e.status)
	}
	if text == "" {
		text = info.text
	}
	r := sdk.Failed(info.kind, code, text)
	if info.retry {
		r.Retryable, r.RetryAfter = true, e.after
	}
	return r
}
