package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// exchange is the outside view of texts in and replies out.
type exchange struct {
	mu      sync.Mutex
	texts   map[string]bool // inbound, answered 2xx
	replies map[string]bool // outbound, acknowledged to the agent
	asked   map[string]string
}

// phone delivers texts one after the other, each until its webhook was
// answered with a 2xx, always under the same sid: a carrier that repeats.
func (x *exchange) phone(ctx context.Context, c *drive.Carrier, n int) error {
	for k := 0; ctx.Err() == nil; {
		text := fmt.Sprintf("text %d-%d", n, k)
		status, err := c.Text(ctx, sid(n<<20+k), fmt.Sprintf("+1212555%04d", n), text)
		switch {
		case err != nil || status >= 500:
			select {
			case <-time.After(20 * time.Millisecond): // the carrier's pause before it repeats
			case <-ctx.Done():
			}
		case status/100 == 2:
			x.mu.Lock()
			x.texts[text] = true
			x.mu.Unlock()
			k++
			if !x.answered(ctx, "reply to "+text) {
				return nil
			}
		default:
			return fmt.Errorf("%s: answer %d", text, status)
		}
	}
	return nil
}

// answered waits for the agent's reply: the next text is the customer's answer.
func (x *exchange) answered(ctx context.Context, reply string) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		x.mu.Lock()
		done := x.replies[reply]
		x.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// agent accepts what it is offered and replies to each text once, through
// kills and reconnects: a reply goes again under its client id until it is acknowledged.
func (x *exchange) agent(ctx context.Context, d *demo, token string) {
	for ctx.Err() == nil {
		todo := make(chan func(*drive.Agent) error, 4096)
		dial, cancel := context.WithTimeout(ctx, 5*time.Second)
		a, err := drive.DialAgent(dial, drive.AgentOptions{
			URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: token,
			OnOffer: func(o drive.Offer) {
				todo <- func(a *drive.Agent) error {
					return ignoreRefusal(a.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil))
				}
			},
			OnEvent: func(frame []byte) { x.hear(ctx, frame, todo) },
		})
		cancel()
		if err == nil {
			err = ignoreRefusal(a.Do(ctx, "ready", nil, nil))
			for err == nil {
				select {
				case f := <-todo:
					err = f(a)
				case <-a.Closed():
					err = drive.ErrClosed
				case <-ctx.Done():
					err = ctx.Err()
				}
			}
			a.Close()
		}
		select {
		case <-time.After(50 * time.Millisecond): // as a desktop backs off
		case <-ctx.Done():
		}
	}
}

