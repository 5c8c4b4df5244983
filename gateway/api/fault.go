package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Fault is an error as clients see it: a code from a published list that only grows, and a text for
// people that contains nothing confidential.
type Fault struct {
	Status     int    // the HTTP status
	Code       string // the published code
	Text       string
	Details    []Detail // one for each wrong field
	RetryAfter time.Duration
	cause      error
}

// Detail is what is wrong with one field of a request.
type Detail struct {
	Where   string `json:"where" doc:"Path of the field in the request"`
	Problem string `json:"problem" doc:"What is wrong with it"`
}

// Error names the code.
func (f *Fault) Error() string { return f.Code + ": " + f.Text }

// Unwrap gives the cause; nil when the fault arose here.
func (f *Fault) Unwrap() error { return f.cause }

// kinds maps each published code to its HTTP status and text. A rule's code (conversation, acd)
// that is not in it becomes a conflict, with the rule's own text.
var kinds = map[string]Fault{
	"unauthenticated":       {Status: http.StatusUnauthorized, Text: "log in first"},
	"denied":                {Status: http.StatusForbidden, Text: "not allowed"},
	"forged":                {Status: http.StatusForbidden, Text: "the request does not come from the desk"},
	"credentials":           {Status: http.StatusUnauthorized, Text: "wrong login or password"},
	"rate_limited":          {Status: http.StatusTooManyRequests, Text: "too many requests, try again later"},
	"not_found":             {Status: http.StatusNotFound, Text: "there is no such thing, or you may not see it"},
	"invalid":               {Status: http.StatusUnprocessableEntity, Text: "the request contradicts itself or is out of bounds"},
	"malformed":             {Status: http.StatusBadRequest, Text: "the request cannot be understood"},
	"too_large":             {Status: http.StatusRequestEntityTooLarge, Text: "this is too large"},
	"type_refused":          {Status: http.StatusUnsupportedMediaType, Text: "files of this type are not taken"},
	"password":              {Status: http.StatusUnprocessableEntity, Text: "a password must have at least 8 characters and at most 256 bytes"},
	"taken":                 {Status: http.StatusConflict, Text: "another record has this name"},
	"unavailable":           {Status: http.StatusServiceUnavailable, Text: "not possible now, try again"},
	"storage_full":          {Status: http.StatusServiceUnavailable, Text: "no space left on the server, nothing was stored"},
	"internal":              {Status: http.StatusInternalServerError, Text: "an error of ours"},
	"unknown_agent":         {Status: http.StatusNotFound, Text: "there is no such agent"},
	"unknown_account":       {Status: http.StatusNotFound, Text: "there is no such account"},
	"no_service":            {Status: http.StatusConflict, Text: "there is no service that takes this"},
	"ended":                 {Status: http.StatusConflict, Text: "the conversation has ended"},
	"not_joined":            {Status: http.StatusConflict, Text: "you take no part in this conversation"},
	"already_joined":        {Status: http.StatusConflict, Text: "already takes part in this conversation"},
	"offer_gone":            {Status: http.StatusConflict, Text: "this offer is no longer there"},
	"already_invited":       {Status: http.StatusConflict, Text: "already invited"},
	"invite_pending":        {Status: http.StatusConflict, Text: "an invitation is pending: cancel it, or end and leave the customer in the queue"},
	"no_such_request":       {Status: http.StatusConflict, Text: "this invitation is no longer pending"},
	"no_wrapup":             {Status: http.StatusConflict, Text: "there is no after-call work to finish"},
	"disposition_needed":    {Status: http.StatusConflict, Text: "choose a disposition first"},
	"unsupported":           {Status: http.StatusUnprocessableEntity, Text: "the customer's channel cannot carry this"},
	"opted_out":             {Status: http.StatusConflict, Text: "the customer wants no messages on this channel"},
	"thread_open":           {Status: http.StatusConflict, Text: "an exchange with this number is open already"},
	"no_sender":             {Status: http.StatusConflict, Text: "there is no account from which this could be sent"},
	"invalid_address":       {Status: http.StatusUnprocessableEntity, Text: "not a number with its country, such as +15551234567"},
	"no_such_message":       {Status: http.StatusConflict, Text: "there is no such message here, or its status is no longer followed"},
	"not_author":            {Status: http.StatusForbidden, Text: "only who wrote a message edits it or takes it back"},
	"too_many_unsent":       {Status: http.StatusConflict, Text: "too many messages of this exchange are not sent yet"},
	"not_unknown":           {Status: http.StatusConflict, Text: "what became of this message is known by now"},
	"logged_out":            {Status: http.StatusConflict, Text: "log in first: the desk is closed"},
	"parked":                {Status: http.StatusConflict, Text: "the exchange is parked: take it up first"},
	"call_active":           {Status: http.StatusConflict, Text: "a call is active: end it first"},
	"no_such_session":       {Status: http.StatusConflict, Text: "this call or tool has ended"},
	"too_many_sessions":     {Status: http.StatusConflict, Text: "too many calls and tools at once"},
	"no_such_leg":           {Status: http.StatusConflict, Text: "the call has no such leg"},
	"wrong_state":           {Status: http.StatusConflict, Text: "the call is not in a state for this"},
	"no_tool":               {Status: http.StatusConflict, Text: "there is no such tool in this conversation"},
	"tool_fault":            {Status: http.StatusConflict, Text: "the tool refused this"},
	"no_such_template":      {Status: http.StatusConflict, Text: "there is no such template for this number or page, or it is not known here yet"},
	"template_not_approved": {Status: http.StatusConflict, Text: "the provider has not approved this template, or has paused it"},
	"template_values":       {Status: http.StatusUnprocessableEntity, Text: "the values do not fit the places of the template"},
	"reply_window":          {Status: http.StatusConflict, Text: "the channel takes only templates by now"},
}

