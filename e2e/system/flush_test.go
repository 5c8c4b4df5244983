package system_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// flush is one fdatasync or fsync of the gateway's, as strace saw it.
type flush struct{ from, to time.Time }

var flushLine = regexp.MustCompile(`^\d+\s+(\d+\.\d+) f(?:data)?sync\(.*= 0 .*<(\d+\.\d+)>$`)

// trace attaches strace to the gateway; the returned function detaches it and
// gives the flushes. Calls that were interrupted by others in the trace are
// joined by strace's own per-thread files.
func trace(t *testing.T, pid int, extra ...string) func() []flush {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: apt-get install strace")
	}
	prefix := filepath.Join(t.TempDir(), "trace")
	args := append([]string{"-ff", "-f", "-p", strconv.Itoa(pid), "-e", "trace=fdatasync,fsync", "-ttt", "-T", "-o", prefix}, extra...)
	cmd := exec.Command("strace", args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan struct{})
	go func() { // drains until strace ends
		sc := bufio.NewScanner(stderr)
		for first := true; sc.Scan(); {
			if first {
				close(attached)
				first = false
			}
		}
	}()
	select {
	case <-attached:
	case <-time.After(20 * time.Second):
		t.Fatal("strace did not attach")
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(syscall.SIGINT)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return func() []flush {
		stop()
		files, _ := filepath.Glob(prefix + ".*")
		var out []flush
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			sc := bufio.NewScanner(f)
			for sc.Scan() {
				// Per-thread files have no pid column: put one.
				m := flushLine.FindStringSubmatch("0 " + sc.Text())
				if m == nil {
					continue
				}
				at, _ := strconv.ParseFloat(m[1], 64)
				took, _ := strconv.ParseFloat(m[2], 64)
				from := time.UnixMicro(int64(at * 1e6))
				out = append(out, flush{from, from.Add(time.Duration(took * 1e9))})
			}
			_ = f.Close()
		}
		return out
	}
}

// PR1: every acknowledgement comes after a flush that was begun after its
// request. Killing a process proves nothing of the kind, since the kernel
// keeps what was written; this looks at the calls.
func TestAcknowledgedAfterFlush(t *testing.T) {
	d := startDemo(t, "")
	ctx := bounded(t, 2*time.Minute)
	c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Start(ctx, "start", map[string]string{"first_name": "F", "message": "hello"}); err != nil {
		t.Fatal(err)
	}
	flushes := trace(t, d.child("serve"))
	type request struct {
		id       string
		from, to time.Time
	}
	var requests []request
	for i := range 40 {
		r := request{id: fmt.Sprintf("m%d", i), from: time.Now()}
		if _, err := c.Say(ctx, r.id, "text"); err != nil {
			t.Fatal(err)
		}
		r.to = time.Now()
		requests = append(requests, r)
	}
	all := flushes()
	if len(all) == 0 {
		t.Fatal("no flush was seen")
	}
	for _, r := range requests {
		ok := false
		for _, f := range all {
			ok = ok || (f.from.After(r.from) && f.to.Before(r.to))
		}
		if !ok {
			t.Errorf("%s was acknowledged after %v without a flush begun and ended in between (%d flushes seen)", r.id, r.to.Sub(r.from), len(all))
		}
	}
}

// FT11: a disk that takes 200 ms for a flush makes acknowledgements late, not early.
func TestSlowFlush(t *testing.T) {
	d := startDemo(t, "")
	ctx := bounded(t, 2*time.Minute)
	c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Start(ctx, "start", map[string]string{"first_name": "F", "message": "hello"}); err != nil {
		t.Fatal(err)
	}
	const delay = 200 * time.Millisecond
	stop := trace(t, d.child("serve"), "-e", "inject=fdatasync,fsync:delay_enter=200000")
	for i := range 5 {
		began := time.Now()
		if _, err := c.Say(ctx, fmt.Sprintf("m%d", i), "text"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < delay {
			t.Errorf("message %d was acknowledged after %v although a flush takes %v", i, took, delay)
		}
	}
	stop()
}

// PR17, FT11: when a flush fails the gateway stops acknowledging and exits; the
// next one recovers, and everything acknowledged is there.
func TestFailedFlushIsFatal(t *testing.T) {
	d := startDemo(t, "")
	ctx := bounded(t, 2*time.Minute)
	c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(ctx, "start", map[string]string{"first_name": "F", "message": "hello"}); err != nil {
		t.Fatal(err)
	}
	acked := map[string]bool{}
	for i := range 10 {
		if _, err := c.Say(ctx, id("before", i), "text"); err != nil {
			t.Fatal(err)
		}
		acked[id("before", i)] = true
	}
	gateway := d.child("serve")
	stop := trace(t, gateway, "-e", "inject=fdatasync,fsync:error=EIO")
	if _, err := c.Say(ctx, "during", "text"); err == nil {
		t.Error("a message was acknowledged although its flush failed")
	}
	eventually(t, "exit of the gateway", 20*time.Second, func() bool { return syscall.Kill(gateway, 0) != nil || d.child("serve") != gateway })
	stop()
	token := c.Token
	c.Close()
	var next *drive.Customer
	eventually(t, "gateway that came back", 30*time.Second, func() bool {
		next, err = drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo", Token: token})
		return err == nil
	})
	defer next.Close()
	if _, err := next.Say(ctx, "after", "text"); err != nil {
		t.Errorf("after the recovery: %v", err)
	}
	for _, e := range d.events() {
		delete(acked, e.Head.ClientID)
	}
	if len(acked) > 0 {
		t.Errorf("acknowledged but missing: %v", acked)
	}
}
