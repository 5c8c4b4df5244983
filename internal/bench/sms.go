package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// SMS measures signed texts from a carrier, from the webhook through plugin and router to the log.
type SMS struct {
	Connections int           // connections of the carrier
	Phones      int           // numbers of customers
	New         float64       // share of texts from a number that was never seen before, 0 to 1
	Agents      int           // agents online, who accept what they are offered
	Hold        int           // most conversations that an agent holds, 1 to 100; further customers wait
	IDs         int           // external ids in the store at the start
	Ended       int           // ended conversations in the store at the start
	Rate        float64       // texts per second in total; 0 = as many as possible
	Size        int           // length of a text in characters
	Duration    time.Duration // length of the measurement
	Store       string        // postgres://...; "" = the embedded store
	Dir         string        // data folder; "" = a temporary one
	Verbose     bool          // show the gateway's log
}

// Run prints the figures to w.
func (c SMS) Run(ctx context.Context, w io.Writer, demo Demo) error {
	return inDir(c.Dir, func(dir string) error { return c.run(ctx, w, demo, dir) })
}

func (c SMS) run(ctx context.Context, w io.Writer, demo Demo, dir string) (err error) {
	if c.IDs > 0 || c.Ended > 0 {
		if err := c.fill(ctx, demo, dir); err != nil {
			return err
		}
	}
	bare, err := c.bare(ctx, dir)
	if err != nil {
		return err
	}
	sys, err := startSystem(ctx, dir, gatewayLog(c.Verbose), storeEnv(c.Store)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.stop()) }()
	agents, err := onlineAgents(ctx, sys, c.Agents, c.Hold, "Text Line", nil)
	if err != nil {
		return err
	}
	defer closeAgents(agents)
	line, err := sys.textLine()
	if err != nil {
		return err
	}
	g, err := c.generator(line)
	if err != nil {
		return err
	}
	defer g.close()
	_, before, err := diskSync(dir, time.Second)
	if err != nil {
		return err
	}
	g.run(ctx, max(c.Duration/5, 2*time.Second)) // the warm-up also makes each phone's conversation
	g.reset()
	u0, self0, began := sys.used(), selfCPU(), time.Now()
	g.run(ctx, c.Duration)
	took, u1, self1 := time.Since(began), sys.used(), selfCPU()
	_, after, err := diskSync(dir, time.Second)
	if err != nil {
		return err
	}
	if err := g.report(w, took, u1.cpu-u0.cpu, self1-self0, max(before, after)); err != nil || c.Rate > 0 {
		return err
	}
	return bare.compare(w, textCost{g.accepted(), took, u1.cpu - u0.cpu + self1 - self0})
}

// bare delivers the same texts to a bare server for a short time.
func (c SMS) bare(ctx context.Context, dir string) (cost textCost, err error) {
	if c.Rate > 0 {
		return cost, nil
	}
	srv, err := startBare(ctx, dir)
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	g, err := c.generator(textLine{WebhookURL: srv.url})
	if err != nil {
		return cost, err
	}
	defer g.close()
	g.run(ctx, time.Second)
	g.reset()
	cpu0, began := selfCPU(), time.Now()
	g.run(ctx, max(c.Duration/4, 2*time.Second))
	return textCost{g.accepted(), time.Since(began), selfCPU() - cpu0}, nil
}

// textCost is what delivering a number of texts took, including the generator.
type textCost struct {
	texts     int
	took, cpu time.Duration
}

func (t textCost) rate() float64       { return float64(t.texts) / t.took.Seconds() }
func (t textCost) each() time.Duration { return t.cpu / time.Duration(max(t.texts, 1)) }

// compare prints what a text costs, compared with a bare server.
func (t textCost) compare(w io.Writer, whole textCost) error {
	if t.texts == 0 {
		return errors.New("the bare handler accepted nothing")
	}
	_, err := fmt.Fprintf(w, "bare handler with a group-committed file: %.0f/s, CPU %v with its generator; the gateway has %.2f of its rate for %.1f times its CPU\n",
		t.rate(), t.each().Round(time.Microsecond), whole.rate()/t.rate(), float64(whole.each())/float64(t.each()))
	return err
}

// textGenerator delivers signed texts over many connections. Each phone uses one connection, so its
// texts stay in order.
type textGenerator struct {
	c     SMS
	lanes []*textLane
	run0  string // makes message ids unique across runs on one store
}

type textLane struct {
	carrier *drive.Carrier
	phones  []string
	rnd     *rand.Rand
	sent    int
	took    []time.Duration
	status  map[int]int
	failed  int
}

