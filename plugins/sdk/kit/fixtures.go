package kit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Fixtures are what the author of a plugin gives the kit: a configuration that works,
// configurations that do not, and webhooks with what they should give. In a file they are JSON.
type Fixtures struct {
	Settings json.RawMessage   `json:"settings,omitempty"` // the plugin's own settings
	Secrets  map[string]string `json:"secrets,omitempty"`
	Accounts []Account         `json:"accounts,omitempty"` // none = one account with empty settings
	Invalid  []Invalid         `json:"invalid,omitempty"`
	Hooks    []Hook            `json:"hooks,omitempty"`
	Send     Send              `json:"send,omitzero"`
	Tool     Tool              `json:"tool,omitzero"`
}

// Tool is what a tool is started with.
type Tool struct {
	Settings  json.RawMessage `json:"settings,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// Account is an account of the sample configuration.
type Account struct {
	ID       string            `json:"id"`
	Settings json.RawMessage   `json:"settings,omitempty"`
	Secrets  map[string]string `json:"secrets,omitempty"`
}

// Invalid is a configuration that must be refused: the sample configuration, with these settings in
// place of the plugin's or of the first account's.
type Invalid struct {
	Name     string          `json:"name"`
	Settings json.RawMessage `json:"settings,omitempty"`
	Account  json.RawMessage `json:"account,omitempty"`
}

// Hook is a webhook and the answer and events that it should give.
type Hook struct {
	Name    string            `json:"name"`
	Account string            `json:"account,omitempty"` // an account's id; "" = the first account
	Method  string            `json:"method,omitempty"`  // "" = POST
	URL     string            `json:"url,omitempty"`     // "" = a URL that the kit makes up
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body"`
	Status  uint32            `json:"status,omitempty"` // 0 = any 2xx
	Events  []HookEvent       `json:"events,omitempty"`
}

// HookEvent is an event that a webhook should give; empty fields are not compared.
type HookEvent struct {
	Kind      string `json:"kind,omitempty"` // "message", "status", "result", "receipt", "action", "deferred"
	Thread    string `json:"thread,omitempty"`
	DedupeKey string `json:"dedupe_key,omitempty"`
}

// Send is the message that the kit sends.
type Send struct {
	To     string `json:"to,omitempty"`     // "" = +15005550006
	Thread string `json:"thread,omitempty"` // prefix of the threads that the kit uses; "" = the same as To
}

// LoadFixtures reads a JSON file; unknown keys are errors.
func LoadFixtures(path string) (Fixtures, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Fixtures{}, fmt.Errorf("load fixtures: %w", err)
	}
	var f Fixtures
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Fixtures{}, fmt.Errorf("load fixtures: %s: %w", path, err)
	}
	return f, nil
}

// complete fills in the values that the fixtures leave out.
func (f *Fixtures) complete() {
	if len(f.Accounts) == 0 {
		f.Accounts = []Account{{ID: "kit-account", Settings: json.RawMessage("{}")}}
	}
	if f.Send.To == "" {
		f.Send.To = "+15005550006"
	}
	if f.Send.Thread == "" {
		f.Send.Thread = f.Send.To
	}
}

// config is the sample configuration, without sockets.
func (f *Fixtures) config() *pluginv1.ConfigureRequest {
	c := &pluginv1.ConfigureRequest{
		Revision: 1, Settings: string(f.Settings), Secrets: secrets(f.Secrets),
		BaseUrl:     "https://chat.kit.invalid/p/kit",
		IdentityKey: []byte("kit identity key, 32 bytes long."), VisitorKey: []byte("kit visitor key, 32 bytes long.."),
		FrameAncestors: []string{"https://desk.kit.invalid"},
	}
	for _, a := range f.Accounts {
		c.Accounts = append(c.Accounts, &pluginv1.Account{
			Id: a.ID, Name: a.ID, Settings: string(a.Settings), Secrets: secrets(a.Secrets),
			HookUrl: "https://chat.kit.invalid/hooks/" + a.ID, Enabled: true,
		})
	}
	return c
}

// secretValues are the secrets of the fixtures, which must not appear in any output.
func (f *Fixtures) secretValues() []string {
	var values []string
	for _, v := range f.Secrets {
		values = append(values, v)
	}
	for _, a := range f.Accounts {
		for _, v := range a.Secrets {
			values = append(values, v)
		}
	}
	return append(values, "kit identity key, 32 bytes long.", "kit visitor key, 32 bytes long..")
}

func secrets(m map[string]string) []*pluginv1.Secret {
	var out []*pluginv1.Secret
	for name, value := range m {
		out = append(out, &pluginv1.Secret{Name: name, Value: value})
	}
	return out
}

// hook makes the contract's message for a fixture.
func (f *Fixtures) hook(h *Hook, id uint64) *pluginv1.Hook {
	account, method, url := h.Account, h.Method, h.URL
	if account == "" {
		account = f.Accounts[0].ID
	}
	if method == "" {
		method = "POST"
	}
	if url == "" {
		url = "https://chat.kit.invalid/hooks/" + account
	}
	w := &pluginv1.Hook{
		Id: id, Account: account, Method: method, Url: url, Body: []byte(h.Body),
		RemoteIp: "192.0.2.1", ReceivedTime: 1_750_000_000_000_000,
	}
	for name, value := range h.Headers {
		w.Headers = append(w.Headers, &pluginv1.Header{Name: name, Value: value})
	}
	return w
}
