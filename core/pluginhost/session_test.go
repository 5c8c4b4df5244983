package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// peer is the plugin's end of a session, controlled by the test.
type peer struct {
	pluginv1.UnimplementedPluginServiceServer
	t      testing.TB
	stream chan pluginv1.PluginService_SessionServer
	frames chan *pluginv1.HostFrame // all frames; without pings, if the peer answers these
	end    chan struct{}
	silent bool          // the peer answers no pings
	serve  atomic.Uint32 // serve_ms of the newest ping

	sendMu sync.Mutex
	out    pluginv1.PluginService_SessionServer
	seq    uint64
}

func (p *peer) Session(stream pluginv1.PluginService_SessionServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.Send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Hello{Hello: &pluginv1.PluginHello{}}}); err != nil {
		return err
	}
	p.sendMu.Lock()
	p.out = stream
	p.sendMu.Unlock()
	p.stream <- stream
	for {
		f, err := stream.Recv()
		if err != nil {
			close(p.end)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if ping := f.GetPing(); ping != nil {
			p.serve.Store(ping.GetServeMs())
			if !p.silent {
				p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Pong{Pong: &pluginv1.Pong{Id: ping.GetId()}}})
			}
			continue
		}
		p.frames <- f
	}
}

func (p *peer) send(f *pluginv1.PluginFrame) {
	p.sendMu.Lock()
	defer p.sendMu.Unlock()
	_ = p.out.Send(f) // if the session was cut, the frames show it
}

// next returns the next frame, which must come within a second of the bubble's time.
func (p *peer) next() *pluginv1.HostFrame {
	p.t.Helper()
	select {
	case f := <-p.frames:
		return f
	case <-time.After(time.Second):
		p.t.Fatal("no frame within a second")
		return nil
	}
}

// none checks that no frame is waiting.
func (p *peer) none() {
	p.t.Helper()
	synctest.Wait()
	select {
	case f := <-p.frames:
		p.t.Fatalf("unexpected frame %v", f)
	default:
	}
}

func (p *peer) event(account conversation.AccountID, kind func(*pluginv1.Event)) uint64 {
	p.seq++
	e := &pluginv1.Event{Seq: p.seq, Account: account.String(), Thread: "t"}
	kind(e)
	p.send(eventsFrame(e))
	return p.seq
}

func (p *peer) ack() *pluginv1.EventAck {
	p.t.Helper()
	acks := p.next().GetEventAcks().GetAcks()
	if len(acks) != 1 {
		p.t.Fatalf("acks: got %d, want one", len(acks))
	}
	return acks[0]
}

func message(text, dedupe string) func(*pluginv1.Event) {
	return func(e *pluginv1.Event) {
		e.DedupeKey, e.Kind = dedupe, &pluginv1.Event_Message{Message: textMessage(text)}
	}
}

func result(command [16]byte, outcome pluginv1.Outcome) func(*pluginv1.Event) {
	return func(e *pluginv1.Event) {
		e.Kind = &pluginv1.Event_Result{Result: &pluginv1.Result{CommandId: uuid.UUID(command).String(), Outcome: outcome}}
	}
}

// inSession runs f in a synctest bubble with an open session.
func inSession(t *testing.T, d *pluginv1.DescribeResponse, owned []conversation.AccountID, f func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &peer{t: t, stream: make(chan pluginv1.PluginService_SessionServer, 1), frames: make(chan *pluginv1.HostFrame, 10000), end: make(chan struct{})}
		p.silent = d.GetName() == "silent"
		l := bufconn.Listen(1 << 20)
		server := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize))
		pluginv1.RegisterPluginServiceServer(server, p)
		go func() { _ = server.Serve(l) }()
		conn, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		core := newFakeCore()
		ctx, cancel := context.WithCancel(t.Context())
		s, err := pluginhost.OpenTestSession(ctx, core, pluginv1.NewPluginServiceClient(conn), d, owned...)
		if err != nil {
			t.Fatal(err)
		}
		<-p.stream
		f(t, core, s, p)
		cancel()
		<-s.Done()
		_ = conn.Close()
		server.Stop()
	})
}

