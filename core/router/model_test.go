package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// pair is two nodes over one log, each of which may be restarted at any time.
type pair struct {
	*world
	mu    sync.RWMutex // held for reading by those who use the routers, for writing while a node is restarted
	nodes [2]*router.Router

	ledgerMu sync.Mutex
	acked    map[string]plugin.Ack // acknowledgement by the text of the message
	sent     map[[16]byte]int      // how often the carrier was given each command

	texts    bool // some customers write texts, and the carrier gets the replies
	noHints  bool // no hint passes between the nodes: they hear of each other from the log alone (PR8)
	lossy    bool // the log loses answers, so commands may fail with "unavailable"
	carriers [2]*modelCarrier
	leave    [2]func()
}

// modelCarrier sends the commands that a node hands out, once Begin allows it.
type modelCarrier struct {
	p        *pair
	r        *router.Router
	instance string
	in       chan plugin.Outbound
	stopped  chan struct{}
	done     sync.WaitGroup
}

func (c *modelCarrier) Info() plugin.Info { return textInfo() }

func (*modelCarrier) NoticeBot(plugin.BotNotice) bool { return false }

func (c *modelCarrier) Offer(o plugin.Outbound) bool {
	select {
	case c.in <- o:
		return true
	default:
		return false
	}
}

func (c *modelCarrier) run() {
	for {
		select {
		case <-c.stopped:
			return
		case o := <-c.in:
			c.send(o)
			c.r.PluginRoom("text", c.instance)
		}
	}
}

// pause waits before the next attempt; it reports false when the carrier was stopped.
func (c *modelCarrier) pause() bool {
	select {
	case <-c.stopped:
		return false
	case <-time.After(time.Millisecond):
		return true
	}
}

func (c *modelCarrier) send(o plugin.Outbound) {
	for {
		ok, err := c.r.Begin(context.Background(), o.Account, o.Command, c.instance)
		if err == nil && !ok {
			return
		}
		if err == nil {
			break
		}
		if !c.pause() {
			return
		}
	}
	c.p.ledgerMu.Lock()
	c.p.sent[o.Command]++
	c.p.ledgerMu.Unlock()
	res := plugin.CommandResult{Command: o.Command, Outcome: conversation.StatusSent, ProviderIDs: []string{fmt.Sprintf("SM%x", o.Command)}}
	for ingest(c.r, plugin.Inbound{Plugin: "text", Account: o.Account, Thread: o.Thread, Result: &res}).Status == plugin.Retry {
		if !c.pause() {
			return
		}
	}
}

// close stops a node's carrier and then the node, in the order of a process that ends.
func (p *pair) close(i int) {
	if c := p.carriers[i]; c != nil {
		close(c.stopped)
		c.done.Wait()
	}
	p.stop(p.nodes[i])
	if p.noHints {
		p.leave[i]()
	}
}

func (p *pair) open(i int) *router.Router {
	p.t.Helper()
	o := router.Options{Node: fmt.Sprint("n", i), Log: p.log, Vault: p.vault, Directory: p.dir, Bus: p.bus, Logger: slog.New(slog.DiscardHandler)}
	if p.noHints {
		o.Nodes, p.leave[i] = p.join(o.Node)
		o.Bus = bus.NewLocal()
	}
	r, err := router.New(o)
	must(p.t, err)
	must(p.t, r.Start(context.Background()))
	r.PluginReady("chat", fmt.Sprint("chat-", i), &port{info: plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}}})
	if p.texts {
		c := &modelCarrier{p: p, r: r, instance: fmt.Sprint("text-", i), in: make(chan plugin.Outbound, 64), stopped: make(chan struct{})}
		c.done.Go(c.run)
		p.carriers[i] = c
		r.PluginReady("text", c.instance, c)
	}
	return r
}

// with runs f on one of the nodes, which is not restarted meanwhile.
func (p *pair) with(rng *rand.Rand, f func(r *router.Router)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.nodes[rng.IntN(2)])
}

