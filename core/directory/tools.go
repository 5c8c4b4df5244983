package directory

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
)

// maxTools bounds the tools of one service.
const maxTools = 50

// ServiceTool is a tool that a service has: an account of a plugin that is a tool. Who may start it, and on
// which channels it works, its plugin says.
type ServiceTool struct {
	Account  conversation.AccountID `json:"account"`
	Settings json.RawMessage        `json:"settings,omitempty"` // JSON object for the tool, over the account's; nil: none
}

// ToolRecord is a ServiceTool.
type ToolRecord struct {
	Account  string         `yaml:"account"` // name
	Settings map[string]any `yaml:"settings,omitempty"`
}

// Tool finds a tool of the service by its account.
func (s Service) Tool(account conversation.AccountID) (ServiceTool, bool) {
	for _, t := range s.Tools {
		if t.Account == account {
			return t, true
		}
	}
	return ServiceTool{}, false
}

// normaliseTools writes settings compactly, so that equal ones compare equal.
func normaliseTools(tools []ServiceTool) []ServiceTool {
	var out []ServiceTool
	for _, t := range tools {
		var b bytes.Buffer
		if json.Compact(&b, t.Settings) == nil {
			t.Settings = b.Bytes()
		}
		if len(t.Settings) == 0 || string(t.Settings) == "null" || string(t.Settings) == "{}" {
			t.Settings = nil
		}
		out = append(out, t)
	}
	return out
}

func validateTools(f *faults, tools []ServiceTool, snap *Snapshot) {
	f.check(len(tools) <= maxTools, "tools", fmt.Sprintf("must be at most %d", maxTools))
	seen := map[conversation.AccountID]bool{}
	for i, t := range tools {
		at := fmt.Sprintf("tools[%d]", i)
		_, ok := snap.Account(t.Account)
		f.check(ok, at+".account", "no such account")
		f.check(!seen[t.Account], at+".account", "is there twice")
		seen[t.Account] = true
		var v map[string]json.RawMessage
		f.check(t.Settings == nil || json.Unmarshal(t.Settings, &v) == nil, at+".settings", "must be a JSON object")
		f.check(len(t.Settings) <= maxSettings, at+".settings", "must be at most 64 KiB")
	}
}

// tools gives the services their tools, when all accounts are there.
func (a *applier) tools() {
	for i, r := range a.records.Services {
		at := fmt.Sprintf("services[%d]", i)
		s, ok := a.snap.ServiceByName(r.Name)
		if !ok {
			continue // it could not be written, which is reported already
		}
		before := len(a.errs)
		s.Tools = nil
		for j, t := range r.Tools {
			acc, ok := a.snap.AccountByName(t.Account)
			if !ok {
				a.fault(fmt.Sprintf("%s.tools[%d].account", at, j), fmt.Errorf("there is no account %q", t.Account))
				continue
			}
			tool := ServiceTool{Account: acc.ID}
			var err error
			if t.Settings != nil {
				if tool.Settings, err = json.Marshal(t.Settings); err != nil {
					a.fault(fmt.Sprintf("%s.tools[%d].settings", at, j), err)
				}
			}
			s.Tools = append(s.Tools, tool)
		}
		if len(a.errs) > before || len(s.Tools) == 0 && len(r.Tools) == 0 && !a.hadTools(s.ID) {
			continue
		}
		_, err := a.putService(s)
		a.report(at, err)
	}
}

func (a *applier) hadTools(id conversation.ServiceID) bool {
	s, _ := a.snap.Service(id)
	return len(s.Tools) > 0
}
