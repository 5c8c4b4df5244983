package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/auth"
)

type pluginView struct {
	ID             string              `json:"id"`
	Name           string              `json:"name"`
	Version        string              `json:"version"`
	Kind           string              `json:"kind" doc:"built-in, folder or attached"`
	State          pluginhost.State    `json:"state"`
	Since          time.Time           `json:"since" doc:"Of the state"`
	Reason         string              `json:"reason,omitempty" doc:"Why it is degraded, crashed or waiting"`
	Generation     int                 `json:"generation" doc:"Counts starts, from 1"`
	Restarts       int                 `json:"restarts"`
	PID            int                 `json:"pid,omitempty"`
	PingMicros     int64               `json:"ping_us,omitempty" doc:"Round trip through the plugin"`
	Accounts       []pluginAccountView `json:"accounts"`
	Problems       []pluginProblemView `json:"problems" doc:"Faults of its configuration"`
	LastCrash      *crashView          `json:"last_crash,omitempty"`
	SettingsSchema json.RawMessage     `json:"settings_schema,omitempty" doc:"JSON Schema"`
	AccountSchema  json.RawMessage     `json:"account_schema,omitempty" doc:"JSON Schema of an account's settings; x-secret marks secrets"`
}

type pluginAccountView struct {
	ID   conversation.AccountID `json:"id" format:"uuid"`
	OK   bool                   `json:"ok"`
	Code string                 `json:"code,omitempty"`
	Text string                 `json:"text,omitempty"`
}

type pluginProblemView struct {
	Account conversation.AccountID `json:"account,omitzero" format:"uuid"`
	Path    string                 `json:"path"`
	Code    string                 `json:"code"`
	Text    string                 `json:"text"`
}

// crashView describes a crash of a plugin. What the plugin wrote before the crash is in the log
// only.
type crashView struct {
	At       time.Time `json:"at"`
	Cause    string    `json:"cause"`
	ExitCode int       `json:"exit_code"`
	Signal   string    `json:"signal,omitempty"`
}

func (a *API) pluginRoutes() {
	register(a, op("list-plugins", http.MethodGet, "/plugins", "plugins", "List plugins with their state", directory.RoleAdmin), directory.RoleAdmin,
		func(context.Context, auth.Identity, *struct{}) (*listOfOutput[pluginView], error) {
			out := &listOfOutput[pluginView]{}
			out.Body.Items = []pluginView{}
			for _, s := range a.opts.Host.Plugins() {
				out.Body.Items = append(out.Body.Items, a.pluginView(s))
			}
			return out, nil
		})
}

func (a *API) pluginView(s pluginhost.Status) pluginView {
	v := pluginView{
		ID: s.ID, Name: s.Name, Version: s.Version, Kind: s.Kind, State: s.State, Since: s.Since.UTC(), Reason: s.Reason,
		Generation: s.Generation, Restarts: s.Restarts, PID: s.PID, PingMicros: s.Ping.Microseconds(),
		Accounts: []pluginAccountView{}, Problems: []pluginProblemView{},
	}
	for _, acc := range s.Accounts {
		v.Accounts = append(v.Accounts, pluginAccountView(acc))
	}
	for _, p := range s.Problems {
		v.Problems = append(v.Problems, pluginProblemView(p))
	}
	if c := s.LastCrash; c != nil {
		v.LastCrash = &crashView{At: c.At.UTC(), Cause: c.Cause, ExitCode: c.ExitCode, Signal: c.Signal}
	}
	if settings, account, ok := a.opts.Host.Schemas(s.ID); ok {
		v.SettingsSchema, v.AccountSchema = rawOrNil(settings), rawOrNil(account)
	}
	return v
}

func rawOrNil(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}
