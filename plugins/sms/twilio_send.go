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

// Codes of our own, for what carries no code of the carrier's.
const (
	codeUnauthorized = "http_401"
	codeUnreachable  = "unreachable"
	codeNoAnswer     = "no_answer"
)

// send implements carrier. A failure is told only where the carrier said no,
// or where not a byte can have reached it; whatever else happens once the
// request may have been read is unknown (PR4).
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

// odd reads a 2xx that is no message as the library knows it: a sid says that
// there is one all the same, an error document says that there is none.
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

// created reads a message as it was made.
func (t *twilio) created(msg *openapi.ApiV2010Message, m *outgoing) sdk.Result {
	status := ""
	if msg.Status != nil {
		status = *msg.Status
	}
	switch status {
	case "failed", "undelivered", "canceled":
		// No callback tells a first status, so it is told here.
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
		r := sdk.Failed(kind, code, text) // a message that exists is not sent again
		r.ProviderIDs = []string{*msg.Sid}
		return r
	}
	return sdk.Sent(*msg.Sid)
}

// failure reads the error of a call.
func (t *twilio) failure(err error, m *outgoing) sdk.Result {
	if e, ok := errors.AsType[*restError](err); ok {
		return t.refused(e, m)
	}
	if e, ok := errors.AsType[*lostError](err); ok && !e.written {
		return sdk.Retry(sdk.KindTemporary, codeUnreachable, errUnreachable.Error(), 0)
	}
	return sdk.Unknown(codeNoAnswer, "the carrier did not answer")
}

// refused reads an answer that is no 2xx. Of the 5xx only a code that says so
// is a no: the message may have been made before the carrier stumbled.
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
	case e.status < 400: // not followed, so not processed: the base URL is wrong
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
