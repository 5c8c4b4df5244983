package kit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

func needsHook(s *subject) string {
	if s.desc.GetHook() == nil {
		return "declares no webhooks"
	}
	return ""
}

func needsHookSamples(s *subject) string {
	if why := needsHook(s); why != "" {
		return why
	}
	if len(s.opts.Fixtures.Hooks) == 0 {
		return "fixtures hold no webhooks"
	}
	return ""
}

// hookLimit is the time that the plugin declares for a webhook, at most the contract's 10 s.
func hookLimit(s *subject) time.Duration {
	if ms := s.desc.GetHook().GetBudgetMs(); ms > 0 && ms < 10_000 {
		return time.Duration(ms) * time.Millisecond
	}
	return 10 * time.Second
}

func hookChecks() []check {
	return []check{
		{
			group: "hooks", name: "samples", run: checkHookSamples, needs: needsHookSamples,
			rule: "each webhook of the fixtures gives the expected status and events, within the budget",
		},
		{
			group: "hooks", name: "pure", run: checkHookPure, needs: needsHookSamples,
			rule: "the same webhook gives the same answer, again and in another process",
		},
		{
			group: "hooks", name: "identity", run: checkHookIdentity, needs: needsHookSamples,
			rule: "each event of a hook has the hook's account, a dedupe key and no seq",
		},
		{
			group: "hooks", name: "many", run: checkHookMany, needs: needsHook,
			rule: "each of many webhooks at once gets one answer, under its id",
		},
		{
			group: "hooks", name: "garbage", run: checkHookGarbage, needs: needsHook,
			rule: "malformed webhooks get a 4xx with a reason, or a 2xx, and never end the process",
		},
		{
			group: "hooks", name: "account", run: checkHookAccount, needs: needsHook,
			rule: "a webhook for an account that is not configured does not end the process",
		},
	}
}

