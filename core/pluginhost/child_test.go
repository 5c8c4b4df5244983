package pluginhost_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// TestMain makes the test binary a plugin when it is called with a plugin's arguments.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "plugin" {
		os.Exit(runChild(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "host" {
		os.Exit(runHostProcess(os.Args[2:], nil))
	}
	if len(os.Args) > 2 && os.Args[1] == "guarded-host" {
		os.Exit(runHostProcess(os.Args[2:], guardCommand()))
	}
	if len(os.Args) == 6 && os.Args[1] == "leased-host" {
		os.Exit(runLeasedHost(os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
	}
	if len(os.Args) == 2 && os.Args[1] == "replaced" {
		runReplaced()
	}
	if len(os.Args) == 3 && os.Args[1] == "guard" {
		pluginhost.Guard(os.Args[2])
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is a plugin without any SDK: it does what the contract asks and no more. Its modes make it
// misbehave at its start; texts of messages and bodies of hooks make it misbehave later.
type child struct {
	pluginv1.UnimplementedPluginServiceServer
	pluginv1.UnimplementedToolServiceServer
	name  string
	modes map[string]bool

	ended    chan struct{} // closed when a session of the tool has ended, for Drain
	endOnce  sync.Once
	mu       sync.Mutex
	accounts []*pluginv1.Account
	ledger   string // file to which each call of the provider is written
	acks     atomic.Int64
	retries  atomic.Int64
}

func runChild(name string, modes []string) int {
	c := &child{name: name, modes: map[string]bool{}, ended: make(chan struct{})}
	for _, m := range modes {
		c.modes[m] = true
	}
	switch {
	case c.modes["exit64"]:
		return contract.ExitConfig
	case c.modes["exit65"]:
		return contract.ExitVersion
	case c.modes["die"]:
		panic("dies at start")
	case c.modes["mute"]:
		waitForEnd()
		return 0
	case c.modes["proxy"]:
		// The socket then belongs to another process, a child of this one.
		cmd := exec.Command("/proc/self/exe", "plugin", name)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if cmd.Run() != nil {
			return 1
		}
		return 0
	case c.modes["die-once"]:
		if f, err := os.OpenFile(c.marker(), os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			return 3
		}
	}
	if os.Getenv(contract.MagicCookieKey) != contract.MagicCookieValue {
		return 9
	}
	if c.modes["chatty"] {
		fmt.Println("hello, this comes before the handshake")
	}
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	if c.modes["elsewhere"] {
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "plugin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.MaxSendMsgSize(64<<20),
		grpc.ForceServerCodecV2(sloppy{encoding.GetCodecV2("proto")}))
	pluginv1.RegisterPluginServiceServer(server, c)
	pluginv1.RegisterToolServiceServer(server, c)
	go func() { _ = server.Serve(l) }()
	fmt.Printf("1|%d|unix|%s|grpc\n", contract.ProtocolVersion, path)
	if c.modes["long-line"] {
		fmt.Println(strings.Repeat("x", 70<<10))
		fmt.Println("still alive after the long line")
	}
	for _, m := range modes {
		if addr, ok := strings.CutPrefix(m, "bind="); ok {
			if err := bindPorts(addr, c.modes["heir"], c.modes["hidden"]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	if c.modes["grandchild"] {
		cmd := exec.Command("/bin/sleep", "30")
		if c.modes["own-group"] {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return 1
		}
		fmt.Fprintf(os.Stderr, `{"level":"INFO","msg":"grandchild","pid":%d}`+"\n", cmd.Process.Pid)
	}
	if c.modes["ignore-lifeline"] {
		signal.Ignore(syscall.SIGTERM)
		select {}
	}
	waitForEnd()
	server.Stop()
	return 0
}

// bindPorts takes a TCP and a UDP port for the life of the process, as a plugin for calls does, and
// keeps incoming connections open.
// With heir, a child of this process inherits the TCP port too; with hidden, this child does not
// have the plugin's socket directory in its environment.
func bindPorts(addr string, heir, hidden bool) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if heir {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		cmd := exec.Command("/bin/sleep", "120")
		cmd.ExtraFiles = []*os.File{f}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if hidden {
			cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PLUGIN_UNIX_SOCKET_DIR=") })
		}
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	if _, err := net.ListenPacket("udp", addr); err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello\n"))
		}
	}()
	return nil
}

// runReplaced is a process that starts another one every 20 ms and exits.
func runReplaced() {
	time.Sleep(20 * time.Millisecond)
	next := exec.Command("/proc/self/exe", "replaced")
	next.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if next.Start() != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// sloppy is the codec of a plugin in a language whose library does not check strings: two at signs
// in a string are sent as bytes that are not UTF-8.
type sloppy struct{ encoding.CodecV2 }

func (s sloppy) Marshal(v any) (mem.BufferSlice, error) {
	data, err := s.CodecV2.Marshal(v)
	if err != nil {
		return nil, err
	}
	wire := data.Materialize()
	data.Free()
	return mem.BufferSlice{mem.SliceBuffer(bytes.ReplaceAll(wire, []byte("@@"), []byte("\xe9\xff")))}, nil
}

// marker is the path of a file, beside the plugin's directory, that outlives the process.
func (c *child) marker() string {
	return filepath.Join(filepath.Dir(os.Getenv("PLUGIN_UNIX_SOCKET_DIR")), "marker-"+c.name)
}

func waitForEnd() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	select {
	case <-end:
	case <-gone:
	}
}

func (c *child) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	if c.modes["slow-describe"] {
		time.Sleep(time.Minute)
	}
	d := &pluginv1.DescribeResponse{
		Id: c.name, Name: "Test channel", Version: "1.0", Delivery: pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD,
		Capabilities:   &pluginv1.Capabilities{Text: true, Files: true},
		Hook:           &pluginv1.HookInfo{BudgetMs: 8000, MaxBody: 64 << 10},
		Routes:         []*pluginv1.Route{{Path: "ws", Access: pluginv1.Access_ACCESS_PUBLIC, Upgrade: true}},
		Abilities:      []string{contract.AbilityProcess, contract.AbilitySignals, contract.AbilityMetrics},
		Exclusive:      c.modes["exclusive"],
		SettingsSchema: `{"type":"object","properties":{"ledger":{"type":"string"},"limit":{"type":"integer"}}}`,
		AccountSchema:  `{"type":"object","properties":{"token":{"type":"string","x-secret":true},"number":{"type":"string"}},"required":["number"],"additionalProperties":false}`,
	}
	if c.modes["no-routes"] {
		d.Routes = nil
	}
	if c.modes["tool"] {
		c.describeTool(d)
	}
	if c.modes["one"] || c.modes["one-late"] {
		d.Minor = 1
	}
	d.SingleNode = c.modes["one0"]
	if c.modes["minor0-tool"] {
		d.Tool = &pluginv1.ToolInfo{}
	}
	if c.modes["v2"] {
		d.Version = "2.0"
	}
	if c.modes["wrong-id"] {
		d.Id = "somebody"
	}
	return d, nil
}

func (c *child) Configure(_ context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	resp := &pluginv1.ConfigureResponse{}
	for _, a := range r.GetAccounts() {
		if strings.Contains(a.GetSettings(), "token") {
			resp.Problems = append(resp.Problems, &pluginv1.ConfigProblem{Account: a.GetId(), Code: "leak", Text: "secret in settings"})
		}
		for _, s := range a.GetSecrets() {
			if s.GetName() == "token" && s.GetValue() == "wrong" {
				resp.Problems = append(resp.Problems, &pluginv1.ConfigProblem{Account: a.GetId(), Path: "/token", Code: "unauthorized", Text: "the vendor refuses it"})
			}
		}
	}
	if strings.Contains(r.GetSettings(), `"limit":13`) {
		resp.Restart = true
	}
	resp.Accounts = append(traitsOf(r), c.placementsOf(r)...)
	if err := c.journal(r); err != nil {
		return nil, err
	}
	if r.GetValidateOnly() {
		return resp, nil
	}
	if strings.Contains(r.GetSettings(), `"limit":99`) {
		if f, err := os.OpenFile(c.marker(), os.O_CREATE|os.O_EXCL, 0o600); err == nil { // only the first generation freezes; the next one accepts the setting
			_ = f.Close()
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accounts = r.GetAccounts()
	if i := strings.Index(r.GetSettings(), `"ledger":"`); i >= 0 {
		c.ledger, _, _ = strings.Cut(r.GetSettings()[i+len(`"ledger":"`):], `"`)
	}
	return resp, nil
}

func (c *child) Drain(ctx context.Context, _ *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	if c.modes["holds"] {
		select {
		case <-c.ended:
		case <-ctx.Done():
		}
	}
	return &pluginv1.DrainResponse{}, nil
}

func (c *child) Metrics(context.Context, *pluginv1.MetricsRequest) (*pluginv1.MetricsResponse, error) {
	switch {
	case c.modes["bad-metrics"]:
		return &pluginv1.MetricsResponse{Text: []byte("this is {{{ no metric\n")}, nil
	case c.modes["slow-metrics"]:
		time.Sleep(10 * time.Second)
	case c.modes["many-metrics"]:
		var b strings.Builder
		b.WriteString("# TYPE x gauge\n")
		for i := range 5000 {
			fmt.Fprintf(&b, "x{i=\"%d\"} 1\n", i)
		}
		return &pluginv1.MetricsResponse{Text: []byte(b.String())}, nil
	}
	return &pluginv1.MetricsResponse{Text: []byte("# TYPE visitors gauge\nvisitors{plugin=\"liar\",site=\"a\"} 7\n")}, nil
}

func (c *child) Session(stream pluginv1.PluginService_SessionServer) error {
	s := &childSession{child: c, stream: stream, begun: map[string]*pluginv1.Command{}}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.receive(frame); err != nil {
			return err
		}
	}
}

type childSession struct {
	*child
	mu     sync.Mutex
	stream pluginv1.PluginService_SessionServer
	seq    uint64
	begun  map[string]*pluginv1.Command
	pump   *eventPump
}

// eventPump sends messages as fast as the window allows, as a busy channel does.
type eventPump struct {
	account string
	left    int
	credit  int
}

// pumpEvents sends as many events as the credit allows, in frames of at most 64.
func (s *childSession) pumpEvents() error {
	p := s.pump
	for p.left > 0 && p.credit >= min(p.left, 16) {
		list := make([]*pluginv1.Event, min(p.left, p.credit, contract.MaxFrameItems))
		for i := range list {
			s.seq++
			list[i] = &pluginv1.Event{
				Seq: s.seq, Account: p.account, Thread: "+4930123456", DedupeKey: strconv.FormatUint(s.seq, 10), ReceivedTime: time.Now().UnixMicro(),
				Kind: &pluginv1.Event_Message{Message: textMessage("a message of about the usual length of a text, some hundred and twenty characters, as people write them on their phones")},
			}
		}
		p.left -= len(list)
		p.credit -= len(list)
		if err := s.send(eventsFrame(list...)); err != nil {
			return err
		}
	}
	return nil
}

func (s *childSession) send(f *pluginv1.PluginFrame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(f)
}

func (s *childSession) receive(frame *pluginv1.HostFrame) error {
	switch f := frame.GetFrame().(type) {
	case *pluginv1.HostFrame_Hello:
		if s.modes["no-hello"] {
			return s.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Pong{Pong: &pluginv1.Pong{Id: 1}}})
		}
		return s.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Hello{Hello: &pluginv1.PluginHello{}}})
	case *pluginv1.HostFrame_Ping:
		if s.modes["deaf"] {
			return nil
		}
		return s.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Pong{Pong: &pluginv1.Pong{Id: f.Ping.GetId()}}})
	case *pluginv1.HostFrame_Commands:
		for _, cmd := range f.Commands.GetCommands() {
			if err := s.command(cmd); err != nil {
				return err
			}
		}
	case *pluginv1.HostFrame_BeginAck:
		cmd := s.begun[f.BeginAck.GetCommandId()]
		delete(s.begun, f.BeginAck.GetCommandId())
		if f.BeginAck.GetRefused() || cmd == nil {
			return nil
		}
		return s.deliver(cmd)
	case *pluginv1.HostFrame_Hooks:
		for _, h := range f.Hooks.GetHooks() {
			if err := s.hook(h); err != nil {
				return err
			}
		}
	case *pluginv1.HostFrame_EventAcks:
		for _, a := range f.EventAcks.GetAcks() {
			s.acks.Add(1)
			if a.GetStatus() == pluginv1.AckStatus_ACK_STATUS_RETRY {
				s.retries.Add(1)
			}
		}
		if s.pump != nil {
			s.pump.credit += len(f.EventAcks.GetAcks())
			return s.pumpEvents()
		}
	}
	return nil
}

