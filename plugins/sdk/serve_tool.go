package sdk

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

const (
	toolDeadline = 15 * time.Second
	// maxActs and maxActBytes bound the answers that are kept for repeats of acts.
	maxActs     = 1024
	maxActBytes = 8 << 20
)

// toolService serves a ToolServer. It lets Start, End and Act of a session run one after another, and
// answers repeats of acts.
type toolService struct {
	pluginv1.UnimplementedToolServiceServer
	srv *Server

	mu    sync.Mutex
	busy  map[SessionID]*turnstile
	acts  map[actKey]*act
	order fifo[actKey] // acts that are answered, oldest first
	bytes int          // size of their answers
}

// turnstile lets one call of a session through at a time.
type turnstile struct {
	free  chan struct{} // holds a value while nobody is in
	users int
}

type actKey struct {
	session SessionID
	id      string
}

// act is an act that runs or was answered.
type act struct {
	done   chan struct{} // closed when answer and err are set
	answer *pluginv1.ToolActResponse
	err    error
}

func newToolService(srv *Server) *toolService {
	return &toolService{srv: srv, busy: map[SessionID]*turnstile{}, acts: map[actKey]*act{}}
}

// enter waits until no other call of the session runs. The caller calls leave in the end.
func (t *toolService) enter(ctx context.Context, id SessionID) (leave func(), err error) {
	t.mu.Lock()
	g := t.busy[id]
	if g == nil {
		g = &turnstile{free: make(chan struct{}, 1)}
		g.free <- struct{}{}
		t.busy[id] = g
	}
	g.users++
	t.mu.Unlock()
	gone := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if g.users--; g.users == 0 {
			delete(t.busy, id)
		}
	}
	select {
	case <-g.free:
		return func() {
			g.free <- struct{}{}
			gone()
		}, nil
	case <-ctx.Done():
		gone()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// run calls the tool. alone: no other call of the session that must be alone runs meanwhile. The
// error is a *ToolFault, ErrNotFound, or a gRPC status; anything else that the tool returned was
// logged.
func (t *toolService) run(ctx context.Context, call string, id SessionID, alone bool, f func(ctx context.Context) error) error {
	if !t.srv.configured() {
		return status.Error(codes.FailedPrecondition, call+" before an accepted configuration")
	}
	if id == "" {
		return status.Error(codes.InvalidArgument, call+" without a session")
	}
	ctx, cancel := context.WithTimeout(ctx, toolDeadline)
	defer cancel()
	defer context.AfterFunc(t.srv.ctx, cancel)()
	if alone {
		leave, err := t.enter(ctx, id)
		if err != nil {
			return err
		}
		defer leave()
	}
	var err error
	if !t.srv.guard(call, func() { err = f(ctx) }, slog.String("session", string(id))) {
		return status.Error(codes.Internal, call+": the plugin panicked")
	}
	var fault *ToolFault
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		return err
	case errors.As(err, &fault):
		return fault
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	}
	t.srv.log.Error("tool call failed", "call", call, "session", string(id), "err", err)
	return status.Error(codes.Internal, call+": the tool failed")
}

// plain turns a fault into a status, for answers that have no room for a fault.
func plain(err error) error {
	var fault *ToolFault
	if errors.As(err, &fault) {
		return status.Error(codes.Unavailable, fault.Code)
	}
	return err
}

// session encodes a session that the tool returned for id.
func (t *toolService) session(call string, id SessionID, s *ToolSession) (*pluginv1.ToolSession, error) {
	if s.ID == "" {
		s.ID = id
	}
	out, err := toolSessionToWire(s)
	switch {
	case err != nil:
	case s.ID != id:
		err = errors.New("the tool answered with another session")
	case s.State != SessionWaiting && s.State != SessionActive && s.State != SessionEnded:
		err = errors.New("the tool answered with a session without a state")
	default:
		return out, nil
	}
	t.srv.log.Error("answer of the tool not understood", "call", call, "session", string(id), "err", err)
	return nil, status.Error(codes.Internal, call+": "+err.Error())
}

// Start implements ToolService.
func (t *toolService) Start(ctx context.Context, req *pluginv1.ToolStartRequest) (*pluginv1.ToolStartResponse, error) {
	const call = "tool start"
	id := SessionID(req.GetSession())
	var s ToolSession
	err := t.run(ctx, call, id, true, func(ctx context.Context) (err error) {
		s, err = t.srv.abilities.ToolServer.Start(ctx, toolStartFromWire(req))
		return err
	})
	var fault *ToolFault
	switch {
	case errors.As(err, &fault):
		return &pluginv1.ToolStartResponse{Fault: faultToWire(fault)}, nil
	case errors.Is(err, ErrNotFound):
		return &pluginv1.ToolStartResponse{Fault: &pluginv1.ToolFault{Code: "invalid"}}, nil
	case err != nil:
		return nil, err
	}
	out, err := t.session(call, id, &s)
	if err != nil {
		return nil, err
	}
	return &pluginv1.ToolStartResponse{Session: out}, nil
}

