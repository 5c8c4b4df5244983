package system_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/internal/pgtest"
)

// strike is one way to hurt a running installation.
type strike struct {
	what string
	do   func()
}

// killer ends a process of the demo at once.
func (d *demo) killer(what string) strike {
	return strike{what, func() {
		var pid int
		eventually(d.t, what+" process", 30*time.Second, func() bool { pid = d.child(what); return pid != 0 })
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone by itself: as well
	}}
}

// freezer stops a process of the demo where it is, for a while. By then its
// place is taken: what wakes up is a process that nobody listens to (FT4).
func (d *demo) freezer(what string, lasting time.Duration) strike {
	return strike{fmt.Sprintf("%s, frozen for %v", what, lasting), func() {
		var pid int
		eventually(d.t, what+" process", 30*time.Second, func() bool { pid = d.child(what); return pid != 0 })
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		<-time.After(lasting)
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}}
}

// frozen stops all of PostgreSQL for a while.
func frozen(t *testing.T, c *pgtest.Cluster, lasting time.Duration) strike {
	return strike{fmt.Sprintf("PostgreSQL, frozen for %v", lasting), func() {
		if err := c.Freeze(); err != nil {
			t.Fatal(err)
		}
		<-time.After(lasting)
		if err := c.Thaw(); err != nil {
			t.Fatal(err)
		}
	}}
}

// postgres starts a server that lasts as long as the test.
func postgres(t *testing.T) *pgtest.Cluster {
	t.Helper()
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// rounds is how many strikes a test makes.
func rounds(usual int) int {
	if n, err := strconv.Atoi(os.Getenv("PARLEY_SOAK_KILLS")); err == nil {
		return n
	}
	if os.Getenv("PARLEY_SOAK") != "" {
		return 100
	}
	return usual
}

// freezes is how many strikes a soak of freezes makes, each of up to 30 s; 0: this
// is none.
func freezes() int {
	if os.Getenv("PARLEY_SOAK") == "" {
		return rounds(0)
	}
	return min(rounds(0), 18)
}

// PR1, PR3, PR4, PR9, FT1, FT5: kill -9 of the gateway and of every plugin at random while texts, chats, a messenger's
// messages and calls come in, replies go out, a bot answers and a tool is used. By the ledgers of carriers, customers and
// agents nothing acknowledged is missing or there twice, and what is unknown is shown so.
func TestTextKills(t *testing.T) {
	d := startDemo(t, "")
	for _, name := range trafficPlugins {
		d.addExample(name)
	}
	plugins := []strike{d.killer("plugin serve sms"), d.killer("webchat")}
	for _, name := range trafficPlugins {
		plugins = append(plugins, d.killer(name))
	}
	d.endures(strikesAt(rounds(7), []strike{d.killer("serve")}, plugins), false, true)
}

// strikesAt are n strikes in random order: a third of them at nodes, the others at plugins.
func strikesAt(n int, nodes, plugins []strike) []strike {
	return mixed(n, append(mixed(n/3, nodes), mixed(n-n/3, plugins)...))
}

// PR1, PR3, PR4, FT14: the same with the store in PostgreSQL, whose backends
// are terminated and whose server stops at once and comes back, too.
func TestTextKillsOnPostgres(t *testing.T) {
	c := postgres(t)
	name := c.Database(t)
	d := startDemoWith(t, "", []string{"PARLEY_STORE=" + c.DSN(name)})
	n := rounds(7)
	d.struck(n, []strike{
		d.killer("serve"),
		d.killer("plugin serve sms"),
		{"PostgreSQL's backends", func() {
			c.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
		}},
	}, strike{"the PostgreSQL server", func() {
		if err := c.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}})
}

// PR1, PR3, PR4, PR11, FT4, FT14, FT15: PostgreSQL and the SMS plugin freeze and
// go on later. What was told "not now" may have been written all the same: it is
// queued and sent like everything else, once and in order.
func TestTextFreezesOnPostgres(t *testing.T) {
	c := postgres(t)
	d := startDemoWith(t, "", []string{"PARLEY_STORE=" + c.DSN(c.Database(t))})
	long := []strike{}
	for _, n := range []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second} {
		long = append(long, frozen(t, c, n), d.freezer("plugin serve sms", n))
	}
	plan := []strike{frozen(t, c, 15*time.Second), d.freezer("plugin serve sms", 5*time.Second)}
	if n := freezes(); n > 0 {
		plan = mixed(n, long)
	}
	d.endures(plan, true, false)
}

// mixed are n of strikes, each in turn, in random order.
func mixed(n int, strikes []strike) (plan []strike) {
	for len(plan) < n {
		for _, i := range rand.Perm(len(strikes)) {
			plan = append(plan, strikes[i])
		}
	}
	return plan[:n]
}

// struck makes n strikes: each of often in turn, in random order, and once, in the
// middle, what is in rare.
func (d *demo) struck(n int, often []strike, rare ...strike) {
	d.t.Helper()
	plan := mixed(n-len(rare), often)
	d.endures(append(plan[:len(plan)/2:len(plan)/2], append(rare, plan[len(plan)/2:]...)...), false, false)
}

