package sdk

import (
	"net/http"
	"time"
)

// HookRequest is a webhook as the carrier sent it.
type HookRequest struct {
	Account      AccountID
	Method       string
	URL          string // the configured public URL with path and query, over which carriers sign
	Header       http.Header
	Body         []byte
	RemoteIP     string
	ReceivedTime time.Time
}

// HookResponse is the answer to the carrier, and the events that the webhook reported. The host
// stores Events first and answers then. An event without Account or ReceivedTime gets those of the
// request.
type HookResponse struct {
	Status int // HTTP status; 0 = 200
	Header http.Header
	Body   []byte
	Events []Event
	Reason string // with a 4xx: "signature", "malformed" ...; the host counts each reason
}

// RejectHook answers with status; the host counts the reason.
func RejectHook(status int, reason string) HookResponse {
	return HookResponse{Status: status, Reason: reason}
}
