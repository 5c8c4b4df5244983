package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/directory"
)

// demoSMS is the number of the service "Text Line".
type demoSMS struct {
	Account    string `json:"account"`
	Number     string `json:"number"`
	AccountSID string `json:"account_sid"`
	AuthToken  string `json:"auth_token"`
	WebhookURL string `json:"webhook_url"`
}

type demoSandbox struct {
	TwilioURL string `json:"twilio_url"`
}

// demoNumbers are the accounts in demo.yaml that have phone numbers; the first one belongs to the
// service.
var demoNumbers = [...]struct{ account, number string }{
	{"Text Line", "+15550100100"},
	{"Ben direct", "+15550100101"},
}

// demoNumber is a phone number with the account made for it and that account's webhook.
type demoNumber struct{ number, account, hook string }

// carrierURL is the webhook's URL as the carrier gets it, with the fragment that doctor advises.
func (n demoNumber) carrierURL() string {
	fragment, _ := webhookFragment("sms", n.hook)
	return n.hook + "#" + fragment
}

// demoCarrier is the demo's sandbox: a child process beside the gateway, so that it goes on when
// the gateway is killed, or a sandbox that was running already.
type demoCarrier struct {
	self twilioSelf
	stop func() error
}

// carrier starts the sandbox at an address, or finds the sandbox that was named.
func (c *demoCmd) carrier(a *app, data string, listen []netip.AddrPort) (*demoCarrier, error) {
	if c.SandboxURL != "" {
		self, err := askSandbox(a.ctx, strings.TrimSuffix(c.SandboxURL, "/"))
		return &demoCarrier{self: self, stop: func() error { return nil }}, err
	}
	at := listen[0]
	base := "http://" + reachable(at)
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.ctx)) // ended after the gateway
	ended, up := make(chan error, 1), make(chan struct{})
	stop := func() error {
		cancel()
		return <-ended
	}
	keeper := &demoKeeper{
		name: "sandbox", args: []string{"sandbox", "twilio", "--listen", at.String(), "--data", filepath.Join(data, "sandbox")},
		stderr: a.stderr, health: base + "/_sandbox", ready: func() error { close(up); return nil },
		quiet: true,
	}
	go func() { ended <- keeper.keep(ctx) }()
	select {
	case <-up:
	case err := <-ended:
		cancel()
		return nil, err
	case <-a.ctx.Done():
		return nil, errors.Join(a.ctx.Err(), stop())
	}
	self, err := askSandbox(a.ctx, base)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &demoCarrier{self: self, stop: stop}, nil
}

func askSandbox(ctx context.Context, base string) (self twilioSelf, err error) {
	err = sandboxCall(ctx, http.MethodGet, base+"/_sandbox", nil, &self)
	self.URL, self.PhonePage = base, base+"/phones" // as the user's browser reaches it
	return self, err
}

// useCarrier fills in the carrier's values, which demo.yaml cannot contain, in the records of the
// carrier's accounts. A zero carrier leaves them for the next start.
func useCarrier(accounts []directory.AccountRecord, carrier twilioSelf) {
	for i := range accounts {
		a := &accounts[i]
		if a.Plugin != "sms" || carrier.URL == "" {
			continue
		}
		a.Settings["base_url"], a.Settings["account_sid"] = carrier.URL, carrier.AccountSID
		a.Secrets = map[string]directory.Secret{"auth_token": directory.NewSecret(carrier.AuthToken)}
	}
}

// useHooks sets the webhook URLs of the accounts to those that the sandbox uses, because signatures
// cover the URL: by default webhooks are on the chat origin, whose name browsers resolve and many
// scripts do not.
func useHooks(accounts []directory.AccountRecord, numbers []demoNumber) {
	for i := range accounts {
		for _, n := range numbers {
			if accounts[i].Settings["number"] == n.number {
				accounts[i].Settings["webhook_url"] = n.carrierURL()
			}
		}
	}
}

// direct makes the sandbox deliver the numbers' messages to the gateway.
func (c *demoCarrier) direct(ctx context.Context, info *demoInfo) error {
	for i, n := range info.numbers {
		number := twilioNumber{Number: n.number, WebhookURL: n.carrierURL()}
		if err := sandboxCall(ctx, http.MethodPut, c.self.URL+"/_sandbox/numbers", number, nil); err != nil {
			return err
		}
		if i == 0 {
			info.SMS.Account, info.SMS.Number, info.SMS.WebhookURL = n.account, n.number, n.hook
		}
	}
	info.PhonePage, info.Sandbox.TwilioURL = c.self.PhonePage, c.self.URL
	return nil
}

// sandboxCall makes a request to a sandbox's control API.
func sandboxCall(ctx context.Context, method, url string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return usageError{err}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the sandbox does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the sandbox answered %d: %s", resp.StatusCode, bytes.TrimSpace(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
