package sdk

import (
	"net/http"
	"time"
)

// HookRequest is a raw webhook as the carrier sent it.
type HookRequest struct {
	Account      AccountID
	Method       string
	URL          string // the configured public URL with path and query, as signatures see it
	Header       http.Header
	Body         []byte
	RemoteIP     string
	ReceivedTime time.Time
}

// HookResponse is the carrier's answer and what the webhook said. The host
// stores Events first and answers then. An event without Account or
// ReceivedTime gets those of the request.
type HookResponse struct {
	Status int // 0 = 200
	Header http.Header
	Body   []byte
	Events []Event
	Reason string // with a 4xx: "signature", "malformed" ...; counted
}

// RejectHook answers with status and counts reason.
func RejectHook(status int, reason string) HookResponse {
	return HookResponse{Status: status, Reason: reason}
}
