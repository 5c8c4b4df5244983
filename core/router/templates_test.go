package router_test

import (
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// The newest list of an account replaces the one before, and only agents who may write from the account
// see it; what an account can carry goes before what its plugin says of all.
func TestAccountTemplates(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	if list, err := r.AccountTemplates(w.agents["ana"], w.text.ID); err != nil || len(list) != 0 {
		t.Errorf("before the plugin told of any: got %v, %v", list, err)
	}
	r.Templates(w.text.ID, []plugin.Template{{Name: "a"}, {Name: "b"}})
	r.Templates(w.text.ID, []plugin.Template{{Name: "c", Status: "approved"}})
	if list, err := r.AccountTemplates(w.agents["ana"], w.text.ID); err != nil || len(list) != 1 || list[0].Name != "c" {
		t.Errorf("templates: got %v, %v", list, err)
	}
	for who, agent := range map[string]conversation.AgentID{"a stranger": conversation.NewID[conversation.AgentID](), "nobody": {}} {
		if _, err := r.AccountTemplates(agent, w.text.ID); !errors.Is(err, router.ErrUnknownAccount) {
			t.Errorf("%s: got %v", who, err)
		}
	}
	if _, err := r.AccountTemplates(w.agents["ana"], conversation.NewID[conversation.AccountID]()); !errors.Is(err, router.ErrUnknownAccount) {
		t.Errorf("unknown account: got %v", err)
	}
	info := textInfo()
	own := info.Capabilities
	own.MaxLength = 7
	info.Accounts = map[conversation.AccountID]plugin.AccountTraits{w.text.ID: {Capabilities: &own}}
	r.PluginInfo("text", "g1", info)
	for _, s := range r.Senders(w.agents["ana"]) {
		if s.Account == w.text.ID && s.Capabilities.MaxLength != 7 {
			t.Errorf("sender after a change of its traits: got a limit of %d, want 7", s.Capabilities.MaxLength)
		}
	}
	out, err := w.begin(r, "ana", "+15005550006", "hello", "c1")
	must(t, err)
	got, err := r.Info(t.Context(), out.Conversation)
	must(t, err)
	if got.State.Capabilities.MaxLength != 7 {
		t.Errorf("conversation from the account: got a limit of %d, want 7", got.State.Capabilities.MaxLength)
	}
}
