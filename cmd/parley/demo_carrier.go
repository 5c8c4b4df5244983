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

// demoNumbers are the accounts of demo.yaml that are texted to; the first one
// is the service's.
var demoNumbers = [...]struct{ account, number string }{
	{"Text Line", "+15550100100"},
	{"Ben direct", "+15550100101"},
}

// demoNumber is a number with the account that it became and its hook.
type demoNumber struct{ number, account, hook string }

// carrierURL is the hook as the carrier is given it, with what doctor advises.
func (n demoNumber) carrierURL() string {
	fragment, _ := webhookFragment("sms", n.hook)
	return n.hook + "#" + fragment
}

// demoCarrier is the sandbox of the demo: a child of its own, beside the
// gateway, so that it outlives it; or one that runs anyway.
type demoCarrier struct {
	self twilioSelf
	stop func() error
}

// carrier starts the sandbox at an address, or finds the one that was named.
func (c *demoCmd) carrier(a *app, data string, listen []netip.AddrPort) (*demoCarrier, error) {
	if c.SandboxURL != "" {
		self, err := askSandbox(a.ctx, strings.TrimSuffix(c.SandboxURL, "/"))
		return &demoCarrier{self: self, stop: func() error { return nil }}, err
	}
	at := listen[0]
	base := "http://" + reachable(at)
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.ctx)) // ends after the gateway
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
	self.URL, self.PhonePage = base, base+"/phones" // as the user reaches it
	return self, err
}

// useCarrier fills in what the records of the carrier's accounts cannot know.
// A zero carrier leaves them for the next start.
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

// useHooks names the webhooks as the sandbox does, which are signed by that
// name: by default they are on the chat origin, which browsers resolve and
// many scripts do not.
func useHooks(accounts []directory.AccountRecord, numbers []demoNumber) {
	for i := range accounts {
		for _, n := range numbers {
			if accounts[i].Settings["number"] == n.number {
				accounts[i].Settings["webhook_url"] = n.carrierURL()
			}
		}
	}
}

// direct sends the numbers' messages to the gateway.
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

// sandboxCall is a request to the control API of a sandbox.
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
