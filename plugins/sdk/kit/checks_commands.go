package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

func needsCommands(s *subject) string {
	if s.desc.GetDelivery() != pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD {
		return "does not declare store-and-forward delivery"
	}
	return ""
}

func needsBarrier(s *subject) string {
	if why := needsCommands(s); why != "" {
		return why
	}
	if s.desc.GetIdempotentSend() {
		return "declares idempotent_send"
	}
	return ""
}

func needsProcess(s *subject) string {
	if !slices.Contains(s.desc.GetAbilities(), contract.AbilityProcess) {
		return "does not declare the ability process"
	}
	return ""
}

func commandChecks() []check {
	return []check{
		{
			group: "commands", name: "one-result", run: checkOneResult, needs: needsCommands,
			rule: "each command gets exactly one Result, under its id, with an outcome; a failure has its kind",
		},
		{
			group: "commands", name: "order", run: checkCommandOrder, needs: needsCommands,
			rule: "commands of one (account, thread) settle in order",
		},
		{
			group: "commands", name: "begin", run: checkBegin, needs: needsBarrier,
			rule: "without idempotent_send nothing is sent before begin_ack",
		},
		{
			group: "commands", name: "begin-refused", run: checkBeginRefused, needs: needsBarrier,
			rule: "after a refused begin nothing is sent",
		},
		{
			group: "commands", name: "redelivery", run: checkRedelivery, needs: needsBarrier,
			rule: "a command that has settled is not carried out again when a new session repeats it",
		},
		{
			group: "commands", name: "unknown-kind", run: checkUnknownCommand,
			rule: "a command of an unknown kind settles as failed",
		},
		{
			group: "commands", name: "lookup", run: checkLookup,
			needs: func(s *subject) string {
				if !s.desc.GetCanLookup() {
					return "does not declare can_lookup"
				}
				return ""
			},
			rule: "a lookup gets a Result",
		},
		{
			group: "commands", name: "process", run: checkProcess, needs: needsDeferred,
			rule: "a process command gets a Result, and emits under the same dedupe keys when it is repeated",
		},
	}
}

func checkOneResult(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	results, err := s.deliver(ctx, ses, 0, 2*contract.AccountWindow, 8)
	if err != nil {
		return err
	}
	for _, r := range results {
		if err := settled(r); err != nil {
			return err
		}
	}
	if err := ping(ctx, ses, 1, time.Second); err != nil {
		return err
	}
	seen := map[string]int{}
	for _, it := range ses.Items() {
		if r := it.Event.GetResult(); r != nil {
			seen[r.GetCommandId()]++
			if results[r.GetCommandId()] == nil {
				return fmt.Errorf("a result for %q, which was never sent", r.GetCommandId())
			}
		}
	}
	for id, n := range seen {
		if n != 1 {
			return fmt.Errorf("%d results for command %s", n, id)
		}
	}
	return nil
}

func checkCommandOrder(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	const n, threads = contract.AccountWindow, 2
	if _, err := s.deliver(ctx, ses, 0, n, threads); err != nil {
		return err
	}
	last := map[string]string{}
	for _, it := range ses.Items() {
		r := it.Event.GetResult()
		if r == nil {
			continue
		}
		thread := it.Event.GetThread()
		if r.GetCommandId() < last[thread] { // command ids grow in the order in which they were sent
			return fmt.Errorf("thread %s: %s settled after %s", thread, r.GetCommandId(), last[thread])
		}
		last[thread] = r.GetCommandId()
	}
	return nil
}

// hold leaves Begin unanswered.
func hold(*pluginv1.Begin) *pluginv1.BeginAck { return nil }

func checkBegin(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{Begin: hold})
	if err != nil {
		return err
	}
	c := s.command(1, 1)
	if err := ses.Command(c); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, s.opts.Patience)
	defer cancel()
	it, err := ses.Wait(limit, func(it wirehost.Item) bool {
		return it.Begin.GetCommandId() == c.GetCommandId() || it.Event.GetResult().GetCommandId() == c.GetCommandId()
	})
	if err != nil {
		return fmt.Errorf("neither begin nor result: %w", err)
	}
	if r := it.Event.GetResult(); r != nil {
		if r.GetOutcome() == pluginv1.Outcome_OUTCOME_FAILED {
			return nil // refused before the provider was called
		}
		return fmt.Errorf("outcome %v without begin", r.GetOutcome())
	}
	if it.Begin.GetSeq() != c.GetSeq() {
		return fmt.Errorf("begin with seq %d, the command has %d", it.Begin.GetSeq(), c.GetSeq())
	}
	if err := quiet(ctx, ses, 300*time.Millisecond, func(it wirehost.Item) bool { return it.Event.GetResult() != nil }); err != nil {
		return fmt.Errorf("a result before begin_ack: %w", err)
	}
	if err := ses.BeginAck(&pluginv1.BeginAck{Seq: it.Begin.GetSeq(), CommandId: c.GetCommandId()}); err != nil {
		return err
	}
	r, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
	if err != nil {
		return fmt.Errorf("after begin_ack: %w", err)
	}
	return settled(r)
}

