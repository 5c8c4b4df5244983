package pluginhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
)

// configuration returns the newest complete configuration.
func (p *hosted) configuration() configuration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config
}

// setConfiguration stores a new complete configuration; the supervisor gives it to the plugin.
func (p *hosted) setConfiguration(change func(*configuration)) {
	p.mu.Lock()
	before := p.config
	change(&p.config)
	if p.config.revision > 0 && sameConfiguration(before, p.config) {
		p.mu.Unlock()
		return
	}
	p.config.revision++
	owned := make(map[conversation.AccountID]bool, len(p.config.accounts))
	for _, a := range p.config.accounts {
		owned[a.ID] = true
	}
	p.owned = owned
	p.host.reviewLeases()
	maps.DeleteFunc(p.accounts, func(id conversation.AccountID, _ AccountState) bool { return !owned[id] })
	p.mu.Unlock()
	select {
	case p.reconfigure <- struct{}{}:
	default:
	}
}

func sameConfiguration(a, b configuration) bool {
	return bytes.Equal(a.settings, b.settings) && slices.EqualFunc(a.accounts, b.accounts, func(x, y AccountConfig) bool {
		return x.ID == y.ID && x.Name == y.Name && x.Enabled == y.Enabled && bytes.Equal(x.Settings, y.Settings)
	})
}

// applyConfig gives the newest configuration to a running generation; true: the change needs a new
// process. If there are faults the old configuration stays in force.
func (p *hosted) applyConfig(ctx context.Context, g *generation) (restart bool) {
	config := p.configuration()
	err := g.learnPlacements(ctx, &config)
	req, problems := g.request(&config, g.serves)
	if req == nil {
		p.setProblems(problems)
		p.setState(StateDegraded, "new settings refused, the old ones stay in force")
		return false
	}
	var more []Problem
	if err == nil {
		more, restart, err = g.configure(ctx, req)
	}
	if err != nil && g.over() {
		return false // the next generation gets the configuration when it starts
	}
	if err != nil {
		g.log.Error("configure failed", "revision", config.revision, "err", err)
		reason := "configure failed, will be tried again"
		if errors.Is(err, errProtocol) {
			reason += ": " + err.Error()
		}
		p.setState(StateDegraded, reason)
		p.retryConfig()
		return false
	}
	p.mu.Lock()
	p.budgets = g.budgets
	p.notePlacements(g)
	p.mu.Unlock()
	g.session.setInfo(g.info)
	p.host.opts.Core.PluginRoom(p.id, g.instance) // commands of accounts that this node serves from now on may wait
	problems = append(problems, more...)
	p.setProblems(problems)
	if len(problems) > 0 {
		p.setState(StateDegraded, fmt.Sprintf("%d faults in the configuration", len(problems)))
	} else {
		p.setState(StateReady, "")
	}
	g.session.configChanged(config.revision)
	return restart
}

func (p *hosted) retryConfig() {
	p.host.wg.Go(func() {
		if sleep(p.host.ctx, configRetry) {
			select {
			case p.reconfigure <- struct{}{}:
			default:
			}
		}
	})
}

// setProblems stores the faults and tells the core to which accounts they belong.
func (p *hosted) setProblems(list []Problem) {
	p.mu.Lock()
	before := p.problems
	p.problems = list
	p.mu.Unlock()
	faulty := map[conversation.AccountID]bool{}
	for _, one := range list {
		if one.Account.IsZero() || faulty[one.Account] {
			continue
		}
		faulty[one.Account] = true
		p.tellAccount(AccountState{ID: one.Account, Code: one.Code, Text: one.Path + ": " + one.Text})
	}
	for _, one := range before {
		if !one.Account.IsZero() && !faulty[one.Account] {
			faulty[one.Account] = true
			p.tellAccount(AccountState{ID: one.Account, OK: true})
		}
	}
}

func (p *hosted) tellAccount(s AccountState) {
	p.mu.Lock()
	p.accounts[s.ID] = s
	p.mu.Unlock()
	p.host.opts.Core.AccountStatus(s.ID, s.OK, s.Code, s.Text)
}

// SetAccounts replaces the accounts of all plugins: each plugin gets the complete set of its own
// accounts, now and at every later start. It does not wait; faults are shown by Plugins and
// reported through Core.AccountStatus. Accounts of a plugin that is not loaded are kept until it
// is.
func (h *Host) SetAccounts(accounts []AccountConfig) {
	h.mu.Lock()
	byPlugin := map[string][]AccountConfig{}
	h.byAccount = make(map[conversation.AccountID]AccountConfig, len(accounts))
	for _, a := range accounts {
		byPlugin[a.Plugin] = append(byPlugin[a.Plugin], a)
		h.byAccount[a.ID] = a
	}
	h.accounts = byPlugin
	plugins := h.list()
	h.mu.Unlock()
	for _, p := range plugins {
		p.setConfiguration(func(c *configuration) { c.accounts = byPlugin[p.id] })
	}
}

// SetSettings replaces a plugin's own settings, a JSON object that fits its settings schema, with
// secrets included. It does not wait.
func (h *Host) SetSettings(plugin string, settings json.RawMessage) {
	h.mu.Lock()
	h.settings[plugin] = settings
	p := h.plugins[plugin]
	h.mu.Unlock()
	if p != nil {
		p.setConfiguration(func(c *configuration) { c.settings = settings })
	}
}

// Validate asks a running plugin whether it would accept settings and accounts, credentials
// included; nothing is changed. Faults against the schema are found without asking the plugin.
// Errors: ErrUnknownPlugin, ErrUnavailable, ErrGone, *CallError.
func (h *Host) Validate(ctx context.Context, plugin string, settings json.RawMessage, accounts []AccountConfig) ([]Problem, error) {
	p := h.plugin(plugin)
	if p == nil {
		return nil, fmt.Errorf("validate: %s: %w", plugin, ErrUnknownPlugin)
	}
	p.mu.Lock()
	g := p.cur
	p.mu.Unlock()
	if g == nil {
		return nil, fmt.Errorf("validate: %s: %w", plugin, ErrUnavailable)
	}
	req, problems := g.request(&configuration{settings: settings, accounts: accounts}, func(conversation.AccountID) bool { return true })
	if len(problems) > 0 {
		return problems, nil
	}
	req.ValidateOnly = true
	problems, _, err := g.configure(ctx, req)
	return problems, err
}

// Ready waits until each named plugin (all plugins, if none is named) has a generation that takes
// commands.
func (h *Host) Ready(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		for _, s := range h.Plugins() {
			names = append(names, s.ID)
		}
	}
	for _, name := range names {
		p := h.plugin(name)
		if p == nil {
			return fmt.Errorf("wait for plugin %s: %w", name, ErrUnknownPlugin)
		}
		if _, err := p.awaitSession(ctx); err != nil {
			p.mu.Lock()
			state, reason := p.state, p.reason
			p.mu.Unlock()
			return fmt.Errorf("wait for plugin %s (%s: %s): %w", name, state, reason, err)
		}
	}
	return nil
}
