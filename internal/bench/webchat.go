package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// Webchat measures customers' messages, from the socket through log and router to agents' sockets.
type Webchat struct {
	Pairs    int           // customers, each with an agent of its own
	Rate     float64       // messages per second in total; 0 = as many as possible
	Window   int           // messages that a customer sends ahead of their acknowledgements if no rate is set
	Size     int           // bytes of text in a message
	Duration time.Duration // length of the measurement
	Dir      string        // data folder; "" = a temporary one
	Verbose  bool          // show the gateway's log
}

// webchatRun is one run of the bench.
type webchatRun struct {
	Webchat
	refused atomic.Int64 // messages that were refused and sent again
}

// Run prints the figures to w.
func (c Webchat) Run(ctx context.Context, w io.Writer) error {
	return inDir(c.Dir, func(dir string) error { return (&webchatRun{Webchat: c}).run(ctx, w, dir) })
}

// pair is a customer and an agent in one conversation.
type pair struct {
	customer *drive.Customer
	agent    *drive.Agent
	conv     string
	text     string

	mu      sync.Mutex
	sent    []time.Time
	slots   chan struct{}
	toAgent []time.Duration
	toAck   []time.Duration
	from    int // messages before this index are warm-up
}

func chatRecords(n int) []byte {
	var b strings.Builder
	b.WriteString("users:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {login: bench-%d, name: Bench %d, role: agent, password: bench-password-%d}\n", i, i, i)
	}
	b.WriteString("services:\n  - name: Bench\n    users: [")
	for i := range n {
		fmt.Fprintf(&b, "bench-%d, ", i)
	}
	b.WriteString("]\n    rules: {offer_timeout: 0s, inactivity_warn: 0s, inactivity_end: 0s, share: 100, spare: 100}\n")
	b.WriteString("accounts:\n  - {name: bench, plugin: webchat, service: Bench, settings: {site: bench, allowed_origins: [\"*\"], message_burst: 10000, messages_per_second: 10000, starts_per_second: 10000, start_burst: 10000}}\n")
	return []byte(b.String())
}

func (c *webchatRun) run(ctx context.Context, w io.Writer, dir string) (err error) {
	sys, err := startSystem(ctx, dir, gatewayLog(c.Verbose))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.stop()) }()
	if err := sys.apply(ctx, chatRecords(c.Pairs)); err != nil {
		return err
	}
	pairs, err := c.connect(ctx, sys)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range pairs {
			p.customer.Close()
			p.agent.Close()
		}
	}()
	_, before, err := diskSync(dir, time.Second)
	if err != nil {
		return err
	}
	c.drive(ctx, pairs, c.Duration/5) // the warm-up
	for _, p := range pairs {
		p.mu.Lock()
		p.from, p.toAgent, p.toAck = len(p.sent), nil, nil
		p.mu.Unlock()
	}
	u0, began := sys.used(), time.Now()
	self0 := selfCPU()
	c.drive(ctx, pairs, c.Duration)
	took := time.Since(began)
	u1, self1 := sys.used(), selfCPU()
	_, after, err := diskSync(dir, time.Second)
	if err != nil {
		return err
	}
	return c.report(w, pairs, took, u1.cpu-u0.cpu, self1-self0, max(before, after))
}

// connect logs in the agents, starts the chats and has each agent accept one.
func (c *webchatRun) connect(ctx context.Context, sys *system) ([]*pair, error) {
	client := drive.HTTPClient()
	pairs := make([]*pair, c.Pairs)
	byConv := sync.Map{} // pairs by their conversation
	refused := &c.refused
	joined := make(chan error, c.Pairs)
	for i := range pairs {
		p := &pair{slots: make(chan struct{}, max(c.Window, 1)), text: strings.Repeat("x", c.Size)}
		pairs[i] = p
		token, err := drive.Login(ctx, client, sys.info.PublicURL, fmt.Sprintf("bench-%d", i), fmt.Sprintf("bench-password-%d", i))
		if err != nil {
			return nil, err
		}
		offers := make(chan drive.Offer, 4)
		p.agent, err = drive.DialAgent(ctx, drive.AgentOptions{
			URL: websocket(sys.info.PublicURL, "/api/v1/stream"), Token: token,
			OnOffer: func(o drive.Offer) { offers <- o },
			OnEvent: func(b []byte) { p.onAgentEvent(b, &byConv) },
		})
		if err != nil {
			return nil, err
		}
		if err := p.agent.Do(ctx, "ready", nil, nil); err != nil {
			return nil, err
		}
		go func() { // ends with the first offer, or with the command
			select {
			case o := <-offers:
				p.conv = o.Conversation
				joined <- p.agent.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil)
			case <-ctx.Done():
			}
		}()
	}
	for i, p := range pairs {
		var err error
		p.customer, err = drive.DialCustomer(ctx, drive.CustomerOptions{URL: sys.chatSocket(), Site: "bench", OnAccepted: func(id string, _ uint64) {
			if q, k, ok := owner(pairs, id); ok {
				q.onAccepted(k)
			}
		}, OnRefused: func(id, code string) {
			// Send it again with the same id a moment later, as the widget does.
			refused.Add(1)
			if q, _, ok := owner(pairs, id); ok {
				time.AfterFunc(20*time.Millisecond, func() { _ = q.customer.SendRaw(id, q.text) })
			}
		}})
		if err != nil {
			return nil, err
		}
		conv, err := p.customer.Start(ctx, fmt.Sprintf("s%d", i), map[string]string{"first_name": "Bench", "message": "hello"})
		if err != nil {
			return nil, err
		}
		byConv.Store(conv, p)
	}
	for range pairs {
		select {
		case err := <-joined:
			if err != nil {
				return nil, err
			}
		case <-time.After(30 * time.Second):
			return nil, errors.New("not every agent got a chat within 30 s")
		}
	}
	return pairs, nil
}

