package sms

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// carrier is one account at a carrier of text messages. All methods are safe for concurrent use.
type carrier interface {
	// hook interprets a webhook. The result depends on the request and the settings only.
	hook(req *sdk.HookRequest) reading
	// send makes one attempt. It calls m.begin right before the request is sent, and sends nothing
	// if that fails.
	send(ctx context.Context, m *outgoing) sdk.Result
	// find returns messages at the carrier that may have come from the attempt.
	find(ctx context.Context, a *attempt) ([]candidate, error)
	// fetch opens a customer's attachment. The error is a *mediaError.
	fetch(ctx context.Context, url string) (*media, error)
	// check asks the carrier whether the credentials are valid: nil, errUnauthorized or
	// errUnreachable.
	check(ctx context.Context) error
}

// Why an account does not work.
var (
	errUnauthorized = errors.New("the carrier refuses the credentials")
	errUnreachable  = errors.New("the carrier cannot be reached")
)

// reading is what a webhook reported, and the answer to it.
type reading struct {
	response sdk.HookResponse
	kind     hookKind
	// unsigned says why the signature is wrong, also in observe mode; "" = it is right.
	unsigned string
	segments int // of an inbound text, as the carrier counts them
}

// hookKind is the kind of a webhook. It is a label of metrics, so its values are few.
type hookKind string

const (
	hookMessage hookKind = "message"
	hookMedia   hookKind = "media"
	hookOptOut  hookKind = "opt_out"
	hookStatus  hookKind = "status"
	hookUnknown hookKind = "unknown" // refused before its kind was known
)

// outgoing is a message to be sent.
type outgoing struct {
	command  sdk.CommandID
	to       string
	body     string
	media    []string // URLs of the attachments
	callback string   // status callback URL; "" = none
	begin    func(context.Context) error
}

// candidate is a message that the carrier has, and that may be an attempt's.
type candidate struct {
	id      string
	body    string
	media   int
	created time.Time
}

// media is the contents of a customer's attachment.
type media struct {
	io.ReadCloser
	mime string
}

// mediaError says why an attachment cannot be fetched.
type mediaError struct {
	reason string // one of the plugin's own words, since it is logged and shown
	final  bool   // another attempt would not help
	ours   bool   // the gateway cannot store the attachment now
}

// Error names the reason.
func (e *mediaError) Error() string { return "fetch attachment: " + e.reason }
