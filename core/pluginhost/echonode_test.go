package pluginhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// provider is the server behind the echo plugin's callback URL: it accepts each message and
// remembers it.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	got   []string            // texts in the order of their arrival
	times map[string]int      // how often each text arrived
	check func(text string)   // called before a message is accepted; nil = nothing is called
	fault func(n int) (s int) // status for the n-th request, 0 = 200; nil = always 200
	n     int
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{times: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m struct{ To, Text string }
		if err != nil || json.Unmarshal(body, &m) != nil || m.To != "+4930123456" {
			t.Errorf("callback got %s (%v)", body, err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.n++
		if p.check != nil {
			p.check(m.Text)
		}
		if p.fault != nil {
			if status := p.fault(p.n); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		p.got = append(p.got, m.Text)
		p.times[m.Text]++
	}))
	t.Cleanup(p.Close)
	return p
}

// nodeSpec starts the JavaScript example. If something is missing the test fails and names it,
// since this test proves a promise of the contract and must not be skipped.
func nodeSpec(t *testing.T) pluginhost.Spec {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test runs a plugin in Node.js 20 or later: %v", err)
	}
	dir, err := filepath.Abs("../../plugins/sdk/examples/echo-node")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@grpc", "grpc-js")); err != nil {
		t.Fatal("the plugin's modules are missing: run `make test-go`, or `npm ci` in plugins/sdk/examples/echo-node")
	}
	return pluginhost.Spec{ID: "echo-node", Command: []string{node, filepath.Join(dir, "main.js")}}
}

// newNodeBench is a host with the JavaScript plugin, which is ready.
func newNodeBench(t *testing.T, p *provider) *bench {
	t.Helper()
	b := newBench(t, nil, nodeSpec(t))
	b.account = newAccount()
	b.configure(t, `{"callback_url":"`+p.URL+`"}`)
	b.ready(t)
	b.core.until(t, "the account's settings in force", func() bool {
		s := b.host.Plugins()[0]
		return s.State == pluginhost.StateReady && len(s.Problems) == 0
	})
	return b
}

func (b *bench) configure(t *testing.T, settings string) {
	t.Helper()
	b.host.SetAccounts([]pluginhost.AccountConfig{{ID: b.account, Plugin: "echo-node", Name: "One", Settings: []byte(settings), Enabled: true}})
}

// TestNodeWebhook: a hook's answer must wait for the commit of its event, and a repeat must be the
// same event (X1, PR2).
func TestNodeWebhook(t *testing.T) {
	b := newNodeBench(t, newProvider(t))
	hold := make(chan struct{})
	b.core.mu.Lock()
	b.core.hold = hold
	b.core.mu.Unlock()
	const hook = `{"id":"m-1","from":"+4930123456","text":"Grüße 🙂"}`
	answered := make(chan error, 1)
	go func() {
		resp, err := b.host.Hook(context.Background(), b.account, post(hook))
		if err == nil && resp.Status != http.StatusOK {
			err = errors.New(resp.Reason)
		}
		answered <- err
	}()
	b.core.until(t, "the event of the webhook", func() bool { return len(b.core.events) == 1 })
	select {
	case err := <-answered:
		t.Fatalf("answered before the commit: %v", err)
	default:
	}
	b.core.mu.Lock()
	b.core.hold = nil
	got := b.core.events[0]
	b.core.mu.Unlock()
	close(hold)
	if err := <-answered; err != nil {
		t.Fatalf("after the commit: %v", err)
	}
	if got.Thread != "+4930123456" || got.DedupeKey != "m-1" || got.Account != b.account || got.ReceivedAt.IsZero() ||
		got.Message == nil || len(got.Message.Parts) != 1 || got.Message.Parts[0].Text != "Grüße 🙂" {
		t.Errorf("event: got %+v", got)
	}
	if resp, err := b.host.Hook(t.Context(), b.account, post(hook)); err != nil || resp.Status != http.StatusOK {
		t.Errorf("repeat: got %+v, %v", resp, err)
	}
	if resp, err := b.host.Hook(t.Context(), b.account, post("{")); err != nil || resp.Status != http.StatusBadRequest || resp.Reason != "malformed" {
		t.Errorf("malformed: got %+v, %v", resp, err)
	}
	get := post(hook)
	get.Method = http.MethodGet
	if _, err := b.host.Hook(t.Context(), b.account, get); !errors.Is(err, pluginhost.ErrMethod) {
		t.Errorf("GET: got %v, want %v", err, pluginhost.ErrMethod)
	}
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	if len(b.core.events) != 1 || b.core.dups != 1 {
		t.Errorf("%d events and %d repeats, want 1 and 1", len(b.core.events), b.core.dups)
	}
}

