package kit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

func sessionChecks() []check {
	return []check{
		{
			group: "session", name: "hello", run: checkHello,
			rule: "the plugin's first frame is hello, with a minor no higher than offered",
		},
		{
			group: "session", name: "ping", run: checkPing,
			rule: "each ping is answered within 500 ms by a pong with its id",
		},
		{
			group: "session", name: "ping-under-load", run: checkPingLoad,
			needs: func(s *subject) string {
				if needsCommands(s) != "" && needsHook(s) != "" {
					return "declares neither store-and-forward delivery nor webhooks"
				}
				return ""
			},
			rule: "pings are answered within 1.5 s while the windows are full",
		},
		{
			group: "session", name: "unknown-frame", run: checkUnknownFrame,
			rule: "a frame of an unknown kind is ignored",
		},
		{
			group: "session", name: "reconnect", run: checkReconnect,
			rule: "after a lost session the next one works",
		},
		{
			group: "session", name: "frames", run: checkFrames,
			needs: func(s *subject) string {
				if needsCommands(s) != "" && needsHook(s) != "" {
					return "declares neither store-and-forward delivery nor webhooks"
				}
				return ""
			},
			rule: fmt.Sprintf("a frame holds at most %d items, or %d KiB where it holds several", contract.MaxFrameItems, contract.MaxFrameBytes>>10),
		},
	}
}

func checkHello(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	ses, err := wirehost.Open(ctx, p.conn, nil, wirehost.Policy{})
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	first, err := ses.Wait(wait, func(wirehost.Item) bool { return true })
	if err != nil {
		return fmt.Errorf("wait for the first frame: %w", err)
	}
	if first.Hello == nil {
		return errors.New("the first frame is not hello")
	}
	if first.Hello.GetMinor() > contract.Minor {
		return fmt.Errorf("hello with minor %d, offered was %d", first.Hello.GetMinor(), contract.Minor)
	}
	return nil
}

func checkPing(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	for i := range uint64(20) {
		if err := ping(ctx, ses, 1000+i*7, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// fill sends the plugin as much as its windows allow, without waiting for answers.
func (s *subject) fill(ses *wirehost.Session) error {
	if needsCommands(s) == "" {
		var cmds []*pluginv1.Command
		for i := range contract.AccountWindow {
			cmds = append(cmds, s.command(i, 8))
		}
		if err := ses.Command(cmds...); err != nil {
			return err
		}
	}
	if needsHook(s) == "" {
		for batch := range uint64(4) {
			var hooks []*pluginv1.Hook
			for i := range uint64(contract.MaxFrameItems) {
				h := Hook{Body: "{}"}
				if len(s.opts.Fixtures.Hooks) > 0 {
					h = s.opts.Fixtures.Hooks[0]
				}
				hooks = append(hooks, s.opts.Fixtures.hook(&h, 1+batch*contract.MaxFrameItems+i))
			}
			if err := ses.Hook(hooks...); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkPingLoad(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	if err := s.fill(ses); err != nil {
		return err
	}
	for i := range uint64(5) {
		if err := ping(ctx, ses, 1+i, 1500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func checkUnknownFrame(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	f := &pluginv1.HostFrame{}
	raw := protowire.AppendTag(nil, 4000, protowire.BytesType)
	f.ProtoReflect().SetUnknown(protowire.AppendBytes(raw, []byte("from a later minor")))
	for _, frame := range []*pluginv1.HostFrame{f, {}} {
		if err := ses.Send(frame); err != nil {
			return err
		}
	}
	return ping(ctx, ses, 7, time.Second)
}

func checkReconnect(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	for i := range uint64(3) {
		if i == 1 {
			if err := ses.Close(ctx); err != nil {
				return fmt.Errorf("orderly end of a session: %w", err)
			}
		}
		ses.Cut()
		if ses, err = p.session(ctx, nil, wirehost.Policy{}); err != nil {
			return fmt.Errorf("session %d: %w", i+2, err)
		}
		if err := ping(ctx, ses, i, time.Second); err != nil {
			return fmt.Errorf("session %d: %w", i+2, err)
		}
	}
	return nil
}

func checkFrames(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	for range 3 {
		if err := s.fill(ses); err != nil {
			return err
		}
	}
	if err := ping(ctx, ses, 1, 5*time.Second); err != nil {
		return err
	}
	// What has come by now is checked; another check finds plugins that answer late.
	if needsHook(s) == "" {
		if _, err := ses.HookResult(ctx, 4*contract.MaxFrameItems); err != nil {
			return fmt.Errorf("no answer to the last hook: %w", err)
		}
	}
	items, bytes, _ := ses.Load()
	if items > contract.MaxFrameItems || bytes > contract.MaxFrameBytes {
		return fmt.Errorf("a frame with up to %d items, %d bytes", items, bytes)
	}
	return nil
}
