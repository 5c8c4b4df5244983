package router

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// pluginInfo returns what a plugin last said of itself.
func (r *Router) pluginInfo(id string) (plugin.Info, bool) {
	m := r.infos.Load()
	if m == nil {
		return plugin.Info{}, false
	}
	info, ok := (*m)[id]
	return info, ok
}

func (r *Router) setPluginInfo(id string, info plugin.Info) {
	r.infosMu.Lock()
	defer r.infosMu.Unlock()
	m := map[string]plugin.Info{}
	if old := r.infos.Load(); old != nil {
		maps.Copy(m, *old)
	}
	medium := info.Capabilities.Medium
	if _, known := conversation.ParseMedium(medium); !known && m[id].Capabilities.Medium != medium { // once for a plugin, however often it restarts
		r.logger.Warn("plugin names a medium that does not exist: its conversations have the rules for chats", "plugin", id, "medium", strconv.QuoteToASCII(medium[:min(len(medium), 64)]))
	}
	m[id] = info
	r.infos.Store(&m)
}

// PluginReady gives the router a generation of a plugin to send through (plugin.Core).
func (r *Router) PluginReady(id, instance string, port plugin.CommandPort) {
	info := port.Info()
	r.setPluginInfo(id, info)
	r.sessions.PluginReady(id, instance)
	r.outbox.PluginReady(id, instance, r.sessions.Port(id, port, r.outbox.Result))
	if info.Bot {
		r.bots.Ready(id, instance, port)
	}
}

// PluginInfo takes what a ready generation of a plugin says of itself now (plugin.Core).
func (r *Router) PluginInfo(id, instance string, info plugin.Info) {
	r.setPluginInfo(id, info)
	r.outbox.PluginInfo(id, instance, info)
}

// PluginRoom says that a full window of a plugin has room again (plugin.Core).
func (r *Router) PluginRoom(id, instance string) {
	r.outbox.PluginRoom()
	r.bots.Room(id, instance)
}

// PluginGone takes a generation of a plugin out (plugin.Core).
func (r *Router) PluginGone(id, instance string) {
	r.bots.Gone(id, instance)
	r.outbox.PluginGone(id, instance)
	r.sessions.PluginGone(id, instance)
}

// Begin records that a command is about to leave for the provider (plugin.Core).
func (r *Router) Begin(ctx context.Context, account conversation.AccountID, command [16]byte, instance string) (bool, error) {
	return r.outbox.Begin(ctx, account, command, instance)
}

// AccountStatus logs how an account is doing at its provider (plugin.Core).
func (r *Router) AccountStatus(id conversation.AccountID, ok bool, code, _ string) {
	acc, known := r.dir.Snapshot().Account(id)
	if !known {
		return
	}
	if ok {
		r.logger.Info("account is well", "channel", acc.Plugin, "account_id", id)
	} else {
		r.logger.Warn("account has trouble at its provider", "channel", acc.Plugin, "account_id", id, "code", code)
	}
}

// Templates keeps the templates that an account's provider has approved (plugin.Core).
func (r *Router) Templates(account conversation.AccountID, list []plugin.Template) {
	r.ingest.SetTemplates(account, list)
}

// AccountTemplates returns the templates of an account from which the agent may begin exchanges; they
// must not be changed. Nil: none are known to this node. ErrUnknownAccount: there is no such account, or
// the agent may not begin exchanges from it.
func (r *Router) AccountTemplates(agent conversation.AgentID, account conversation.AccountID) ([]plugin.Template, error) {
	snap := r.dir.Snapshot()
	a, ok := snap.Account(account)
	if u, known := snap.User(agent); !ok || !known || u.Disabled || !mayBegin(snap, agent, a) {
		return nil, ErrUnknownAccount
	}
	return r.ingest.Templates(account), nil
}

func noticeBody(text string) json.RawMessage {
	b, err := json.Marshal(conversation.NoticeBody{Text: text})
	if err != nil {
		return nil
	}
	return b
}

// contactOf finds the known customer with an address. If the contact cannot be looked up now, that
// is no reason to refuse the customer: an agent can link the contact later.
func (r *Router) contactOf(address string) conversation.ContactID {
	id, err := r.dir.ContactByAddress(r.ctx, address)
	if err != nil {
		r.logger.Warn("contact cannot be looked up", "err", err)
	}
	return id
}
