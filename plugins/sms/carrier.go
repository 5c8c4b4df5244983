package sms

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// carrier is one account at somebody who carries text messages. All methods
// are safe for concurrent use.
type carrier interface {
	// hook understands a webhook. It is pure.
	hook(req *sdk.HookRequest) reading
	// send makes one attempt. It calls m.begin right before the request leaves,
	// and leaves nothing behind when that fails.
	send(ctx context.Context, m *outgoing) sdk.Result
	// find looks for messages that may be the attempt.
	find(ctx context.Context, a *attempt) ([]candidate, error)
	// fetch opens a customer's attachment. The error is a *mediaError.
	fetch(ctx context.Context, url string) (*media, error)
	// check asks whether the credentials are good: nil, errUnauthorized or
	// errUnreachable.
	check(ctx context.Context) error
}

// Why an account does not work.
var (
	errUnauthorized = errors.New("the carrier refuses the credentials")
	errUnreachable  = errors.New("the carrier cannot be reached")
)

// reading is what a webhook said.
type reading struct {
	response sdk.HookResponse
	kind     hookKind
	// unsigned says why the signature is not right, also in observe mode; ""
	// = it is.
	unsigned string
	segments int // of an inbound text, as the carrier counts
}

// hookKind is a label: its values are bounded.
type hookKind string

const (
	hookMessage hookKind = "message"
	hookMedia   hookKind = "media"
	hookOptOut  hookKind = "opt_out"
	hookStatus  hookKind = "status"
	hookUnknown hookKind = "unknown" // refused before it was understood
)

// outgoing is a message to be sent.
type outgoing struct {
	command  sdk.CommandID
	to       string
	body     string
	media    []string // URLs
	callback string   // "" = none
	begin    func(context.Context) error
}

// candidate is a message that the carrier has.
type candidate struct {
	id      string
	body    string
	media   int
	created time.Time
}

// media is a customer's attachment being read.
type media struct {
	io.ReadCloser
	mime string
}

// mediaError says why an attachment cannot be fetched.
type mediaError struct {
	reason string // a word of ours: it is logged and shown
	final  bool   // another attempt would not help
	ours   bool   // the gateway cannot store it now
}

// Error names the reason.
func (e *mediaError) Error() string { return "fetch attachment: " + e.reason }
