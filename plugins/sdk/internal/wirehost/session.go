// Package wirehost plays the gateway's part of the contract with messages of the wire: a Session
// that records everything that the plugin sends, over the ledger of memgateway. The conformance kit,
// the test harness for plugin authors, and the SDK's own tests use it.
package wirehost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

// Item is one thing that the plugin sent; exactly one field is set.
type Item struct {
	Hello        *pluginv1.PluginHello
	Event        *pluginv1.Event
	HookResult   *pluginv1.HookResult
	Subscribe    *pluginv1.Subscribe
	Unsubscribe  *pluginv1.Unsubscribe
	RecordCredit *pluginv1.RecordCredit
	Signal       *pluginv1.Signal
	Begin        *pluginv1.Begin
	Pong         *pluginv1.Pong
	Status       *pluginv1.AccountStatus
	Templates    *pluginv1.TemplateList
	Unknown      bool
}

// Policy says how a Session answers. Its functions run on the Session's reading goroutine.
type Policy struct {
	// Ack answers an event; nil = commit it in Ledger. If it returns nil the event is not answered
	// now.
	Ack func(*pluginv1.Event) *pluginv1.EventAck
	// Begin answers a Begin; nil = as the Ledger says. If it returns nil the Begin is not answered now.
	Begin func(*pluginv1.Begin) *pluginv1.BeginAck
	// Ledger takes the commits; nil = the Session has one of its own.
	Ledger *memgateway.Ledger
	// Forget makes the Session record nothing, for load tests.
	Forget bool
}

// Session is one run of the Session stream, seen from the host.
type Session struct {
	stream grpc.BidiStreamingClient[pluginv1.HostFrame, pluginv1.PluginFrame]
	cancel context.CancelFunc
	policy Policy
	minor  uint32 // of the contract, as the hello says
	window int    // number of events that may be unacknowledged
	done   chan struct{}
	subs   map[uint64]struct{} // open subscriptions; only the reading goroutine uses the map

	sendMu     sync.Mutex
	commandSeq uint64

	mu        sync.Mutex
	items     []Item
	changed   chan struct{}
	err       error
	frames    int
	maxItems  int
	maxBytes  int
	unacked   map[uint64]struct{} // seqs of the events in the window that were not answered yet
	mostUnack int
}

// Open starts a Session with hello (nil = the default windows) and does not wait for the plugin's
// answer.
func Open(ctx context.Context, conn grpc.ClientConnInterface, hello *pluginv1.HostHello, policy Policy) (*Session, error) {
	if hello == nil {
		hello = Hello()
	}
	if policy.Ledger == nil {
		policy.Ledger = &memgateway.Ledger{}
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := pluginv1.NewPluginServiceClient(conn).Session(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open session: %w", err)
	}
	s := newSession(stream, cancel, hello, policy)
	// EOF: the plugin has refused already; the reading goroutine finds out why.
	if err := s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Hello{Hello: hello}}); err != nil && !errors.Is(err, io.EOF) {
		cancel()
		return nil, fmt.Errorf("open session: %w", err)
	}
	go s.read()
	return s, nil
}

func newSession(stream grpc.BidiStreamingClient[pluginv1.HostFrame, pluginv1.PluginFrame], cancel context.CancelFunc, hello *pluginv1.HostHello, policy Policy) *Session {
	return &Session{
		stream: stream, cancel: cancel, policy: policy, minor: hello.GetMinor(), window: int(hello.GetEventWindow()),
		done: make(chan struct{}), changed: make(chan struct{}), subs: map[uint64]struct{}{}, unacked: map[uint64]struct{}{},
	}
}

// Hello is the hello of a host with the contract's default windows.
func Hello() *pluginv1.HostHello {
	return &pluginv1.HostHello{
		Minor: contract.Minor, Instance: "instance-1", Node: "node-1",
		EventWindow: contract.EventWindow, EventWindowBytes: contract.EventWindowBytes,
		CommandWindow: contract.CommandWindow, AccountWindow: contract.AccountWindow,
	}
}

// Send writes a frame.
func (s *Session) Send(f *pluginv1.HostFrame) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return s.stream.Send(f)
}

// Command sends commands in one frame and numbers those without a seq.
func (s *Session) Command(cmds ...*pluginv1.Command) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	for _, c := range cmds {
		if c.GetSeq() == 0 {
			s.commandSeq++
			c.Seq = s.commandSeq
		}
		if c.GetAttempt() == 0 {
			c.Attempt = 1
		}
		s.policy.Ledger.Command(c)
	}
	return s.stream.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Commands{Commands: &pluginv1.Commands{Commands: cmds}}})
}

// LastCommand returns the highest seq that Command gave.
func (s *Session) LastCommand() uint64 {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return s.commandSeq
}

// Hook sends webhooks in one frame.
func (s *Session) Hook(hooks ...*pluginv1.Hook) error {
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Hooks{Hooks: &pluginv1.Hooks{Hooks: hooks}}})
}

