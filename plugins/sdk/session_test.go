package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

// rig is a Server over bufconn to which a test sends the messages of the contract.
type rig struct {
	srv    *sdk.Server
	conn   *grpc.ClientConn
	client pluginv1.PluginServiceClient
	host   sdk.Host
	close  func()
}

// tester is what rapid.T and testing.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newRig(tb tester, a sdk.Abilities) *rig {
	tb.Helper()
	r := &rig{}
	if a.Describer == nil {
		a.Describer = sdk.DescribeFunc(func(context.Context) (sdk.Manifest, error) {
			return sdk.Manifest{ID: "rig", Delivery: sdk.StoreAndForward}, nil
		})
	}
	if a.Configurer == nil {
		a.Configurer = sdk.ConfigureFunc(func(context.Context, *sdk.Config) error { return nil })
	}
	if a.Sender == nil {
		a.Sender = sdk.SendFunc(func(context.Context, *sdk.SendCommand) sdk.Result { return sdk.Sent() })
	}
	a.Attacher = sdk.AttachFunc(func(_ context.Context, h sdk.Host) error {
		r.host = h
		return nil
	})
	r.srv = sdk.NewServer(a, slog.New(slog.DiscardHandler))
	listener := bufconn.Listen(1 << 20)
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.MaxSendMsgSize(contract.MaxMessageSize),
		grpc.ForceServerCodecV2(contract.NewCodec(nil)))
	r.srv.Register(rpc)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = rpc.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(contract.MaxMessageSize), grpc.ForceCodecV2(contract.NewCodec(nil))))
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	r.conn, r.client = conn, pluginv1.NewPluginServiceClient(conn)
	r.close = func() {
		r.srv.Close()
		_ = conn.Close()
		rpc.Stop()
		<-served
	}
	return r
}

// configure configures the plugin, so that it accepts a Session.
func (r *rig) configure(tb tester) {
	tb.Helper()
	if _, err := r.client.Configure(context.Background(), &pluginv1.ConfigureRequest{}); err != nil {
		tb.Fatalf("configure: %v", err)
	}
}

func (r *rig) open(tb tester, window uint32, policy wirehost.Policy) *wirehost.Session {
	tb.Helper()
	hello := wirehost.Hello()
	if window > 0 {
		hello.EventWindow = window
	}
	ses, err := wirehost.Open(context.Background(), r.conn, hello, policy)
	if err != nil {
		tb.Fatalf("session: %v", err)
	}
	wait(tb, ses, "hello", func(it wirehost.Item) bool { return it.Hello != nil })
	return ses
}

func start(t *testing.T, a sdk.Abilities) *rig {
	t.Helper()
	r := newRig(t, a)
	t.Cleanup(r.close)
	r.configure(t)
	return r
}

func wait(tb tester, ses *wirehost.Session, what string, match func(wirehost.Item) bool) wirehost.Item {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	it, err := ses.Wait(ctx, match)
	if err != nil {
		tb.Fatalf("wait for %s: %v", what, err)
	}
	return it
}

// pong sends a ping and waits for its pong: everything sent before has been handled then.
func pong(tb tester, ses *wirehost.Session, id uint64) {
	tb.Helper()
	if err := ses.Ping(id); err != nil {
		tb.Fatalf("ping: %v", err)
	}
	wait(tb, ses, "pong", func(it wirehost.Item) bool { return it.Pong != nil && it.Pong.GetId() == id })
}

func event(thread, key string) sdk.Event {
	return sdk.Event{Account: "a", Thread: sdk.ThreadID(thread), DedupeKey: key, Body: sdk.Message{Parts: []sdk.Part{sdk.Text{Text: "x"}}}}
}

func mute(*pluginv1.Event) *pluginv1.EventAck { return nil }

func countEvents(ses *wirehost.Session) int {
	n := 0
	for _, it := range ses.Items() {
		if it.Event != nil {
			n++
		}
	}
	return n
}