func (c SMS) generator(line textLine) (*textGenerator, error) {
	g := &textGenerator{c: c, run0: fmt.Sprintf("%016x", time.Now().UnixNano())}
	for i := range c.Connections {
		car, err := drive.NewCarrier(drive.CarrierOptions{
			WebhookURL: line.WebhookURL, AccountSID: line.AccountSID, AuthToken: line.AuthToken, Number: line.Number,
		})
		if err != nil {
			return nil, err
		}
		g.lanes = append(g.lanes, &textLane{carrier: car, rnd: rand.New(rand.NewPCG(uint64(i), 1)), status: map[int]int{}}) //nolint:gosec // load, not secrets
	}
	for i := range c.Phones {
		l := g.lanes[i%len(g.lanes)]
		l.phones = append(l.phones, fmt.Sprintf("+1212%07d", i))
	}
	return g, nil
}

func (g *textGenerator) close() {
	for _, l := range g.lanes {
		l.carrier.Close()
	}
}

func (g *textGenerator) reset() {
	for _, l := range g.lanes {
		l.took, l.status, l.failed = nil, map[int]int{}, 0
	}
}

// run delivers texts for d; each lane waits for its last answer.
func (g *textGenerator) run(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	text := strings.Repeat("a text of a customer ", g.c.Size/21+1)[:g.c.Size]
	var wg sync.WaitGroup
	for i, l := range g.lanes {
		wg.Go(func() {
			var due time.Time
			var every time.Duration
			if g.c.Rate > 0 {
				every = time.Duration(float64(time.Second) * float64(len(g.lanes)) / g.c.Rate)
				due = time.Now().Add(every * time.Duration(i) / time.Duration(len(g.lanes)))
			}
			for ctx.Err() == nil {
				began := time.Now()
				if every > 0 { // measured from the time when the text was due, even if the lane was held up
					if wait(ctx, time.Until(due)) != nil {
						return
					}
					began, due = due, due.Add(every)
				}
				l.deliver(g, i, text, began)
			}
		})
	}
	wg.Wait()
}

func (l *textLane) deliver(g *textGenerator, lane int, text string, began time.Time) {
	l.sent++
	from := l.phones[l.rnd.IntN(len(l.phones))]
	if g.c.New > 0 && l.rnd.Float64() < g.c.New {
		from = fmt.Sprintf("+1%03d%07d", 300+lane, l.sent)
	}
	status, err := l.carrier.Text(context.Background(), fmt.Sprintf("SM%s%06x%010x", g.run0, lane, l.sent), from, text) //nolint:contextcheck // an answer is waited for in any case
	if err != nil {
		l.failed++
		return
	}
	l.status[status]++
	if status/100 == 2 {
		l.took = append(l.took, time.Since(began))
	}
}

// accepted is how many texts got a 2xx since the last reset.
func (g *textGenerator) accepted() (n int) {
	for _, l := range g.lanes {
		n += len(l.took)
	}
	return n
}

func (g *textGenerator) report(w io.Writer, took, cpu, own, disk time.Duration) error {
	var all []time.Duration
	status, failed := map[int]int{}, 0
	for _, l := range g.lanes {
		all, failed = append(all, l.took...), failed+l.failed
		for s, n := range l.status {
			status[s] += n
		}
	}
	n := len(all)
	if n == 0 {
		return fmt.Errorf("no text was accepted: answers %v, none %d", status, failed)
	}
	per := func(d time.Duration) time.Duration { return (d / time.Duration(n)).Round(time.Microsecond) }
	_, err := fmt.Fprintf(w, `%s
%d connections, %d phones, %.0f %% new, %d agents, %d ids and %d ended conversations before, rate %s, %v
signed webhooks accepted durably %d: %.0f/s; other answers %d, none %d
webhook -> durable -> 2xx  p50 %v  p99 %v  max %v
disk's own fdatasync p99 %v; 10 ms + 3 x that = %v
CPU per text: gateway and plugins %v, generator %v
`, machine(), g.c.Connections, g.c.Phones, g.c.New*100, g.c.Agents, g.c.IDs, g.c.Ended, rateText(g.c.Rate), took.Round(time.Millisecond),
		n, float64(n)/took.Seconds(), others(status), failed,
		round(percentile(all, 50)), round(percentile(all, 99)), round(percentile(all, 100)),
		round(disk), round(10*time.Millisecond+3*disk), per(cpu), per(own))
	return err
}

func others(status map[int]int) int {
	n := 0
	for s, k := range status {
		if s/100 != 2 {
			n += k
		}
	}
	return n
}