// NewFault makes the Fault that kinds has for a code; an unknown code makes a conflict.
func NewFault(code string, details ...Detail) *Fault {
	f, ok := kinds[code]
	if !ok {
		f = Fault{Status: http.StatusConflict, Text: "not possible: " + code}
	}
	f.Code, f.Details = code, details
	return &f
}

// ToFault turns any error into what the client may know of it. An unforeseen error becomes an id;
// log gets that id with the whole error.
func ToFault(err error, log func(id string, err error)) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	f := classify(err)
	if f == nil {
		id := rand.Text()[:12]
		log(id, err)
		f = NewFault("internal")
		f.Text = fmt.Sprintf("%s (%s)", f.Text, id)
	}
	f.cause = err
	return f
}

func classify(err error) *Fault {
	if code := conversation.Code(err); code != "" {
		return NewFault(code)
	}
	if code := acd.Code(err); code != "" {
		return NewFault(code)
	}
	if inv, ok := errors.AsType[*directory.InvalidError](err); ok {
		var details []Detail
		for _, d := range inv.Faults {
			details = append(details, Detail{Where: d.Path, Problem: d.Problem})
		}
		return NewFault("invalid", details...)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return NewFault("too_large")
	}
	if taken, ok := errors.AsType[*directory.TakenError](err); ok {
		return NewFault("taken", Detail{Where: taken.Field, Problem: "belongs to another " + taken.Kind})
	}
	if limited, ok := errors.AsType[*auth.LimitedError](err); ok {
		f := NewFault("rate_limited")
		f.RetryAfter = limited.RetryAfter
		return f
	}
	if full, ok := errors.AsType[*blob.QuotaError](err); ok {
		f := NewFault("rate_limited", Detail{Where: "file", Problem: "the uploads of this hour are used up"})
		f.RetryAfter = full.After
		return f
	}
	if refused, ok := errors.AsType[*sessionwork.Fault](err); ok {
		return toolFault(refused)
	}
	for _, k := range sentinels {
		if errors.Is(err, k.err) {
			return NewFault(k.code)
		}
	}
	if code := router.Code(err); code != "unavailable" { // which it says of everything that it does not know
		return NewFault(code)
	}
	return nil
}

var sentinels = []struct {
	err  error
	code string
}{
	{router.ErrStopped, "unavailable"},
	{sessionwork.ErrNoTool, "no_tool"},
	{sessionwork.ErrDenied, "denied"},
	{sessionwork.ErrInvalid, "invalid"},
	{sessionwork.ErrUnavailable, "unavailable"},
	{sessionwork.ErrRate, "rate_limited"},
	{sessionwork.ErrNoLeg, "no_such_leg"},
	{sessionwork.ErrWrongState, "wrong_state"},
	{sessionwork.ErrUnknownSession, "no_such_session"},
	{directory.ErrNotFound, "not_found"},
	{directory.ErrFull, "storage_full"},
	{directory.ErrFailed, "unavailable"},
	{directory.ErrUnavailable, "unavailable"},
	{directory.ErrPassword, "password"},
	{eventlog.ErrFull, "storage_full"},
	{eventlog.ErrUnavailable, "unavailable"},
	{eventlog.ErrFatal, "unavailable"},
	{eventlog.ErrClosed, "unavailable"},
	{eventlog.ErrNotFound, "not_found"},
	{eventlog.ErrConflict, "unavailable"},
	{vault.ErrUnavailable, "unavailable"},
	{vault.ErrFailed, "unavailable"},
	{blob.ErrTooLarge, "too_large"},
	{blob.ErrPixels, "too_large"},
	{blob.ErrType, "type_refused"},
	{blob.ErrFull, "storage_full"},
	{blob.ErrUnavailable, "unavailable"},
	{blob.ErrDamaged, "unavailable"},
	{blob.ErrNotFound, "not_found"},
	{auth.ErrUnauthenticated, "unauthenticated"},
	{auth.ErrDenied, "denied"},
	{auth.ErrForged, "forged"},
	{auth.ErrCredentials, "credentials"},
	{auth.ErrBusy, "unavailable"},
	{auth.ErrGrant, "denied"},
	{context.DeadlineExceeded, "unavailable"},
	{context.Canceled, "unavailable"},
}
