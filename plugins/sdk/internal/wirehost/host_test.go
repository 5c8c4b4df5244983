package wirehost_test

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/parley-gateway/parley/plugins/contract"
	"github.com/parley-gateway/parley/plugins/contract/hosttest"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

const (
	account  = "0190aaaa-0000-7000-8000-0000000000a1"
	staffed  = "0190aaaa-0000-7000-8000-0000000000a2"
	disabled = "0190aaaa-0000-7000-8000-0000000000a3"
)

// TestHost runs the suite of the hosts of plugins against the double on which sdktest and the kit
// are built.
func TestHost(t *testing.T) {
	hosttest.Run(t, startSuite, pluginv1.Delivery_DELIVERY_CONNECTED, pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD)
}

func startSuite(t *testing.T, p *hosttest.Plugin) *hosttest.Host {
	t.Helper()
	ctx := t.Context()
	conn, err := grpc.NewClient("unix:"+p.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(contract.MaxMessageSize), grpc.ForceCodecV2(contract.NewCodec(nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var ledger memgateway.Ledger
	service := &memgateway.Service{Owns: ledger.Owns}
	req := &pluginv1.ConfigureRequest{
		GatewaySocket: filepath.Join(filepath.Dir(p.Socket), "gw.sock"),
		Accounts:      []*pluginv1.Account{{Id: account, Enabled: true}, {Id: staffed, Enabled: true}, {Id: disabled}},
	}
	serve(t, req.GetGatewaySocket(), service)
	client := pluginv1.NewPluginServiceClient(conn)
	d, err := client.Describe(ctx, &pluginv1.DescribeRequest{HostMinor: contract.Minor})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Configure(ctx, req); err != nil {
		t.Fatal(err)
	}
	ledger.Connected = d.GetDelivery() == pluginv1.Delivery_DELIVERY_CONNECTED
	ledger.Configure(req.GetAccounts())
	var ses *wirehost.Session
	h := &hosttest.Host{
		MinorOne: true,
		Account:  account, Staffed: staffed, Disabled: disabled, Emit: p.Emit, Wire: p,
		Redeem: func(grant string) bool { _, ok := service.Redeem(grant); return ok },
		End: func(tb testing.TB, thread string) {
			tb.Helper()
			if ledger.End(staffed, thread) == nil {
				tb.Fatalf("nothing to end on %s", thread)
			}
		},
	}
	h.Tool = func(tb testing.TB, thread string) string {
		tb.Helper()
		id := uuid.NewString()
		ledger.Session(id, staffed, ledger.Open(staffed, thread).ID, false)
		return id
	}
	h.Bot = func(tb testing.TB, thread string, begin func()) string {
		tb.Helper()
		begin()
		id := ledger.Open(staffed, thread).ID
		ledger.Bot(staffed, id, true)
		return id
	}
	opened := make(chan struct{}) // closed once ses is set
	var serial atomic.Int64
	h.Reply = func(tb testing.TB, thread, text string) {
		tb.Helper()
		err := ses.Command(&pluginv1.Command{
			CommandId: fmt.Sprintf("0190cccc-0000-7000-8000-%012d", serial.Add(1)), Account: staffed, Thread: thread, Conversation: ledger.Open(staffed, thread).ID,
			Kind: &pluginv1.Command_Send{Send: &pluginv1.Send{Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: text}}}}}},
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	policy := wirehost.Policy{Ledger: &ledger, Ack: func(ev *pluginv1.Event) *pluginv1.EventAck {
		ack := ledger.Commit(ev)
		if d := ev.GetDeferred(); d != nil && ack.GetStatus() == pluginv1.AckStatus_ACK_STATUS_COMMITTED {
			<-opened
			if err := ses.Command(&pluginv1.Command{
				CommandId: fmt.Sprintf("0190dddd-0000-7000-8000-%012d", serial.Add(1)), Account: ev.GetAccount(), Thread: ev.GetThread(),
				Kind: &pluginv1.Command_Process{Process: &pluginv1.Process{Opaque: d.GetOpaque()}},
			}); err != nil {
				t.Error(err)
			}
		}
		return ack
	}}
	if ses, err = wirehost.Open(ctx, conn, nil, policy); err != nil {
		t.Fatal(err)
	}
	close(opened)
	t.Cleanup(ses.Cut)
	p.AwaitSession(t)
	h.Gateway = p.Gateway(t)
	return h
}

func serve(t *testing.T, socket string, service pluginv1.GatewayServiceServer) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.ForceServerCodecV2(contract.NewCodec(nil)))
	pluginv1.RegisterGatewayServiceServer(rpc, service)
	var served sync.WaitGroup
	served.Go(func() { _ = rpc.Serve(ln) })
	t.Cleanup(func() {
		rpc.Stop()
		served.Wait()
	})
}
