package kit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// Every store-and-forward plugin emits Results, which are events, so these checks need nothing but
// commands.
func eventChecks() []check {
	return []check{
		{
			group: "events", name: "seq", run: checkSeq, needs: needsCommands,
			rule: "seq counts from 1 in each session, without holes",
		},
		{
			group: "events", name: "resend", run: checkResend, needs: needsCommands,
			rule: "what is unacknowledged comes again in the next session, what is acknowledged does not",
		},
		{
			group: "events", name: "retry", run: checkRetry, needs: needsCommands,
			rule: "an event answered with RETRY comes again",
		},
		{
			group: "events", name: "results-without-credit", run: checkResultsWithoutCredit, needs: needsCommands,
			rule: "results never wait for event credit",
		},
		{
			group: "events", name: "window", run: checkWindow, needs: needsDeferred,
			rule: "no more events are unacknowledged than the window allows",
		},
	}
}

func checkSeq(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	for round := range 2 {
		if _, err := s.deliver(ctx, ses, 20*round, 20*(round+1), 4); err != nil {
			return err
		}
		next := uint64(1)
		for _, it := range ses.Items() {
			if it.Event == nil {
				continue
			}
			if it.Event.GetSeq() != next {
				return fmt.Errorf("session %d: seq %d where %d was due", round+1, it.Event.GetSeq(), next)
			}
			next++
		}
		// When the pong comes, the acknowledgements sent before the ping have arrived.
		if err := ping(ctx, ses, 1, time.Second); err != nil {
			return err
		}
		ses.Cut()
		if ses, err = p.session(ctx, nil, wirehost.Policy{}); err != nil {
			return err
		}
		if round == 0 {
			if err := quiet(ctx, ses, 100*time.Millisecond, func(it wirehost.Item) bool { return it.Event != nil }); err != nil {
				return fmt.Errorf("an acknowledged event came again: %w", err)
			}
		}
	}
	return nil
}

func checkResend(ctx context.Context, s *subject) error {
	var mu sync.Mutex
	var acked []string
	p, ses, err := s.ready(ctx, wirehost.Policy{Ack: func(ev *pluginv1.Event) *pluginv1.EventAck {
		if ev.GetSeq()%2 == 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		acked = append(acked, ev.GetResult().GetCommandId())
		return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED}
	}})
	if err != nil {
		return err
	}
	const n = 20
	first, err := s.deliver(ctx, ses, 0, n, 4)
	if err != nil {
		return err
	}
	if err := ping(ctx, ses, 1, time.Second); err != nil { // the acknowledgements have arrived then
		return err
	}
	ses.Cut()
	if ses, err = p.session(ctx, nil, wirehost.Policy{}); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	for _, id := range acked {
		delete(first, id)
	}
	for id := range first {
		if _, err := result(ctx, ses, id, 2*time.Second); err != nil {
			return fmt.Errorf("unacknowledged before, missing in the next session: %w", err)
		}
	}
	for _, it := range ses.Items() {
		if r := it.Event.GetResult(); r != nil && first[r.GetCommandId()] == nil {
			return fmt.Errorf("the acknowledged result of %s came again", r.GetCommandId())
		}
	}
	return nil
}

func checkRetry(ctx context.Context, s *subject) error {
	var mu sync.Mutex
	tries := map[string]int{}
	again := make(chan struct{})
	_, ses, err := s.ready(ctx, wirehost.Policy{Ack: func(ev *pluginv1.Event) *pluginv1.EventAck {
		mu.Lock()
		defer mu.Unlock()
		id := ev.GetResult().GetCommandId()
		tries[id]++
		switch tries[id] {
		case 1:
			return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_RETRY}
		case 2:
			close(again)
		}
		return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED}
	}})
	if err != nil {
		return err
	}
	if err := ses.Command(s.command(1, 1)); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, s.opts.Patience+10*time.Second)
	defer cancel()
	select {
	case <-again:
		return nil
	case <-limit.Done():
		mu.Lock()
		defer mu.Unlock()
		if len(tries) == 0 {
			return errors.New("no result came")
		}
		return errors.New("the result did not come again")
	}
}

func checkResultsWithoutCredit(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	hello := wirehost.Hello()
	hello.EventWindow = 1
	ses, err := p.session(ctx, hello, wirehost.Policy{Ack: mute})
	if err != nil {
		return err
	}
	_, err = s.deliver(ctx, ses, 0, 2*contract.AccountWindow, 4)
	return err
}

func checkWindow(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	hello := wirehost.Hello()
	hello.EventWindow = 2
	ses, err := p.session(ctx, hello, wirehost.Policy{Ack: mute})
	if err != nil {
		return err
	}
	c, err := s.deferred(ctx, ses)
	if err != nil {
		return err
	}
	for i := range 16 {
		one := &pluginv1.Command{
			CommandId: fmt.Sprintf("00000000-0000-7000-b000-%012d", i), Account: c.GetAccount(),
			Thread: fmt.Sprintf("%s-%d", c.GetThread(), i), Kind: c.GetKind(),
		}
		if err := ses.Command(one); err != nil {
			return err
		}
	}
	if err := quiet(ctx, ses, 500*time.Millisecond, func(wirehost.Item) bool { return false }); err != nil {
		return err
	}
	if _, _, most := ses.Load(); most > 2 {
		return fmt.Errorf("%d events unacknowledged in a window of 2", most)
	}
	return ping(ctx, ses, 1, time.Second)
}