func checkBeginRefused(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{Begin: func(b *pluginv1.Begin) *pluginv1.BeginAck {
		return &pluginv1.BeginAck{Seq: b.GetSeq(), CommandId: b.GetCommandId(), Refused: true}
	}})
	if err != nil {
		return err
	}
	c := s.command(1, 1)
	if err := ses.Command(c); err != nil {
		return err
	}
	r, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
	if err != nil {
		return err
	}
	if r.GetOutcome() != pluginv1.Outcome_OUTCOME_FAILED {
		return fmt.Errorf("outcome %v after a refused begin, want a failure", r.GetOutcome())
	}
	return nil
}

// mute leaves every event unanswered.
func mute(*pluginv1.Event) *pluginv1.EventAck { return nil }

func checkRedelivery(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{Ack: mute})
	if err != nil {
		return err
	}
	c := s.command(1, 1)
	if err := ses.Command(c); err != nil {
		return err
	}
	first, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
	if err != nil {
		return err
	}
	ses.Cut()
	if ses, err = p.session(ctx, nil, wirehost.Policy{}); err != nil {
		return err
	}
	again := s.command(1, 1)
	again.Attempt, again.MaybeSent = 2, true
	if err := ses.Command(again); err != nil {
		return err
	}
	second, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
	if err != nil {
		return err
	}
	if err := quiet(ctx, ses, 200*time.Millisecond, func(it wirehost.Item) bool { return it.Begin != nil }); err != nil {
		return fmt.Errorf("it began a command whose result was not acknowledged: %w", err)
	}
	if first.GetOutcome() != second.GetOutcome() {
		return fmt.Errorf("outcome %v, then %v", first.GetOutcome(), second.GetOutcome())
	}
	return nil
}

func checkUnknownCommand(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	c := s.command(1, 1)
	c.Kind = nil
	if err := ses.Command(c); err != nil {
		return err
	}
	r, err := result(ctx, ses, c.GetCommandId(), 5*time.Second)
	if err != nil {
		return err
	}
	if r.GetOutcome() != pluginv1.Outcome_OUTCOME_FAILED {
		return fmt.Errorf("outcome %v, want a failure", r.GetOutcome())
	}
	return alive(ctx, p, ses)
}

func checkLookup(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	c := s.command(1, 1)
	c.Kind = &pluginv1.Command_Lookup{Lookup: &pluginv1.Lookup{MessageId: "00000000-0000-7000-a000-000000000001"}}
	if err := ses.Command(c); err != nil {
		return err
	}
	r, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
	if err != nil {
		return err
	}
	return settled(r)
}

// needsDeferred: the process command can be tried only if a webhook of the fixtures defers an
// event.
func needsDeferred(s *subject) string {
	if why := needsProcess(s); why != "" {
		return why
	}
	if !slices.ContainsFunc(s.opts.Fixtures.Hooks, func(h Hook) bool {
		return slices.ContainsFunc(h.Events, func(e HookEvent) bool { return e.Kind == "deferred" })
	}) {
		return "fixtures hold no webhook that gives a deferred event"
	}
	return ""
}

// deferred makes a process command from an event that a webhook of the fixtures defers.
func (s *subject) deferred(ctx context.Context, ses *wirehost.Session) (*pluginv1.Command, error) {
	for i := range s.opts.Fixtures.Hooks {
		r, err := answer(ctx, ses, s.opts.Fixtures.hook(&s.opts.Fixtures.Hooks[i], 1<<32+uint64(i)), hookLimit(s))
		if err != nil {
			return nil, err
		}
		for _, ev := range r.GetEvents() {
			if d := ev.GetDeferred(); d != nil {
				return &pluginv1.Command{
					CommandId: "00000000-0000-7000-b000-000000000001", Account: ev.GetAccount(), Thread: ev.GetThread(),
					Kind: &pluginv1.Command_Process{Process: &pluginv1.Process{Opaque: d.GetOpaque()}},
				}, nil
			}
		}
	}
	return nil, errors.New("no webhook of the fixtures gave a deferred event")
}

func checkProcess(ctx context.Context, s *subject) error {
	var ledger memgateway.Ledger
	_, ses, err := s.ready(ctx, wirehost.Policy{Ledger: &ledger})
	if err != nil {
		return err
	}
	var emitted []int
	for i := range 2 {
		c, err := s.deferred(ctx, ses)
		if err != nil {
			return err
		}
		c.CommandId = fmt.Sprintf("00000000-0000-7000-b000-%012d", i)
		if err := ses.Command(c); err != nil {
			return err
		}
		r, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
		if err != nil {
			return err
		}
		if err := settled(r); err != nil {
			return err
		}
		emitted = append(emitted, len(ledger.Events()))
	}
	if emitted[1] != emitted[0]+1 { // the second Result must be the next event, with nothing new between
		return fmt.Errorf("the repeated process command added %d events to the log", emitted[1]-emitted[0]-1)
	}
	return nil
}
