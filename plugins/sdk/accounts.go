package sdk

import (
	"strings"
	"sync/atomic"
)

// Accounts keeps the decoded settings of all accounts, for plugins whose Configure does nothing
// else: pass it each configuration, and read the settings with Get. The zero value holds no
// accounts.
type Accounts[T any] struct {
	current atomic.Pointer[map[AccountID]T]
}

// Configure decodes each account's settings strictly into a T and asks the checks for further
// problems. If there are none it replaces what Get returns, unless cfg is for validation only;
// otherwise it returns Problems.
func (a *Accounts[T]) Configure(cfg *Config, checks ...func(*Account, *T) Problems) error {
	next := make(map[AccountID]T, len(cfg.Accounts))
	var problems Problems
	for i := range cfg.Accounts {
		account := &cfg.Accounts[i]
		var settings T
		if err := account.Decode(&settings); err != nil {
			problems = append(problems, Problem{Account: account.ID, Code: "invalid", Text: err.Error()})
			continue
		}
		for _, check := range checks {
			problems = append(problems, check(account, &settings)...)
		}
		next[account.ID] = settings
	}
	if len(problems) == 0 && !cfg.ValidateOnly {
		a.current.Store(&next)
	}
	return problems.Err()
}

// Get returns an account's settings; false when it is not configured.
func (a *Accounts[T]) Get(id AccountID) (T, bool) {
	if m := a.current.Load(); m != nil {
		settings, ok := (*m)[id]
		return settings, ok
	}
	var none T
	return none, false
}

// PlainText joins the Text parts of a message and drops the others, for channels that carry text
// only.
func PlainText(parts []Part) string {
	var texts []string
	for _, p := range parts {
		if t, ok := p.(Text); ok {
			texts = append(texts, t.Text)
		}
	}
	return strings.Join(texts, "\n")
}
