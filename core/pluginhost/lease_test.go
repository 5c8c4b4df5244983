package pluginhost_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// placementsOf says of every account that one node at a time serves it; in the mode one-late only of
// enabled ones, which the contract forbids.
func (c *child) placementsOf(r *pluginv1.ConfigureRequest) (out []*pluginv1.AccountTraits) {
	for _, a := range r.GetAccounts() {
		if c.modes["one"] || c.modes["one-late"] && a.GetEnabled() {
			out = append(out, &pluginv1.AccountTraits{Account: a.GetId(), Placement: pluginv1.Placement_PLACEMENT_ONE})
		}
	}
	return out
}

// journal writes a line for each Configure, in the modes that have to do with leases. In the mode
// keeps the plugin does not answer the one that switches its account off.
func (c *child) journal(r *pluginv1.ConfigureRequest) error {
	if !c.modes["one"] && !c.modes["one-late"] && !c.modes["one0"] {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(filepath.Dir(os.Getenv("PLUGIN_UNIX_SOCKET_DIR")), "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, a := range r.GetAccounts() {
		what := "off"
		switch {
		case a.GetEnabled():
			what = "on"
		case a.GetStandby():
			what = "standby"
		}
		if r.GetValidateOnly() {
			what = "asked-" + what
		}
		if _, err := fmt.Fprintf(f, "%d %d %s %d\n", os.Getpid(), r.GetRevision(), what, time.Now().UnixNano()); err != nil {
			return err
		}
		if c.modes["slow"] && a.GetEnabled() && !r.GetValidateOnly() && slices.ContainsFunc(c.accounts, (*pluginv1.Account).GetEnabled) {
			for _, err := os.Stat(f.Name() + ".go"); err != nil; _, err = os.Stat(f.Name() + ".go") {
				time.Sleep(10 * time.Millisecond)
			}
		}
		if c.modes["keeps"] && !r.GetValidateOnly() && !a.GetEnabled() && slices.ContainsFunc(c.accounts, (*pluginv1.Account).GetEnabled) {
			select {}
		}
	}
	return nil
}

// off reports whether hooks of an account are refused.
func (c *child) off(account string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.accounts, func(a *pluginv1.Account) bool {
		return a.GetId() == account && !a.GetEnabled() && (!a.GetStandby() || c.modes["one0"])
	})
}

// configured is a Configure as the child saw it.
type configured struct {
	pid, revision int
	at            int64  // Unix time in ns
	what          string // on, standby or off, with asked- before it if nothing was to be changed
}

func (b *bench) journal(tb testing.TB) []configured {
	tb.Helper()
	return journalIn(tb, b.dir)
}

func journalIn(tb testing.TB, dir string) (list []configured) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var c configured
		if _, err := fmt.Sscan(line, &c.pid, &c.revision, &c.what, &c.at); err != nil {
			continue // it is being written
		}
		list = append(list, c)
	}
	return list
}

func whats(list []configured) string {
	var out []string
	for _, c := range list {
		out = append(out, c.what)
	}
	return strings.Join(out, " ")
}

// fakeLeases gives and takes leases as the test says; nothing is held that is not wanted.
type fakeLeases struct {
	mu      sync.Mutex
	free    bool // an id is held as soon as it is wanted
	since   time.Time
	wanted  map[[16]byte]bool
	log     []string
	changes chan struct{}
}

func newFakeLeases(free bool) *fakeLeases {
	return &fakeLeases{free: free, since: time.Now(), wanted: map[[16]byte]bool{}, changes: make(chan struct{}, 1)}
}

func (l *fakeLeases) change(f func()) {
	l.mu.Lock()
	f()
	l.mu.Unlock()
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

func (l *fakeLeases) Want(id [16]byte) {
	l.change(func() { l.wanted[id], l.log = true, append(l.log, "want") })
}

func (l *fakeLeases) Unwant(id [16]byte) {
	l.change(func() { delete(l.wanted, id); l.log = append(l.log, "unwant") })
}

func (l *fakeLeases) Held(id [16]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.free && l.wanted[id]
}

func (l *fakeLeases) Left(id [16]byte) time.Duration {
	if l.Held(id) {
		return 10 * time.Second
	}
	return 0
}

func (l *fakeLeases) Changes() <-chan struct{} { return l.changes }

func (l *fakeLeases) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.log, " ")
}

func (l *fakeLeases) Since(id [16]byte) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.free || !l.wanted[id] {
		return time.Time{}
	}
	return l.since
}

