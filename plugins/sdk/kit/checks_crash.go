package kit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

func crashChecks() []check {
	return []check{
		{
			group: "crash and freeze", name: "kill", run: checkKill, needs: needsCommands,
			rule: "killed in the middle of 200 commands and started again: the ledger has every command once, or unknown after its begin",
		},
		{
			group: "crash and freeze", name: "kill-hooks", run: checkKillHooks, needs: needsHookSamples,
			rule: "killed in the middle of webhooks and asked again: the ledger has every event once",
		},
		{
			group: "crash and freeze", name: "freeze", run: checkFreeze,
			rule: "stopped and continued, it answers what waited, once",
		},
		{
			group: "crash and freeze", name: "orphans", run: checkOrphans,
			rule: "when it leaves, no process of its group stays",
		},
	}
}

// outbox plays the host's outbox across several processes of the plugin.
type outbox struct {
	mu      sync.Mutex
	begun   map[string]int // how often each command may have called the provider
	settled map[string]int // committed results of each command
	half    chan struct{}  // closed when half have settled
	n       int
}

func (o *outbox) begin(b *pluginv1.Begin) *pluginv1.BeginAck {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun[b.GetCommandId()]++
	return &pluginv1.BeginAck{Seq: b.GetSeq(), CommandId: b.GetCommandId()}
}

func (o *outbox) commit(ev *pluginv1.Event) *pluginv1.EventAck {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := ev.GetResult(); r != nil {
		o.settled[r.GetCommandId()]++
		if len(o.settled) == o.n/2 {
			close(o.half)
		}
	}
	return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED}
}

func checkKill(ctx context.Context, s *subject) error {
	const n = 200
	o := &outbox{begun: map[string]int{}, settled: map[string]int{}, half: make(chan struct{}), n: n}
	policy := wirehost.Policy{Begin: o.begin, Ack: o.commit}
	p, ses, err := s.ready(ctx, policy)
	if err != nil {
		return err
	}
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		_, _ = s.deliver(ctx, ses, 0, n, 16) // returns early when the process dies
	}()
	select {
	case <-o.half:
	case <-sending:
		return errors.New("half of the commands never settled")
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-sending
	<-ses.Done()

	p2, ses, err := s.ready(ctx, policy)
	if err != nil {
		return fmt.Errorf("start after the kill: %w", err)
	}
	// The host's rule: a command that has begun is sent again only if that is harmless.
	var again []*pluginv1.Command
	unknown := map[string]bool{}
	o.mu.Lock()
	for i := range n {
		c := s.command(i, 16)
		c.Attempt = 2
		id := c.GetCommandId()
		switch {
		case o.settled[id] > 0:
			continue
		case o.begun[id] > 0 && !s.desc.GetIdempotentSend():
			unknown[id] = true
			continue
		case o.begun[id] > 0:
			c.MaybeSent = true
		}
		again = append(again, c)
	}
	o.mu.Unlock()
	for len(again) > 0 {
		some := again[:min(len(again), contract.AccountWindow)]
		again = again[len(some):]
		if err := ses.Command(some...); err != nil {
			return err
		}
		for _, c := range some {
			if _, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience); err != nil {
				return err
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range n {
		id := s.command(i, 16).GetCommandId()
		switch {
		case o.settled[id] == 0 && !unknown[id]:
			return fmt.Errorf("command %s is lost", id)
		case o.settled[id] > 1:
			return fmt.Errorf("command %s settled %d times", id, o.settled[id])
		case o.begun[id] > 1 && !s.desc.GetIdempotentSend():
			return fmt.Errorf("command %s began %d times", id, o.begun[id])
		}
	}
	return alive(ctx, p2, ses)
}

func checkKillHooks(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	var ledger memgateway.Ledger
	commit := func(r *pluginv1.HookResult) {
		for _, ev := range r.GetEvents() {
			ledger.Commit(ev)
		}
	}
	want := 0
	for i := range s.opts.Fixtures.Hooks {
		h := s.opts.Fixtures.hook(&s.opts.Fixtures.Hooks[i], uint64(i)+1)
		r, err := answer(ctx, ses, h, hookLimit(s))
		if err != nil {
			return err
		}
		commit(r)
		want = len(ledger.Events())
		h.Id += 1000
		if err := ses.Hook(h); err != nil { // the answer is lost with the process
			return err
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-ses.Done()
	if _, ses, err = s.ready(ctx, wirehost.Policy{}); err != nil {
		return fmt.Errorf("start after the kill: %w", err)
	}
	for i := range s.opts.Fixtures.Hooks {
		r, err := answer(ctx, ses, s.opts.Fixtures.hook(&s.opts.Fixtures.Hooks[i], uint64(i)+1), hookLimit(s))
		if err != nil {
			return err
		}
		commit(r)
	}
	if got := len(ledger.Events()); got != want {
		return fmt.Errorf("%d events in the ledger, %d before the kill", got, want)
	}
	return nil
}

func checkFreeze(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := p.stopped(ctx); err != nil {
		return err
	}
	var cmds []*pluginv1.Command
	if needsCommands(s) == "" {
		for i := range 8 {
			cmds = append(cmds, s.command(i, 4))
		}
		if err := ses.Command(cmds...); err != nil {
			return err
		}
	}
	for id := range uint64(3) {
		if err := ses.Ping(100 + id); err != nil {
			return err
		}
	}
	if err := quiet(ctx, ses, 300*time.Millisecond, func(it wirehost.Item) bool { return it.Pong != nil }); err != nil {
		return fmt.Errorf("a pong from a stopped process: %w", err)
	}
	if err := p.signal(syscall.SIGCONT); err != nil {
		return err
	}
	for id := range uint64(3) {
		limit, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := ses.Wait(limit, func(it wirehost.Item) bool { return it.Pong != nil && it.Pong.GetId() == 100+id })
		cancel()
		if err != nil {
			return fmt.Errorf("no pong %d after it continued: %w", 100+id, err)
		}
	}
	for _, c := range cmds {
		if _, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience); err != nil {
			return err
		}
	}
	return alive(ctx, p, ses)
}

func checkOrphans(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	if err := p.stdin.Close(); err != nil {
		return fmt.Errorf("close standard input: %w", err)
	}
	if _, err := p.waitExit(2 * time.Second); err != nil {
		return err
	}
	// The group's id stays in use as long as one of its processes lives.
	deadline := time.Now().Add(time.Second)
	for syscall.Kill(-p.cmd.Process.Pid, 0) == nil {
		if time.Now().After(deadline) {
			return errors.New("a process of its group is still there after it left")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}
