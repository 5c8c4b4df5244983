package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parley-gateway/parley/drive"
)

// Replies measures agents' texts through the outbox and plugin to a slow carrier.
type Replies struct {
	Agents        int           // agents who reply
	Conversations int           // customers who have written
	Replies       int           // replies to each customer, all at once
	Latency       time.Duration // time that the carrier takes to answer
	Store         string        // postgres://...; "" = the embedded store
	Dir           string        // data folder; "" = a temporary one
	Verbose       bool          // show the gateway's log
}

// Run prints the figures to w.
func (c Replies) Run(ctx context.Context, w io.Writer) error {
	return inDir(c.Dir, func(dir string) error { return c.run(ctx, w, dir) })
}

// settled records when the agent learned the carrier's answer to each reply.
type settled struct {
	mu     sync.Mutex
	all    chan struct{} // closed when the last reply is settled
	want   int
	at     map[string][]time.Time // times of the answers, by conversation
	seen   map[string]bool        // ids of messages
	failed int
}

func (c Replies) run(ctx context.Context, w io.Writer, dir string) (err error) {
	sys, err := startSystem(ctx, dir, gatewayLog(c.Verbose), storeEnv(c.Store)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.stop()) }()
	s := &settled{all: make(chan struct{}), want: c.Conversations * c.Replies, at: map[string][]time.Time{}, seen: map[string]bool{}}
	agents, err := onlineAgents(ctx, sys, c.Agents, 100, "Text Line", s.hear)
	if err != nil {
		return err
	}
	defer closeAgents(agents)
	line, err := sys.textLine()
	if err != nil {
		return err
	}
	if err := c.text(ctx, line); err != nil {
		return err
	}
	owners, err := c.owners(ctx, agents)
	if err != nil {
		return err
	}
	if err := c.slowCarrier(ctx, sys.info.Sandbox.TwilioURL); err != nil {
		return err
	}
	held0, err := commandSeconds(ctx, sys)
	if err != nil {
		return err
	}
	u0, began := sys.used(), time.Now()
	if err := c.reply(ctx, owners); err != nil {
		return err
	}
	select {
	case <-s.all:
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("after two minutes %d of %d replies are settled", s.count(), s.want)
	case <-ctx.Done():
		return ctx.Err()
	}
	took, used := time.Since(began), sys.used().cpu-u0.cpu
	held, err := commandSeconds(ctx, sys)
	if err != nil {
		return err
	}
	return c.report(w, s, began, took, used, held-held0)
}

// commandSeconds is the total time for which the plugin has held commands: divided by the time
// passed it is how many the plugin held at once on average.
func commandSeconds(ctx context.Context, sys *system) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, sys.info.OpsURL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	const name = `parley_pluginhost_command_seconds_sum{plugin="sms"} `
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		if v, ok := strings.CutPrefix(sc.Text(), name); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, sc.Err() // there was no command yet
}

// text has each customer send one text.
func (c Replies) text(ctx context.Context, line textLine) error {
	car, err := drive.NewCarrier(drive.CarrierOptions{WebhookURL: line.WebhookURL, AccountSID: line.AccountSID, AuthToken: line.AuthToken, Number: line.Number})
	if err != nil {
		return err
	}
	defer car.Close()
	for i := range c.Conversations {
		status, err := car.Text(ctx, fmt.Sprintf("SM%032x", i), fmt.Sprintf("+1212%07d", i), "hello")
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("text %d was answered with %d", i, status)
		}
	}
	return nil
}

// owners waits until each conversation has an agent, and returns the agents by conversation.
func (c Replies) owners(ctx context.Context, agents []*drive.Agent) (map[string]*drive.Agent, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		owners := map[string]*drive.Agent{}
		for _, a := range agents {
			for _, conv := range a.View().Conversations {
				if conv.State == "joined" {
					owners[conv.Conversation] = a
				}
			}
		}
		if len(owners) == c.Conversations {
			return owners, nil
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return nil, fmt.Errorf("%d of %d conversations have an agent: %w", len(owners), c.Conversations, err)
		}
	}
}

// slowCarrier makes the sandbox answer slowly to each message.
func (c Replies) slowCarrier(ctx context.Context, sandbox string) error {
	rule, err := json.Marshal(map[string]any{"kind": "latency", "op": "create", "delay_ms": c.Latency.Milliseconds()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, sandbox+"/_sandbox/faults", bytes.NewReader(rule))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		err = fmt.Errorf("the sandbox answered %d", resp.StatusCode)
	}
	return errors.Join(err, resp.Body.Close())
}

// reply sends the replies in all conversations at once, and returns when all are accepted.
func (c Replies) reply(ctx context.Context, owners map[string]*drive.Agent) error {
	g, ctx := errgroup.WithContext(ctx)
	for conv, agent := range owners {
		g.Go(func() error {
			for k := range c.Replies {
				if _, err := agent.Say(ctx, conv, fmt.Sprintf("r%d", k), fmt.Sprintf("reply %d", k)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// hear records the statuses of replies.
func (s *settled) hear(frame []byte) {
	if !bytes.Contains(frame, []byte(`"message.status/1"`)) {
		return
	}
	var e struct {
		Conversation string `json:"conversation"`
		Head         struct {
			Message string `json:"message"`
			Status  string `json:"status"`
		} `json:"head"`
	}
	if json.Unmarshal(frame, &e) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[e.Head.Message] { // this is a later status of the same message
		return
	}
	s.seen[e.Head.Message] = true
	if e.Head.Status == "failed" || e.Head.Status == "unknown" {
		s.failed++
	}
	s.at[e.Conversation] = append(s.at[e.Conversation], time.Now())
	if s.want--; s.want == 0 {
		close(s.all)
	}
}

func (s *settled) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, at := range s.at {
		n += len(at)
	}
	return n
}

func (c Replies) report(w io.Writer, s *settled, began time.Time, took, cpu time.Duration, held float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := c.Conversations * c.Replies
	// Fairness: how much each conversation had got when the first one had got everything.
	first := took
	for _, at := range s.at {
		first = min(first, at[len(at)-1].Sub(began))
	}
	least, most := n, 0
	for _, at := range s.at {
		k := 0
		for _, t := range at {
			if t.Sub(began) <= first {
				k++
			}
		}
		least, most = min(least, k), max(most, k)
	}
	const window = 32 // commands of one account that may be under way (DESIGN.md 7)
	bound := window / c.Latency.Seconds()
	rate := float64(n) / took.Seconds()
	_, err := fmt.Fprintf(w, `%s
%d agents, %d conversations, %d replies each, carrier answers in %v
settled %d in %v: %.0f/s; not sent %d
commands at the plugin: %.1f of %d on average, each %.1f ms; with nothing but the carrier's time: %.0f/s
when the first conversation had all its replies, each had %d to %d of %d
CPU per reply, all processes: %v
`, machine(), c.Agents, c.Conversations, c.Replies, c.Latency, n, took.Round(time.Millisecond), rate, s.failed,
		held/took.Seconds(), window, held/float64(n)*1000, bound, least, most, c.Replies, (cpu / time.Duration(n)).Round(time.Microsecond))
	return err
}
