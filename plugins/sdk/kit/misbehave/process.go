package misbehave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// plugin is the whole plugin. mu guards every field below it.
type plugin struct {
	pluginv1.UnimplementedPluginServiceServer
	tool  tool
	fault Fault
	leak  []byte

	mu         sync.Mutex
	configured int
	accounts   map[string]bool
	standby    bool // an account is on standby
	hasHTTP    bool
	identity   []byte
	threads    map[string]bool
	sessions   int
	stream     grpc.BidiStreamingServer[pluginv1.HostFrame, pluginv1.PluginFrame]
	seq        uint64
	window     int
	used       int
	waiting    []*pluginv1.Event          // events that wait for credit
	unacked    map[string]*pluginv1.Event // unacknowledged events, by identity
	order      []string                   // order of unacked
	bySeq      map[uint64]string
	known      map[string]bool // commands that were accepted
	running    int
	lastSeq    uint64
	begins     map[string]chan bool
	chains     map[string]chan struct{} // closed when a thread's last command has ended
	held       []*pluginv1.HookResult   // kept back by the fault huge-frames
	readers    map[string]uint64        // subscriptions of the bot, by conversation
}

// Serve runs the plugin with a fault ("" = none), and exits the process.
func Serve(f Fault) {
	if err := serve(f); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "plugin failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(f Fault) error {
	if os.Getenv(contract.MagicCookieKey) != contract.MagicCookieValue && f != "ignores-cookie" {
		return errors.New("this is a plugin; the gateway starts it")
	}
	p := &plugin{
		fault: f, threads: map[string]bool{}, unacked: map[string]*pluginv1.Event{}, bySeq: map[uint64]string{},
		known: map[string]bool{}, begins: map[string]chan bool{}, chains: map[string]chan struct{}{},
	}
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	if f == "socket-elsewhere" {
		elsewhere, err := os.MkdirTemp(dir, "elsewhere")
		if err != nil {
			return err
		}
		dir = elsewhere
	}
	path := filepath.Join(dir, "bad.sock")
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.MaxSendMsgSize(contract.MaxMessageSize))
	pluginv1.RegisterPluginServiceServer(server, p)
	if p.fault != "tool-without-service" {
		p.tool.fault, p.tool.memory = f, map[string][]byte{}
		pluginv1.RegisterToolServiceServer(server, &p.tool)
	}
	p.startFault()

	if f == "prints-before-handshake" {
		fmt.Println("Welcome!")
	}
	fmt.Printf("1|%d|unix|%s|grpc\n", contract.ProtocolVersion, path)
	go p.watchStdin()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	if f != "ignores-sigterm" {
		go func() {
			<-term
			os.Exit(0)
		}()
	}
	return server.Serve(ln)
}

func (p *plugin) watchStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	switch p.fault {
	case "ignores-stdin":
		return
	case "exits-with-error":
		os.Exit(3)
	}
	os.Exit(0)
}

// startFault starts those faults that show from the beginning.
func (p *plugin) startFault() {
	switch p.fault {
	case "spins":
		for range runtime.NumCPU() { // one on each core, so that it is noticed on a busy machine, too
			go func() {
				for n := 0; ; n++ {
					runtime.KeepAlive(n)
				}
			}()
		}
	case "leaves-child":
		_ = exec.CommandContext(context.Background(), "/bin/sleep", "30").Start()
	case "leaks-memory":
		p.leak = make([]byte, 100<<20)
		for i := 0; i < len(p.leak); i += 4096 {
			p.leak[i] = 1
		}
	case "dies-of-pause":
		go func() {
			for last := time.Now(); ; last = time.Now() {
				time.Sleep(20 * time.Millisecond)
				if time.Since(last) > 250*time.Millisecond {
					os.Exit(7)
				}
			}
		}()
	}
}
