package router_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/nodes"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// join takes a node into the installation; leave takes it out again.
func (w *world) join(name string) (k *nodes.Keeper, leave func()) {
	w.t.Helper()
	k, err := nodes.New(nodes.Options{Name: name, Log: w.log.(nodes.Log), Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	must(w.t, err)
	must(w.t, k.Join(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { k.Run(ctx) })
	return k, func() {
		cancel()
		wg.Wait()
		must(w.t, k.Leave(context.Background()))
	}
}

// startAlone starts a router that hears of others from the log alone: its bus reaches nobody else.
func (w *world) startAlone(node string) *router.Router {
	w.t.Helper()
	k, leave := w.join(node)
	w.t.Cleanup(leave)
	r, err := router.New(router.Options{Node: node, Log: w.log, Vault: w.vault, Directory: w.dir, Nodes: k, Bus: bus.NewLocal(), Logger: slog.New(slog.DiscardHandler)})
	must(w.t, err)
	must(w.t, r.Start(context.Background()))
	w.t.Cleanup(func() { w.stop(r) })
	chat := conversation.Capabilities{Text: true, Typing: true, Read: true, Connected: true, OfferTitle: "Web Chat"}
	r.PluginReady("chat", node+"-chat", &port{info: plugin.Info{ID: "chat", Capabilities: chat}})
	return r
}

// PR8: no hint passes between two nodes. A visitor whose page is at one node and an agent at the
// other find each other all the same: the offer, messages both ways, a second page of the visitor
// that reads at the agent's node, and the agent's state at both.
func TestNodesWithoutHints(t *testing.T) { withoutHints(t, newWorld(t, nil), nil) }

func withoutHints(t *testing.T, w *world, second eventlog.Log) {
	ctx, ana := context.Background(), w.agents["ana"]
	a := w.startAlone("n1")
	if second != nil {
		w.log = second
	}
	b := w.startAlone("n2")
	page, _ := w.subscribe(a, "v", 1000, conversation.ConversationID{}, 0)
	elsewhere, _ := w.subscribe(b, "v", 1000, conversation.ConversationID{}, 0)
	must(t, b.AgentConnected(ctx, ana))
	must(t, b.Ready(ctx, ana))
	id := w.startChat(a, "v", "Cora", "hi").Conversation
	offer := offerTo(t, b, ana)
	if offer.Conversation != id {
		t.Fatalf("offered %s, want %s", offer.Conversation, id)
	}
	_, _, err := b.Accept(ctx, ana, offer.Offer)
	must(t, err)
	wake := make(chan struct{}, 1)
	feed := b.NewFeed(ana, conversation.AudienceAgent, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	defer feed.Close()
	feed.Add(id, 0)
	for i := range 5 {
		w.message(a, "v", fmt.Sprint(i), "text")
		_, err := b.Send(ctx, router.SendRequest{Conversation: id, Agent: ana, ClientID: fmt.Sprint(i), Parts: textParts("answer")})
		must(t, err)
	}
	eventually(t, "all messages on the visitor's page", func() bool { return page.messages() == 11 })
	eventually(t, "all messages on the visitor's other page", func() bool { return elsewhere.messages() == 11 })
	got, deadline := 0, time.After(10*time.Second)
	for got < 11 {
		items, err := feed.Poll(ctx, 64)
		must(t, err)
		for _, it := range items {
			if it.Record != nil && it.Record.Type == conversation.TypeMessage {
				got++
			}
		}
		if len(items) == 0 {
			select {
			case <-wake:
			case <-deadline:
				t.Fatalf("the agent's socket has %d messages of 11", got)
			}
		}
	}
	eventually(t, "the agent's work at the other node", func() bool { return agentOf(t, a, ana).Holds(id) != nil })
	// The agent opens a second desktop at the visitor's node and closes the first.
	must(t, a.AgentConnected(ctx, ana))
	b.AgentDisconnected(ana)
	eventually(t, "that the agent is at n1 only", func() bool {
		s := agentOf(t, b, ana)
		return !s.Disconnected && len(s.Nodes) == 1 && s.Nodes[0] == "n1"
	})
	_, err = a.Leave(ctx, ana, id, true)
	must(t, err)
	eventually(t, "end at the other node", func() bool {
		info, err := b.Info(ctx, id)
		must(t, err)
		return info.State.Phase != conversation.PhaseOpen
	})
}

// twins are two nodes in a synctest bubble between which no hint passes.
type twins struct {
	*world
	nodes  [2]*router.Router
	keeper [2]*nodes.Keeper
	logs   [2]*deadLog
	kill   [2]func() // ends a node as a kill does: it does not leave, and commits nothing more
}

// deadLog is a node's log; once dead is set, nothing reaches the store.
type deadLog struct {
	*memlog.Log
	dead atomic.Bool
	slow atomic.Int64 // how long each append takes, in nanoseconds
}

func (l *deadLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	time.Sleep(time.Duration(l.slow.Load()))
	if l.dead.Load() {
		return eventlog.Appended{}, eventlog.ErrClosed
	}
	return l.Log.Append(ctx, b)
}

func (l *deadLog) ReleaseLease(ctx context.Context, name, node string, epoch int64) error {
	if l.dead.Load() {
		return eventlog.ErrClosed
	}
	return l.Log.ReleaseLease(ctx, name, node, epoch)
}

func inTwins(t *testing.T, test func(t *testing.T, w *twins)) {
	t.Helper()
	newWorld(t, nil).inTwins(t, test)
}

// inTwins runs a test with two nodes over the world's records.
func (w *world) inTwins(t *testing.T, test func(t *testing.T, w *twins)) {
	t.Helper()
	snap := w.dir.Snapshot()
	synctest.Test(t, func(t *testing.T) {
		in := *w
		in.t = t
		tw := &twins{world: &in}
		store, keys := memlog.New(), &plainVault{}
		for i := range tw.nodes {
			log, b, name := &deadLog{Log: store}, bus.NewLocal(), fmt.Sprint("n", i)
			k, err := nodes.New(nodes.Options{Name: name, Log: log, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
			must(t, err)
			must(t, k.Join(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { k.Run(ctx) })
			r, err := router.New(router.Options{Node: name, Log: log, Vault: keys, Directory: fixedDirectory{snap}, Nodes: k, Bus: b, Logger: slog.New(slog.DiscardHandler)})
			must(t, err)
			must(t, r.Start(t.Context()))
			r.PluginReady("chat", name, &port{info: plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}}})
			tw.nodes[i], tw.keeper[i], tw.logs[i] = r, k, log
			tw.kill[i] = sync.OnceFunc(func() {
				log.dead.Store(true)
				cancel()
				wg.Wait()
				in.stop(r)
				must(t, b.Close())
			})
			in.log = log
		}
		time.Sleep(15 * time.Second) // until each knows that the other is there, and that nobody is gone
		test(t, tw)
		tw.kill[0]()
		tw.kill[1]()
	})
}

// chatOwnedBy has a chat at a node that node i owns. Others, which it starts on the way, are ended.
func (w *twins) chatOwnedBy(i int, at int) conversation.ConversationID {
	w.t.Helper()
	for n := range 100 {
		th := thread(100*at + n)
		id := w.startChat(w.nodes[at], th, "Cora", "hello").Conversation
		if w.keeper[i].Owns(id) {
			return id
		}
		ingest(w.nodes[at], plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: th, Action: &plugin.CustomerAction{End: true}})
	}
	w.t.Fatal("no chat of the node in 100")
	return conversation.ConversationID{}
}

func (w *twins) state(i int, id conversation.ConversationID) conversation.State {
	w.t.Helper()
	info, err := w.nodes[i].Info(w.t.Context(), id)
	must(w.t, err)
	return info.State
}

// take has an agent accept the one chat that waits, at a node.
func (w *twins) take(at int, login string, id conversation.ConversationID) {
	w.t.Helper()
	agent, r := w.agents[login], w.nodes[at]
	must(w.t, r.AgentConnected(w.t.Context(), agent))
	must(w.t, r.Ready(w.t.Context(), agent))
	time.Sleep(time.Second)
	synctest.Wait()
	o := agentOf(w.t, r, agent).Offer
	if o == nil || o.Conversation != id {
		w.t.Fatalf("%s is offered %v, want %s", login, o, id)
	}
	_, _, err := r.Accept(w.t.Context(), agent, o.Offer)
	must(w.t, err)
	must(w.t, r.NotReady(w.t.Context(), agent, ""))
	synctest.Wait()
}

// conflicts counts the decisions that a node has taken again because the other was first.
func conflicts(t *testing.T, r *router.Router) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	must(t, reg.Register(r.Collector()))
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "parley_router_conflicts_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("no count of conflicts")
	return 0
}

// The owner runs a conversation's timers, at their times, although the other node does everything
// that happens in the conversation.
func TestOwnerRunsTheTimers(t *testing.T) {
	inTwins(t, func(t *testing.T, w *twins) {
		id := w.chatOwnedBy(1, 0)
		w.take(0, "ana", id)
		time.Sleep(299 * time.Second)
		synctest.Wait()
		if s := w.state(1, id); !s.WarnedAt.IsZero() {
			t.Error("Q1: warned before 5 min")
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if s := w.state(1, id); s.WarnedAt.IsZero() {
			t.Error("Q1: no warning after 5 min")
		}
		if n := conflicts(t, w.nodes[0]) + conflicts(t, w.nodes[1]); n > 0 {
			t.Errorf("%v conflicts between the nodes' timers", n)
		}
	})
}

// When the owner is killed, the other node carries out what is due: its own backup of conversations
// that it has worked on, and by its sweep the others.
func TestTimersOfANodeThatIsKilled(t *testing.T) {
	inTwins(t, func(t *testing.T, w *twins) {
		known := w.chatOwnedBy(1, 0)
		w.take(0, "ana", known)
		unknown := w.chatOwnedBy(1, 1)
		w.take(1, "ben", unknown)
		time.Sleep(4 * time.Minute)
		w.kill[1]()
		time.Sleep(70 * time.Second)
		synctest.Wait()
		for what, id := range map[string]conversation.ConversationID{"known here": known, "of the dead node": unknown} {
			if s := w.state(0, id); s.WarnedAt.IsZero() {
				t.Errorf("Q1: no warning in the conversation %s", what)
			}
		}
	})
}

// An owner that lives but does nothing stops no conversation: another node's sweep finds it.
func TestSweepFindsWhatTheOwnerLeaves(t *testing.T) {
	inTwins(t, func(t *testing.T, w *twins) {
		id := w.chatOwnedBy(1, 1)
		w.take(1, "ben", id)
		time.Sleep(time.Minute)
		in := *w.world
		in.stop(w.nodes[1]) // the process goes on saying that it is alive
		time.Sleep(4*time.Minute + 30*time.Second)
		synctest.Wait()
		if s := w.state(0, id); s.WarnedAt.IsZero() {
			t.Error("Q1: no warning")
		}
	})
}

// A20: when a node is killed, its agents' grace begins as soon as the node counts as gone; agents
// at the other node notice nothing.
func TestAgentsOfANodeThatIsKilled(t *testing.T) {
	inTwins(t, func(t *testing.T, w *twins) {
		ana, ben, cem := w.agents["ana"], w.agents["ben"], w.agents["cem"]
		for agent, at := range map[conversation.AgentID][]int{ana: {1}, ben: {0}, cem: {0, 1}} {
			for _, i := range at {
				must(t, w.nodes[i].AgentConnected(t.Context(), agent))
			}
			must(t, w.nodes[at[0]].Ready(t.Context(), agent))
		}
		time.Sleep(time.Second)
		w.kill[1]()
		time.Sleep(18 * time.Second)
		synctest.Wait()
		if s := agentOf(t, w.nodes[0], ana); !s.Disconnected || s.Status() != acd.StatusReady {
			t.Errorf("Ana, 18 s later: disconnected %t, %s; want disconnected, within the grace", s.Disconnected, s.Status())
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if s := agentOf(t, w.nodes[0], ana); s.Status() != acd.StatusNotReady || s.Reason != acd.ReasonConnection {
			t.Errorf("Ana, after the grace: %s (%s), want not_ready (connection)", s.Status(), s.Reason)
		}
		for name, id := range map[string]conversation.AgentID{"Ben": ben, "Cem": cem} {
			if s := agentOf(t, w.nodes[0], id); s.Disconnected || s.Status() != acd.StatusReady {
				t.Errorf("%s: disconnected %t, %s; want ready as before", name, s.Disconnected, s.Status())
			}
		}
	})
}

// callFor makes the row of a command for a call that is pinned to a generation of another node, with
// its payload sealed.
func (w *world) callFor(keys router.Vault, node, instance, digits string) eventlog.OutboxRow {
	w.t.Helper()
	o := outbox.New(outbox.Options{Node: "elsewhere", Now: time.Now})
	origin := outbox.Origin{Conversation: conversation.NewID[conversation.ConversationID](), Account: w.chat.ID, Seq: 5, Thread: "v"}
	c, err := o.Call(origin, conversation.Pin{Node: node, Instance: instance}, &plugin.CallCommand{Digits: &plugin.CallDigits{Digits: digits}}, 0)
	must(w.t, err)
	key, err := keys.Assign()
	must(w.t, err)
	row := c.Row()
	sealed, err := keys.Seal(key, append(row.Conversation[:], row.CommandID[:]...), c.Payload())
	must(w.t, err)
	c.Seal(sealed, key)
	return c.Row()
}

// A command that one node writes for a call of another, without any event, goes out at once although
// no hint passes between the nodes.
func TestCommandForAnotherNodeWithoutHints(t *testing.T) {
	inTwins(t, func(t *testing.T, w *twins) {
		p := newPort(plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}})
		w.nodes[1].PluginReady("chat", "g9", p)
		_, err := w.log.Append(t.Context(), &eventlog.Batch{Outbox: []eventlog.OutboxRow{w.callFor(&plainVault{}, "n1", "g9", "1")}})
		must(t, err)
		synctest.Wait()
		if n := len(p.more); n != 1 {
			t.Errorf("the plugin has %d commands at once, want 1", n)
		}
	})
}

// What a dead node leaves is ended for several agents at once: an append that takes long, as those
// that wait for a lock do, does not hold up the others.
func TestAgentsOfADeadNodeDoNotWaitForEachOther(t *testing.T) {
	inTwins(t, func(t *testing.T, w *twins) {
		for _, agent := range w.agents {
			must(t, w.nodes[1].AgentConnected(t.Context(), agent))
		}
		time.Sleep(time.Second)
		w.kill[1]()
		w.logs[0].slow.Store(int64(3 * time.Second))
		gone := func() (n int) {
			for _, agent := range w.agents {
				if agentOf(t, w.nodes[0], agent).Disconnected {
					n++
				}
			}
			return n
		}
		for i := 0; gone() == 0; i++ {
			if i > 600 {
				t.Fatal("no agent of the dead node is disconnected")
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		if n := gone(); n != len(w.agents) {
			t.Errorf("%d of %d agents are disconnected half a second after the first", n, len(w.agents))
		}
		w.logs[0].slow.Store(0)
	})
}
