package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrRestart is returned by Configure when the change needs a new process of the plugin.
var ErrRestart = errors.New("restart needed")

// ErrNeedsConfig is wrapped by the error of an Attach that cannot work with this configuration: the
// process ends, and is started again only when the configuration changes.
var ErrNeedsConfig = errors.New("new configuration needed")

// Config is the plugin's full configuration.
type Config struct {
	Revision     uint64
	Settings     json.RawMessage // the plugin's own settings; nil = none
	Secrets      map[string]Secret
	Accounts     []Account
	ValidateOnly bool   // check it and change nothing
	BaseURL      string // public URL of /p/<id>, without a trailing slash
	// VisitorKey is the HMAC-SHA-256 key for visitors' addresses, the same on all nodes of the
	// installation.
	VisitorKey Secret
	// FrameAncestors are the origins of the installation's own pages, for CSP.
	FrameAncestors []string
}

// Account is one configured endpoint of the channel.
type Account struct {
	ID       AccountID
	Name     string
	Settings json.RawMessage // the account's settings; nil = none
	Secrets  map[string]Secret
	HookURL  string // public URL of /hooks/{account}
	Enabled  bool
	// Standby, only of an account that is not enabled: another node may be serving the account, which
	// one node at a time may serve (OneNode). Hold nothing at the provider, but answer its webhooks.
	Standby bool
}

// Decode reads the plugin's settings into v; unknown keys are errors.
func (c *Config) Decode(v any) error { return decodeStrict(c.Settings, v) }

// Decode reads the account's settings into v; unknown keys are errors.
func (a *Account) Decode(v any) error { return decodeStrict(a.Settings, v) }

func decodeStrict(text json.RawMessage, v any) error {
	if len(text) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("decode settings: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("decode settings: more than one value")
	}
	return nil
}

// Problem is one fault of a configuration. Text must not repeat secrets.
type Problem struct {
	Account AccountID // "" = the plugin's own settings
	Path    string    // JSON pointer into the settings; "" = all of them
	Code    string    // "required", "invalid", "unauthorized", ...
	Text    string
}

// Problems is the error with which Configure refuses a configuration: all faults at once.
type Problems []Problem

// Error lists account, path, code and text of each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = strings.TrimSpace(fmt.Sprintf("%s%s: %s: %s", one.Account, one.Path, one.Code, one.Text))
	}
	return strings.Join(lines, "; ")
}

// Err returns p as an error, or nil when there is no problem.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