func checkHookSamples(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	for i := range s.opts.Fixtures.Hooks {
		h := &s.opts.Fixtures.Hooks[i]
		r, err := answer(ctx, ses, s.opts.Fixtures.hook(h, uint64(i)+1), hookLimit(s))
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if err := h.matches(r); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return nil
}

func (h *Hook) matches(r *pluginv1.HookResult) error {
	if h.Status == 0 && (r.GetStatus() < 200 || r.GetStatus() > 299) || h.Status != 0 && r.GetStatus() != h.Status {
		return fmt.Errorf("status %d (reason %q), want %d", r.GetStatus(), r.GetReason(), h.Status)
	}
	if len(r.GetEvents()) != len(h.Events) {
		return fmt.Errorf("%d events, want %d", len(r.GetEvents()), len(h.Events))
	}
	for i, want := range h.Events {
		got := r.GetEvents()[i]
		if want.Kind != "" && want.Kind != kindOf(got) {
			return fmt.Errorf("event %d is a %s, want a %s", i, kindOf(got), want.Kind)
		}
		if want.Thread != "" && want.Thread != got.GetThread() {
			return fmt.Errorf("event %d has thread %q, want %q", i, got.GetThread(), want.Thread)
		}
		if want.DedupeKey != "" && want.DedupeKey != got.GetDedupeKey() {
			return fmt.Errorf("event %d has dedupe key %q, want %q", i, got.GetDedupeKey(), want.DedupeKey)
		}
	}
	return nil
}

func kindOf(ev *pluginv1.Event) string {
	switch ev.GetKind().(type) {
	case *pluginv1.Event_Message:
		return "message"
	case *pluginv1.Event_Result:
		return "result"
	case *pluginv1.Event_Status:
		return "status"
	case *pluginv1.Event_Receipt:
		return "receipt"
	case *pluginv1.Event_Action:
		return "action"
	case *pluginv1.Event_Deferred:
		return "deferred"
	}
	return "unknown"
}

func checkHookPure(ctx context.Context, s *subject) error {
	var first []*pluginv1.HookResult
	for round := range 2 { // each in a new process
		_, ses, err := s.ready(ctx, wirehost.Policy{})
		if err != nil {
			return err
		}
		for again := range uint64(2) {
			for i := range s.opts.Fixtures.Hooks {
				h := &s.opts.Fixtures.Hooks[i]
				r, err := answer(ctx, ses, s.opts.Fixtures.hook(h, again*1000+uint64(i)+1), hookLimit(s))
				if err != nil {
					return fmt.Errorf("%s: %w", h.Name, err)
				}
				if len(first) <= i {
					first = append(first, r)
				} else if !sameHook(first[i], r) {
					return fmt.Errorf("%s: another answer the next time (process %d)", h.Name, round+1)
				}
			}
		}
	}
	return nil
}

func checkHookIdentity(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	for i := range s.opts.Fixtures.Hooks {
		h := s.opts.Fixtures.hook(&s.opts.Fixtures.Hooks[i], uint64(i)+1)
		r, err := answer(ctx, ses, h, hookLimit(s))
		if err != nil {
			return err
		}
		for _, ev := range r.GetEvents() {
			switch {
			case ev.GetAccount() != h.GetAccount():
				return fmt.Errorf("%s: event for account %q, the hook is for %q", s.opts.Fixtures.Hooks[i].Name, ev.GetAccount(), h.GetAccount())
			case ev.GetDedupeKey() == "":
				return fmt.Errorf("%s: event without a dedupe key, so a repeat would be doubled", s.opts.Fixtures.Hooks[i].Name)
			case ev.GetSeq() != 0:
				return fmt.Errorf("%s: event with seq %d, want 0", s.opts.Fixtures.Hooks[i].Name, ev.GetSeq())
			}
		}
	}
	return nil
}

func checkHookMany(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	var hooks []*pluginv1.Hook
	for i := range uint64(contract.MaxFrameItems) {
		h := Hook{Body: "{}"}
		if n := len(s.opts.Fixtures.Hooks); n > 0 {
			h = s.opts.Fixtures.Hooks[int(i)%n]
		}
		hooks = append(hooks, s.opts.Fixtures.hook(&h, i+1))
	}
	if err := ses.Hook(hooks...); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, hookLimit(s))
	defer cancel()
	for _, h := range hooks {
		if _, err := ses.HookResult(limit, h.GetId()); err != nil {
			return fmt.Errorf("no answer to hook %d: %w", h.GetId(), err)
		}
	}
	if err := ping(ctx, ses, 1, time.Second); err != nil {
		return err
	}
	var ids []uint64
	for _, it := range ses.Items() {
		if it.HookResult != nil {
			ids = append(ids, it.HookResult.GetId())
		}
	}
	slices.Sort(ids)
	if len(ids) != len(hooks) || ids[0] != 1 || ids[len(ids)-1] != uint64(len(hooks)) {
		return fmt.Errorf("%d answers for %d hooks, ids %d to %d", len(ids), len(hooks), ids[0], ids[len(ids)-1])
	}
	return nil
}

func checkHookGarbage(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same garbage each time
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	bodies := map[string]string{
		"empty": "", "noise": string(noise), "open brace": "{", "null": "null", "number": "1e999",
		"deep": strings.Repeat("[", 10_000), "long": strings.Repeat("a", 900<<10), "bad utf-8": "{\"id\":\"\xff\xfe\"}",
		"nul": "\x00", "wrong types": `{"id":{},"from":[],"text":7}`,
	}
	id := uint64(0)
	for name, body := range bodies {
		id++
		r, err := answer(ctx, ses, s.opts.Fixtures.hook(&Hook{Body: body}, id), hookLimit(s))
		if err != nil {
			return fmt.Errorf("body %q: %w", name, err)
		}
		switch st := r.GetStatus(); {
		case st >= 400 && st < 500 && r.GetReason() == "":
			return fmt.Errorf("body %q: status %d without a reason", name, st)
		case st < 200 || st >= 500:
			return fmt.Errorf("body %q: status %d", name, st)
		}
	}
	return alive(ctx, p, ses)
}

func checkHookAccount(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	h := Hook{Body: "{}"}
	if len(s.opts.Fixtures.Hooks) > 0 {
		h = s.opts.Fixtures.Hooks[0]
	}
	h.Account = "an account that is not configured"
	if _, err := answer(ctx, ses, s.opts.Fixtures.hook(&h, 1), hookLimit(s)); err != nil {
		return err
	}
	return alive(ctx, p, ses)
}

func sortHeaders(r *pluginv1.HookResult) {
	slices.SortFunc(r.Headers, func(a, b *pluginv1.Header) int {
		return strings.Compare(a.GetName()+"\x00"+a.GetValue(), b.GetName()+"\x00"+b.GetValue())
	})
}
