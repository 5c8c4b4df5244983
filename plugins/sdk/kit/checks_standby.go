package kit

import (
	"context"
	"fmt"
	"maps"
	"time"

	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// standbyTime is how long a Configure may take that takes an account from the plugin.
const standbyTime = 3 * time.Second

func standbyChecks() []check {
	return []check{{
		group: "configuration", name: "standby", run: checkStandby,
		needs: func(s *subject) string {
			if !s.leased {
				return "the first account may be served by several nodes"
			}
			return ""
		},
		rule: "on standby, before it is enabled and after, an account answers its webhooks as when it is enabled, and says nothing by itself; it is given up within 3 s",
	}}
}

// standby has all accounts on standby, as where another node serves them.
func standby(r *pluginv1.ConfigureRequest) {
	for _, a := range r.GetAccounts() {
		a.Enabled, a.Standby = false, true
	}
}

// oneNode reports whether the first account is for one node at a time. A plugin that does not answer
// fails the checks of configurations.
func (s *subject) oneNode(ctx context.Context) bool {
	defer s.cleanUp()
	p, err := s.start(ctx)
	if err != nil {
		return false
	}
	resp, err := s.configure(ctx, p, func(r *pluginv1.ConfigureRequest) { r.ValidateOnly = true })
	if err != nil {
		return false
	}
	for _, t := range resp.GetAccounts() {
		if t.GetAccount() == s.opts.Fixtures.Accounts[0].ID && t.GetPlacement() != pluginv1.Placement_PLACEMENT_UNSPECIFIED {
			return t.GetPlacement() == pluginv1.Placement_PLACEMENT_ONE
		}
	}
	return s.desc.GetSingleNode()
}

// sameTraits compares traits, in whatever order they come.
func sameTraits(a, b []*pluginv1.AccountTraits) bool {
	byAccount := func(list []*pluginv1.AccountTraits) map[string]*pluginv1.AccountTraits {
		m := map[string]*pluginv1.AccountTraits{}
		for _, t := range list {
			m[t.GetAccount()] = t
		}
		return m
	}
	return maps.EqualFunc(byAccount(a), byAccount(b), func(x, y *pluginv1.AccountTraits) bool { return proto.Equal(x, y) })
}

const (
	standbyQuiet = time.Second            // how long the plugin is watched on standby
	underWay     = 200 * time.Millisecond // how long what was sent before the change may still come
)

// checkStandby has the accounts on standby, then enabled, then on standby again.
func checkStandby(ctx context.Context, s *subject) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	if _, err := p.describe(ctx); err != nil {
		return err
	}
	if err := s.switchStandby(ctx, p, 1, true); err != nil {
		return err
	}
	ses, err := p.session(ctx, nil, wirehost.Policy{})
	if err != nil {
		return err
	}
	if err := s.onStandby(ctx, ses, nil, 1000); err != nil {
		return fmt.Errorf("on standby: %w", err)
	}
	if err := s.switchStandby(ctx, p, 2, false); err != nil {
		return err
	}
	if err := s.samples(ctx, ses, 2000); err != nil {
		return fmt.Errorf("enabled: %w", err)
	}
	began := time.Now()
	if err := s.switchStandby(ctx, p, 3, true); err != nil {
		return err
	}
	if took := time.Since(began); took > standbyTime {
		return fmt.Errorf("it gave the account up after %v, want at most %v", took.Round(time.Millisecond), standbyTime)
	}
	if err := quiet(ctx, ses, underWay, func(wirehost.Item) bool { return false }); err != nil {
		return err
	}
	if err := s.onStandby(ctx, ses, ses.Items(), 3000); err != nil {
		return fmt.Errorf("on standby again: %w", err)
	}
	return alive(ctx, p, ses)
}

// switchStandby puts all accounts on standby, or enables them.
func (s *subject) switchStandby(ctx context.Context, p *process, revision uint64, off bool) error {
	resp, err := s.configure(ctx, p, func(r *pluginv1.ConfigureRequest) {
		r.Revision = revision
		if off {
			standby(r)
		}
	})
	if err != nil {
		return err
	}
	if ps := resp.GetProblems(); len(ps) > 0 {
		return fmt.Errorf("with standby %v: it has the problem %s", off, ps[0].GetCode())
	}
	return nil
}

// onStandby watches the plugin, whose accounts are on standby since the items of earlier, and sends its webhooks
// under ids after base.
func (s *subject) onStandby(ctx context.Context, ses *wirehost.Session, earlier []wirehost.Item, base uint64) error {
	before := map[*pluginv1.Event]bool{}
	for _, it := range earlier {
		before[it.Event] = true
	}
	err := quiet(ctx, ses, standbyQuiet, func(it wirehost.Item) bool {
		return it.Event != nil && it.Event.GetResult() == nil && !before[it.Event]
	})
	if err != nil {
		return fmt.Errorf("an event of an account: %w", err)
	}
	return s.samples(ctx, ses, base)
}

// samples sends the webhooks of the fixtures, under ids after base, and compares the answers.
func (s *subject) samples(ctx context.Context, ses *wirehost.Session, base uint64) error {
	if s.desc.GetHook() == nil {
		return nil
	}
	for i := range s.opts.Fixtures.Hooks {
		h := &s.opts.Fixtures.Hooks[i]
		r, err := answer(ctx, ses, s.opts.Fixtures.hook(h, base+uint64(i)+1), hookLimit(s))
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if err := h.matches(r); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return nil
}