func outbound(account conversation.AccountID) plugin.Outbound {
	return plugin.Outbound{Command: uuid.New(), Account: account, Thread: "t", Attempt: 1, Send: &plugin.SendCommand{To: "+1"}}
}

var plain = &pluginv1.DescribeResponse{Id: "test"}

func TestSessionEvents(t *testing.T) {
	mine, strange := newAccount(), newAccount()
	tests := []struct {
		name    string
		account conversation.AccountID
		kind    func(*pluginv1.Event)
		status  pluginv1.AckStatus
		code    string
	}{
		{"message", mine, message("a", "1"), pluginv1.AckStatus_ACK_STATUS_COMMITTED, ""},
		{"repeat", mine, message("a", "1"), pluginv1.AckStatus_ACK_STATUS_DUPLICATE, ""},
		{"banned", mine, message("a", "banned"), pluginv1.AckStatus_ACK_STATUS_REFUSED, "banned"},
		{"disk full", mine, message("a", "retry"), pluginv1.AckStatus_ACK_STATUS_RETRY, ""},
		{"strange account", strange, message("a", "2"), pluginv1.AckStatus_ACK_STATUS_REFUSED, "unknown_account"},
		{"no account", conversation.AccountID{}, message("a", "3"), pluginv1.AckStatus_ACK_STATUS_REFUSED, "unknown_account"},
		{"unknown kind", mine, func(*pluginv1.Event) {}, pluginv1.AckStatus_ACK_STATUS_REFUSED, "unsupported"},
		{"bad reply_to", mine, func(e *pluginv1.Event) {
			e.Kind = &pluginv1.Event_Message{Message: &pluginv1.Message{ReplyTo: "x"}}
		}, pluginv1.AckStatus_ACK_STATUS_REFUSED, "invalid"},
		{"deferred", mine, func(e *pluginv1.Event) { e.Kind = &pluginv1.Event_Deferred{Deferred: &pluginv1.Deferred{}} }, pluginv1.AckStatus_ACK_STATUS_COMMITTED, ""},
	}
	inSession(t, plain, []conversation.AccountID{mine}, func(t *testing.T, core *fakeCore, _ *pluginhost.TestSession, p *peer) {
		core.refuse = func(in plugin.Inbound) *plugin.Ack {
			switch in.DedupeKey {
			case "banned":
				return &plugin.Ack{Status: plugin.Refused, Code: "banned"}
			case "retry":
				return &plugin.Ack{Status: plugin.Retry}
			}
			return nil
		}
		for _, tt := range tests {
			seq := p.event(tt.account, tt.kind)
			got := p.ack()
			if got.GetSeq() != seq || got.GetStatus() != tt.status || got.GetCode() != tt.code {
				t.Errorf("%s: got %v, want seq %d, %s %q", tt.name, got, seq, tt.status, tt.code)
			}
		}
	})
}