// Get implements ToolService.
func (t *toolService) Get(ctx context.Context, req *pluginv1.ToolGetRequest) (*pluginv1.ToolGetResponse, error) {
	const call = "tool get"
	id := SessionID(req.GetSession())
	var s ToolSession
	err := t.run(ctx, call, id, false, func(ctx context.Context) (err error) {
		s, err = t.srv.abilities.ToolServer.Get(ctx, id)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return &pluginv1.ToolGetResponse{}, nil
	case err != nil:
		return nil, plain(err)
	}
	out, err := t.session(call, id, &s)
	if err != nil {
		return nil, err
	}
	return &pluginv1.ToolGetResponse{Found: true, Session: out}, nil
}

// End implements ToolService. A session that the tool does not know has ended.
func (t *toolService) End(ctx context.Context, req *pluginv1.ToolEndRequest) (*pluginv1.ToolEndResponse, error) {
	const call = "tool end"
	id := SessionID(req.GetSession())
	var s ToolSession
	err := t.run(ctx, call, id, true, func(ctx context.Context) (err error) {
		s, err = t.srv.abilities.ToolServer.End(ctx, toolEndFromWire(req))
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		s = ToolSession{State: SessionEnded, Cause: req.GetCause()}
	case err != nil:
		return nil, plain(err)
	}
	out, err := t.session(call, id, &s)
	if err != nil {
		return nil, err
	}
	return &pluginv1.ToolEndResponse{Session: out}, nil
}

// Panel implements ToolService.
func (t *toolService) Panel(ctx context.Context, req *pluginv1.ToolPanelRequest) (*pluginv1.ToolPanelResponse, error) {
	const call = "tool panel"
	id := SessionID(req.GetSession())
	var p *Panel
	err := t.run(ctx, call, id, false, func(ctx context.Context) (err error) {
		p, err = t.srv.abilities.ToolServer.Panel(ctx, id, partyFromWire(req.GetViewer()))
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return &pluginv1.ToolPanelResponse{}, nil
	case err != nil:
		return nil, plain(err)
	}
	out, err := panelToWire(p, 0)
	if err != nil {
		t.srv.log.Error("answer of the tool not understood", "call", call, "session", string(id), "err", err)
		return nil, status.Error(codes.Internal, call+": "+err.Error())
	}
	return &pluginv1.ToolPanelResponse{Panel: out}, nil
}

// Act implements ToolService. A repeat of an act waits for the first one's answer and gets the same.
func (t *toolService) Act(ctx context.Context, req *pluginv1.ToolActRequest) (*pluginv1.ToolActResponse, error) {
	key := actKey{SessionID(req.GetSession()), req.GetAct()}
	if key.id == "" {
		return t.act(ctx, req)
	}
	t.mu.Lock()
	if before := t.acts[key]; before != nil {
		t.mu.Unlock()
		select {
		case <-before.done:
			return before.answer, before.err
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	a := &act{done: make(chan struct{})}
	t.acts[key] = a
	t.mu.Unlock()

	a.answer, a.err = t.act(ctx, req)
	close(a.done)
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.err != nil { // what became of it is not known: a repeat asks the tool again
		delete(t.acts, key)
		return nil, a.err
	}
	t.order.push(key)
	t.bytes += proto.Size(a.answer)
	for t.order.len() > 1 && (t.order.len() > maxActs || t.bytes > maxActBytes) {
		oldest := t.order.pop()
		t.bytes -= proto.Size(t.acts[oldest].answer)
		delete(t.acts, oldest)
	}
	return a.answer, nil
}

func (t *toolService) act(ctx context.Context, req *pluginv1.ToolActRequest) (*pluginv1.ToolActResponse, error) {
	const call = "tool act"
	id := SessionID(req.GetSession())
	var answer ToolAnswer
	err := t.run(ctx, call, id, true, func(ctx context.Context) (err error) {
		answer, err = t.srv.abilities.ToolServer.Act(ctx, toolActFromWire(req))
		return err
	})
	var fault *ToolFault
	switch {
	case errors.As(err, &fault):
		return &pluginv1.ToolActResponse{Fault: faultToWire(fault)}, nil
	case errors.Is(err, ErrNotFound):
		return &pluginv1.ToolActResponse{Fault: &pluginv1.ToolFault{Code: "ended"}}, nil
	case err != nil:
		return nil, err
	}
	if s := answer.Session; s != nil {
		if _, err := t.session(call, id, s); err != nil {
			return nil, err
		}
	}
	out, err := toolAnswerToWire(&answer)
	if err != nil {
		t.srv.log.Error("answer of the tool not understood", "call", call, "session", string(id), "err", err)
		return nil, status.Error(codes.Internal, call+": "+err.Error())
	}
	return out, nil
}

// toolNotice queues a notice for the plugin's handler.
func (s *Server) toolNotice(wire *pluginv1.ToolNotice) {
	h := s.abilities.ToolNoticeHandler
	if h == nil {
		return
	}
	job := func() { s.guard("tool notice", func() { h.ToolNotice(s.ctx, toolNoticeFromWire(wire)) }) }
	if s.toolNotices.latest(&s.work, maxSignals, job) {
		s.droppedSignals.Add(1)
	}
}