// owner finds the pair and the number in a message id, which is p<pair>-<number>.
func owner(pairs []*pair, id string) (*pair, int, bool) {
	i, k, ok := strings.Cut(strings.TrimPrefix(id, "p"), "-")
	n, err1 := strconv.Atoi(i)
	m, err2 := strconv.Atoi(k)
	if !ok || err1 != nil || err2 != nil || n >= len(pairs) {
		return nil, 0, false
	}
	return pairs[n], m, true
}

func (p *pair) onAccepted(k int) {
	now := time.Now()
	p.mu.Lock()
	if k >= p.from && k < len(p.sent) {
		p.toAck = append(p.toAck, now.Sub(p.sent[k]))
	}
	p.mu.Unlock()
	select {
	case <-p.slots:
	default:
	}
}

var clientIDKey = []byte(`"client_id":"p`)

func (p *pair) onAgentEvent(b []byte, byConv *sync.Map) {
	i := bytes.Index(b, clientIDKey)
	if i < 0 {
		return
	}
	now := time.Now()
	id := b[i+len(clientIDKey):]
	end := bytes.IndexByte(id, '"')
	dash := bytes.IndexByte(id, '-')
	if end < 0 || dash < 0 || dash > end {
		return
	}
	k, err := strconv.Atoi(string(id[dash+1 : end]))
	if err != nil {
		return
	}
	v, ok := byConv.Load(p.conv)
	if !ok {
		return
	}
	q := v.(*pair)
	q.mu.Lock()
	if k >= q.from && k < len(q.sent) {
		q.toAgent = append(q.toAgent, now.Sub(q.sent[k]))
	}
	q.mu.Unlock()
}

// drive sends for d and waits until everything sent has been acknowledged.
func (c *webchatRun) drive(ctx context.Context, pairs []*pair, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	for i, p := range pairs {
		wg.Go(func() {
			if c.Rate > 0 {
				every := time.Duration(float64(time.Second) * float64(len(pairs)) / c.Rate)
				offset := time.NewTimer(every * time.Duration(i) / time.Duration(len(pairs)))
				defer offset.Stop()
				select {
				case <-offset.C:
				case <-ctx.Done():
					return
				}
				t := time.NewTicker(every)
				defer t.Stop()
				for p.send(i) == nil {
					select {
					case <-t.C:
					case <-ctx.Done():
						return
					}
				}
				return
			}
			for {
				select {
				case p.slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				if ctx.Err() != nil || p.send(i) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	limit := time.Now().Add(10 * time.Second)
	for _, p := range pairs { // messages under way still belong to this measurement
		for time.Now().Before(limit) {
			p.mu.Lock()
			open := len(p.sent) - p.from - min(len(p.toAck), len(p.toAgent))
			p.mu.Unlock()
			if open <= 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		for len(p.slots) > 0 {
			<-p.slots
		}
	}
}

func (p *pair) send(i int) error {
	p.mu.Lock()
	k := len(p.sent)
	p.sent = append(p.sent, time.Now())
	p.mu.Unlock()
	return p.customer.SendRaw(fmt.Sprintf("p%d-%d", i, k), p.text)
}

func (c *webchatRun) report(w io.Writer, pairs []*pair, took, cpu, own, disk time.Duration) error {
	var toAgent, toAck []time.Duration
	sent := 0
	for _, p := range pairs {
		toAgent, toAck, sent = append(toAgent, p.toAgent...), append(toAck, p.toAck...), sent+len(p.sent)-p.from
	}
	n := len(toAgent)
	if n == 0 {
		return errors.New("no message arrived")
	}
	bar := 10*time.Millisecond + 3*disk
	_, err := fmt.Fprintf(w, `%s
pairs %d, text %d bytes, rate %s, %v
sent %d, accepted %d, at the agents %d, refused and sent again %d: %.0f messages/s
customer -> durable -> accepted  p50 %v  p99 %v
customer -> durable -> agent     p50 %v  p99 %v  max %v
disk's own fdatasync p99 %v; 10 ms + 3 x that = %v
CPU per message: gateway and plugins %v, generator %v
`, machine(), c.Pairs, c.Size, rateText(c.Rate), took.Round(time.Millisecond),
		sent, len(toAck), n, c.refused.Load(), float64(n)/took.Seconds(),
		round(percentile(toAck, 50)), round(percentile(toAck, 99)),
		round(percentile(toAgent, 50)), round(percentile(toAgent, 99)), round(percentile(toAgent, 100)),
		round(disk), round(bar), (cpu / time.Duration(n)).Round(time.Microsecond), (own / time.Duration(n)).Round(time.Microsecond))
	if lost := sent - n; err == nil && lost > 0 {
		err = fmt.Errorf("%d messages did not arrive", lost)
	}
	return err
}
