package sdk

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

type sessionStream = grpc.BidiStreamingServer[pluginv1.HostFrame, pluginv1.PluginFrame]

// session is one run of the bidirectional stream, with a reader and a writer. The reader passes
// frames on without ever waiting. It also answers pings, so a pong shows that frames are still
// passed on.
type session struct {
	stream sessionStream
	hello  *pluginv1.HostHello
	ctx    context.Context //nolint:containedctx // the life of the session
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when reader and writer have ended
}

var errReplaced = status.Error(codes.Aborted, "replaced by a newer session")

// Session implements PluginService.
func (s *Server) Session(stream sessionStream) error {
	if !s.configured() {
		return status.Error(codes.FailedPrecondition, "session before an accepted configuration")
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil {
		return status.Error(codes.InvalidArgument, "session: the first frame must be hello")
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	ses := &session{stream: stream, hello: hello, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	if err := s.attach(ses); err != nil {
		return err
	}

	var both sync.WaitGroup
	readerDone := make(chan error, 1)
	both.Go(func() { readerDone <- s.read(ses) })
	both.Go(func() {
		if err := s.write(ses); err != nil {
			cancel(err)
		}
	})
	go func() {
		both.Wait()
		close(ses.done)
	}()

	// When this method returns the stream ends, and with it a reader or writer that waits for the
	// stream.
	select {
	case err = <-readerDone:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.out.detach(ses)
	s.cmds.endSession()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// attach makes ses the present session, after it has ended the former one.
func (s *Server) attach(ses *session) error {
	callBack, err := s.replace(ses)
	if err != nil {
		return err
	}
	callBack()
	return nil
}

func (s *Server) replace(ses *session) (callBack func(), err error) {
	s.sessionMu.Lock()
	defer s.sessionMu.Unlock()
	if old := s.session; old != nil {
		old.cancel(errReplaced)
		select {
		case <-old.done:
		case <-ses.ctx.Done():
			return nil, ses.ctx.Err()
		}
	}
	if s.ctx.Err() != nil {
		return nil, status.Error(codes.Unavailable, "plugin is stopping")
	}
	s.session = ses
	s.hello.Store(ses.hello)
	window, bytes := int(ses.hello.GetEventWindow()), int(ses.hello.GetEventWindowBytes())
	if window == 0 {
		window = contract.EventWindow
	}
	if bytes == 0 {
		bytes = contract.EventWindowBytes
	}
	s.subs.mu.Lock()
	defer s.subs.mu.Unlock()
	callBack = s.out.attach(ses, window, bytes)
	s.subs.resume()
	return callBack, nil
}

func (s *Server) write(ses *session) error {
	for {
		f := s.out.next(ses.ctx, ses)
		if f == nil {
			return nil
		}
		if err := ses.stream.Send(f); err != nil {
			return err
		}
	}
}

func (s *Server) read(ses *session) error {
	for {
		f, err := ses.stream.Recv()
		if err != nil {
			return err
		}
		switch k := f.GetFrame().(type) {
		case *pluginv1.HostFrame_EventAcks:
			s.out.settle(ses, k.EventAcks.GetAcks())
		case *pluginv1.HostFrame_Commands:
			for _, c := range k.Commands.GetCommands() {
				s.command(ses, c)
			}
		case *pluginv1.HostFrame_Hooks:
			for _, h := range k.Hooks.GetHooks() {
				s.hook(ses, h)
			}
		case *pluginv1.HostFrame_Records:
			for _, b := range k.Records.GetBatches() {
				s.subs.records(b)
			}
		case *pluginv1.HostFrame_Signals:
			for _, sig := range k.Signals.GetSignals() {
				s.signal(sig)
			}
		case *pluginv1.HostFrame_BeginAck:
			s.cmds.beginAck(ses, k.BeginAck)
		case *pluginv1.HostFrame_Ping:
			s.serveFor(durationOf(k.Ping.GetServeMs()))
			s.out.pushUrgent(ses, &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Pong{
				Pong: &pluginv1.Pong{Id: k.Ping.GetId()},
			}})
		case *pluginv1.HostFrame_SubscriptionEnd:
			s.subs.ended(k.SubscriptionEnd)
		case *pluginv1.HostFrame_ToolNotices:
			for _, n := range k.ToolNotices.GetNotices() {
				s.toolNotice(n)
			}
		case *pluginv1.HostFrame_BotNotices:
			for _, n := range k.BotNotices.GetNotices() {
				s.botNotice(n)
			}
		case *pluginv1.HostFrame_ConfigChanged:
			// The notice needs no action, since a Configure follows it.
		default:
			s.unknownFrames.Add(1)
		}
	}
}
