package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// frameStream is the host's end of PluginService.Session.
type frameStream interface {
	Send(*pluginv1.HostFrame) error
	Recv() (*pluginv1.PluginFrame, error)
	CloseSend() error
}

// session speaks with one generation of a plugin until either side ends it.
// One goroutine reads and never blocks on anything but the stream; one
// writes whatever has queued, without timers (plugin-notes.md 4.4).
type session struct {
	plugin   string
	instance string
	core     plugin.Core
	owns     func(conversation.AccountID) bool
	serveFor func() time.Duration // for how long accounts for one node may be served; 0 = without bound; nil likewise
	status   func(*pluginv1.AccountStatus)
	log      *slog.Logger
	meters   *pluginMeters
	poison   *poison
	said     wire.Plugin   // what decides which events and frames it may send
	process  bool          // the plugin takes process commands
	signals  bool          // the plugin wants signal frames
	silence  time.Duration // how long pings may go unanswered

	stream frameStream
	ctx    context.Context //nolint:containedctx // ends with the session
	cancel context.CancelCauseFunc
	// storing outlives the session: an event that was handed over is stored even if the plugin dies
	// meanwhile.
	storing context.Context //nolint:containedctx // ends with the host
	wg      sync.WaitGroup
	done    chan struct{} // closed when no goroutine of the session is left

	ponged   chan struct{} // closed by the first pong
	wake     chan struct{} // a token: there is something to write
	announce chan struct{} // a token: a window that was full has room

	mu       sync.Mutex
	info     plugin.Info
	off      map[conversation.AccountID]struct{} // accounts of which only what is pinned here is sent; replaced as a whole
	over     bool                                // nothing is accepted any more
	draining bool                                // no new commands are sent, but those of calls that it holds
	ending   bool                                // the stream is closed when everything is written
	out      outbox
	window   window
	typed    map[[16]byte]bool     // typing commands whose Result has not come
	refused  map[[16]byte]struct{} // commands whose Begin was refused, until their Result arrives
	subs     map[uint64]*subscription
	opening  []*subscription
	openers  int
	hooks    map[uint64]*hookCall
	hookSeq  uint64
	hookSize int
	up       uplink
	ping     pinger
	solo     solo
	results  sync.WaitGroup // counts the results being stored
}

// uplink counts what the plugin has sent and what is not answered yet.
type uplink struct {
	events, bytes int // events in the event window
	exempt        int // results, statuses and receipts, which are outside the window
}

// maxExempt bounds the events outside the window. They never wait for credit, but a plugin must not
// fill the gateway's memory with them either.
const maxExempt = 8192

// eventWindowSlack is how much the two sides' counts of bytes may differ.
const eventWindowSlack = 64 << 10

// sessionConfig is what a session needs of its generation.
type sessionConfig struct {
	plugin, instance string
	core             plugin.Core
	owns             func(conversation.AccountID) bool
	status           func(*pluginv1.AccountStatus)
	log              *slog.Logger
	meters           *pluginMeters
	poison           *poison
	describe         *pluginv1.DescribeResponse
	info             plugin.Info
	off              map[conversation.AccountID]struct{}
	serveFor         func() time.Duration
	storing          context.Context //nolint:containedctx // ends with the host
}

// newSession prepares a session; open makes its stream.
func newSession(c sessionConfig) *session {
	ctx, cancel := context.WithCancelCause(c.storing)
	return &session{
		plugin: c.plugin, instance: c.instance, core: c.core, owns: c.owns, status: c.status,
		log: c.log, meters: c.meters, poison: c.poison, info: c.info, off: c.off, serveFor: c.serveFor, said: saidBy(c.instance, c.describe),
		process: slices.Contains(c.describe.GetAbilities(), contract.AbilityProcess),
		signals: slices.Contains(c.describe.GetAbilities(), contract.AbilitySignals), silence: silenceOf(c.describe),
		ctx: ctx, cancel: cancel, storing: c.storing,
		done: make(chan struct{}), wake: make(chan struct{}, 1), announce: make(chan struct{}, 1),
		window: newWindow(), typed: map[[16]byte]bool{}, refused: map[[16]byte]struct{}{}, subs: map[uint64]*subscription{}, hooks: map[uint64]*hookCall{},
	}
}

func saidBy(instance string, d *pluginv1.DescribeResponse) wire.Plugin {
	return wire.Plugin{
		ID: d.GetId(), Instance: instance, Minor: wire.Minor(d),
		Tool: d.GetTool() != nil, Bot: d.GetBot() != nil, Calls: d.GetCalls() != nil,
	}
}

// open exchanges hellos on the stream that dial opens and starts the session's goroutines. ctx
// bounds the exchange only.
func (s *session) open(ctx context.Context, hello *pluginv1.HostHello, dial func(context.Context) (frameStream, error)) error {
	stop := context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	defer stop()
	err := s.greet(hello, dial)
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.cancel(err)
		close(s.done)
		return fmt.Errorf("open session: %w", err)
	}
	s.ponged = make(chan struct{})
	now := time.Now()
	s.solo.rest, s.solo.closed = now.Add(soloGap), now.Add(s.poison.gap())
	s.wg.Go(s.write)
	s.wg.Go(s.read)
	s.wg.Go(s.keepPinging)
	s.wg.Go(s.announceRoom)
	go func() {
		s.wg.Wait()
		s.closeReaders()
		close(s.done)
	}()
	return nil
}

