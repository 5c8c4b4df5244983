package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/pluginhost"
)

type accountInput struct {
	Plugin   string                 `json:"plugin" minLength:"1" maxLength:"64"`
	Name     string                 `json:"name"`
	Settings map[string]any         `json:"settings,omitempty" doc:"As the plugin's account schema says, without secrets"`
	Secrets  map[string]string      `json:"secrets,omitempty" doc:"By name. Absent: as they are. They are never given out"`
	Service  conversation.ServiceID `json:"service,omitempty" format:"uuid" doc:"The target: a service or a user"`
	User     conversation.AgentID   `json:"user,omitempty" format:"uuid"`
	Inbound  directory.InboundMode  `json:"inbound,omitempty" enum:"new,ignore,none" doc:"A message without an open exchange: begins one, or is only logged. none: a bot or a tool, which has no target"`
	Files    directory.FileLimits   `json:"files,omitempty"`
	Enabled  bool                   `json:"enabled"`
}

func (a *API) accountRoutes() {
	recordRoutes(a, kind[directory.Account, accountInput]{
		name: "account", plural: "accounts", read: directory.RoleAdmin,
		list: (*directory.Snapshot).Accounts,
		get: func(s *directory.Snapshot, id string) (directory.Account, bool) {
			return s.Account(conversation.AccountID(stream(id)))
		},
		put: a.putAccount,
	})
}

// putAccount stores an account if its plugin accepts the settings.
func (a *API) putAccount(ctx context.Context, id string, b accountInput) (directory.Account, error) {
	settings, err := json.Marshal(b.Settings)
	if err != nil {
		return directory.Account{}, NewFault("invalid", Detail{"settings", "must be JSON"})
	}
	if b.Settings == nil {
		settings = nil
	}
	acc := directory.Account{
		ID: conversation.AccountID(stream(id)), Plugin: b.Plugin, Name: b.Name, Settings: settings, Service: b.Service, User: b.User,
		Inbound: b.Inbound, Files: b.Files, Enabled: b.Enabled,
	}
	if err := a.validateAccount(ctx, acc, b); err != nil {
		return directory.Account{}, err
	}
	return a.opts.Directory.PutAccount(ctx, acc, b.Secrets)
}

// validateAccount asks the plugin whether it accepts the account, credentials included. A disabled
// account of a plugin that is not running is stored unchecked: the plugin is asked when the account
// is enabled.
func (a *API) validateAccount(ctx context.Context, acc directory.Account, b accountInput) error {
	secrets := b.Secrets
	if secrets == nil && !acc.ID.IsZero() {
		var err error
		if secrets, err = a.opts.Directory.Secrets(ctx, acc.ID); err != nil {
			return err
		}
	}
	all := map[string]any{}
	for k, v := range b.Settings {
		all[k] = v
	}
	for k, v := range secrets {
		all[k] = v
	}
	settings, err := json.Marshal(all)
	if err != nil {
		return NewFault("invalid", Detail{"settings", "must be JSON"})
	}
	problems, err := a.opts.Host.Validate(ctx, acc.Plugin, nil, []pluginhost.AccountConfig{{
		ID: acc.ID, Plugin: acc.Plugin, Name: acc.Name, Settings: settings, Enabled: acc.Enabled,
	}})
	switch {
	case errors.Is(err, pluginhost.ErrUnknownPlugin):
		return NewFault("invalid", Detail{"plugin", "is not installed"})
	case errors.Is(err, pluginhost.ErrUnavailable), errors.Is(err, pluginhost.ErrGone):
		if !acc.Enabled {
			return nil
		}
		f := NewFault("unavailable", Detail{"plugin", "is not running, so it cannot check the settings; try again, or store the account disabled"})
		return f
	case err != nil:
		return fmt.Errorf("validate account: %w", err)
	}
	var details []Detail
	for _, p := range problems {
		details = append(details, Detail{"settings" + p.Path, p.Text})
	}
	if len(details) > 0 {
		return NewFault("invalid", details...)
	}
	return nil
}