// Windows must bound the commands per account and process. If there are more accounts than full
// windows, each account must get a share, and accounts must take turns in being sent.
func TestSessionWindows(t *testing.T) {
	accounts := make([]conversation.AccountID, 24)
	for i := range accounts {
		accounts[i] = newAccount()
	}
	inSession(t, plain, accounts, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		taken := map[string][]plugin.Outbound{}
		offer := func(a conversation.AccountID) bool {
			o := outbound(a)
			if s.Port().Offer(o) {
				taken[a.String()] = append(taken[a.String()], o)
				return true
			}
			return false
		}
		for range 100 {
			offer(accounts[0])
		}
		if n := len(taken[accounts[0].String()]); n != contract.AccountWindow {
			t.Errorf("one account: got %d commands, want %d", n, contract.AccountWindow)
		}
		if again := taken[accounts[0].String()][0]; !s.Port().Offer(again) {
			t.Error("a command under way offered again: got refused, want taken without sending")
		}
		for range 40 {
			for _, a := range accounts[1:] {
				offer(a)
			}
		}
		total, sent := 0, map[string]int{}
		for _, list := range taken {
			total += len(list)
		}
		if total > contract.CommandWindow {
			t.Errorf("process: got %d commands, want at most %d", total, contract.CommandWindow)
		}
		for _, a := range accounts[1:] {
			if n := len(taken[a.String()]); n < contract.CommandWindow/len(accounts)-1 {
				t.Errorf("account beside a greedy one: got %d places, want a fair share of %d", n, contract.CommandWindow/len(accounts))
			}
		}
		var lastSeq uint64
		for n := 0; n < total; {
			list := p.next().GetCommands().GetCommands()
			if len(list) == 0 || len(list) > contract.MaxFrameItems {
				t.Fatalf("frame of %d commands, want 1 to %d", len(list), contract.MaxFrameItems)
			}
			for _, c := range list {
				if c.GetSeq() != lastSeq+1 {
					t.Fatalf("seq: got %d after %d", c.GetSeq(), lastSeq)
				}
				lastSeq = c.GetSeq()
				sent[c.GetAccount()]++
			}
			n += len(list)
		}
		p.none()
		if offer(accounts[0]) {
			t.Error("offer beyond the window was taken")
		}
		// A result must return its credit before the core sees the result.
		p.event(accounts[0], result(taken[accounts[0].String()][0].Command, pluginv1.Outcome_OUTCOME_SENT))
		p.event(accounts[1], result(taken[accounts[1].String()][0].Command, pluginv1.Outcome_OUTCOME_SENT))
		p.next()
		synctest.Wait()
		if !offer(accounts[1]) {
			t.Error("offer after a result: got refused, want taken")
		}
	})
}

// Accounts must take turns, however many commands one of them queued first.
func TestSessionRoundRobin(t *testing.T) {
	a, b := newAccount(), newAccount()
	inSession(t, plain, []conversation.AccountID{a, b}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		for range 8 {
			s.Port().Offer(outbound(a))
		}
		for range 8 {
			s.Port().Offer(outbound(b))
		}
		var order []string
		for len(order) < 16 {
			for _, c := range p.next().GetCommands().GetCommands() {
				order = append(order, c.GetAccount())
			}
		}
		first := slices.Index(order, b.String())
		if first > 8 {
			t.Errorf("first command of the second account: place %d of %d", first, len(order))
		}
	})
}

// Begin must be answered once per command under way. After a lost session it must be known which
// commands had passed Begin (plugin-notes.md 4.6).
func TestSessionBegin(t *testing.T) {
	a := newAccount()
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		core.PluginReady("test", "test.1", s.Port())
		begun, unbegun, stolen := core.send(a, "1"), core.send(a, "2"), core.send(a, "3")
		for n := 0; n < 3; {
			n += len(p.next().GetCommands().GetCommands())
		}
		begin := func(id [16]byte) bool {
			t.Helper()
			p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Begin{Begin: &pluginv1.Begin{Seq: 1, CommandId: uuid.UUID(id).String()}}})
			return !p.next().GetBeginAck().GetRefused()
		}
		if !begin(begun) {
			t.Error("first Begin: got refused")
		}
		if !begin(begun) {
			t.Error("repeated Begin: got refused, want the first answer")
		}
		if begin(uuid.New()) {
			t.Error("Begin of a command that was never given: got granted")
		}
		core.mu.Lock()
		core.outbox[2].instance = "another"
		core.mu.Unlock()
		if begin(stolen) {
			t.Error("Begin of a command that is another generation's: got granted")
		}
		// The plugin's result for a command whose Begin was refused must change nothing.
		p.event(a, result(stolen, pluginv1.Outcome_OUTCOME_FAILED))
		if got := p.ack().GetStatus(); got != pluginv1.AckStatus_ACK_STATUS_COMMITTED {
			t.Errorf("result after a refused Begin: got %s", got)
		}
		if core.settled(stolen) {
			t.Error("result after a refused Begin reached the core")
		}
		s.Cut()
		gotBegun, gotUnbegun := s.Unsettled(t.Context())
		if !slices.Equal(gotBegun, [][16]byte{begun}) || !slices.Equal(gotUnbegun, [][16]byte{unbegun}) {
			t.Errorf("unsettled: got begun %x, unbegun %x, want %x, %x", gotBegun, gotUnbegun, begun, unbegun)
		}
		if s.Port().Offer(outbound(a)) {
			t.Error("offer to a lost session: got taken")
		}
	})
}

