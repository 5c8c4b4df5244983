package system_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// FT26: a gateway with a tenth of a processor and 384 MiB for itself and its
// plugins, under far more texts than it can take. None is lost: what was
// answered 2xx is in the log, once, everything else was told to come again
// (PR1-PR3), and the kernel has nobody to kill. With room again all goes on.
func TestStarved(t *testing.T) {
	box := newCgroup(t, 384<<20)
	d := startDemoWith(t, "", []string{"GOMEMLIMIT=128MiB"}) // of each process
	d.chatWorks("before")
	box.take(t, d.processes())
	box.processor(t, 10)
	lasting := 15 * time.Second
	if os.Getenv("PARLEY_SOAK") != "" {
		lasting = 5 * time.Minute
	}
	ctx, stop := context.WithTimeout(t.Context(), lasting)
	defer stop()
	var mu sync.Mutex
	answered, statuses := map[string]bool{}, map[int]int{}
	var wg sync.WaitGroup
	for w := range 48 {
		c := d.carrier()
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				text := fmt.Sprintf("starved %d-%d", w, n)
				status, err := c.Text(ctx, sid(w*1_000_000+n), fmt.Sprintf("+1212555%04d", w), text)
				if err != nil {
					status = 0
				}
				mu.Lock()
				statuses[status]++
				if status/100 == 2 {
					answered[text] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	box.processor(t, 100)
	t.Logf("answers by status (0: none): %v", statuses)
	for status := range statuses {
		if status/100 == 4 {
			t.Errorf("PR2: our own trouble was answered %d", status)
		}
	}
	if n := box.killed(t); n != 0 {
		t.Errorf("the kernel killed %d processes for want of memory", n)
	}
	d.chatWorks("after")
	count := d.texts()
	for text := range answered {
		if n := len(count[text]); n != 1 {
			t.Errorf("%q was answered 2xx and is in the log %d times", text, n)
		}
	}
	for text, at := range count {
		if len(at) > 1 {
			t.Errorf("%q is in the log %d times", text, len(at))
		}
	}
	if len(answered) == 0 {
		t.Error("not one text was taken")
	}
}

// FT24: connections opened as fast as they can be, from many addresses, half of
// them upgraded to a socket and left alone. Others still chat while it goes on,
// and afterwards nothing of it is left.
func TestConnectionFlood(t *testing.T) {
	d := startDemo(t, "")
	processes := d.processes()
	d.chatWorks("before")
	base := d.weigh(processes)
	lasting := 5 * time.Second
	if os.Getenv("PARLEY_SOAK") != "" {
		lasting = time.Minute
	}
	ctx, stop := context.WithTimeout(t.Context(), lasting)
	defer stop()
	addr, chat := hostPort(t, d.info.PublicURL), hostOf(t, d.info.CustomerPage)
	upgrade := "GET /p/webchat/ws HTTP/1.1\r\nHost: " + chat + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	var mu sync.Mutex
	opened, upgraded := 0, 0
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			var kept []net.Conn
			defer func() {
				for _, c := range kept {
					_ = c.Close()
				}
			}()
			for n := 0; ctx.Err() == nil; n++ {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 11, byte(w), byte(1+n%250))}}
				c, err := dialer.DialContext(ctx, "tcp", addr)
				if err != nil {
					continue
				}
				mu.Lock()
				opened++
				mu.Unlock()
				if n%2 == 0 {
					_ = c.SetDeadline(time.Now().Add(2 * time.Second))
					_, _ = io.WriteString(c, upgrade)
					if line, _ := bufio.NewReader(c).ReadString('\n'); strings.Contains(line, " 101 ") {
						mu.Lock()
						upgraded++
						mu.Unlock()
					}
				}
				kept = append(kept, c)
				if len(kept) > 64 {
					_ = kept[0].Close()
					kept = kept[1:]
				}
			}
		})
	}
	d.chatWorks("meanwhile")
	wg.Wait()
	t.Logf("%d connections, %d of them sockets", opened, upgraded)
	if upgraded == 0 {
		t.Error("no connection became a socket: the flood reached nothing")
	}
	for pid, name := range processes {
		if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err != nil {
			t.Errorf("%s (pid %d) has died", name, pid)
		}
	}
	eventually(t, "goroutines as few as before", 60*time.Second, func() bool { return d.weigh(processes).goroutines <= base.goroutines+40 })
	d.chatWorks("after")
}

// cgroup is a control group of the test's own, of either version.
type cgroup struct{ memory, cpu string } // folders; the same one in version 2

// newCgroup makes one that bounds memory, in bytes. Where there are none to be
// had (no root, or a container that may not) the test is skipped.
func newCgroup(t *testing.T, memory int64) *cgroup {
	t.Helper()
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("parley-test-%d", os.Getpid())
	g := &cgroup{memory: filepath.Join(root, "memory", name), cpu: filepath.Join(root, "cpu", name)}
	limit := "memory.limit_in_bytes"
	if g.unified() {
		g.memory = filepath.Join(root, name)
		g.cpu, limit = g.memory, "memory.max"
	}
	for _, dir := range []string{g.memory, g.cpu} {
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			t.Skipf("FT26 needs a control group that this process may make: %v", err)
		}
		t.Cleanup(func() {
			eventually(t, "empty control group", 30*time.Second, func() bool { err := os.Remove(dir); return err == nil || os.IsNotExist(err) })
		})
	}
	if err := os.WriteFile(filepath.Join(g.memory, limit), []byte(strconv.FormatInt(memory, 10)), 0o600); err != nil {
		t.Skipf("FT26 needs a control group that bounds memory: %v", err)
	}
	return g
}

func (g *cgroup) unified() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// take puts processes into the group.
func (g *cgroup) take(t *testing.T, processes map[int]string) {
	t.Helper()
	for pid := range processes {
		for _, dir := range []string{g.memory, g.cpu} {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// processor bounds the group to a percentage of one processor.
func (g *cgroup) processor(t *testing.T, percent int) {
	t.Helper()
	file, text := "cpu.cfs_quota_us", strconv.Itoa(percent*1000)
	if g.unified() {
		file, text = "cpu.max", strconv.Itoa(percent*1000)+" 100000"
	}
	if err := os.WriteFile(filepath.Join(g.cpu, file), []byte(text), 0o600); err != nil {
		t.Skipf("FT26 needs a control group that bounds the processor: %v", err)
	}
}

// killed is how many processes of the group the kernel has killed.
func (g *cgroup) killed(t *testing.T) int {
	t.Helper()
	file := "memory.oom_control"
	if g.unified() {
		file = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(g.memory, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if name, n, ok := strings.Cut(line, " "); ok && name == "oom_kill" {
			count, _ := strconv.Atoi(n)
			return count
		}
	}
	t.Fatalf("%s says nothing of oom_kill:\n%s", file, b)
	return 0
}