func (l *fakeLeases) set(free bool) { l.change(func() { l.free = free }) }

// gap takes the leases and gives them back before anybody looks.
func (l *fakeLeases) gap() { l.change(func() { l.since = l.since.Add(time.Second) }) }

func leasedBench(t *testing.T, free bool, modes ...string) (*bench, *fakeLeases) {
	t.Helper()
	l := newFakeLeases(free)
	b := newBench(t, func(o *pluginhost.Options) { o.Leases = l }, self("echo", modes...))
	b.ready(t)
	return b, l
}

// An account for one node is enabled only while this node holds it, and each change is a new
// revision. On standby its webhooks are taken all the same.
func TestLeasedAccount(t *testing.T) {
	b, l := leasedBench(t, false, "one")
	b.core.until(t, "the lease is wanted", func() bool { return l.said() == "want" })
	if got := whats(b.journal(t)); got != "asked-standby standby" {
		t.Errorf("before it is held: %q", got)
	}
	here := func() bool {
		one := b.status(t).OneNode
		return len(one) == 1 && one[0].ID == b.account && one[0].Here
	}
	if here() || len(b.status(t).OneNode) != 1 {
		t.Errorf("status before it is held: %+v", b.status(t).OneNode)
	}
	if resp, err := b.host.Hook(t.Context(), b.account, post("m1")); err != nil || resp.Status != 202 {
		t.Errorf("webhook on standby: %+v, %v", resp, err)
	}
	early := b.core.send(b.account, "text") // as the outbox does between the gain of the lease and the Configure
	b.core.mu.Lock()
	if at := b.core.rows[early].instance; at != "" {
		t.Errorf("%s was given a command while it has the account on standby", at)
	}
	b.core.mu.Unlock()
	l.set(true)
	b.core.until(t, "it is enabled", func() bool { return whats(b.journal(t)) == "asked-standby standby on" })
	b.core.until(t, "the command was carried out", func() bool { return b.core.settled(early) })
	if !here() {
		t.Errorf("status while it is held: %+v", b.status(t).OneNode)
	}
	l.set(false)
	b.core.until(t, "it is on standby again", func() bool { return whats(b.journal(t)) == "asked-standby standby on standby" })
	list := b.journal(t)
	for i := 2; i < len(list); i++ {
		if list[i].revision <= list[i-1].revision || list[i].pid != list[0].pid {
			t.Errorf("revisions and processes: %+v", list)
		}
	}
	l.set(true)
	b.core.until(t, "it is enabled once more", func() bool { return strings.HasSuffix(whats(b.journal(t)), "standby on") })
	// A new process of this node goes on with the account.
	b.core.send(b.account, "exit 3")
	b.generation(t, 2)
	b.core.until(t, "the new process has it", func() bool {
		list := b.journal(t)
		return list[len(list)-1].what == "on" && list[len(list)-1].pid != list[0].pid
	})
	if got := l.said(); got != "want" {
		t.Errorf("leases: %q, want the account to be kept over a restart", got)
	}
	if err := b.host.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.core.until(t, "it is given up at the end", func() bool { return l.said() == "want unwant" })
}