// insist sends an event to any node until it is acknowledged for good.
func (p *pair) insist(rng *rand.Rand, in plugin.Inbound) (a plugin.Ack) {
	for range 200 {
		p.with(rng, func(r *router.Router) { a = ingest(r, in) })
		if a.Status != plugin.Retry {
			return a
		}
	}
	p.t.Errorf("event %s: retry 200 times, last %+v", in.DedupeKey, a)
	return a
}

func (p *pair) note(text string, a plugin.Ack) {
	p.ledgerMu.Lock()
	defer p.ledgerMu.Unlock()
	if a.Status == plugin.Committed || a.Status == plugin.Duplicate {
		p.acked[text] = a
	}
}

// customer chats on one thread: starts, writes, repeats, ends.
func (p *pair) customer(seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	th := thread(int(seed))
	for i := range steps {
		text := fmt.Sprintf("<%s %d>", th, i)
		in := p.chatMessage(th, fmt.Sprint(i), text)
		if p.texts && seed%2 == 0 {
			in.Plugin, in.Account = "text", p.text.ID
			<-time.After(10 * time.Millisecond) // lets an agent answer
		}
		switch n := rng.IntN(12); {
		case n == 0 && in.Plugin == "text":
			// the exchange goes on
		case n == 0:
			p.insist(rng, plugin.Inbound{Plugin: in.Plugin, Account: in.Account, Thread: th, Action: &plugin.CustomerAction{End: true}})
			continue
		case n < 4:
			in.Message, in.Action = nil, &plugin.CustomerAction{Start: &plugin.StartAction{Parts: textParts(text), ClientID: fmt.Sprint(i)}}
		}
		a := p.insist(rng, in)
		p.note(text, a)
		if rng.IntN(4) == 0 {
			if b := p.insist(rng, in); b.Status == plugin.Committed && a.Status != plugin.Refused {
				p.t.Errorf("PR3: a repeat of %s: got %+v after %+v", text, b, a)
			}
		}
	}
}

// agent works on either node, as random chooses: takes offers, writes, ends.
func (p *pair) agent(id conversation.AgentID, seed uint64, steps int) {
	rng, ctx := rand.New(rand.NewPCG(seed, 2)), context.Background()
	for i := range steps {
		p.with(rng, func(r *router.Router) {
			s, _ := r.Agent(ctx, id)
			var err error
			switch {
			case !s.LoggedIn || s.Disconnected:
				err = r.AgentConnected(ctx, id)
			case s.Offer != nil && rng.IntN(6) == 0:
				err = r.Logout(ctx, id)
			case s.Offer != nil && rng.IntN(5) > 0:
				_, _, err = r.Accept(ctx, id, s.Offer.Offer)
			case s.Offer != nil:
				err = r.Reject(ctx, id, s.Offer.Offer)
			case len(s.Work) > 0 && rng.IntN(2) == 0:
				w := s.Work[rng.IntN(len(s.Work))]
				text := fmt.Sprintf("<agent %d %d>", seed, i)
				var sent router.Sent
				switch {
				case w.Wrapup:
					_, err = r.FinishWrapup(ctx, id, w.Conversation, "", "")
				case rng.IntN(4) == 0:
					_, err = r.Leave(ctx, id, w.Conversation, false)
				default:
					req := router.SendRequest{Conversation: w.Conversation, Agent: id, ClientID: text, Parts: textParts(text)}
					sent, err = r.Send(ctx, req)
					if err != nil && p.lossy && rng.IntN(2) == 0 { // a desktop that is still there sends again
						sent, err = r.Send(ctx, req)
					}
					if err == nil {
						p.note(text, plugin.Ack{Status: plugin.Committed, Conversation: w.Conversation, Seq: sent.Seq})
					}
				}
			case rng.IntN(30) == 0:
				err = r.Logout(ctx, id)
			case rng.IntN(4) > 0:
				err = r.Ready(ctx, id)
			default:
				err = r.NotReady(ctx, id, "")
			}
			if err != nil && router.Code(err) == "unavailable" && !errors.Is(err, router.ErrStopped) && !p.lossy {
				p.t.Errorf("agent %d step %d: %v", seed, i, err)
			}
		})
		<-time.After(time.Duration(rng.IntN(2)) * time.Millisecond)
	}
}