func (s *session) greet(hello *pluginv1.HostHello, dial func(context.Context) (frameStream, error)) error {
	stream, err := dial(s.ctx)
	if err != nil {
		return err
	}
	s.stream = stream
	if err := stream.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Hello{Hello: hello}}); err != nil {
		return recvError(stream, err)
	}
	frame, err := stream.Recv()
	if err != nil {
		return err
	}
	if frame.GetHello() == nil {
		return fmt.Errorf("%w: first frame is no hello", errProtocol)
	}
	return nil
}

// recvError finds out why a Send failed, since gRPC then only returns EOF.
func recvError(stream frameStream, err error) error {
	if errors.Is(err, io.EOF) {
		if _, rerr := stream.Recv(); rerr != nil {
			return rerr
		}
	}
	return err
}

// fail ends the session; the first cause is kept.
func (s *session) fail(err error) {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.cancel(err)
}

// cause returns why the session ended; nil = both sides wanted it to end.
func (s *session) cause() error {
	err := context.Cause(s.ctx)
	if errors.Is(err, errFinished) {
		return nil
	}
	return err
}

var errFinished = errors.New("session finished")

// stopCommands refuses further offers, but for commands of calls that the generation holds; commands
// under way go on. It returns the seq of the last
// command that was or will be sent.
func (s *session) stopCommands() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	return s.window.seq + uint64(s.window.queued+s.out.typing.len())
}

// settled waits until no command and no hook is under way.
func (s *session) settled(ctx context.Context) error {
	for {
		s.mu.Lock()
		busy := len(s.window.flight) + len(s.hooks)
		changed := s.window.changed
		s.mu.Unlock()
		if busy == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end closes the sending side once everything queued is written, and waits until the plugin closes
// its side.
func (s *session) end(ctx context.Context) {
	s.mu.Lock()
	s.draining, s.ending = true, true
	s.mu.Unlock()
	s.poke()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.fail(errFinished)
		<-s.done
	}
}

// suspects returns, after a crash, the items that were sent and not answered, and the item that was
// alone, if any. The session accepts nothing from the core any more.
func (s *session) suspects() (inFlight []suspect, alone *soloItem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, d := range s.window.flight {
		if d.sent {
			inFlight = append(inFlight, d.suspect())
		}
	}
	for _, c := range s.hooks {
		if c.sent {
			inFlight = append(inFlight, c.suspect())
		}
	}
	if s.solo.active() {
		item := s.solo.item
		alone = &item
	}
	return inFlight, alone
}

// parkCommand settles a command that ended the plugin. If the command had passed Begin, the
// provider may have been called, so its outcome is unknown.
func (s *session) parkCommand(d *dispatch) {
	outcome := conversation.StatusFailed
	if d.begun {
		outcome = conversation.StatusUnknown
	}
	s.results.Add(1)
	s.settleFor(d, outcome, "quarantined")
}

// settleFor stores the result of a command that the plugin will not answer. The caller has counted
// it in results.
func (s *session) settleFor(d *dispatch, outcome conversation.Status, code string) {
	in := plugin.Inbound{
		Plugin: s.plugin, Account: d.account, Thread: d.frame.GetThread(), ReceivedAt: time.Now(),
		Result: &plugin.CommandResult{Command: d.id, Outcome: outcome, Kind: "internal", Code: code},
	}
	s.core.Ingest(s.storing, in, func(ack plugin.Ack) {
		if ack.Status != plugin.Retry {
			s.commandSettled(d.id)
		}
		s.results.Done()
	})
}

// awaitResults accepts nothing more and waits until the results that arrived are stored: a command
// whose result is durable must not be sent again.
func (s *session) awaitResults(ctx context.Context) {
	stored := make(chan struct{})
	go func() { s.results.Wait(); close(stored) }()
	select {
	case <-stored:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// failHooks tells the callers of unanswered hooks that the plugin is gone.
func (s *session) failHooks() {
	s.mu.Lock()
	calls := make([]*hookCall, 0, len(s.hooks))
	for _, c := range s.hooks {
		calls = append(calls, c)
	}
	clear(s.hooks)
	s.mu.Unlock()
	for _, c := range calls {
		c.answer(hookOutcome{err: ErrGone})
	}
}

// poke wakes the writer.
func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// announceRoom tells the core when a window which refused an offer has room.
func (s *session) announceRoom() {
	for {
		select {
		case <-s.announce:
			s.core.PluginRoom(s.plugin, s.instance)
		case <-s.ctx.Done():
			return
		}
	}
}

// configChanged queues the notice that a Configure succeeded.
func (s *session) configChanged(revision uint64) {
	s.mu.Lock()
	s.out.config = revision
	s.mu.Unlock()
	s.poke()
}