// endures lets phones and an agent talk, strikes at random moments, and compares
// the three ledgers. strangers: phones that never wrote before come all the time; everything: there is traffic besides
// texts.
func (d *demo) endures(plan []strike, strangers, everything bool) {
	t := d.t
	t.Helper()
	x := newExchange()
	var f *traffic
	if everything {
		f = prepareTraffic(d, x, nil)
	} else {
		d.apply("services: [{name: Text Line, teams: [Front Office], rules: " + trafficRules + "}]")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var phones, agents sync.WaitGroup
	faults := make(chan error, 8+maxStrangers)
	phonesCtx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	for phone := range 8 {
		c := d.carrier()
		phones.Go(func() {
			if err := x.phone(phonesCtx, c, phone, noEnd); err != nil {
				faults <- err
			}
		})
	}
	if strangers {
		carriers := d.carriers(maxStrangers)
		phones.Go(func() { x.strangers(phonesCtx, carriers, func(err error) { faults <- err }) })
	}
	if f != nil {
		f.start(ctx, phonesCtx)
	}
	token := d.token("ana")
	agents.Go(func() { x.agent(ctx, d, token) })
	slowest := x.strike(t, plan)
	hangUp()
	phones.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	if f != nil {
		f.wait()
	}
	x.await(t, d)
	if f != nil {
		d.killer("phone").do() // no call outlives its process
		f.compare()
	}
	stop()
	agents.Wait()
	t.Logf("%d strikes, slowest resumption %v", len(plan), slowest)
	x.compare(d, f)
	projected(d)
}

// compare compares the three ledgers, and the order of texts and replies. f: the traffic besides texts, or nil.
func (x *exchange) compare(d *demo, f *traffic) {
	t := d.t
	t.Helper()
	taken := d.carried() // first: what was told by then must be in the log afterwards
	var sent []string
	for _, m := range d.outbound() {
		sent = append(sent, m.Body)
	}
	if f != nil {
		byText, texts := f.taken()
		maps.Copy(taken, byText)
		sent = append(sent, texts...)
	}
	status, count, texts := d.messages()
	x.settle(t, taken, status, count)
	logged, carried := reordered(texts), reordered(sent)
	t.Logf("out of order: %d in the log, %d at the carrier", logged, carried)
	if logged+carried != 0 {
		t.Error("texts or replies were reordered")
	}
}

// await waits until each text has a reply with a final status.
func (x *exchange) await(t *testing.T, d *demo) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); ; {
		open := map[string]string{}
		status, _ := d.statuses()
		x.mu.Lock()
		for text := range x.texts {
			reply := "reply to " + text
			if s := status[reply]; !x.replies[reply] || s == "" || s == "accepted" {
				open[reply] = fmt.Sprintf("acknowledged %t, status %q", x.replies[reply], s)
			}
		}
		x.mu.Unlock()
		if len(open) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("without a final status: %v", open)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// settle compares the three ledgers: ours, the log and the carrier's.
func (x *exchange) settle(t *testing.T, taken map[string][]carried, status map[string]string, count map[string]int) {
	t.Helper()
	var missing, doubled, unsent, resent, wrong, unknown, unexplained int
	for text := range x.texts {
		if count[text] == 0 {
			missing++
		}
	}
	for text, n := range count {
		if _, _, ok := numbered(text); ok && n > 1 {
			doubled++
			t.Logf("%q is in the log %d times", text, n)
		}
	}
	for reply := range x.replies {
		if x.asked[strings.TrimPrefix(reply, "reply to ")] {
			if count[reply] != 1 { // the web chat reads the log
				unsent++
				t.Logf("%q is in the log %d times", reply, count[reply])
			}
			continue
		}
		switch s, ms := status[reply], taken[reply]; {
		case len(ms) > 1:
			resent++
			t.Logf("%q reached the carrier %d times", reply, len(ms))
		case s == "unknown":
			// Explained: the attempt died with its process, and so did the
			// callbacks that tell of it, if there were any.
			unknown++
			if !strings.HasPrefix(reply, "reply to text ") {
				unexplained++
				t.Logf("%q is unknown although the messenger can be asked", reply)
			}
			if len(ms) == 1 && ms[0].told() {
				unexplained++
				t.Logf("%q is unknown although a callback that tells its status was answered: %+v", reply, ms[0])
			}
		case len(ms) == 0:
			unsent++
			t.Logf("%q has status %q, and the carrier never saw it", reply, s)
		case s == "failed":
			wrong++
			t.Logf("%q has status %q, and the carrier took it: %+v", reply, s, ms[0])
		}
	}
	t.Logf("%d texts acknowledged, %d replies: %d texts missing, %d doubled; %d replies unsent, %d sent twice, %d with a wrong status, %d unknown (shown as such), %d of them unexplained",
		len(x.texts), len(x.replies), missing, doubled, unsent, resent, wrong, unknown, unexplained)
	if missing+doubled+unsent+resent+wrong+unexplained != 0 || len(x.texts) == 0 || len(x.replies) == 0 {
		t.Error("texts or replies were lost or doubled, or a status is wrong")
	}
}
