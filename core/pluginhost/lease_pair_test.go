package pluginhost_test

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/core/nodes"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// runLeasedHost is a node of an installation with others: a host with one plugin, whose account one
// node at a time serves.
func runLeasedHost(dir, node, dsn, account string) int {
	ctx := context.Background()
	err := func() error {
		log, err := postgres.Open(ctx, postgres.Options{DSN: dsn, Logger: discard()})
		if err != nil {
			return err
		}
		k, err := nodes.New(nodes.Options{Name: node, Log: log, Logger: discard(), Now: time.Now})
		if err != nil {
			return err
		}
		if err := k.Join(ctx); err != nil {
			return err
		}
		leases := nodes.NewLeases(nodes.LeaseOptions{Node: node, Log: log, Owns: k.Owns, Logger: discard()})
		go k.Run(ctx)
		go leases.Run(ctx)
		h, err := pluginhost.New(pluginhost.Options{RunDir: dir, Core: newFakeCore(), Logger: discard(), Guard: guardCommand(), Leases: leases, Node: node})
		if err != nil {
			return err
		}
		var id conversation.AccountID
		if err := id.UnmarshalText([]byte(account)); err != nil {
			return err
		}
		h.SetAccounts([]pluginhost.AccountConfig{{ID: id, Plugin: "echo", Settings: []byte(`{"number":"1"}`), Enabled: true}})
		if err := h.Load(self("echo", "one")); err != nil {
			return err
		}
		if err := h.Start(ctx); err != nil {
			return err
		}
		return h.Ready(ctx)
	}()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	select {}
}

// leasedNode is a process that runs runLeasedHost.
type leasedNode struct {
	t    *testing.T
	dir  string
	args []string
	cmd  *exec.Cmd
}

func (n *leasedNode) start() {
	n.t.Helper()
	n.cmd = exec.Command("/proc/self/exe", n.args...)
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		n.t.Fatalf("the node says %q, %v", line, err)
	}
}

func (n *leasedNode) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}

// on returns the last process of the node's plugin that has the account enabled, and since when (Unix
// time in ns); 0 = none has.
func (n *leasedNode) on() (pid int, since int64) {
	n.t.Helper()
	for _, c := range journalIn(n.t, n.dir) {
		switch c.what {
		case "on":
			pid, since = c.pid, c.at
		case "standby":
			if c.pid == pid {
				pid, since = 0, 0
			}
		}
	}
	if pid != 0 && syscall.Kill(pid, 0) != nil {
		return 0, 0
	}
	return pid, since
}

// Of two nodes over one PostgreSQL one serves the account. When it is killed the other one serves it
// within 25 s, and never do both.
func TestLeaseGoesToTheOtherNode(t *testing.T) {
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	dsn, account := c.DSN(c.Database(t)), newAccount()
	var pair [2]*leasedNode
	for i, name := range []string{"a", "b"} {
		dir := runDir(t)
		pair[i] = &leasedNode{t: t, dir: dir, args: []string{"leased-host", dir, name, dsn, account.String()}}
		pair[i].start()
		t.Cleanup(func() { pair[i].kill() })
	}
	// serving waits until one of the two has the account, and returns its index.
	serving := func(within time.Duration) int {
		t.Helper()
		for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			a, _ := pair[0].on()
			b, _ := pair[1].on()
			switch {
			case a != 0 && b != 0:
				t.Fatal("both nodes serve the account")
			case a != 0:
				return 0
			case b != 0:
				return 1
			}
		}
		t.Fatalf("no node serves the account within %v", within)
		return 0
	}
	holder := serving(15 * time.Second)
	for range 2 {
		first, _ := pair[holder].on()
		pair[holder].kill()
		for end := time.Now().Add(5 * time.Second); syscall.Kill(first, 0) == nil; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the plugin of the killed node lives")
			}
		}
		died := time.Now().UnixNano()
		next := serving(25 * time.Second)
		if next == holder {
			t.Fatal("a node that was killed serves the account")
		}
		if _, since := pair[next].on(); since < died {
			t.Errorf("served by the other node %v before the first one's plugin had ended", time.Duration(died-since))
		}
		pair[holder].start()
		if again := serving(time.Second); again != next {
			t.Errorf("node %d took the account from the one that serves it", again)
		}
		holder = next
	}
}