// TestNodeSend: the provider must receive nothing before Begin is recorded, and the Result must
// contain the provider's id (PR4).
func TestNodeSend(t *testing.T) {
	p := newProvider(t)
	b := newNodeBench(t, p)
	var early []string
	p.mu.Lock()
	p.check = func(text string) {
		b.core.mu.Lock()
		defer b.core.mu.Unlock()
		for _, row := range b.core.outbox {
			if row.out.Send.Parts[0].Text == text && !row.begun {
				early = append(early, text)
			}
		}
	}
	p.mu.Unlock()
	want := []string{"one", "two", "three"}
	var ids [][16]byte
	for _, text := range want {
		ids = append(ids, b.core.send(b.account, text))
	}
	for i, id := range ids {
		b.core.until(t, "the result of "+want[i], func() bool { return b.core.settled(id) })
		b.core.mu.Lock()
		results := b.core.results[id]
		b.core.mu.Unlock()
		if len(results) != 1 || results[0].Outcome != conversation.StatusSent || len(results[0].ProviderIDs) != 1 {
			t.Errorf("%s: results %+v, want one, sent, with an id", want[i], results)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(early) > 0 {
		t.Errorf("sent before begin was recorded: %v", early)
	}
	if len(p.got) != 3 || p.got[0] != "one" || p.got[1] != "two" || p.got[2] != "three" {
		t.Errorf("the provider got %v, want %v in order", p.got, want)
	}
	b.core.until(t, "an answered ping", func() bool { return b.host.Plugins()[0].Ping > 0 })
}

// TestNodeFailures: each kind of a provider's answers must reach the core.
func TestNodeFailures(t *testing.T) {
	p := newProvider(t)
	b := newNodeBench(t, p)
	for _, tc := range []struct {
		status    int
		kind      string
		retryable bool
	}{
		{http.StatusServiceUnavailable, "temporary", true},
		{http.StatusTooManyRequests, "throttled", true},
		{http.StatusBadRequest, "content", false},
	} {
		p.mu.Lock()
		p.fault = func(int) int { return tc.status }
		p.mu.Unlock()
		id := b.core.send(b.account, "text")
		b.core.until(t, "a result", func() bool { return b.core.settled(id) })
		b.core.mu.Lock()
		r := b.core.results[id][0]
		b.core.mu.Unlock()
		if r.Outcome != conversation.StatusFailed || r.Kind != tc.kind || r.Retryable != tc.retryable {
			t.Errorf("status %d: got %+v, want a %s failure, retryable %v", tc.status, r, tc.kind, tc.retryable)
		}
	}
	p.Close() // the provider does not answer, so the outcome is not known
	id := b.core.send(b.account, "text")
	b.core.until(t, "a result", func() bool { return b.core.settled(id) })
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	if r := b.core.results[id][0]; r.Outcome != conversation.StatusUnknown {
		t.Errorf("no answer: got %+v, want unknown", r)
	}
}

// TestNodeConfigure: faults must be reported by account and path, and the old configuration must
// stay in force.
func TestNodeConfigure(t *testing.T) {
	b := newNodeBench(t, newProvider(t))
	b.configure(t, `{"callback_url":"nowhere"}`)
	b.core.until(t, "the fault", func() bool { return len(b.host.Plugins()[0].Problems) == 1 })
	if p := b.host.Plugins()[0].Problems[0]; p.Account != b.account || p.Path != "/callback_url" || p.Code != "invalid" {
		t.Errorf("problem: got %+v", p)
	}
	b.configure(t, `{}`)
	b.core.until(t, "no fault", func() bool { return len(b.host.Plugins()[0].Problems) == 0 })
	id := b.core.send(b.account, "goes nowhere")
	b.core.until(t, "a result", func() bool { return b.core.settled(id) })
}

// TestNodeKilled: when the plugin is killed while it sends, the next process must go on, and
// nothing may be lost or sent twice (PR4, PR10).
func TestNodeKilled(t *testing.T) {
	p := newProvider(t)
	b := newNodeBench(t, p)
	b.core.mu.Lock()
	b.core.unknown = true // the plugin is not idempotent, and cannot be asked for outcomes
	b.core.mu.Unlock()
	const n = 60
	pid := b.status(t).PID
	p.mu.Lock()
	p.check = func(string) {
		if p.n == n/3 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Errorf("kill: %v", err)
			}
		}
	}
	p.mu.Unlock()
	var ids [][16]byte
	for i := range n {
		ids = append(ids, b.core.send(b.account, strconv.Itoa(i)))
	}
	b.core.until(t, "every result", func() bool {
		for _, id := range ids {
			if !b.core.settled(id) {
				return false
			}
		}
		return true
	})
	s := b.status(t)
	if s.PID == pid || s.Restarts == 0 || s.LastCrash == nil || s.LastCrash.Signal != "killed" {
		t.Errorf("after the kill: %+v", s)
	}
	sent, unknown := 0, 0
	b.core.mu.Lock()
	for _, id := range ids {
		switch r := b.core.results[id]; r[0].Outcome {
		case conversation.StatusSent:
			sent++
		case conversation.StatusUnknown:
			unknown++
		default:
			t.Errorf("result %+v", r)
		}
	}
	b.core.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for text, times := range p.times {
		if times > 1 {
			t.Errorf("message %s was sent %d times", text, times)
		}
	}
	if sent+unknown != n || unknown == 0 || len(p.got) < sent {
		t.Errorf("%d sent and %d unknown of %d, %d at the provider", sent, unknown, n, len(p.got))
	}
}