func (s *childSession) command(cmd *pluginv1.Command) error {
	text := ""
	if parts := cmd.GetSend().GetParts(); len(parts) > 0 {
		text = parts[0].GetText().GetText()
	}
	verb, arg, _ := strings.Cut(text, " ")
	switch verb {
	case "panic":
		panic("poisoned command")
	case "freeze":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "hang":
		select {}
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "bomb":
		bomb := make([]byte, 5<<30)
		bomb[len(bomb)-1] = 1
	case "swallow":
		return nil // there will never be a result
	case "events":
		n, _ := strconv.Atoi(arg)
		if err := s.events(cmd, n); err != nil {
			return err
		}
	case "pump":
		n, _ := strconv.Atoi(arg)
		s.pump = &eventPump{account: cmd.GetAccount(), left: n, credit: contract.EventWindow}
		return s.pumpEvents()
	case "huge":
		blob := make([]byte, 9<<20)
		_ = s.send(eventsFrame(&pluginv1.Event{Seq: 1, Account: cmd.GetAccount(), Thread: "t", Kind: &pluginv1.Event_Deferred{Deferred: &pluginv1.Deferred{Opaque: blob}}}))
		return nil
	case "stderr-flood":
		for i := range 20000 {
			fmt.Fprintf(os.Stderr, `{"level":"INFO","msg":"line %d"}`+"\n", i)
		}
	case "stdout-flood":
		for range 100 {
			fmt.Println(strings.Repeat("y", 70<<10))
		}
	case "unknown-frame":
		_ = s.send(&pluginv1.PluginFrame{})
	}
	s.begun[cmd.GetCommandId()] = cmd
	return s.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Begin{Begin: &pluginv1.Begin{Seq: cmd.GetSeq(), CommandId: cmd.GetCommandId()}}})
}

