package sdk_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// hop is a plugin over a real unix socket with the smallest possible host, both in this process:
// the benchmarks measure the CPU time of both sides.
func hop(b *testing.B, send func(context.Context, *sdk.SendCommand) sdk.Result) (sdk.Host, *wirehost.Session) {
	b.Helper()
	var host sdk.Host
	srv := sdk.NewServer(sdk.Abilities{
		Describer: sdk.DescribeFunc(func(context.Context) (sdk.Manifest, error) {
			return sdk.Manifest{ID: "bench", Delivery: sdk.StoreAndForward, IdempotentSend: true}, nil
		}),
		Configurer: sdk.ConfigureFunc(func(context.Context, *sdk.Config) error { return nil }),
		Sender:     sdk.SendFunc(send),
		Attacher: sdk.AttachFunc(func(_ context.Context, h sdk.Host) error {
			host = h
			return nil
		}),
	}, slog.New(slog.DiscardHandler))
	dir, err := os.MkdirTemp("", "b")
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ln, err := (&net.ListenConfig{}).Listen(b.Context(), "unix", path)
	if err != nil {
		b.Fatal(err)
	}
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize))
	srv.Register(rpc)
	go func() { _ = rpc.Serve(ln) }()
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		srv.Close()
		_ = conn.Close()
		rpc.Stop()
		_ = os.RemoveAll(dir)
	})
	if _, err := pluginv1.NewPluginServiceClient(conn).Configure(b.Context(), &pluginv1.ConfigureRequest{}); err != nil {
		b.Fatal(err)
	}
	ses, err := wirehost.Open(b.Context(), conn, nil, wirehost.Policy{
		Forget: true,
		Ack: func(*pluginv1.Event) *pluginv1.EventAck {
			return &pluginv1.EventAck{
				Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED, LogSeq: 1,
				ConversationId: "0190c1c0-0000-7000-8000-000000000001",
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(ses.Cut)
	return host, ses
}

func inbound(i int) sdk.Event {
	return sdk.Event{
		Account: "0190c1c0-0000-7000-8000-00000000000a", Thread: sdk.ThreadID(fmt.Sprintf("web:visitor-%d", i%200)),
		DedupeKey: fmt.Sprintf("key-%d", i), ReceivedTime: time.Now(),
		Body: sdk.Message{
			ClientID: "client-1", From: sdk.Address{Address: "web:visitor", Name: "Visitor"},
			Parts: []sdk.Part{sdk.Text{Text: "Good morning, I have a question about my last invoice, which I do not understand at all."}},
		},
	}
}

// cpu is the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
}

// BenchmarkEmitAsync measures events under load: the event goes to the host, its acknowledgement
// back, and up to 256 are under way.
func BenchmarkEmitAsync(b *testing.B) {
	host, _ := hop(b, nil)
	room := make(chan struct{}, 256)
	var all sync.WaitGroup
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	for i := range b.N {
		room <- struct{}{}
		all.Add(1)
		err := host.EmitAsync(inbound(i), func(sdk.Ack, error) {
			<-room
			all.Done()
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	all.Wait()
	report(b, before)
}

// BenchmarkEmit measures events in 64 goroutines, each of which waits for its acknowledgements.
func BenchmarkEmit(b *testing.B) {
	host, _ := hop(b, nil)
	b.ReportAllocs()
	before := cpu(b)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := host.Emit(b.Context(), inbound(i)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	report(b, before)
}

// BenchmarkCommand measures commands and their Results, up to 256 under way.
func BenchmarkCommand(b *testing.B) {
	var all sync.WaitGroup
	room := make(chan struct{}, 256)
	_, ses := hop(b, func(context.Context, *sdk.SendCommand) sdk.Result {
		<-room
		all.Done()
		return sdk.Sent("provider-id")
	})
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	for i := 0; i < b.N; {
		var cmds []*pluginv1.Command
		for ; i < b.N && len(cmds) < contract.AccountWindow; i++ {
			room <- struct{}{}
			all.Add(1)
			cmds = append(cmds, &pluginv1.Command{
				CommandId: fmt.Sprintf("command-%d", i), Account: "a", Thread: fmt.Sprint(i % 200),
				Kind: &pluginv1.Command_Send{Send: &pluginv1.Send{
					To: "+15005550006", Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: "Thank you."}}}},
				}},
			})
			if len(room) > 224 {
				i++
				break
			}
		}
		if err := ses.Command(cmds...); err != nil {
			b.Fatal(err)
		}
	}
	all.Wait()
	report(b, before)
}
