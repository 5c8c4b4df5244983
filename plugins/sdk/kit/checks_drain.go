package kit

import (
	"context"
	"fmt"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

func drainChecks() []check {
	return []check{
		{
			group: "drain", name: "settles", run: checkDrainSettles, needs: needsCommands,
			rule: "Drain answers after every command up to last_command_seq has its Result",
		},
		{
			group: "drain", name: "deadline", run: checkDrainDeadline,
			rule: "Drain answers at its deadline at the latest",
		},
		{
			group: "drain", name: "exit", run: checkDrainExit,
			rule: "after Drain and the end of its standard input it leaves with code 0 within 1 s",
		},
	}
}

func checkDrainSettles(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	var cmds []*pluginv1.Command
	for i := range 20 {
		cmds = append(cmds, s.command(i, 8))
	}
	if err := ses.Command(cmds...); err != nil {
		return err
	}
	if err := p.drain(ctx, ses.LastCommand(), s.opts.Patience); err != nil {
		return err
	}
	// The call's answer may overtake the last frame of the stream, but a pong cannot.
	if err := ping(ctx, ses, 1, time.Second); err != nil {
		return err
	}
	settledIDs := map[string]bool{}
	for _, it := range ses.Items() {
		if r := it.Event.GetResult(); r != nil {
			settledIDs[r.GetCommandId()] = true
		}
	}
	for _, c := range cmds {
		if !settledIDs[c.GetCommandId()] {
			return fmt.Errorf("Drain answered while command %s had no result", c.GetCommandId()) //nolint:staticcheck // the call's name
		}
	}
	return nil
}

func (p *process) drain(ctx context.Context, last uint64, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit+500*time.Millisecond)
	defer cancel()
	_, err := p.Drain(ctx, &pluginv1.DrainRequest{LastCommandSeq: last, DeadlineMs: uint32(limit.Milliseconds())})
	if err != nil {
		return fmt.Errorf("drain within %v: %w", limit, err)
	}
	return nil
}

func checkDrainDeadline(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{Ack: mute, Begin: hold})
	if err != nil {
		return err
	}
	if needsCommands(s) == "" { // send a command that cannot finish
		if err := ses.Command(s.command(1, 1)); err != nil {
			return err
		}
	}
	return p.drain(ctx, ses.LastCommand(), time.Second)
}

func checkDrainExit(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	if err := p.drain(ctx, 0, 8*time.Second); err != nil {
		return err
	}
	if err := ses.Close(ctx); err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	if err := p.stdin.Close(); err != nil {
		return fmt.Errorf("close standard input: %w", err)
	}
	code, err := p.waitExit(time.Second)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("exit code %d", code)
	}
	return nil
}