// deliver stands for the call of the provider: it writes a line to the ledger.
func (s *childSession) deliver(cmd *pluginv1.Command) error {
	s.child.mu.Lock()
	path := s.ledger
	s.child.mu.Unlock()
	if path != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(f, "%s %v\n", cmd.GetCommandId(), cmd.GetMaybeSent())
		_ = f.Close()
	}
	return s.events(cmd, -1)
}

func eventsFrame(list ...*pluginv1.Event) *pluginv1.PluginFrame {
	return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Events{Events: &pluginv1.Events{Events: list}}}
}

// events sends n messages at once, or, with n < 0, the result of cmd.
func (s *childSession) events(cmd *pluginv1.Command, n int) error {
	var list []*pluginv1.Event
	if n < 0 {
		s.seq++
		list = append(list, &pluginv1.Event{
			Seq: s.seq, Account: cmd.GetAccount(), Thread: cmd.GetThread(),
			Kind: &pluginv1.Event_Result{Result: &pluginv1.Result{
				CommandId: cmd.GetCommandId(), Outcome: pluginv1.Outcome_OUTCOME_SENT, ProviderIds: []string{"p-" + cmd.GetCommandId()},
			}},
		})
	}
	for i := range n {
		s.seq++
		list = append(list, &pluginv1.Event{
			Seq: s.seq, Account: cmd.GetAccount(), Thread: cmd.GetThread(), DedupeKey: fmt.Sprintf("%s-%d", cmd.GetCommandId(), i),
			Kind: &pluginv1.Event_Message{Message: textMessage(fmt.Sprint(i))},
		})
	}
	return s.send(eventsFrame(list...))
}