// Ping sends a ping.
func (s *Session) Ping(id uint64) error {
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Ping{Ping: &pluginv1.Ping{Id: id}}})
}

// Records sends batches in one frame.
func (s *Session) Records(batches ...*pluginv1.RecordBatch) error {
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Records{Records: &pluginv1.Records{Batches: batches}}})
}

// Signals sends signals in one frame.
func (s *Session) Signals(list ...*pluginv1.Signal) error {
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Signals{Signals: &pluginv1.Signals{Signals: list}}})
}

// ToolNotices sends notices for tools in one frame.
func (s *Session) ToolNotices(list ...*pluginv1.ToolNotice) error {
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_ToolNotices{ToolNotices: &pluginv1.ToolNotices{Notices: list}}})
}

// BotNotices sends notices for bots in one frame. The accounts named are the conversations' bots from
// now on, or no longer.
func (s *Session) BotNotices(list ...*pluginv1.BotNotice) error {
	for _, n := range list {
		s.policy.Ledger.Bot(n.GetAccount(), n.GetConversation(), !n.GetLeft())
	}
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_BotNotices{BotNotices: &pluginv1.BotNotices{Notices: list}}})
}

// Acks answers events that the policy did not answer.
func (s *Session) Acks(acks ...*pluginv1.EventAck) error {
	s.mu.Lock()
	s.answered(acks)
	s.mu.Unlock()
	return s.Send(ackFrame(acks))
}

// answered takes events out of the window. The caller holds mu.
func (s *Session) answered(acks []*pluginv1.EventAck) {
	for _, a := range acks {
		delete(s.unacked, a.GetSeq())
	}
}

// BeginAck answers a Begin that the policy did not answer.
func (s *Session) BeginAck(ack *pluginv1.BeginAck) error {
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_BeginAck{BeginAck: ack}})
}

func ackFrame(acks []*pluginv1.EventAck) *pluginv1.HostFrame {
	return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_EventAcks{EventAcks: &pluginv1.EventAcks{Acks: acks}}}
}

// Wait returns the first item of the session that match accepts; it waits for one if there is none
// yet. It fails when ctx or the session ends.
func (s *Session) Wait(ctx context.Context, match func(Item) bool) (Item, error) {
	for i := 0; ; {
		s.mu.Lock()
		for ; i < len(s.items); i++ {
			if match(s.items[i]) {
				it := s.items[i]
				s.mu.Unlock()
				return it, nil
			}
		}
		changed, err := s.changed, s.err
		s.mu.Unlock()
		if err != nil {
			return Item{}, fmt.Errorf("session ended: %w", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Item{}, ctx.Err()
		}
	}
}

// Result waits for a command's Result.
func (s *Session) Result(ctx context.Context, command string) (*pluginv1.Result, error) {
	it, err := s.Wait(ctx, func(it Item) bool { return it.Event.GetResult().GetCommandId() == command && command != "" })
	return it.Event.GetResult(), err
}

// HookResult waits for a webhook's answer.
func (s *Session) HookResult(ctx context.Context, id uint64) (*pluginv1.HookResult, error) {
	it, err := s.Wait(ctx, func(it Item) bool { return it.HookResult != nil && it.HookResult.GetId() == id })
	return it.HookResult, err
}

// Items returns everything so far.
func (s *Session) Items() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Item(nil), s.items...)
}

// Load returns the size of the largest frame so far, in items and bytes, and the most events that
// were unanswered at one time.
func (s *Session) Load() (maxItems, maxBytes, mostUnacked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maxItems, s.maxBytes, s.mostUnack
}

// Done is closed when the stream has ended; Err says how.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is nil while the session runs, and io.EOF after an orderly end.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Cut ends the session as a lost connection would.
func (s *Session) Cut() {
	s.cancel()
	<-s.done
}

// Close ends the session in an orderly way.
func (s *Session) Close(ctx context.Context) error {
	s.sendMu.Lock()
	err := s.stream.CloseSend()
	s.sendMu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cancel()
	<-s.done
	return err
}

func (s *Session) read() {
	defer close(s.done)
	for {
		f, err := s.stream.Recv()
		if err == nil {
			err = s.take(f)
		}
		if err != nil {
			s.mu.Lock()
			s.err = err
			s.wakeLocked()
			s.mu.Unlock()
			s.cancel()
			return
		}
	}
}

