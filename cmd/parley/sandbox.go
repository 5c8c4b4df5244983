package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

type sandboxCmd struct {
	Twilio sandboxTwilioCmd `cmd:"" help:"Play Twilio: REST, webhooks, handsets with a page, failures on request."`
}

type sandboxTwilioCmd struct {
	Listen     string        `default:"127.0.0.1:8025" help:"Address; port 0 chooses a free one. There is no login: keep it on this machine."`
	Data       string        `type:"path" help:"Folder for messages and media, kept. Default: in memory."`
	AccountSID string        `name:"account-sid" help:"Account SID. Default: the folder's, or a new one."`
	AuthToken  string        `help:"Auth token. Default: the folder's, or a new one."`
	Number     string        `help:"A number of the account, in E.164."`
	WebhookURL string        `name:"webhook-url" help:"Where that number's messages go, with connection overrides (#rc=..) if wanted."`
	StepDelay  time.Duration `default:"200ms" help:"Pause before each status of a message."`
	JSON       bool          `help:"One JSON line on standard output when it is ready."`
}

func (c *sandboxTwilioCmd) Run(a *app) error {
	if c.WebhookURL != "" && c.Number == "" {
		return usageError{errors.New("--webhook-url needs --number")}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(a.ctx, "tcp", c.Listen)
	if err != nil {
		return usageError{err}
	}
	o := twilioOptions{
		Dir: c.Data, AccountSID: c.AccountSID, AuthToken: c.AuthToken, StepDelay: c.StepDelay,
		URL: "http://" + reachable(ln.Addr().(*net.TCPAddr).AddrPort()),
	}
	if c.Number != "" {
		o.Numbers = []twilioNumber{{Number: c.Number, WebhookURL: c.WebhookURL}}
	}
	s, err := newTwilioSandbox(o)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	err = c.announce(a, s.Self())
	if err == nil {
		select {
		case <-a.ctx.Done():
		case err = <-served:
		}
	}
	return errors.Join(err, closeSandbox(srv, s))
}

// closeSandbox closes the sandbox first, which ends requests that hang and streams that are open.
func closeSandbox(srv *http.Server, s interface{ Close() error }) error {
	err := s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second) // the command's own context has ended
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		err = errors.Join(err, srv.Close())
	}
	return err
}

// reachable is the address with which clients on this machine can connect.
func reachable(at netip.AddrPort) string {
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
}

func (c *sandboxTwilioCmd) announce(a *app, self twilioSelf) error {
	if c.JSON {
		b, err := json.Marshal(self)
		if err == nil {
			_, err = fmt.Fprintf(a.stdout, "%s\n", b)
		}
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "\nTwilio's sandbox is ready.\n\n  Phones        %s\n  REST          %s\n  Control API   %s/_sandbox\n  Account SID   %s\n  Auth token    %s\n",
		self.PhonePage, self.URL, self.URL, self.AccountSID, self.AuthToken)
	for _, n := range self.Numbers {
		if err == nil {
			_, err = fmt.Fprintf(a.stdout, "  Number        %s  %s\n", n.Number, n.WebhookURL)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, "\nCtrl+C stops.")
	}
	return err
}
