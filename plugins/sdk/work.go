package sdk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

const (
	hookDeadline = 10 * time.Second
	hookWorkers  = 16
	hookQueue    = 1024
)

// guard runs f and contains a panic, which it logs with its stack. The value of a panic may contain
// customers' data, so only runtime errors are logged.
func (s *Server) guard(what string, f func(), attrs ...slog.Attr) (ok bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, is := v.(runtime.Error); is {
			attrs = append(attrs, slog.String("err", err.Error()))
		}
		attrs = append(attrs, slog.String("call", what), slog.String("stack", string(debug.Stack())))
		s.log.LogAttrs(context.Background(), slog.LevelError, "plugin panicked", attrs...)
		s.panics.Add(1)
	}()
	f()
	return true
}

// command passes a command to the lane of its thread.
func (s *Server) command(ses *session, wire *pluginv1.Command) {
	c, done := s.cmds.accept(ses, wire)
	if done != nil {
		// A frame may still refer to the earlier event, so send a copy.
		p := &pending{free: true, wire: proto.CloneOf(done), done: func(Ack, error) {}}
		if err := s.out.put(p, false); err != nil {
			s.log.Warn("result not sent", "command_id", wire.GetCommandId(), "err", err)
		}
	}
	if c == nil {
		return
	}
	key := laneKey{account: wire.GetAccount(), thread: wire.GetThread()}
	if call := wire.GetCall(); call != nil { // messages of its thread do not hold a call up
		key = laneKey{account: wire.GetAccount(), call: call.GetSession()}
	}
	s.lanes.do(&s.work, key, func() { s.run(c, wire) })
}

func (s *Server) run(c *command, wire *pluginv1.Command) {
	ctx, cancel := s.ctx, context.CancelFunc(func() {})
	if d := wire.GetDeadline(); d != 0 {
		ctx, cancel = context.WithDeadline(s.ctx, timeOf(d))
	}
	defer cancel()

	var r Result
	ok := s.guard("command", func() { r = s.call(ctx, c, wire) },
		slog.String("command_id", string(c.id)), slog.String("conversation_id", wire.GetConversation()))
	switch {
	case ok && r.Outcome != 0:
		if r.Outcome == OutcomeSent && s.needsBegin.Load() && wire.GetSend() != nil && !c.passed() {
			s.beginWarning.Do(func() {
				s.log.Warn("message sent without Begin though the manifest does not say IdempotentSend",
					"command_id", string(c.id))
			})
		}
	case c.passed():
		r = Unknown("plugin", "the plugin failed after Begin")
	case ok:
		r = Failed(KindInternal, "plugin", "the plugin gave no outcome")
	default:
		r = Failed(KindInternal, "plugin", "the plugin panicked")
	}
	s.settle(c, &r)
}

// settle sends the Result, which the outbox keeps until it is acknowledged.
func (s *Server) settle(c *command, r *Result) {
	wire := &pluginv1.Event{
		Account: c.account, Thread: c.thread, ReceivedTime: time.Now().UnixMicro(),
		Kind: &pluginv1.Event_Result{Result: resultToWire(c.id, r)},
	}
	p := &pending{
		free: true,
		wire: wire,
		done: func(_ Ack, err error) {
			s.cmds.forget(c, wire)
			if refused, is := err.(*RefusedError); is { //nolint:errorlint // made by the outbox, never wrapped
				s.log.Warn("result refused", "command_id", string(c.id), "code", refused.Code)
			}
		},
	}
	if err := s.out.put(p, false); err != nil {
		s.log.Warn("result not sent", "command_id", string(c.id), "err", err)
		s.cmds.forget(c, nil)
	}
	s.cmds.settle(c)
}