// TestNodeDrain: commands under way must be settled, then the process must exit by itself.
func TestNodeDrain(t *testing.T) {
	p := newProvider(t)
	b := newNodeBench(t, p)
	arrived, release := make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	p.check = func(string) {
		close(arrived)
		<-release
	}
	p.mu.Unlock()
	id := b.core.send(b.account, "under way")
	<-arrived
	pid := b.status(t).PID
	drained := make(chan error, 1)
	go func() { drained <- b.host.Drain(context.Background()) }()
	b.core.until(t, "the host draining", func() bool { return b.host.Plugins()[0].State == pluginhost.StateDraining })
	close(release)
	began := time.Now()
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("drain took %v: the process did not leave by itself", took)
	}
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	if r := b.core.results[id]; len(r) != 1 || r[0].Outcome != conversation.StatusSent {
		t.Errorf("the message under way: %+v, want sent", r)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
}

// TestNodeRestart: two generations run side by side and are exchanged without a gap.
func TestNodeRestart(t *testing.T) {
	b := newNodeBench(t, newProvider(t))
	pid := b.status(t).PID
	if err := b.host.Restart(t.Context(), "echo-node"); err != nil {
		t.Fatal(err)
	}
	if now := b.status(t).PID; now == pid || now == 0 {
		t.Errorf("pid %d, then %d", pid, now)
	}
	if resp, err := b.host.Hook(t.Context(), b.account, post(`{"id":"m","from":"+4930123456","text":"a"}`)); err != nil || resp.Status != http.StatusOK {
		t.Errorf("hook after the restart: %+v, %v", resp, err)
	}
}
