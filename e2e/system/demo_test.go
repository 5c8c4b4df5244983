package system_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// binary is the executable under test: made once, or given.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "parley-system-")
	if err != nil {
		panic(err)
	}
	examples.dir = dir
	binary = os.Getenv("E2E_BINARY")
	if binary == "" {
		binary = filepath.Join(dir, "parley")
		build := exec.Command("go", "build", "-o", binary, "./cmd/parley")
		build.Dir, build.Stderr = filepath.Join("..", ".."), os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// demo is a running demo with a data folder of its own.
type demo struct {
	t    *testing.T
	data string
	env  []string // besides the environment: of the demo and of commands on its folder
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan error
	once sync.Once
	info struct {
		PublicURL    string `json:"public_url"`
		OpsURL       string `json:"ops_url"`
		CustomerPage string `json:"customer_page"`
		Users        []struct{ Login, Password, Role string }
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startDemo starts the demo in a folder ("" = a new one) and waits for it.
// wrap, when given, is put before the command (strace ...).
func startDemo(t *testing.T, data string, wrap ...string) *demo {
	t.Helper()
	return startDemoWith(t, data, nil, wrap...)
}

// startDemoWith starts it with more in its environment.
func startDemoWith(t *testing.T, data string, env []string, wrap ...string) *demo {
	t.Helper()
	return startBinary(t, binary, data, env, wrap...)
}

// startBinary starts the demo of another build.
func startBinary(t *testing.T, binary, data string, env []string, wrap ...string) *demo {
	t.Helper()
	if data == "" {
		data = t.TempDir()
	}
	d := &demo{t: t, data: data, env: env, log: &lockedBuffer{}, done: make(chan error, 1)}
	args := append(wrap, binary, "demo", "--json", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	d.cmd = exec.Command(args[0], args[1:]...)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stderr = d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make(chan []byte, 1)
	go func() {
		sc := bufio.NewScanner(out)
		if sc.Scan() {
			line <- bytes.Clone(sc.Bytes())
		}
		d.done <- d.cmd.Wait()
	}()
	t.Cleanup(d.stop)
	select {
	case b := <-line:
		if err := json.Unmarshal(b, &d.info); err != nil {
			t.Fatalf("demo's line %q: %v", b, err)
		}
	case err := <-d.done:
		d.done <- err
		t.Fatalf("demo ended: %v\n%s", err, d.log)
	case <-time.After(60 * time.Second):
		t.Fatalf("demo not ready after 60 s\n%s", d.log)
	}
	return d
}

// stop ends the demo; again is nothing.
func (d *demo) stop() { d.once.Do(d.end) }

func (d *demo) end() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
		<-d.done
	}
}

func (d *demo) password(login string) string {
	for _, u := range d.info.Users {
		if u.Login == login {
			return u.Password
		}
	}
	d.t.Fatalf("no user %s", login)
	return ""
}

func (d *demo) chatURL() string {
	return "ws" + strings.TrimPrefix(strings.SplitAfter(d.info.CustomerPage, "/p/webchat/")[0], "http") + "ws"
}

func (d *demo) token(login string) string {
	d.t.Helper()
	tok, err := drive.Login(d.t.Context(), drive.HTTPClient(), d.info.PublicURL, login, d.password(login))
	if err != nil {
		d.t.Fatal(err)
	}
	return tok
}

// parley runs a command on the demo's data folder.
func (d *demo) parley(args ...string) []byte {
	d.t.Helper()
	return run(d.t, append(os.Environ(), d.env...), append(args, "--data", d.data)...)
}

// run runs a command of parley in an environment and returns what it prints.
func run(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("parley %v: %v\n%s", args, err, stderr.String())
	}
	return out
}

// apply brings records in.
func (d *demo) apply(records string) {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "records.yaml")
	if err := os.WriteFile(file, []byte(records), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.parley("apply", "-f", file)
}

// logged is an event as `parley log` prints it.
type logged struct {
	Pos    int64
	Stream string
	Seq    uint64
	Type   string
	Head   struct {
		ClientID        string `json:"client_id"`
		Message, Status string // of a report on a message

		Author                     struct{ Kind string }
		Session, Kind, Cause, What string // of a session's beginning, end or command
		Command, Code              string // of a call's command
	}
	Body json.RawMessage
}

// events reads the whole log and checks PR6 on the way.
func (d *demo) events() []logged {
	d.t.Helper()
	var out []logged
	seqs := map[string]uint64{}
	dec := json.NewDecoder(bytes.NewReader(d.parley("log")))
	for {
		var e logged
		if err := dec.Decode(&e); err == io.EOF {
			return out
		} else if err != nil {
			d.t.Fatalf("parley log: %v", err)
		}
		if e.Seq != seqs[e.Stream]+1 {
			d.t.Errorf("PR6: stream %s goes from seq %d to %d", e.Stream, seqs[e.Stream], e.Seq)
		}
		seqs[e.Stream] = e.Seq
		out = append(out, e)
	}
}

// child is the pid of the gateway ("serve") or of a plugin; 0 = not there.
func (d *demo) child(what string) int {
	gateway := childOf(d.cmd.Process.Pid, " serve")
	if gateway == 0 { // under strace
		if inner := childOf(d.cmd.Process.Pid, " demo "); inner != 0 {
			gateway = childOf(inner, " serve")
		}
	}
	if what == "serve" || gateway == 0 {
		return gateway
	}
	return childOf(gateway, what)
}

func childOf(parent int, marker string) int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		i := bytes.LastIndexByte(stat, ')')
		f := strings.Fields(string(stat[i+1:]))
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(f) < 2 || f[1] != strconv.Itoa(parent) {
			continue
		}
		if strings.Contains(strings.ReplaceAll(string(cmdline), "\x00", " "), marker) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			return pid
		}
	}
	return 0
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("after %v: no %s", within, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func bounded(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func id(prefix string, n int) string { return fmt.Sprintf("%s-%d", prefix, n) }

func (d *demo) findAccount(name string) string {
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.info.PublicURL+"/api/v1/accounts", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token("adam"))
	resp, err := drive.HTTPClient().Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	var page struct {
		Items []struct{ ID, Name string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return ""
	}
	for _, a := range page.Items {
		if a.Name == name {
			return a.ID
		}
	}
	return ""
}
