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
		rule: "on standby an account answers its webhooks as when it is enabled, and says nothing by itself; it is given up within 3 s",
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

// checkStandby has the accounts on standby, then enabled, then on standby again.
func checkStandby(ctx context.Context, s *subject) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	if _, err := p.describe(ctx); err != nil {
		return err
	}
	var ses *wirehost.Session
	for i, off := range []bool{true, false, true} {
		began := time.Now()
		resp, err := s.configure(ctx, p, func(r *pluginv1.ConfigureRequest) {
			r.Revision = uint64(i) + 1
			if off {
				standby(r)
			}
		})
		switch {
		case err != nil:
			return err
		case len(resp.GetProblems()) > 0:
			return fmt.Errorf("on standby %v: it has the problem %s", off, resp.GetProblems()[0].GetCode())
		case i == 2 && time.Since(began) > standbyTime:
			return fmt.Errorf("it gave the account up after %v, want at most %v", time.Since(began).Round(time.Millisecond), standbyTime)
		}
		if ses == nil {
			if ses, err = p.session(ctx, nil, wirehost.Policy{}); err != nil {
				return err
			}
			if err := quiet(ctx, ses, 300*time.Millisecond, func(it wirehost.Item) bool { return it.Event != nil }); err != nil {
				return fmt.Errorf("an event of an account on standby: %w", err)
			}
		}
		if err := s.samples(ctx, ses, uint64(i)*1000); err != nil {
			return fmt.Errorf("on standby %v: %w", off, err)
		}
	}
	return alive(ctx, p, ses)
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