// If a result could not be stored, its command must stay under way; if a result is being stored
// when the session is lost, the host must wait for it.
func TestSessionResultStored(t *testing.T) {
	a := newAccount()
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		core.PluginReady("test", "test.1", s.Port())
		first, second := core.send(a, "1"), core.send(a, "2")
		for n := 0; n < 2; {
			n += len(p.next().GetCommands().GetCommands())
		}
		core.mu.Lock()
		core.refuse = func(in plugin.Inbound) *plugin.Ack { return &plugin.Ack{Status: plugin.Retry} }
		core.mu.Unlock()
		p.event(a, result(first, pluginv1.Outcome_OUTCOME_SENT))
		if got := p.ack().GetStatus(); got != pluginv1.AckStatus_ACK_STATUS_RETRY {
			t.Errorf("result while nothing can be stored: got %s, want RETRY", got)
		}
		core.mu.Lock()
		core.refuse, core.hold = nil, make(chan struct{})
		core.mu.Unlock()
		p.event(a, result(second, pluginv1.Outcome_OUTCOME_SENT))
		synctest.Wait()
		s.Cut()
		time.AfterFunc(time.Second, func() { close(core.hold) })
		begun, unbegun := s.Unsettled(t.Context())
		if len(begun) != 0 || !slices.Equal(unbegun, [][16]byte{first}) {
			t.Errorf("unsettled: got %x, %x, want only %x", begun, unbegun, first)
		}
	})
}

// Commands of a kind that a plugin did not declare must not be sent to it.
func TestSessionUndeclared(t *testing.T) {
	a := newAccount()
	process := plugin.Outbound{Command: uuid.New(), Account: a, Process: []byte("x")}
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		if !s.Port().Offer(process) {
			t.Fatal("process command was refused")
		}
		p.none()
		if got := core.results[process.Command]; len(got) != 1 || got[0].Code != "unsupported" {
			t.Errorf("process command without the ability: got %+v, want failed, unsupported", got)
		}
	})
	able := &pluginv1.DescribeResponse{Id: "test", Abilities: []string{contract.AbilityProcess}}
	inSession(t, able, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		s.Port().Offer(process)
		if got := p.next().GetCommands().GetCommands(); len(got) != 1 || string(got[0].GetProcess().GetOpaque()) != "x" {
			t.Errorf("process command: got %v", got)
		}
	})
}

// The third unanswered ping must end the session 1.15 s after the last pong.
func TestSessionPing(t *testing.T) {
	inSession(t, &pluginv1.DescribeResponse{Id: "test", Name: "silent"}, nil, func(t *testing.T, _ *fakeCore, s *pluginhost.TestSession, _ *peer) {
		start := time.Now()
		<-s.Done()
		if took := time.Since(start); took != 1150*time.Millisecond || !errors.Is(s.Cause(), pluginhost.ErrUnresponsive) {
			t.Errorf("silent plugin: got %v after %v, want unresponsive after 1.15 s", s.Cause(), took)
		}
	})
	inSession(t, plain, nil, func(t *testing.T, _ *fakeCore, s *pluginhost.TestSession, _ *peer) {
		select {
		case <-s.Done():
			t.Errorf("healthy session ended: %v", s.Cause())
		case <-time.After(time.Hour):
		}
	})
}

