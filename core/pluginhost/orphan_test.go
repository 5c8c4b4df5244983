package pluginhost_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/internal/freeport"
)

func guardCommand() []string { return []string{"/proc/self/exe", "guard"} }

// runHostProcess is a gateway that a test can kill: it starts a host with one plugin, prints the
// plugin's pid and waits.
func runHostProcess(args, guard []string) int {
	h, err := pluginhost.New(pluginhost.Options{RunDir: args[0], Core: newFakeCore(), Logger: discard(), Guard: guard})
	if err == nil {
		err = h.Load(self("echo", args[1:]...))
	}
	if err == nil {
		err = h.Start(context.Background())
	}
	if err == nil {
		err = h.Ready(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(h.Plugins()[0].PID)
	select {}
}

// A killed gateway must leave no plugin behind, and the next gateway must remove its sockets (PR12,
// FT10).
func TestOrphan(t *testing.T) {
	for _, modes := range [][]string{nil, {"ignore-lifeline"}} {
		t.Run(fmt.Sprint(modes), func(t *testing.T) { testOrphan(t, modes) })
	}
}

func testOrphan(t *testing.T, modes []string) {
	dir := runDir(t)
	gateway := exec.Command("/proc/self/exe", append([]string{"host", dir}, modes...)...)
	out, err := gateway.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("the gateway says %q", line)
	}
	start := time.Now()
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for !gone(pid) {
		if time.Since(start) > time.Second {
			t.Fatalf("plugin %d is alive 1 s after its gateway was killed", pid)
		}
		time.Sleep(time.Millisecond) // depends on another process, so there is no channel to wait on
	}
	t.Logf("plugin gone after %v", time.Since(start))
	_ = gateway.Wait() // killed

	left, _ := filepath.Glob(filepath.Join(dir, "plugin-dir*"))
	if len(left) == 0 {
		t.Fatal("want a directory left behind by the killed gateway")
	}
	h, err := pluginhost.New(pluginhost.Options{RunDir: dir, Core: newFakeCore(), Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "plugin-dir*")); len(left) != 0 {
		t.Errorf("leftovers: got %v, want none", left)
	}
	other, err := pluginhost.New(pluginhost.Options{RunDir: dir, Core: newFakeCore(), Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context()); !errors.Is(err, pluginhost.ErrLocked) {
		t.Errorf("second gateway on the same directory: got %v, want ErrLocked", err)
	}
	if err := errors.Join(other.Close(), h.Close()); err != nil {
		t.Error(err)
	}
}

// Within a second after a gateway is killed, the ports of its plugin must be free, even with a
// connection open and a grandchild alive, so that the next gateway's plugin can bind them (PR12,
// FT10).
func TestOrphanFreesPorts(t *testing.T) {
	for _, modes := range [][]string{nil, {"grandchild"}, {"grandchild", "own-group"}, {"ignore-lifeline"}} {
		t.Run(fmt.Sprint(modes), func(t *testing.T) { testOrphanFreesPorts(t, modes) })
	}
}

func testOrphanFreesPorts(t *testing.T, modes []string) {
	dir := runDir(t)
	free, err := freeport.Fix(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free[0].String()
	modes = append(slices.Clone(modes), "bind="+addr)
	gateway := exec.Command("/proc/self/exe", append([]string{"host", dir}, modes...)...)
	out, err := gateway.StdoutPipe()
	if err == nil {
		err = gateway.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil { // the host prints a line when it is ready
		t.Fatalf("the gateway says %q, %v", line, err)
	}
	var d net.Dialer
	caller, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = caller.Close() }()
	if _, err := bufio.NewReader(caller).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	for {
		tcp, err1 := lc.Listen(t.Context(), "tcp", addr)
		udp, err2 := lc.ListenPacket(t.Context(), "udp", addr)
		if err1 == nil {
			_ = tcp.Close()
		}
		if err2 == nil {
			_ = udp.Close()
		}
		if err1 == nil && err2 == nil {
			break
		}
		// A second is promised; the limit is longer, for machines under load.
		if time.Since(start) > 3*time.Second {
			t.Fatalf("3 s after the gateway was killed: TCP %v, UDP %v", err1, err2)
		}
		time.Sleep(time.Millisecond) // depends on another process, so there is no channel to wait on
	}
	t.Logf("ports free after %v", time.Since(start))
	_ = gateway.Wait() // killed

	h, err := pluginhost.New(pluginhost.Options{RunDir: dir, Core: newFakeCore(), Logger: discard()})
	if err == nil {
		err = h.Load(self("echo", modes...))
	}
	if err == nil {
		err = h.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := h.Ready(ctx); err != nil {
		t.Errorf("the next gateway's plugin on the same ports and directory: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// A plugin's child that inherited the plugin's port, and left its group, outlives a killed gateway
// without a guard. The next gateway must kill it before its own plugin binds that port (PR12,
// FT10).
func TestOrphanHeir(t *testing.T) {
	dir := runDir(t)
	free, err := freeport.Fix(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free[0].String()
	gateway := exec.Command("/proc/self/exe", "host", dir, "heir", "bind="+addr)
	out, err := gateway.StdoutPipe()
	if err == nil {
		err = gateway.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n') // the host prints a line when it is ready
	if err != nil {
		t.Fatalf("the gateway says %q, %v", line, err)
	}
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = gateway.Wait() // killed
	h, err := pluginhost.New(pluginhost.Options{RunDir: dir, Core: newFakeCore(), Logger: discard()})
	if err == nil {
		err = h.Load(self("echo", "bind="+addr))
	}
	if err == nil {
		err = h.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := h.Ready(ctx); err != nil {
		t.Errorf("the next gateway's plugin on the same port: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// gone reports whether a process has ended. A zombie counts as ended.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// The directory of a generation must be removed with it, even after a crash, and other users must
// not be able to look into it.
func TestDirectories(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	dirs := func() []string {
		list, _ := filepath.Glob(filepath.Join(b.dir, "plugin-dir*"))
		return list
	}
	if list := dirs(); len(list) != 1 {
		t.Fatalf("directories: got %v, want one", list)
	}
	if info, err := os.Stat(dirs()[0]); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, %v, want mode 0700", info.Mode(), err)
	}
	_ = syscall.Kill(b.status(t).PID, syscall.SIGKILL)
	b.generation(t, 2)
	b.core.until(t, "the old directory to go", func() bool { return len(dirs()) == 1 })
	if err := b.host.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := dirs(); len(list) != 0 {
		t.Errorf("directories after Drain: got %v, want none", list)
	}
}

func TestPathTooLong(t *testing.T) {
	_, err := pluginhost.New(pluginhost.Options{RunDir: "/tmp/" + strings.Repeat("x", 80), Core: newFakeCore()})
	if err == nil || !strings.Contains(err.Error(), "the limit is 107") {
		t.Errorf("long run directory: got %v, want an error that names the limit", err)
	}
}

// Nothing of the gateway's environment may reach a plugin, and no secret may be in the plugin's
// environment, its arguments or the log.
func TestNoSecretsOutside(t *testing.T) {
	t.Setenv("PARLEY_CANARY", "canary-in-env")
	var log syncBuffer
	b := newBench(t, func(o *pluginhost.Options) { o.Logger = log.logger() }, self("echo"))
	b.ready(t)
	pid := b.status(t).PID
	for _, name := range []string{"environ", "cmdline"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"canary-in-env", "t0ps3cret"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s of the plugin holds %q", name, secret)
			}
		}
	}
	b.core.send(b.account, "panic")
	b.crashReport(t)
	status, err := json.Marshal(b.host.Plugins())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String()+string(status), "t0ps3cret") {
		t.Error("log or status holds the secret")
	}
}

// A plugin written in Go must use only a part of the processors, unless its environment sets
// another number.
func TestProcessors(t *testing.T) {
	got := func(b *bench) (last string) {
		b.ready(t)
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", b.status(t).PID))
		if err != nil {
			t.Fatal(err)
		}
		for v := range strings.SplitSeq(string(text), "\x00") {
			if n, ok := strings.CutPrefix(v, "GOMAXPROCS="); ok {
				last = n
			}
		}
		return last
	}
	want := strconv.Itoa(max(1, runtime.GOMAXPROCS(0)/4))
	if n := got(newBench(t, nil, self("echo"))); n != want {
		t.Errorf("GOMAXPROCS of a plugin: got %q, want %s", n, want)
	}
	t.Setenv("GOMAXPROCS", "7")
	spec := self("echo")
	spec.Env = append(spec.Env, "GOMAXPROCS")
	if n := got(newBench(t, nil, spec)); n != "7" {
		t.Errorf("GOMAXPROCS of a plugin that names it: got %q, want 7", n)
	}
}

// A child must have no core files, must not gain privileges, and must lead its own group.
func TestChildLimits(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	pid := b.status(t).PID
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "NoNewPrivs:\t1") {
		t.Error("no_new_privs is not set")
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && f[4] != "0" {
			t.Errorf("core files: got limit %s, want 0", f[4])
		}
	}
	if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
		t.Errorf("process group: got %d, %v, want %d", pgid, err, pid)
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(own), "NoNewPrivs:\t0") {
		t.Error("the gateway itself lost its privileges too")
	}
}