func (s *Session) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Session) take(f *pluginv1.PluginFrame) error {
	items := split(f)
	if s.overflows(items) {
		return errWindow
	}
	var acks []*pluginv1.EventAck
	for _, it := range items {
		if it.Event == nil {
			continue
		}
		ack := s.policy.Ledger.Commit
		if s.policy.Ack != nil {
			ack = s.policy.Ack
		}
		if a := ack(it.Event); a != nil {
			a.Seq = it.Event.GetSeq()
			acks = append(acks, a)
		}
	}
	s.record(f, items, acks)
	if len(acks) > 0 {
		if err := s.Send(ackFrame(acks)); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if b := f.GetBegin(); b != nil {
		ack := &pluginv1.BeginAck{Seq: b.GetSeq(), CommandId: b.GetCommandId(), Refused: !s.policy.Ledger.Begins(b.GetCommandId())}
		if s.policy.Begin != nil {
			ack = s.policy.Begin(b)
		}
		if ack != nil {
			return s.BeginAck(ack)
		}
	}
	return s.subscribed(f)
}

// errWindow ends a session in which the plugin exceeds its window, as in the gateway.
var errWindow = errors.New("contract violated: more unacknowledged events than the window allows")

// metered reports whether an event counts against the window.
func metered(ev *pluginv1.Event) bool {
	return ev != nil && ev.GetResult() == nil && ev.GetReceipt() == nil && ev.GetStatus() == nil
}

func (s *Session) overflows(items []Item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := len(s.unacked)
	for _, it := range items {
		if metered(it.Event) {
			open++
		}
	}
	return open > max(s.window, contract.EventWindow)
}

// subscribed refuses subscriptions that the contract does not allow. The test decides what the
// others get.
func (s *Session) subscribed(f *pluginv1.PluginFrame) error {
	if u := f.GetUnsubscribe(); u != nil {
		delete(s.subs, u.GetSubscription())
	}
	sub := f.GetSubscribe()
	if sub == nil {
		return nil
	}
	var code string
	_, taken := s.subs[sub.GetSubscription()]
	switch {
	case !s.policy.Ledger.Owns(sub.GetAccount()):
		code = "unknown_account"
	case memgateway.Mended(sub.GetThread()), sub.GetAfterConversation() != "" && !s.policy.Ledger.Knows(sub.GetAfterConversation()):
		code = "invalid"
	case sub.GetAudience() == "bot" && s.minor > 0:
		switch {
		case taken:
			code = "duplicate"
		case sub.GetConversation() == "" || sub.GetThread() != "" || sub.GetAfterConversation() != "":
			code = "invalid"
		case !s.policy.Ledger.IsBot(sub.GetAccount(), sub.GetConversation()):
			code = "unknown_conversation"
		default:
			s.subs[sub.GetSubscription()] = struct{}{}
			return nil
		}
	case sub.GetAudience() != "" && sub.GetAudience() != "customer":
		code = "unknown_audience"
	case sub.GetConversation() != "":
		code = "invalid"
	case taken:
		code = "duplicate"
	default:
		s.subs[sub.GetSubscription()] = struct{}{}
		return nil
	}
	return s.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_SubscriptionEnd{
		SubscriptionEnd: &pluginv1.SubscriptionEnd{Subscription: sub.GetSubscription(), Code: code},
	}})
}

func (s *Session) record(f *pluginv1.PluginFrame, items []Item, acks []*pluginv1.EventAck) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames++
	for _, it := range items {
		if metered(it.Event) {
			s.unacked[it.Event.GetSeq()] = struct{}{}
		}
	}
	s.mostUnack = max(s.mostUnack, len(s.unacked))
	s.answered(acks)
	if s.policy.Forget {
		return
	}
	s.maxItems = max(s.maxItems, len(items))
	if len(items) > 1 {
		s.maxBytes = max(s.maxBytes, proto.Size(f))
	}
	s.items = append(s.items, items...)
	s.wakeLocked()
}

// split returns the items of a frame.
func split(f *pluginv1.PluginFrame) []Item {
	var items []Item
	switch k := f.GetFrame().(type) {
	case *pluginv1.PluginFrame_Hello:
		items = append(items, Item{Hello: k.Hello})
	case *pluginv1.PluginFrame_Events:
		for _, e := range k.Events.GetEvents() {
			items = append(items, Item{Event: e})
		}
	case *pluginv1.PluginFrame_HookResults:
		for _, r := range k.HookResults.GetResults() {
			items = append(items, Item{HookResult: r})
		}
	case *pluginv1.PluginFrame_Subscribe:
		items = append(items, Item{Subscribe: k.Subscribe})
	case *pluginv1.PluginFrame_Unsubscribe:
		items = append(items, Item{Unsubscribe: k.Unsubscribe})
	case *pluginv1.PluginFrame_RecordCredit:
		items = append(items, Item{RecordCredit: k.RecordCredit})
	case *pluginv1.PluginFrame_Signals:
		for _, sig := range k.Signals.GetSignals() {
			items = append(items, Item{Signal: sig})
		}
	case *pluginv1.PluginFrame_Begin:
		items = append(items, Item{Begin: k.Begin})
	case *pluginv1.PluginFrame_Pong:
		items = append(items, Item{Pong: k.Pong})
	case *pluginv1.PluginFrame_AccountStatuses:
		for _, st := range k.AccountStatuses.GetStatuses() {
			items = append(items, Item{Status: st})
		}
	case *pluginv1.PluginFrame_TemplateLists:
		for _, l := range k.TemplateLists.GetLists() {
			items = append(items, Item{Templates: l})
		}
	default:
		items = append(items, Item{Unknown: true})
	}
	return items
}
