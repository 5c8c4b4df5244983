package system_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// twin is a second gateway over the stores of a demo: a `parley serve` with a folder of its own,
// started again whenever it ends, as a service manager would. Nothing passes between the two but
// what is in the databases.
type twin struct {
	t      *testing.T
	data   string
	public string // host:port
	env    []string
	log    *lockedBuffer
	stop   chan struct{}
	done   sync.WaitGroup

	mu  sync.Mutex
	pid int // 0: not running
}

// shared is what both nodes have in common: the log's database, the keys' and the master key.
func shared(t *testing.T, c *pgtest.Cluster) []string {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return []string{
		"PARLEY_STORE=" + c.DSN(c.Database(t)), "PARLEY_VAULT__STORE=" + c.DSN(c.Database(t)),
		"PARLEY_VAULT__MASTER_KEY=" + base64.StdEncoding.EncodeToString(key),
	}
}

// startTwin starts the second node of a demo, with these of the SDK's examples, and waits until it is ready.
func startTwin(d *demo, plugins ...string) *twin {
	t := d.t
	t.Helper()
	w := &twin{t: t, data: t.TempDir(), public: freeAddr(t), log: &lockedBuffer{}, stop: make(chan struct{})}
	ops := freeAddr(t)
	port := d.info.PublicURL[strings.LastIndexByte(d.info.PublicURL, ':'):]
	w.env = append(append(os.Environ(), d.env...),
		"PARLEY_DATA="+w.data, "PARLEY_NODE=twin", "PARLEY_LISTEN__PUBLIC="+w.public, "PARLEY_LISTEN__OPS="+ops,
		"PARLEY_ORIGINS__DESK=http://desk.localhost"+port, "PARLEY_ORIGINS__CHAT=http://chat.localhost"+port, "PARLEY_ORIGINS__FILES=http://files.localhost"+port,
		"PARLEY_ORIGINS__ALIASES=localhost,127.0.0.1", "PARLEY_LOGIN__PER_ACCOUNT_BURST=50", "PARLEY_LOGIN__PER_IP_BURST=200")
	for _, name := range plugins {
		w.parley("plugin", "add", install(t, w.data, name))
	}
	w.done.Go(w.keep)
	t.Cleanup(func() {
		close(w.stop)
		w.done.Wait()
		if t.Failed() {
			t.Logf("the second node's log:\n%s", tail(w.log.String(), 20_000))
		}
	})
	eventually(t, "second node that is ready", 60*time.Second, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ops+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return w
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// freeAddr is an address on which a gateway can listen, also when it comes back.
func freeAddr(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func (w *twin) keep() {
	for {
		cmd := exec.Command(binary, "serve")
		cmd.Env, cmd.Stderr, cmd.SysProcAttr = w.env, w.log, &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			w.t.Error(err)
			return
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		w.is(cmd.Process.Pid)
		select {
		case <-ended:
			w.is(0)
		case <-w.stop:
			_ = cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				_ = cmd.Process.Kill()
				<-ended
			}
			return
		}
		select {
		case <-time.After(200 * time.Millisecond): // as a service manager waits
		case <-w.stop:
			return
		}
	}
}

func (w *twin) is(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pid = pid
}

func (w *twin) process() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pid
}

// parley runs a command on the second node's data folder.
func (w *twin) parley(args ...string) []byte {
	w.t.Helper()
	return run(w.t, w.env, args...)
}

func (w *twin) url() string { return "http://" + w.public }

// killer ends the second node ("serve") or one of its plugins at once.
func (w *twin) killer(what string) strike {
	return strike{"the second node's " + what, func() {
		var pid int
		eventually(w.t, "second node's "+what, 30*time.Second, func() bool {
			if pid = w.process(); what != "serve" && pid != 0 {
				pid = childOf(pid, what)
			}
			return pid != 0
		})
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone by itself: as well
	}}
}

// either delivers each text, and each repeat of it, to a node taken at random.
type either [2]*drive.Carrier

func (e either) Text(ctx context.Context, sid, from, body string) (int, error) {
	return e[mrand.IntN(2)].Text(ctx, sid, from, body)
}

// bothNodes is a phone's carrier, whose webhooks reach both nodes under one URL, as behind a load
// balancer.
func (d *demo) bothNodes(w *twin) either {
	d.t.Helper()
	l := d.textLine()
	var e either
	for i, dial := range []string{"", w.public} {
		c, err := drive.NewCarrier(drive.CarrierOptions{WebhookURL: l.WebhookURL, Dial: dial, AccountSID: l.AccountSID, AuthToken: l.AuthToken, Number: l.Number})
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(c.Close)
		e[i] = c
	}
	return e
}

// PR1, PR3, PR4, PR6, PR7, PR8 on two nodes: gateways and plugins of both are killed at random while
// texts, chats, a messenger's messages and calls come in at either and agents reply and use a tool, and once
// the databases' server stops. Agents and visitors go to the other node than before whenever they lose their
// connection. No hint passes between the nodes. By the ledgers of carriers, customers and agents nothing is
// lost, doubled or out of order, every session has one end, and both nodes read the same log.
func TestTwoNodesKills(t *testing.T) {
	n := rounds(6)
	c := postgres(t)
	d := startDemoWith(t, "", shared(t, c))
	for _, name := range trafficPlugins {
		d.addExample(name)
	}
	w := startTwin(d, trafficPlugins...)
	x := newExchange()
	f := prepareTraffic(d, x, w)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	phonesCtx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	var phones, agents sync.WaitGroup
	faults := make(chan error, 8)
	for phone := range 8 {
		c := d.bothNodes(w)
		phones.Go(func() {
			if err := x.phone(phonesCtx, c, phone, noEnd); err != nil {
				faults <- err
			}
		})
	}
	f.start(ctx, phonesCtx)
	for i, login := range []string{"ana", "ben"} {
		token := d.token(login)
		nodes := []string{d.info.PublicURL, w.url()}
		if i == 1 {
			slices.Reverse(nodes)
		}
		agents.Go(func() { x.agentOf(ctx, token, nodes...) })
	}
	nodes, plugins := []strike{d.killer("serve"), w.killer("serve")}, []strike{d.killer("plugin serve sms"), w.killer("plugin serve sms")}
	for _, name := range append([]string{"webchat"}, trafficPlugins...) {
		plugins = append(plugins, d.killer(name), w.killer(name))
	}
	plan := strikesAt(n, nodes, plugins)
	if n > 8 { // both databases stop at once and come back
		plan[n/2] = strike{"the PostgreSQL server", func() {
			if err := errors.Join(c.Crash(t.Context()), c.Restart(t.Context())); err != nil {
				t.Fatal(err)
			}
		}}
	}
	slowest := x.strike(t, plan)
	hangUp()
	phones.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	f.wait()
	x.await(t, d)
	for _, k := range []strike{d.killer("phone"), w.killer("phone")} {
		k.do() // no call outlives its process
	}
	f.compare()
	stop()
	agents.Wait()
	t.Logf("%d strikes, slowest resumption %v", len(plan), slowest)
	for i, s := range plan {
		t.Logf("strike %d: %s", i, s.what)
	}
	x.compare(d, f)
	sameLog(t, d, w)
	projected(d)
}

// strike makes the strikes at random moments, and waits after each until something of every kind is taken again that
// was taken before. It returns the longest wait.
func (x *exchange) strike(t *testing.T, plan []strike) (slowest time.Duration) {
	t.Helper()
	for _, s := range plan {
		<-time.After(time.Duration(300+mrand.IntN(900)) * time.Millisecond) // the moment is random on purpose
		s.do()
		began, before := time.Now(), x.progress()
		before["text"] += 0 // texts come in every exchange
		var idle string
		for end := began.Add(60 * time.Second); ; <-time.After(5 * time.Millisecond) {
			now := x.progress()
			idle = ""
			for kind, n := range before {
				if now[kind] <= n {
					idle = kind
				}
			}
			if idle == "" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("a minute after the end of %s nothing new of kind %q was taken", s.what, idle)
			}
		}
		slowest = max(slowest, time.Since(began))
	}
	return slowest
}