func textMessage(text string) *pluginv1.Message {
	return &pluginv1.Message{
		From:  &pluginv1.Address{Address: "+4930123456"},
		Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: text}}}},
	}
}

func (s *childSession) hook(h *pluginv1.Hook) error {
	body := string(h.GetBody())
	verb, arg, _ := strings.Cut(body, " ")
	switch verb {
	case "poison":
		panic("poisoned hook")
	case "panic-once":
		if f, err := os.OpenFile(filepath.Join(filepath.Dir(filepath.Dir(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"))), "once-"+arg), os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			panic("once")
		}
	case "silent":
		return nil
	case "freeze":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	key, answer := body, []byte("taken")
	switch verb {
	case "show": // answer with what was received
		answer = fmt.Append(nil, h.GetUrl(), h.GetHeaders())
	case "text": // the body is only a message's text, and not its dedupe key
		key = "text"
	}
	if s.off(h.GetAccount()) { // as the contract says of accounts that are not enabled
		return s.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_HookResults{HookResults: &pluginv1.HookResults{Results: []*pluginv1.HookResult{
			{Id: h.GetId(), Status: 404, Reason: "disabled"},
		}}}})
	}
	r := &pluginv1.HookResult{Id: h.GetId(), Status: 202, Headers: []*pluginv1.Header{{Name: "X-Echo", Value: h.GetMethod()}}, Body: answer}
	if verb == "reject" {
		r.Status, r.Reason = 403, "signature"
	} else {
		r.Events = []*pluginv1.Event{{Thread: "hook", DedupeKey: key, Kind: &pluginv1.Event_Message{Message: textMessage(body)}}}
	}
	return s.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_HookResults{HookResults: &pluginv1.HookResults{Results: []*pluginv1.HookResult{r}}}})
}