func ignoreRefusal(err error) error {
	var refused *drive.RefusedError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// hear answers a customer's text, unless the answer was acknowledged before.
func (x *exchange) hear(ctx context.Context, frame []byte, todo chan<- func(*drive.Agent) error) {
	var e struct {
		Conversation, Type string
		Head               struct{ Author struct{ Kind string } }
		Body               struct{ Parts []struct{ Text string } }
	}
	if json.Unmarshal(frame, &e) != nil || e.Type != "message/1" || e.Head.Author.Kind != "customer" || len(e.Body.Parts) == 0 {
		return
	}
	reply := "reply to " + e.Body.Parts[0].Text
	x.mu.Lock()
	done := x.replies[reply]
	x.asked[reply] = e.Conversation
	x.mu.Unlock()
	if done {
		return
	}
	todo <- func(a *drive.Agent) error {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := a.Say(call, e.Conversation, reply, reply)
		var refused *drive.RefusedError
		if errors.As(err, &refused) && refused.Code == "rate_limited" {
			return err // connects anew, and hears the text again
		}
		if err == nil {
			x.mu.Lock()
			x.replies[reply] = true
			x.mu.Unlock()
		}
		return ignoreRefusal(err)
	}
}

// statuses are the last status of each of our messages, by text, with how
// often the text is in the log.
func (d *demo) statuses() (status map[string]string, count map[string]int) {
	d.t.Helper()
	status, count = map[string]string{}, map[string]int{}
	text := map[string]string{} // by message id
	dec := json.NewDecoder(strings.NewReader(string(d.parley("log"))))
	for dec.More() {
		var e struct {
			Type string
			Head struct{ ID, Message, Status string }
			Body struct{ Parts []struct{ Text string } }
		}
		if err := dec.Decode(&e); err != nil {
			d.t.Fatalf("parley log: %v", err)
		}
		switch e.Type {
		case "message/1":
			text[e.Head.ID] = e.Body.Parts[0].Text
			count[e.Body.Parts[0].Text]++
		case "message.status/1":
			status[text[e.Head.Message]] = e.Head.Status
		}
	}
	return status, count
}

// taken is how often the carrier took each outbound text: its own ledger.
func (d *demo) taken() map[string]int {
	d.t.Helper()
	var info struct {
		Sandbox struct {
			TwilioURL string `json:"twilio_url"`
		}
	}
	b, err := os.ReadFile(d.data + "/demo.json")
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, info.Sandbox.TwilioURL+"/_sandbox/ledger", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var ledger struct {
		Outbound []struct{ Body string }
	}
	if err := json.NewDecoder(res.Body).Decode(&ledger); err != nil {
		d.t.Fatal(err)
	}
	out := map[string]int{}
	for _, m := range ledger.Outbound {
		out[m.Body]++
	}
	return out
}

// PR1, PR3, PR4, PR9, FT1, FT5: kill -9 of gateway and SMS plugin at random
// while texts come in and replies go out. By the carrier's own ledger nothing
// acknowledged is missing or there twice, and what is unknown is shown so.
func TestTextKills(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("PARLEY_SOAK_KILLS")); err == nil {
		kills = n
	} else if os.Getenv("PARLEY_SOAK") != "" {
		kills = 100
	}
	d := startDemo(t, "")
	d.apply("services:\n  - name: Text Line\n    teams: [Front Office]\n    rules: {offer_timeout: 0s, inactivity_warn: 0s, inactivity_end: 0s, park_after: 0s, share: 1, spare: 1}\n")
	x := &exchange{texts: map[string]bool{}, replies: map[string]bool{}, asked: map[string]string{}}
	ctx, stop := context.WithCancel(t.Context())
	var phones, agents sync.WaitGroup
	faults := make(chan error, 64)
	phonesCtx, hangUp := context.WithCancel(ctx)
	for n := range 8 {
		c := d.carrier()
		phones.Go(func() {
			if err := x.phone(phonesCtx, c, n); err != nil {
				faults <- err
			}
		})
	}
	token := d.token("ana")
	agents.Go(func() { x.agent(ctx, d, token) })
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for i := range kills {
		<-time.After(time.Duration(300+rng.IntN(900)) * time.Millisecond) // the moment is random on purpose
		what := "serve"
		if i%2 == 1 {
			what = "plugin serve sms"
		}
		var pid int
		eventually(t, what+" process", 30*time.Second, func() bool { pid = d.child(what); return pid != 0 })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			continue
		}
		before := x.count()
		eventually(t, "text taken after killing "+what, 30*time.Second, func() bool { return x.count() > before })
	}
	hangUp()
	phones.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	var status map[string]string
	var count map[string]int
	eventually(t, "reply to each text, with a final status", 90*time.Second, func() bool {
		status, count = d.statuses()
		x.mu.Lock()
		defer x.mu.Unlock()
		for text := range x.texts {
			if s := status["reply to "+text]; !x.replies["reply to "+text] || s == "" || s == "accepted" {
				return false
			}
		}
		return true
	})
	stop()
	agents.Wait()
	x.settle(t, d, kills, status, count)
}

func (x *exchange) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.texts)
}

// settle compares the three ledgers: ours, the log and the carrier's.
func (x *exchange) settle(t *testing.T, d *demo, kills int, status map[string]string, count map[string]int) {
	taken := d.taken()
	var missing, doubled, unsent, resent, unknown int
	for text := range x.texts {
		if count[text] == 0 {
			missing++
		}
	}
	for text, n := range count {
		if n > 1 {
			doubled++
			t.Logf("%q is in the log %d times", text, n)
		}
	}
	for reply := range x.replies {
		switch s := status[reply]; {
		case taken[reply] > 1:
			resent++
			t.Logf("%q reached the carrier %d times", reply, taken[reply])
		case s == "unknown":
			unknown++
		case taken[reply] == 0:
			unsent++
			t.Logf("%q has status %q, and the carrier never saw it", reply, s)
		}
	}
	t.Logf("%d kills, %d texts acknowledged, %d replies: %d texts missing, %d doubled; %d replies unsent, %d sent twice, %d unknown (shown as such)",
		kills, len(x.texts), len(x.replies), missing, doubled, unsent, resent, unknown)
	if missing+doubled+unsent+resent != 0 || len(x.texts) == 0 || len(x.replies) == 0 {
		t.Error("texts or replies were lost or doubled")
	}
}