// DESIGN.md 3 and promises PR1, PR3, PR6, PR7 on two nodes that are restarted under load: every
// acknowledged event is in the log once, and log, rows and memory agree.
func TestTwoNodesAgree(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p := &pair{world: newWorld(t, nil), acked: map[string]plugin.Ack{}}
			p.work(seed, 40*time.Millisecond, 120)
			p.check()
		})
	}
}

// PR8: as TestTwoNodesAgree, and no hint passes between the nodes.
func TestTwoNodesAgreeWithoutHints(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p := &pair{world: newWorld(t, nil), acked: map[string]plugin.Ack{}, sent: map[[16]byte]int{}, texts: true, noHints: true}
			p.work(2000+seed, 40*time.Millisecond, 200)
			p.checkSent()
			p.checkQueued()
			p.check()
		})
	}
}

// PR1, PR3, PR4, FT15: as TestTwoNodesAgree, over a log that loses answers while the append is
// written at once, later or never. Whatever is in the log in the end is carried on: every message
// is sent, every request that waits is in a queue, and nothing is in the log or sent twice.
func TestTwoNodesAgreeInDoubt(t *testing.T) {
	messages := 0
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			log := newLossyLog()
			t.Cleanup(func() { must(t, log.Close()) })
			p := &pair{world: newWorld(t, log), acked: map[string]plugin.Ack{}, sent: map[[16]byte]int{}, texts: true, lossy: true}
			log.randomly(rand.New(rand.NewPCG(seed, 3)), 6)
			lives := 150 * time.Millisecond
			if seed == 0 {
				lives = time.Hour // no node is restarted, so none can make up for what it missed by reading the log at a start
			}
			p.work(1000+seed, lives, 600)
			log.lose(answered, func(*eventlog.Batch) bool { return false })
			log.late.Wait()
			messages += p.checkSent()
			p.checkQueued()
			p.check()
		})
	}
	if messages < 30 {
		t.Errorf("only %d messages for the carrier: too few to prove anything", messages)
	}
}

