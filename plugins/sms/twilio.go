package sms

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// twilio is a number or a messaging service of one Twilio account. What it knows of Twilio is from
// the documentation of 2026-08.
type twilio struct {
	*client
	settings *settings
	verifier *verifier
	signed   string // the URL over which webhooks are signed, without query; "" = the one that the host names
	taken    http.Header
	params   sync.Pool // of *[]param
}

var _ carrier = (*twilio)(nil)

func newTwilio(s *settings, c *client) *twilio {
	t := &twilio{
		client: c, settings: s, verifier: newVerifier(s.token.Reveal(), s.previousToken.Reveal()),
		taken:  http.Header{"Content-Type": {"text/xml"}},
		params: sync.Pool{New: func() any { return new([]param) }},
	}
	if s.WebhookURL != "" {
		t.signed, _, _ = strings.Cut(s.WebhookURL, "#")
		t.signed, _, _ = strings.Cut(t.signed, "?")
	}
	return t
}

// check implements carrier.
func (t *twilio) check(ctx context.Context) error { return t.client.check(ctx) }

// callback is the status callback URL of a command: the account's webhook URL with the command's
// id, so that a callback can settle a message whose answer was lost. The fragment with connection
// overrides is kept.
func (s *settings) callback(id sdk.CommandID) string {
	if s.webhook == nil {
		return ""
	}
	u := *s.webhook
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += statusParam + "=" + url.QueryEscape(string(id))
	return u.String()
}