func TestSessionNeedsConfiguration(t *testing.T) {
	r := newRig(t, sdk.Abilities{})
	t.Cleanup(r.close)
	ses, err := wirehost.Open(t.Context(), r.conn, nil, wirehost.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	<-ses.Done()
	if status.Code(ses.Err()) != codes.FailedPrecondition {
		t.Errorf("session before Configure: got %v, want FailedPrecondition", ses.Err())
	}
}

func TestNewerSessionReplaces(t *testing.T) {
	r := start(t, sdk.Abilities{})
	old := r.open(t, 0, wirehost.Policy{})
	fresh := r.open(t, 0, wirehost.Policy{})
	<-old.Done()
	if status.Code(old.Err()) != codes.Aborted {
		t.Errorf("the older session ended with %v, want Aborted", old.Err())
	}
	pong(t, fresh, 1)
	if r.host.Instance() != "instance-1" || r.host.Node() != "node-1" {
		t.Errorf("instance %q, node %q", r.host.Instance(), r.host.Node())
	}
}

func TestWindow(t *testing.T) {
	r := start(t, sdk.Abilities{})
	ses := r.open(t, 3, wirehost.Policy{Ack: mute})
	acks := make(chan error, 100)
	for i := range 10 {
		if err := r.host.EmitAsync(event("t", fmt.Sprint(i)), func(_ sdk.Ack, err error) { acks <- err }); err != nil {
			t.Fatal(err)
		}
	}
	// Receipts and results need no credit, so they are sent at once.
	receipt := sdk.Event{Account: "a", Thread: "t", Body: sdk.Receipt{Conversation: "c", ReadSeq: 1}}
	if err := r.host.EmitAsync(receipt, func(_ sdk.Ack, err error) { acks <- err }); err != nil {
		t.Fatal(err)
	}
	wait(t, ses, "the receipt", func(it wirehost.Item) bool { return it.Event.GetReceipt() != nil })
	pong(t, ses, 1)
	if n := countEvents(ses); n != 4 {
		t.Errorf("%d events came through a window of 3 and one receipt, want 4", n)
	}
	for i := range uint64(11) {
		seq := i + 1
		wait(t, ses, fmt.Sprintf("event %d", seq), func(it wirehost.Item) bool { return it.Event.GetSeq() == seq })
		ack := &pluginv1.EventAck{Seq: seq, Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED}
		if err := ses.Acks(ack, ack); err != nil { // the second acknowledgement of an event is ignored
			t.Fatal(err)
		}
		if err := <-acks; err != nil {
			t.Errorf("event %d: %v", seq, err)
		}
	}
}

func TestCallbackPanicCostsNoOther(t *testing.T) {
	r := start(t, sdk.Abilities{})
	ses := r.open(t, 0, wirehost.Policy{Ack: mute})
	acked := make(chan int, 10)
	for i := range 5 {
		if err := r.host.EmitAsync(event("t", fmt.Sprint(i)), func(sdk.Ack, error) {
			acked <- i
			if i == 2 {
				panic("in a callback")
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, ses, "the last event", func(it wirehost.Item) bool { return it.Event.GetSeq() == 5 })
	var acks []*pluginv1.EventAck
	for i := range uint64(5) {
		acks = append(acks, &pluginv1.EventAck{Seq: i + 1, Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED})
	}
	if err := ses.Acks(acks...); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if got := <-acked; got != i {
			t.Errorf("callback %d ran where %d was due", got, i)
		}
	}
	pong(t, ses, 1)
}

func TestByteWindow(t *testing.T) {
	r := start(t, sdk.Abilities{})
	hello := wirehost.Hello()
	hello.EventWindowBytes = 1000
	ses, err := wirehost.Open(t.Context(), r.conn, hello, wirehost.Policy{Ack: mute})
	if err != nil {
		t.Fatal(err)
	}
	big := event("t", "1")
	big.Body = sdk.Message{Parts: []sdk.Part{sdk.Text{Text: strings.Repeat("x", 5000)}}}
	for range 2 {
		if err := r.host.EmitAsync(big, func(sdk.Ack, error) {}); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, ses, "an event larger than the window", func(it wirehost.Item) bool { return it.Event != nil })
	pong(t, ses, 1)
	if n := countEvents(ses); n != 1 {
		t.Errorf("%d events in a window that one fills, want 1", n)
	}
}

func TestOverloadAndStop(t *testing.T) {
	r := start(t, sdk.Abilities{})
	r.open(t, 0, wirehost.Policy{Ack: mute})
	stopped := make(chan error, 10_000)
	var err error
	taken := 0
	for ; err == nil; taken++ {
		err = r.host.EmitAsync(event("t", fmt.Sprint(taken)), func(_ sdk.Ack, err error) { stopped <- err })
	}
	taken--
	if !errors.Is(err, sdk.ErrOverload) || taken != 4*contract.EventWindow {
		t.Errorf("after %d events: %v, want ErrOverload after %d", taken, err, 4*contract.EventWindow)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.host.Emit(ctx, event("t", "late")); !errors.Is(err, context.Canceled) {
		t.Errorf("emit with an ended context: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := r.host.Emit(context.Background(), event("t", "waits"))
		waiting <- err
	}()
	r.srv.Close()
	for range taken {
		if err := <-stopped; !errors.Is(err, sdk.ErrStopped) {
			t.Fatalf("event at the stop: %v, want ErrStopped", err)
		}
	}
	if err := <-waiting; !errors.Is(err, sdk.ErrStopped) {
		t.Errorf("waiting Emit at the stop: %v, want ErrStopped", err)
	}
	if err := r.host.EmitAsync(event("t", "after"), func(sdk.Ack, error) {}); !errors.Is(err, sdk.ErrStopped) {
		t.Errorf("emit after the stop: %v, want ErrStopped", err)
	}
}

// TestEveryEventOnce: whatever the host answers and whichever answers are lost, every event is in
// the log once, in the order of its thread, and every callback has run once.
func TestEveryEventOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, sdk.Abilities{})
		defer r.close()
		r.configure(t)
		var ledger memgateway.Ledger
		var mu sync.Mutex
		silent := false // the host commits events, but its answers are lost
		policy := wirehost.Policy{Ack: func(ev *pluginv1.Event) *pluginv1.EventAck {
			ack := ledger.Commit(ev)
			mu.Lock()
			defer mu.Unlock()
			if silent {
				return nil
			}
			return ack
		}}
		window := rapid.Uint32Range(1, 16).Draw(t, "window")
		ses := r.open(t, window, policy)
		emitted := 0
		answers := make(chan int, 10_000)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"emit", "emit", "emit", "lose", "cut"}).Draw(t, "step") {
			case "emit":
				for range rapid.IntRange(1, 40).Draw(t, "events") {
					n := emitted
					emitted++
					err := r.host.EmitAsync(event(fmt.Sprint(n%3), fmt.Sprintf("%06d", n)), func(_ sdk.Ack, err error) {
						if err == nil {
							answers <- n
						}
					})
					if err != nil {
						t.Fatalf("emit %d: %v", n, err)
					}
				}
			case "lose":
				mu.Lock()
				silent = true
				mu.Unlock()
			case "cut":
				ses.Cut()
				mu.Lock()
				silent = false
				mu.Unlock()
				ses = r.open(t, window, policy)
			}
		}
		mu.Lock()
		silent = false
		mu.Unlock()
		ses.Cut()
		ses = r.open(t, window, policy)
		answered := map[int]bool{}
		for range emitted {
			select {
			case n := <-answers:
				if answered[n] {
					t.Fatalf("event %d was answered twice", n)
				}
				answered[n] = true
			case <-time.After(10 * time.Second):
				t.Fatalf("%d of %d events were answered", len(answered), emitted)
			}
		}
		last := map[string]string{}
		for _, ev := range ledger.Events() {
			if ev.GetDedupeKey() <= last[ev.GetThread()] {
				t.Fatalf("thread %s: %s after %s", ev.GetThread(), ev.GetDedupeKey(), last[ev.GetThread()])
			}
			last[ev.GetThread()] = ev.GetDedupeKey()
		}
		if n := len(ledger.Events()); n != emitted {
			t.Fatalf("%d events in the log, %d were emitted", n, emitted)
		}
		if _, _, most := ses.Load(); most > int(window) {
			t.Fatalf("%d unacknowledged in a window of %d", most, window)
		}
		ses.Cut()
	})
}
