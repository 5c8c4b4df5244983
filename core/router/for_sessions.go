package router

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// forSessions is the router as sessionwork sees it: sessionwork.Conversations.
type forSessions struct{ r *Router }

// Do implements sessionwork.Conversations.
func (f forSessions) Do(ctx context.Context, conv conversation.ConversationID, s sessionwork.Step) (sessionwork.Outcome, error) {
	out, err := f.r.live(conv).doOnce(ctx, f.r.stepTask(s))
	return outcomeOf(out), err
}

// Submit implements sessionwork.Conversations.
func (f forSessions) Submit(conv conversation.ConversationID, s sessionwork.Step, done func(sessionwork.Outcome, error)) {
	t := f.r.stepTask(s)
	t.done = func(out outcome, err error) { done(outcomeOf(out), err) }
	f.r.live(conv).submit(t)
}

func outcomeOf(o outcome) sessionwork.Outcome {
	return sessionwork.Outcome{Conversation: o.conversation, First: o.first, Last: o.last, Duplicate: o.duplicate}
}

// stepTask makes the task that carries out a step.
func (r *Router) stepTask(s sessionwork.Step) *task {
	t := &task{account: s.Account, external: s.Keys}
	t.prepare = r.planFrom(s.Decide)
	return t
}

// planFrom makes a task's prepare of a function that says what to do.
func (r *Router) planFrom(decide func(*conversation.State) (sessionwork.Plan, error)) func(*task, *conversation.State) error {
	return func(t *task, s *conversation.State) error {
		p, err := decide(s)
		t.cmd, t.blobs, t.reported = nil, p.Blobs, p.Reported
		switch {
		case err != nil:
		case len(p.Commands) == 1:
			t.cmd = p.Commands[0]
		case len(p.Commands) > 1:
			t.cmd = conversation.Several(p.Commands)
		}
		if err == nil {
			t.queue, err = r.callsOut(s, p.Calls)
		}
		return err
	}
}

// Plugin implements sessionwork.Conversations.
func (f forSessions) Plugin(id string) (plugin.Info, bool) { return f.r.pluginInfo(id) }

// Customer implements sessionwork.Conversations.
func (f forSessions) Customer(ctx context.Context, conv conversation.ConversationID) (conversation.StartedBody, error) {
	info, err := f.r.Info(ctx, conv)
	return info.Started, err
}

// Head implements sessionwork.Conversations.
func (f forSessions) Head(ctx context.Context, conv conversation.ConversationID, seq uint64) (conversation.Head, error) {
	h, err := f.r.readers.Head(ctx, conv, seq)
	return h, notFound(err)
}

// File implements sessionwork.Conversations.
func (f forSessions) File(ctx context.Context, conv conversation.ConversationID, in *plugin.Inbound, id conversation.BlobID) (conversation.File, uint64, error) {
	if f.r.blobs == nil {
		return conversation.File{}, 0, conversation.ErrUnsupported
	}
	by := blob.Sender{Conversation: conv, Account: in.Account, Thread: f.r.threadKey(in.Account, in.Thread)}
	found, err := f.r.blobs.Find(ctx, by, []conversation.BlobID{id})
	if err != nil {
		return conversation.File{}, 0, fmt.Errorf("router: file: %w", err)
	}
	if found[0].Blob.IsZero() {
		return conversation.File{}, 0, fmt.Errorf("router: file: %w", ErrInvalid)
	}
	if !found[0].Used {
		return found[0].File, 0, nil
	}
	account, key := blob.LogKey(f.r.vault, id)
	_, seq, err := f.r.log.External(ctx, account, key)
	if err != nil {
		return conversation.File{}, 0, fmt.Errorf("router: event that names a file: %w", err)
	}
	return found[0].File, seq, nil
}

// Repeat implements sessionwork.Conversations.
func (f forSessions) Repeat(in plugin.Inbound, stream eventlog.StreamID, seq uint64) plugin.Ack {
	return f.r.ingest.Repeat(in, stream, seq)
}

// Ack implements sessionwork.Conversations.
func (f forSessions) Ack(conv conversation.ConversationID, out sessionwork.Outcome, err error) plugin.Ack {
	return f.r.ack(conv, outcome{conversation: out.Conversation, first: out.First, last: out.Last, duplicate: out.Duplicate}, err)
}

// startOf returns the Start that a command is, or begins with.
func startOf(c conversation.Command) (conversation.Start, bool) {
	if all, ok := c.(conversation.Several); ok && len(all) > 0 {
		c = all[0]
	}
	s, ok := c.(conversation.Start)
	return s, ok
}

// Call has a live call do something for an agent who takes part, or for a supervisor who has barged in
// (sessionwork.Work.Command). Errors: sessionwork's, and ErrNotFound.
func (r *Router) Call(ctx context.Context, req sessionwork.CallRequest) (sessionwork.Called, error) {
	if _, err := r.user(req.Agent); err != nil {
		return sessionwork.Called{}, err
	}
	return r.sessions.Command(ctx, req)
}

// CallCommands names what people may have a plugin's calls do (sessionwork.Work.CallCommands).
func (r *Router) CallCommands(plugin string) []string { return r.sessions.CallCommands(plugin) }

// UseTools gives the router the plugins that serve tools. Call it before plugins are started.
func (r *Router) UseTools(t plugin.Tools) { r.sessions.UseTools(t) }

// StartTool starts a tool for an agent who takes part (sessionwork.Work.Start). Errors: sessionwork's, and
// ErrNotFound.
func (r *Router) StartTool(ctx context.Context, req sessionwork.StartRequest) (sessionwork.Answer, error) {
	if _, err := r.user(req.Agent); err != nil {
		return sessionwork.Answer{}, err
	}
	return r.sessions.Start(ctx, req)
}

// ActTool brings an agent's or supervisor's act to a tool (sessionwork.Work.Act).
func (r *Router) ActTool(ctx context.Context, req sessionwork.ActRequest) (sessionwork.Answer, error) {
	return r.sessions.Act(ctx, req)
}

// EndTool ends a tool's session for an agent or supervisor who takes part (sessionwork.Work.End).
func (r *Router) EndTool(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, session conversation.SessionID) (uint64, error) {
	return r.sessions.End(ctx, conv, id, session)
}

// ToolPanel returns a tool's panel as an agent or supervisor who takes part sees it; nil: there is none.
func (r *Router) ToolPanel(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, session conversation.SessionID) (*plugin.Panel, error) {
	return r.sessions.Panel(ctx, conv, id, session)
}

// Tools lists the tools that a conversation may use.
func (r *Router) Tools(s *conversation.State) []sessionwork.Tool { return r.sessions.Tools(s) }

// sessionCode is the published code of an error of sessionwork; "": it is none.
func sessionCode(err error) string {
	var fault *sessionwork.Fault
	switch {
	case errors.Is(err, sessionwork.ErrNoTool):
		return "no_tool"
	case errors.Is(err, sessionwork.ErrDenied):
		return "denied"
	case errors.Is(err, sessionwork.ErrNoLeg):
		return "no_such_leg"
	case errors.Is(err, sessionwork.ErrWrongState):
		return "wrong_state"
	case errors.Is(err, sessionwork.ErrInvalid):
		return "invalid"
	case errors.Is(err, sessionwork.ErrRate):
		return sessionwork.CodeRate
	case errors.As(err, &fault):
		return "tool_fault"
	case errors.Is(err, sessionwork.ErrUnknownSession):
		return "unknown_session"
	}
	return ""
}
