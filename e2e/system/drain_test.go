package system_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// texter delivers texts one after the other as a carrier does: each until its
// webhook was answered with a 2xx.
func (l *ledger) texter(ctx context.Context, d *demo, phone int) error {
	var c *drive.Carrier
	for k := 0; ctx.Err() == nil; {
		if c == nil {
			c = d.carrier()
		}
		text := fmt.Sprintf("text-%d-%d", phone, k)
		status, err := c.Text(ctx, sid(phone<<20+k), fmt.Sprintf("+1212555%04d", phone), text)
		switch {
		case err == nil && status/100 == 2:
			l.note(l.acked, text)
			k++
		case err == nil && status/100 == 4:
			return fmt.Errorf("PR2: %s was answered %d", text, status)
		default:
			c = nil
			select {
			case <-time.After(20 * time.Millisecond): // the carrier's pause before it repeats
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// PR15: SIGTERM under load, again and again. The gateway ends by itself and in
// order, sockets are told to come back, and nothing that was accepted is missing or
// there twice.
func TestStopsUnderLoad(t *testing.T) {
	stops, most := 3, 20*time.Second // a busy machine is no fault
	if os.Getenv("PARLEY_SOAK") != "" {
		stops, most = 20, 10*time.Second
	}
	d := startDemo(t, "")
	l := &ledger{acked: map[string]bool{}, sent: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	faults := make(chan error, 64)
	for n := range 8 {
		wg.Go(func() {
			if err := l.visitor(ctx, d, n); err != nil {
				faults <- err
			}
		})
		wg.Go(func() {
			if err := l.texter(ctx, d, n); err != nil {
				faults <- err
			}
		})
	}
	token := d.token("ana")
	var slowest time.Duration
	for n := range stops {
		var agent *drive.Agent
		eventually(t, "agent's socket", 60*time.Second, func() bool {
			dial, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			var err error
			agent, err = drive.DialAgent(dial, drive.AgentOptions{URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: token})
			return err == nil
		})
		before := l.count()
		eventually(t, "load", 60*time.Second, func() bool { return l.count() > before+20 })
		pid := d.child("serve")
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("end of the gateway after SIGTERM %d", n+1), most, func() bool {
			return strings.Count(d.log.String(), "parley: the gateway ended (") == n+1
		})
		slowest = max(slowest, time.Since(began))
		select {
		case <-agent.Closed():
		case <-time.After(10 * time.Second):
			t.Errorf("stop %d: the agent's socket is open although the gateway has ended", n+1)
		}
		if agent.Bye() != "restart" {
			t.Errorf("stop %d: the agent's socket was told %q (%v), want restart", n+1, agent.Bye(), agent.CloseReason())
		}
		agent.Close()
		back := l.count()
		eventually(t, "acknowledgement after the stop", 60*time.Second, func() bool { return l.count() > back })
	}
	stop()
	wg.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	if got := strings.Count(d.log.String(), "parley: the gateway ended (<nil>)"); got != stops {
		t.Errorf("%d of %d stops ended in order (exit code 0)", got, stops)
	}
	seen := map[string]int{}
	for _, e := range d.events() {
		if e.Type == "message/1" && e.Head.ClientID != "" {
			seen[e.Head.ClientID]++
		}
	}
	for text, streams := range d.texts() {
		if strings.HasPrefix(text, "text-") {
			seen[text] = len(streams)
		}
	}
	for id := range l.acked {
		if seen[id] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", id, seen[id])
		}
	}
	for id, n := range seen {
		if n > 1 && !l.acked[id] {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	t.Logf("%d stops, %d acknowledged, slowest stop %v", stops, len(l.acked), slowest.Round(time.Millisecond))
}

// FT25: with 256 file descriptors and more connections than that, the gateway
// neither ends nor spins, and serves again when they are gone.
func TestFewDescriptors(t *testing.T) {
	d := startDemo(t, "", "prlimit", "--nofile=256")
	gateway := d.child("serve")
	held := d.hold(t, 400)
	used := cpuTicks(t, gateway)
	<-time.After(time.Second) // a second without descriptors, to be measured
	if used = cpuTicks(t, gateway) - used; used > 70 {
		t.Errorf("%d ms of the processor in a second without descriptors: it spins", 10*used)
	}
	for _, c := range held {
		_ = c.Close()
	}
	eventually(t, "answer when there are descriptors again", 30*time.Second, func() bool {
		c, err := drive.DialCustomer(bounded(t, 5*time.Second), drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
		if err != nil {
			return false
		}
		defer c.Close()
		_, err = c.Start(bounded(t, 5*time.Second), "start", map[string]string{"first_name": "F", "message": "hello"})
		return err == nil
	})
	if now := d.child("serve"); now != gateway {
		t.Error("the gateway was started anew")
	}
	if status, _ := d.opsGet("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d, want 200", status)
	}
}
