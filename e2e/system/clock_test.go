package system_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

const clockSite = `
services:
  - {name: Clock, teams: [Front Office], rules: {offer_timeout: 3m, inactivity_warn: 5m, inactivity_end: 10m, medium: chat, share: 25, spare: 25}}
accounts:
  - {name: clock, plugin: webchat, service: Clock, settings: {site: clock, allowed_origins: ["*"]}}
`

// systemClock is a system's clock that only the gateway under test sees.
type systemClock struct {
	t    *testing.T
	file string
}

func newSystemClock(t *testing.T) systemClock {
	t.Helper()
	c := systemClock{t, filepath.Join(t.TempDir(), "offset")}
	c.set(0)
	return c
}

// set makes it that far ahead of the machine's.
func (c systemClock) set(offset time.Duration) {
	c.t.Helper()
	if err := os.WriteFile(c.file+".new", []byte(offset.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.file+".new", c.file); err != nil {
		c.t.Fatal(err)
	}
}

// clockBinary is a build whose gateway reads a systemClock; plugins read the machine's.
func clockBinary(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "parley")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "clockfault", "-o", name, "./cmd/parley")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return name
}

// clockOffset is parley_clock_offset_seconds.
func (d *demo) clockOffset() time.Duration {
	d.t.Helper()
	_, rest, _ := strings.Cut(d.metrics(), "\nparley_clock_offset_seconds ")
	text, _, _ := strings.Cut(rest, "\n")
	s, err := strconv.ParseFloat(text, 64)
	if err != nil {
		d.t.Fatalf("parley_clock_offset_seconds: %v", err)
	}
	return time.Duration(s * float64(time.Second))
}

// FT19, PR3: the system's clock jumps back and forth. Offers, chats, logins and
// texts go on as if nothing had happened, what is repeated counts once, and the
// log's times follow its numbers. A restart takes the system's time up.
func TestClockJumps(t *testing.T) {
	machine := newSystemClock(t)
	d := startBinary(t, clockBinary(t), "", []string{"CLOCKFAULT_OFFSET_FILE=" + machine.file})
	d.apply(clockSite)
	ctx := bounded(t, 3*time.Minute)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	visitor := func(name string) *drive.Customer {
		t.Helper()
		var c *drive.Customer
		eventually(t, "the site to be served", 20*time.Second, func() (ok bool) {
			var err error
			c, err = drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "clock"})
			return err == nil
		})
		t.Cleanup(c.Close)
		_, err := c.Start(ctx, "start", map[string]string{"first_name": name, "message": "hello"})
		must("start of a chat", err)
		return c
	}
	offers := make(chan drive.Offer, 16)
	token := d.token("ben")
	ben, err := drive.DialAgent(ctx, drive.AgentOptions{
		URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: token, OnOffer: func(o drive.Offer) { offers <- o },
	})
	must("ben's socket", err)
	t.Cleanup(ben.Close)
	must("ready", ben.Do(ctx, "ready", nil, nil))
	offered := func() drive.Offer {
		t.Helper()
		select {
		case o := <-offers:
			return o
		case <-ctx.Done():
			t.Fatal("no offer")
			return drive.Offer{}
		}
	}
	first := visitor("F")
	chat := offered()
	must("accept", ben.Do(ctx, "accept", map[string]any{"offer": chat.Offer}, nil))
	ana := d.desk("ana")
	text := ana.begin("+12125550001", "hello")
	inbound := func() {
		t.Helper()
		if status, err := d.carrier().Text(ctx, sid(19), "+12125550019", "once"); err != nil || status != http.StatusOK {
			t.Errorf("webhook: %d, %v, want 200", status, err)
		}
	}
	inbound()

	jumps := []time.Duration{time.Hour, 25 * time.Hour, -time.Hour, -24 * time.Hour}
	for n, jump := range jumps {
		visitor(id("V", n))
		waiting := offered()
		machine.set(jump)
		eventually(t, "line of the jump", 30*time.Second, func() bool { return strings.Count(d.log.String(), "the system's clock jumped") == n+1 })
		if got := d.clockOffset(); (got - jump).Abs() > 5*time.Minute {
			t.Errorf("after a jump to %v the offset is %v", jump, got)
		}
		for range 2 { // and once more after timers and sweeps had a second for it
			if ben.View().Status != "busy" && ben.View().Status != "ready" {
				t.Errorf("%v: ben is %s (%s)", jump, ben.View().Status, ben.View().Reason)
			}
			if _, err := first.Say(ctx, id("c", time.Now().Nanosecond()), "still here"); err != nil {
				t.Errorf("%v: customer: %v", jump, err)
			}
			if _, err := ben.Say(ctx, chat.Conversation, id("b", time.Now().Nanosecond()), "still here"); err != nil {
				t.Errorf("%v: agent: %v", jump, err)
			}
			if status := d.me(token); status != http.StatusOK {
				t.Errorf("%v: ben's login: status %d, want 200", jump, status)
			}
			inbound()
			message := ana.say(text.Conversation, "reply")
			eventually(t, "fate of a text", 30*time.Second, func() bool { return ana.last(message).Status != "" })
			if f := ana.last(message); f.Status == "failed" || f.Status == "unknown" {
				t.Errorf("%v: a text: %+v", jump, f)
			}
			<-time.After(1200 * time.Millisecond)
		}
		if err := ben.Do(ctx, "accept", map[string]any{"offer": waiting.Offer}, nil); err != nil {
			t.Errorf("%v: the offer that was there before: %v", jump, err)
		}
		must("end", ben.Do(ctx, "end", map[string]any{"conversation": waiting.Conversation}, nil))
	}
	select {
	case <-ben.Closed():
		t.Errorf("ben's socket was closed: %v", ben.CloseReason())
	case <-first.Closed():
		t.Errorf("the customer's socket was closed: %v", first.CloseReason())
	default:
	}

	before := d.child("serve")
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "gateway that came back", 30*time.Second, func() bool { pid := d.child("serve"); return pid != 0 && pid != before && d.ready() })
	if got := d.clockOffset(); got.Abs() > time.Second {
		t.Errorf("offset after a restart: %v, want none", got)
	}
	inbound()
	if got := d.texts()["once"]; len(got) != 1 {
		t.Errorf("PR3: the repeated webhook is there %d times, want once", len(got))
	}
	d.events() // PR6
	lastAt, restarted := map[string]time.Time{}, false
	for dec := json.NewDecoder(bytes.NewReader(d.parley("log"))); ; {
		var e struct {
			Stream, Type string
			Seq          uint64
			At           time.Time
			Head         struct{ Cause string }
		}
		if err := dec.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if e.At.Before(lastAt[e.Stream].Add(-12 * time.Hour)) {
			restarted = true // the clock was a day back when the gateway started anew
		}
		if e.At.Before(lastAt[e.Stream]) && !restarted {
			t.Errorf("event %d (%s) of %s is dated %v before the one in front of it", e.Seq, e.Type, e.Stream, lastAt[e.Stream].Sub(e.At))
		}
		lastAt[e.Stream] = e.At
		if e.Type == "inactivity.warned/1" || e.Type == "routing.declined/1" {
			t.Errorf("the log has %s (%s)", e.Type, e.Head.Cause)
		}
	}
}

// me asks who is logged in.
func (d *demo) me(token string) int {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.info.PublicURL+"/api/v1/me", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := drive.HTTPClient().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