// A plugin that does not answer the Configure that takes an account from it is killed before another
// node can have the account, and is not blamed for what it had under way.
func TestLeaseNotGivenUp(t *testing.T) {
	b, l := leasedBench(t, true, "one", "keeps")
	b.core.until(t, "it is enabled", func() bool { return strings.HasSuffix(whats(b.journal(t)), "on") })
	first := b.status(t).PID
	id := b.core.send(b.account, "swallow")
	b.core.until(t, "the command is at the plugin", func() bool { return b.core.rows[id].instance != "" })
	lost := time.Now()
	l.set(false)
	for syscall.Kill(first, 0) == nil {
		if time.Since(lost) > 5*time.Second {
			t.Fatal("the process lives 5 s after the lease was lost")
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.generation(t, 2)
	b.core.until(t, "the crash is told", func() bool { c := b.status(t).LastCrash; return c != nil && c.Cause == "lease" })
	list := b.journal(t)
	if last := list[len(list)-1]; last.what != "standby" || last.pid == first {
		t.Errorf("the next process: %+v", last)
	}
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	if got := b.core.results[id]; len(got) != 0 {
		t.Errorf("results of what was under way: %+v", got)
	}
}

// After a gap in the lease that nobody saw, the plugin may have the account on standby by itself: it
// is configured anew, and gets no commands until then.
func TestLeaseGapThatNobodySaw(t *testing.T) {
	b, l := leasedBench(t, true, "one", "slow")
	b.core.until(t, "it is enabled", func() bool { return strings.HasSuffix(whats(b.journal(t)), "on") })
	before := b.core.send(b.account, "text")
	b.core.until(t, "a command is carried out", func() bool { return b.core.settled(before) })
	l.gap()
	b.core.until(t, "it is enabled anew", func() bool { return strings.HasSuffix(whats(b.journal(t)), "on on") })
	early := b.core.send(b.account, "text")
	b.core.mu.Lock()
	if at := b.core.rows[early].instance; at != "" {
		t.Errorf("%s was given a command before it was configured anew", at)
	}
	b.core.mu.Unlock()
	if err := os.WriteFile(filepath.Join(b.dir, "journal.go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.core.until(t, "the command was carried out", func() bool { return b.core.settled(early) })
}

// A plugin that stays away gives its accounts back, and asks for them again when it is ready.
func TestLeaseOfPluginThatIsDown(t *testing.T) {
	b, l := leasedBench(t, true, "one")
	b.core.until(t, "it is enabled", func() bool { return strings.HasSuffix(whats(b.journal(t)), "on") })
	b.core.send(b.account, "exit 64") // waits for another configuration
	down := time.Now()
	b.core.until(t, "it is given back", func() bool { return l.said() == "want unwant" })
	if took := time.Since(down); took < 4*time.Second {
		t.Errorf("given back after %v, want some time for a restart", took)
	}
	b.host.SetSettings("echo", []byte(`{"limit":1}`))
	b.ready(t)
	b.core.until(t, "it is wanted again", func() bool { return l.said() == "want unwant want" })
	b.core.until(t, "it is enabled again", func() bool { return strings.HasSuffix(whats(b.journal(t)), "standby on") })
}

// A plugin of minor 0 refuses webhooks of accounts that are off. The carrier is asked to come again,
// since the next attempt may reach the node that serves the account.
func TestHookOfAnotherNodesAccount(t *testing.T) {
	b, l := leasedBench(t, false, "one0")
	b.core.until(t, "the lease is wanted", func() bool { return l.said() == "want" })
	if got := whats(b.journal(t)); got != "off" {
		t.Errorf("before it is held: %q", got)
	}
	if resp, err := b.host.Hook(t.Context(), b.account, post("m1")); !errors.Is(err, pluginhost.ErrUnavailable) {
		t.Errorf("webhook: %+v, %v, want ErrUnavailable", resp, err)
	}
	l.set(true)
	b.core.until(t, "it is enabled", func() bool { return whats(b.journal(t)) == "off on" })
	if resp, err := b.host.Hook(t.Context(), b.account, post("m1")); err != nil || resp.Status != 202 {
		t.Errorf("webhook, again: %+v, %v", resp, err)
	}
	if resp, err := b.host.Hook(t.Context(), b.account, post("reject")); err != nil || resp.Status != 403 {
		t.Errorf("webhook that the plugin refuses: %+v, %v", resp, err)
	}
}

// A plugin that says only of an enabled account that it is for one node has it taken away at once.
func TestPlacementSaidLate(t *testing.T) {
	b, l := leasedBench(t, false, "one-late")
	b.core.until(t, "it is taken away", func() bool { return whats(b.journal(t)) == "asked-standby on standby" })
	b.core.until(t, "the lease is wanted", func() bool { return l.said() == "want" })
	l.set(true)
	b.core.until(t, "it is enabled", func() bool { return strings.HasSuffix(whats(b.journal(t)), "standby on") })
	if s := b.status(t); s.Generation != 1 {
		t.Errorf("generation %d, want the first", s.Generation)
	}
}

// Without other nodes every account is this node's from the first Configure on.
func TestOneNodeServesAll(t *testing.T) {
	b := newBench(t, nil, self("echo", "one"))
	b.ready(t)
	if got := whats(b.journal(t)); got != "on" {
		t.Errorf("configured: %q, want it enabled once", got)
	}
	if s := b.status(t); len(s.OneNode) != 0 {
		t.Errorf("status: %+v", s.OneNode)
	}
	b.host.SetAccounts([]pluginhost.AccountConfig{{ID: b.account, Plugin: "echo", Settings: []byte(`{"number":"1"}`)}, {ID: conversation.NewID[conversation.AccountID](), Plugin: "echo", Settings: []byte(`{"number":"2"}`), Enabled: true}})
	b.core.until(t, "the change", func() bool { return whats(b.journal(t)) == "on off on" })
}