// work lets customers and agents work on both nodes while the nodes are restarted in turn. steps is
// the number of steps that each agent makes.
func (p *pair) work(seed uint64, lives time.Duration, steps int) {
	for i := range p.nodes {
		p.nodes[i] = p.open(i)
	}
	p.t.Cleanup(func() { p.close(0); p.close(1) })
	var wg sync.WaitGroup
	for c := range uint64(6) {
		wg.Go(func() { p.customer(seed*100+c, 60) })
	}
	n := uint64(0)
	for _, id := range p.agents {
		n++
		of := seed*100 + n
		wg.Go(func() { p.agent(id, of, steps) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for i, running := 0, true; running; i++ {
		select {
		case <-done:
			running = false
		case <-time.After(lives):
			p.mu.Lock()
			p.close(i % 2)
			p.nodes[i%2] = p.open(i % 2)
			p.mu.Unlock()
		}
	}
}

// checkSent checks that every message which the log has for the carrier reached it once, or has an
// unknown outcome. It returns how many messages there are.
func (p *pair) checkSent() (messages int) {
	t, ctx := p.t, context.Background()
	rows := func() []eventlog.OutboxRow {
		rows, err := p.log.Outbox(ctx, eventlog.StreamID{}, true, 0)
		must(t, err)
		return rows
	}
	eventually(t, "end of what waits for the carrier", func() bool {
		return !slices.ContainsFunc(rows(), func(r eventlog.OutboxRow) bool { return r.State.Pending() })
	})
	unknown := map[[16]byte]bool{}
	for _, r := range rows() {
		unknown[r.CommandID] = true
	}
	convs, err := p.log.Conversations(ctx, eventlog.ConversationQuery{Account: eventlog.StreamID(p.text.ID)})
	must(t, err)
	for _, c := range convs {
		recs, err := p.log.Read(ctx, c.ID, 0, 0)
		must(t, err)
		for _, rec := range recs {
			h, err := conversation.DecodeHead(conversation.Type(rec.Type), rec.Head)
			must(t, err)
			m, ok := h.(*conversation.MessagePosted)
			if !ok || m.Author.Kind != conversation.Agent {
				continue
			}
			messages++
			p.ledgerMu.Lock()
			n := p.sent[[16]byte(m.ID)]
			p.ledgerMu.Unlock()
			if n > 1 || n == 0 && !unknown[[16]byte(m.ID)] {
				t.Errorf("PR4: message %d of %x reached the carrier %d times, unknown: %t", rec.Seq, c.ID, n, unknown[[16]byte(m.ID)])
			}
		}
	}
	return messages
}

// checkQueued checks that the requests which wait according to the log wait on a node, too.
func (p *pair) checkQueued() {
	ctx := context.Background()
	var want, got int
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%d requests wait by the log, %d on the node that leads", want, got)
		}
	}()
	eventually(p.t, "queue with everybody who waits", func() bool {
		rows, err := p.log.Conversations(ctx, eventlog.ConversationQuery{Phases: []string{eventlog.PhaseOpen}})
		must(p.t, err)
		want = 0
		for _, row := range rows {
			var s conversation.State
			must(p.t, json.Unmarshal(row.State, &s))
			for i := range s.Requests {
				if s.Requests[i].State == conversation.Queued && s.Requests[i].Target.Kind == conversation.TargetService {
					want++
				}
			}
		}
		for _, r := range p.nodes {
			got = r.Board(ctx).Queues[0].Waiting
			if got == want {
				return true
			}
		}
		return false
	})
}

// check compares the acknowledgements, the log, the rows and both nodes' memory.
func (p *pair) check() {
	t, ctx := p.t, context.Background()
	rows, err := p.log.Conversations(ctx, eventlog.ConversationQuery{})
	must(t, err)
	texts := map[string][]plugin.Ack{}
	states := map[conversation.ConversationID]*conversation.State{}
	for _, row := range rows {
		id := conversation.ConversationID(row.ID)
		states[id] = p.foldConversation(row, texts)
		checkInvariant(t, states[id])
	}
	for text, a := range p.acked {
		if got := texts[text]; len(got) != 1 || got[0].Conversation != a.Conversation || got[0].Seq != a.Seq {
			t.Errorf("PR1: %s was acknowledged as %s seq %d, the log has it at %+v", text, a.Conversation, a.Seq, got)
		}
	}
	for text, at := range texts {
		if len(at) != 1 {
			t.Errorf("PR3: %s is in the log %d times", text, len(at))
		}
	}
	if len(p.acked) < 100 {
		t.Errorf("only %d events were acknowledged: too few to prove anything", len(p.acked))
	}
	agents, err := p.log.Agents(ctx)
	must(t, err)
	for _, row := range agents {
		p.checkAgent(row, states)
	}
	eventually(t, "agreement of conversations and agents about what is offered", func() bool { return p.disagreement() == "" })
}

func (p *pair) foldConversation(row eventlog.ConversationRow, texts map[string][]plugin.Ack) *conversation.State {
	t, ctx, id := p.t, context.Background(), conversation.ConversationID(row.ID)
	t.Helper()
	recs, err := p.log.Read(ctx, row.ID, 0, 0)
	must(t, err)
	fold := &conversation.State{ID: id}
	for i, rec := range recs {
		if rec.Seq != uint64(i+1) {
			t.Errorf("PR6: %s: event %d has seq %d", id, i, rec.Seq)
		}
		h, err := conversation.DecodeHead(conversation.Type(rec.Type), rec.Head)
		must(t, err)
		must(t, fold.Apply(conversation.Event{Seq: rec.Seq, At: rec.At.UTC(), Head: h}))
		if rec.Seq == row.Seq {
			if got, want := string(row.State), fmt.Sprintf(`{"fold":%d,`, conversation.FoldNumber)+encoded(t, fold)[1:]; got != want {
				t.Errorf("row of %s at seq %d:\n got %s\nwant %s", id, row.Seq, got, want)
			}
		}
		if _, ok := h.(*conversation.MessagePosted); !ok {
			continue
		}
		body, err := readers.OpenBody(p.vault, rec)
		must(t, err)
		var m conversation.MessageBody
		must(t, json.Unmarshal(body, &m))
		if text := m.Parts[0].Text; strings.HasPrefix(text, "<") {
			texts[text] = append(texts[text], plugin.Ack{Conversation: id, Seq: rec.Seq})
		}
	}
	want := encoded(t, fold)
	for i, r := range p.nodes {
		got := ""
		eventually(t, fmt.Sprintf("agreement of node %d with the log of %s", i, id), func() bool {
			info, err := r.Info(ctx, id)
			must(t, err)
			got = encoded(t, &info.State)
			return got == want || info.State.Seq > fold.Seq // the state may be ahead, by an offer that was made meanwhile
		})
	}
	return fold
}

func encoded(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// checkInvariant checks that an open conversation has a participant, or waits for one, or is
// parked.
func checkInvariant(t testing.TB, s *conversation.State) {
	t.Helper()
	if s.Phase != conversation.PhaseOpen || s.Parking != nil || len(s.Requests) > 0 {
		return
	}
	for _, x := range s.Participants {
		if x.State == conversation.Joined {
			return
		}
	}
	t.Errorf("DESIGN.md 3: open conversation %s has nobody and waits for nobody", s.ID)
}

func (p *pair) checkAgent(row eventlog.AgentRow, states map[conversation.ConversationID]*conversation.State) {
	t, ctx, id := p.t, context.Background(), conversation.AgentID(row.ID)
	t.Helper()
	recs, err := p.log.Read(ctx, row.ID, 0, 0)
	must(t, err)
	fold := &acd.AgentState{ID: id}
	for i, rec := range recs {
		if rec.Seq != uint64(i+1) {
			t.Errorf("PR6: agent %s: event %d has seq %d", id, i, rec.Seq)
		}
		h, err := acd.DecodeHead(conversation.Type(rec.Type), rec.Head)
		must(t, err)
		must(t, fold.Apply(conversation.Event{Seq: rec.Seq, At: rec.At.UTC(), Head: h}))
		if fold.Load() > acd.Capacity {
			t.Errorf("A18: agent %s at seq %d has a load of %d", id, rec.Seq, fold.Load())
		}
		if rec.Seq == row.Seq {
			if got, want := string(row.State), fmt.Sprintf(`{"fold":%d,`, acd.FoldNumber)+encoded(t, fold)[1:]; got != want {
				t.Errorf("row of agent %s:\n got %s\nwant %s", id, got, want)
			}
		}
	}
	for i, r := range p.nodes {
		eventually(t, fmt.Sprintf("agreement of node %d with the log of agent %s", i, id), func() bool {
			s, _ := r.Agent(ctx, id)
			return encoded(t, s) == encoded(t, fold) || s.Seq > fold.Seq
		})
	}
	for _, w := range fold.Work {
		s := states[w.Conversation]
		if s == nil || s.Participant(id) == nil || s.Participant(id).State == conversation.Left {
			t.Errorf("agent %s works on %s, whose state does not say so", id, w.Conversation)
		}
	}
	for c, s := range states {
		if x := s.Participant(id); x != nil && x.State != conversation.Left && fold.Holds(c) == nil {
			t.Errorf("agent %s is %s in %s, but the agent's state does not say so", id, x.State, c)
		}
	}
}