// call calls the method that carries out a command.
func (s *Server) call(ctx context.Context, c *command, wire *pluginv1.Command) Result {
	switch k := wire.GetKind().(type) {
	case *pluginv1.Command_Send:
		cmd, err := sendFromWire(wire, k.Send)
		if err != nil {
			return Failed(KindContent, "unsupported", "the message has a part that the plugin does not know")
		}
		cmd.barrier = func(ctx context.Context) error { return c.barrier(ctx, s.out) }
		if s.abilities.Sender != nil {
			return s.abilities.Sender.Send(ctx, cmd)
		}
	case *pluginv1.Command_Process:
		if s.abilities.Processor != nil {
			return s.abilities.Processor.Process(ctx, processFromWire(wire, k.Process))
		}
	case *pluginv1.Command_Lookup:
		if s.abilities.Lookuper != nil {
			return s.abilities.Lookuper.Lookup(ctx, lookupFromWire(wire, k.Lookup))
		}
	case *pluginv1.Command_MarkRead:
		if s.abilities.ReadMarker != nil {
			return s.abilities.ReadMarker.MarkRead(ctx, markReadFromWire(wire, k.MarkRead))
		}
	case *pluginv1.Command_Typing:
		if s.abilities.Typist != nil {
			r := s.abilities.Typist.Typing(ctx, typingFromWire(wire, k.Typing))
			r.Retryable, r.RetryAfter = false, 0 // a second try would come too late
			return r
		}
	case *pluginv1.Command_Call:
		cmd, err := callFromWire(wire, k.Call)
		if err == nil && s.takesCall(callName(k.Call)) {
			cmd.barrier = func(ctx context.Context) error { return c.barrier(ctx, s.out) }
			return s.abilities.CallCommander.Call(ctx, cmd)
		}
	}
	return unsupported()
}

// takesCall reports whether the plugin has declared a call command.
func (s *Server) takesCall(name string) bool {
	declared := s.callCommands.Load()
	return s.abilities.CallCommander != nil && declared != nil && slices.Contains(*declared, name)
}

func unsupported() Result {
	return Failed(KindInternal, "unsupported", "the plugin does not take this command")
}

// hook answers a webhook in the pool, since webhooks have no order.
func (s *Server) hook(ses *session, wire *pluginv1.Hook) {
	job := func() {
		if ses.ctx.Err() != nil {
			return // the host sends the webhook again in the next session
		}
		r := s.runHook(wire)
		r.Events = slices.DeleteFunc(r.Events, func(ev *pluginv1.Event) bool {
			if contract.Strip(ev, ses.hello.GetMinor()) {
				return false
			}
			s.tooOld()
			return true
		})
		s.out.pushHook(ses, r)
	}
	if !s.hooks.do(&s.work, job) {
		s.out.pushHook(ses, &pluginv1.HookResult{Id: wire.GetId(), Status: http.StatusServiceUnavailable, Reason: "overload"})
	}
}

func (s *Server) runHook(wire *pluginv1.Hook) *pluginv1.HookResult {
	failed := &pluginv1.HookResult{Id: wire.GetId(), Status: http.StatusInternalServerError, Reason: "plugin"}
	if s.abilities.Hooker == nil {
		return &pluginv1.HookResult{Id: wire.GetId(), Status: http.StatusNotFound, Reason: "unsupported"}
	}
	ctx, cancel := context.WithTimeout(s.ctx, hookDeadline)
	defer cancel()
	var resp HookResponse
	if !s.guard("hook", func() { resp = s.abilities.Hooker.Hook(ctx, hookFromWire(wire)) }) {
		return failed
	}
	out, err := hookResultToWire(wire, &resp)
	switch {
	case errors.Is(err, ErrNotUTF8): // the sender chose that name, so a repeat would fail, too
		return &pluginv1.HookResult{Id: wire.GetId(), Status: http.StatusBadRequest, Reason: "not_utf8"}
	case err != nil:
		s.log.Error("hook answer not understood", "account", wire.GetAccount(), "err", err)
		return failed
	}
	return out
}

// signal queues a signal for the plugin's handler.
func (s *Server) signal(wire *pluginv1.Signal) {
	h := s.abilities.SignalHandler
	if h == nil {
		return
	}
	job := func() { s.guard("signal", func() { h.Signal(s.ctx, signalFromWire(wire)) }) }
	if s.signals.latest(&s.work, maxSignals, job) {
		s.droppedSignals.Add(1)
	}
}
