package directory

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
)

// InboundMode says what happens to a message that comes while no exchange is open (SPEC N7).
type InboundMode string

// Inbound modes.
const (
	InboundNew    InboundMode = "new"    // the message begins a new exchange
	InboundIgnore InboundMode = "ignore" // the message is logged and counted, but never shown: the account only answers
	InboundNone   InboundMode = "none"   // the account is no channel (a bot, a tool): it has no target, and takes no messages
)

// Limits of what an account's record may hold.
const (
	maxSettings = 64 << 10
	maxSecrets  = 32
	maxSecret   = 16 << 10
)

// Account is one configured endpoint of a channel plugin. Its target is a service or a user, never
// both. An account's secrets are not in it (Directory.Secrets).
type Account struct {
	ID       conversation.AccountID `json:"id"`
	Plugin   string                 `json:"plugin"`
	Name     string                 `json:"name"`
	Settings json.RawMessage        `json:"settings,omitempty"` // JSON object for the plugin; nil means {}
	Service  conversation.ServiceID `json:"service,omitzero"`
	User     conversation.AgentID   `json:"user,omitzero"`
	Inbound  InboundMode            `json:"inbound"` // "" becomes new
	Files    FileLimits             `json:"files,omitzero"`
	Enabled  bool                   `json:"enabled"`
}

// FileLimits bound the attachments of an account.
type FileLimits struct {
	MaxBytes int64 `json:"max_bytes,omitempty" yaml:"max_bytes,omitempty"` // 0 means the store's default
	// Types are the MIME types that are accepted, "image/*" meaning all pictures. Empty means the
	// store's own list; types that are not on the store's list are never accepted.
	Types []string `json:"types,omitempty" yaml:"types,omitempty"`
}

func (a *Account) normalise() {
	a.Plugin = strings.TrimSpace(a.Plugin)
	a.Name = strings.TrimSpace(a.Name)
	if a.Inbound == "" {
		a.Inbound = InboundNew
	}
	a.Files.Types = sortedSet(a.Files.Types)
	if len(a.Settings) == 0 {
		a.Settings = json.RawMessage("{}")
	}
	// Encoded compactly with sorted keys, so that equal settings compare equal.
	var v map[string]any
	dec := json.NewDecoder(bytes.NewReader(a.Settings))
	dec.UseNumber()
	if dec.Decode(&v) == nil && v != nil && !dec.More() {
		if b, err := json.Marshal(v); err == nil {
			a.Settings = b
		}
	}
}

func (a *Account) validate(s *Snapshot) error {
	var f faults
	f.check(pluginPattern.MatchString(a.Plugin), "plugin", "must be a plugin id: 1 to 64 of a-z 0-9 -, starting with a letter")
	f.label("name", a.Name, true)
	var v map[string]json.RawMessage
	f.check(json.Unmarshal(a.Settings, &v) == nil && v != nil, "settings", "must be a JSON object")
	f.check(len(a.Settings) <= maxSettings, "settings", "must be at most 64 KiB")
	f.check(a.Service.IsZero() || a.User.IsZero(), "user", "an account has a service or a user, not both")
	target := !a.Service.IsZero() || !a.User.IsZero()
	f.check(target || a.Inbound == InboundNone, "service", "an account needs a service or a user as its target, or inbound: none if it is a bot or a tool")
	f.check(!target || a.Inbound != InboundNone, "inbound", "none is for accounts without a target")
	if !a.Service.IsZero() {
		_, ok := s.Service(a.Service)
		f.check(ok, "service", "no such service")
	}
	if !a.User.IsZero() {
		_, ok := s.User(a.User)
		f.check(ok, "user", "no such user")
	}
	f.check(a.Inbound == InboundNew || a.Inbound == InboundIgnore || a.Inbound == InboundNone, "inbound", "must be new, ignore or none")
	f.check(a.Files.MaxBytes >= 0 && a.Files.MaxBytes <= 1<<30, "files.max_bytes", "must be 0 to 1 GiB")
	for _, t := range a.Files.Types {
		f.check(mimePattern.MatchString(t), "files.types", "must be MIME types such as image/png or image/*")
	}
	return f.err()
}

func validateSecrets(secrets map[string]string) error {
	var f faults
	f.check(len(secrets) <= maxSecrets, "secrets", "must be at most 32")
	for name, v := range secrets {
		f.check(keyPattern.MatchString(name), "secrets", "a name must be 1 to 64 of a-z 0-9 . _ -, starting with a letter")
		f.check(v != "", "secrets."+name, "must not be empty")
		f.check(len(v) <= maxSecret, "secrets."+name, "must be at most 16 KiB")
	}
	return f.err()
}