// Events beyond the window must end the session; results and receipts are not counted in it.
func TestSessionEventWindow(t *testing.T) {
	a := newAccount()
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		core.hold = make(chan struct{})
		for i := range contract.EventWindow {
			p.event(a, message("x", fmt.Sprint(i)))
		}
		for range 1000 {
			p.event(a, func(e *pluginv1.Event) {
				e.Kind = &pluginv1.Event_Status{Status: &pluginv1.DeliveryStatus{ProviderId: "p", Status: pluginv1.MessageStatus_MESSAGE_STATUS_READ}}
			})
		}
		p.none()
		if err := s.Cause(); err != nil {
			t.Fatalf("full window: session ended with %v", err)
		}
		p.event(a, message("x", "one more"))
		<-s.Done()
		if !errors.Is(s.Cause(), pluginhost.ErrProtocol) {
			t.Errorf("one event too many: got %v, want a violation of the contract", s.Cause())
		}
		close(core.hold)
	})
}

// A session that both sides end must not count as a crash, and everything queued must arrive.
func TestSessionEnd(t *testing.T) {
	a := newAccount()
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		for i := range 200 {
			p.event(a, message("x", fmt.Sprint(i)))
		}
		synctest.Wait()
		s.End(t.Context())
		if err := s.Cause(); err != nil {
			t.Errorf("cause: got %v, want none", err)
		}
		<-p.end
		acks := 0
		for len(p.frames) > 0 {
			acks += len((<-p.frames).GetEventAcks().GetAcks())
		}
		if acks != 200 {
			t.Errorf("acks before the end: got %d, want 200", acks)
		}
	})
}

// Pings say for how long accounts for one node may be served.
func TestPingBoundsServing(t *testing.T) {
	for _, d := range []struct {
		name  string
		minor uint32
		want  uint32
	}{{"leased", 1, 7000}, {"leased", 0, 0}, {"free", 1, 0}} {
		inSession(t, &pluginv1.DescribeResponse{Id: "test", Name: d.name, Minor: d.minor}, nil, func(t *testing.T, _ *fakeCore, _ *pluginhost.TestSession, p *peer) {
			time.Sleep(time.Second)
			synctest.Wait()
			if ms := p.serve.Load(); ms != d.want {
				t.Errorf("%s, minor %d: serve_ms %d, want %d", d.name, d.minor, ms, d.want)
			}
		})
	}
}

// Of an account that another node may be serving, a session takes only what is pinned here, and says
// when it takes the rest again.
func TestAccountIsOff(t *testing.T) {
	d := &pluginv1.DescribeResponse{
		Id: "test", Abilities: []string{contract.AbilityTyping}, Minor: 1,
		Calls: &pluginv1.CallInfo{Commands: []string{"hang_up"}},
	}
	mine, other := newAccount(), newAccount()
	inSession(t, d, []conversation.AccountID{mine, other}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		s.SetOff(mine)
		rooms := func() int {
			synctest.Wait()
			core.mu.Lock()
			defer core.mu.Unlock()
			return core.rooms
		}
		typing, hangUp := outbound(mine), outbound(mine)
		typing.Send, typing.Typing = nil, &plugin.TypingCommand{On: true}
		hangUp.Send, hangUp.Call = nil, &plugin.CallCommand{Session: conversation.NewID[conversation.SessionID](), HangUp: &plugin.CallHangUp{Leg: conversation.NewID[conversation.LegID]()}}
		if s.Port().Offer(typing) || s.Port().Offer(hangUp) {
			t.Error("took what is not pinned")
		}
		hangUp.Pinned = true
		if !s.Port().Offer(hangUp) || p.next().GetCommands().GetCommands()[0].GetCall() == nil {
			t.Error("did not take what is pinned")
		}
		text := outbound(mine)
		if s.Port().Offer(text) {
			t.Error("took a message")
		}
		if !s.Port().Offer(outbound(other)) {
			t.Error("refused a message of another account")
		}
		p.next()
		before := rooms()
		s.SetOff()
		if n := rooms(); n != before+1 {
			t.Errorf("room was told of %d times, want once", n-before)
		}
		if !s.Port().Offer(text) || !s.Port().Offer(typing) {
			t.Error("refused although the account is on")
		}
		p.next()
	})
}
