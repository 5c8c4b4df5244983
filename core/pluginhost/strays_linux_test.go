package pluginhost_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/pluginhost"
)

// having lists the living processes that have a variable in their environment.
func having(variable string) (pids []int) {
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range envs {
		env, err := os.ReadFile(path)
		if err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+variable+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// A process that replaces itself by another one again and again must be killed too.
func TestOrphanThatIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugin-dir1")
	for range 5 {
		first := exec.Command("/proc/self/exe", "replaced")
		first.Env = []string{"PLUGIN_UNIX_SOCKET_DIR=" + dir}
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		_ = first.Wait() // the next process runs now
		start := time.Now()
		pluginhost.KillStrays(dir)
		t.Logf("took %v", time.Since(start))
		if left := having("PLUGIN_UNIX_SOCKET_DIR=" + dir); len(left) > 0 {
			t.Errorf("left: %v", left)
			pluginhost.KillStrays(dir)
		}
	}
}

// A plugin's child in a session of its own must not outlive its plugin's crash or stop. Nothing
// else may be killed: neither another plugin nor a process with a directory whose name begins like
// the plugin's.
func TestStraysEnd(t *testing.T) {
	addr := freeAddress(t)
	b := newBench(t, nil, self("echo", "heir", "bind="+addr), self("other"))
	b.ready(t)
	other := b.host.Plugins()[1].PID
	for n := 1; n <= 2; n++ {
		pid := b.generation(t, n).PID
		heir := 0
		for child := range children(pid) {
			heir = child
		}
		if heir == 0 {
			t.Fatalf("generation %d has no child", n)
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", heir))
		if err != nil {
			t.Fatal(err)
		}
		_, tail, _ := strings.Cut(string(env), "PLUGIN_UNIX_SOCKET_DIR=")
		dir, _, _ := strings.Cut(tail, "\x00")
		near := exec.Command("/bin/sleep", "120")
		near.Env = []string{"PLUGIN_UNIX_SOCKET_DIR=" + dir + "1"}
		if err := near.Start(); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			// The next generation must get the same port.
			b.generation(t, 2)
			t.Logf("child gone after %v more", soon(t, "end of the plugin's child", func() bool { return gone(heir) }))
		} else {
			start := time.Now()
			if err := b.host.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("drained after %v", time.Since(start))
			if !gone(heir) {
				t.Error("the plugin's child is there after Drain")
			}
		}
		if gone(near.Process.Pid) {
			t.Error("a process with another directory is gone")
		}
		_ = near.Process.Kill()
		_ = near.Wait() // killed
		if n == 1 && (gone(other) || b.host.Plugins()[1].PID != other) {
			t.Error("another plugin is gone")
		}
	}
}

// Nothing is killed for a directory that is not known: the mark would fit the processes of others.
func TestNoDirectoryNoStrays(t *testing.T) {
	for name, c := range map[string]struct {
		dir  string // of a process that must live
		kill func()
	}{
		"a generation's":  {"", func() { pluginhost.KillStrays("") }},
		"a run directory": {"plugin-dir1", func() { pluginhost.KillOrphans("") }},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/bin/sleep", "120")
			cmd.Env = []string{"PLUGIN_UNIX_SOCKET_DIR=" + c.dir}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			c.kill() // returns when what it killed has ended
			if gone(cmd.Process.Pid) {
				t.Error("a process that has nothing to do with the host is gone")
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		})
	}
}

// BenchmarkKillStrays measures what each end of a generation costs.
func BenchmarkKillStrays(b *testing.B) {
	for b.Loop() {
		pluginhost.KillStrays("/nowhere")
	}
}
