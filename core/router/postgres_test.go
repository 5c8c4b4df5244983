package router_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// As TestTwoNodesAgree, but each node has a log of its own over one PostgreSQL: what one node knows
// of streams, threads and ids is out of date whenever the other node has written (PR1, PR3, PR6,
// PR7). No hint passes between the nodes, and PostgreSQL does not notify either (PR8).
func TestTwoNodesAgreeOverPostgres(t *testing.T) {
	logs := twoLogs(t)
	p := &pair{world: newWorld(t, logs[0]), acked: map[string]plugin.Ack{}, sent: map[[16]byte]int{}, texts: true, noHints: true}
	open := func(i int) {
		p.log = logs[i]
		p.nodes[i] = p.open(i)
	}
	for i := range p.nodes {
		open(i)
	}
	t.Cleanup(func() { p.close(0); p.close(1) })
	var wg sync.WaitGroup
	for customer := range uint64(6) {
		wg.Go(func() { p.customer(700+customer, 40) })
	}
	n := uint64(0)
	for _, id := range p.agents {
		n++
		of := 700 + n
		wg.Go(func() { p.agent(id, of, 80) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for i, running := 0, true; running; i++ {
		select {
		case <-done:
			running = false
		case <-time.After(200 * time.Millisecond):
			p.mu.Lock()
			p.close(i % 2)
			open(i % 2)
			p.mu.Unlock()
		}
	}
	p.checkSent()
	p.checkQueued()
	p.check()
	for i, l := range logs {
		if s := l.Stats(); s.Events == 0 || s.Failures > 0 {
			t.Errorf("node %d: %s", i, fmt.Sprintf("%+v", s))
		}
	}
}

// A command that one node writes for a call of another, without any event, reaches its plugin within
// about a second although neither hints nor PostgreSQL's notifications come through; by the readings
// of all rows each command would take 5 s, since it is written just after one.
func TestCommandForAnotherNodeOverPostgres(t *testing.T) {
	logs := twoLogs(t)
	w := newWorld(t, logs[1])
	p := newPort(plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}})
	w.startAlone("n2").PluginReady("chat", "g9", p)
	fastest := time.Hour
	for n := range 4 {
		began := time.Now()
		_, err := logs[0].Append(t.Context(), &eventlog.Batch{Outbox: []eventlog.OutboxRow{w.callFor(w.vault, "n2", "g9", "1")}})
		must(t, err)
		p.next(t, n)
		fastest = min(fastest, time.Since(began))
	}
	if fastest > 4*time.Second {
		t.Errorf("the fastest of 4 commands took %s, want about a second", fastest)
	}
}

// twoLogs opens the logs of two nodes over one PostgreSQL, which notifies no node of what another
// one commits.
func twoLogs(t *testing.T) (logs [2]*postgres.Log) {
	t.Helper()
	c, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn := c.DSN(c.Database(t))
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	// This function, which does nothing, stands before the server's own.
	_, err = conn.Exec(t.Context(), `CREATE FUNCTION pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'`)
	must(t, err)
	must(t, conn.Close(t.Context()))
	dsn += "&search_path=public,pg_catalog"
	for i := range logs {
		logs[i], err = postgres.Open(t.Context(), postgres.Options{DSN: dsn})
		must(t, err)
		t.Cleanup(func() { must(t, logs[i].Close()) })
	}
	return logs
}

// Commands for a call reach the node that holds it, over one PostgreSQL.
func TestCallOnAnotherNodeOverPostgres(t *testing.T) {
	logs := twoLogs(t)
	w := newWorld(t, logs[0])
	var nodes [2]*router.Router
	for i := range nodes {
		w.log = logs[i]
		nodes[i] = w.start(fmt.Sprint("n", i+1))
	}
	callOnAnotherNode(t, w, nodes[0], nodes[1])
}

// PR7: a hundred first texts of one number, and as many first messages of one visitor, come at once
// over two nodes: each kind opens one conversation, which has all of them.
func TestOneConversationOverPostgres(t *testing.T) {
	logs := twoLogs(t)
	w := newWorld(t, logs[0])
	var nodes [2]*router.Router
	for i := range nodes {
		w.log = logs[i]
		nodes[i] = w.start(fmt.Sprint("n", i))
		nodes[i].PluginReady("text", fmt.Sprint("text-", i), newPort(textInfo()))
	}
	first := map[string]func(thread, id string) plugin.Inbound{
		"text": w.smsMessage,
		"chat": func(thread, id string) plugin.Inbound {
			return plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: thread, DedupeKey: thread + "/" + id,
				Action: &plugin.CustomerAction{Start: &plugin.StartAction{Body: conversation.StartedBody{Address: "web:v"}, Parts: textParts(id)}}}
		},
	}
	for name, inbound := range first {
		for round := range 5 {
			th := fmt.Sprint("+4930", name, round)
			seen := map[conversation.ConversationID]int{}
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					var a plugin.Ack
					for range 50 { // carriers and plugins repeat like this
						if a = ingest(nodes[i%2], inbound(th, fmt.Sprint(i))); a.Status != plugin.Retry {
							break
						}
					}
					if a.Status != plugin.Committed {
						t.Errorf("%s %d: got %+v, want committed", name, i, a)
					}
					mu.Lock()
					defer mu.Unlock()
					seen[a.Conversation]++
				})
			}
			wg.Wait()
			if len(seen) != 1 {
				t.Errorf("%s, round %d: conversations %v, want one with all of them", name, round, seen)
			}
			for id := range seen {
				n := 0
				for _, typ := range types(t, nodes[0], id) {
					if typ == string(conversation.TypeMessage) {
						n++
					}
				}
				if n != 100 {
					t.Errorf("%s, round %d: %d messages in the log, want 100", name, round, n)
				}
			}
		}
	}
}

// PR8 as in TestNodesWithoutHints, over PostgreSQL.
func TestNodesWithoutHintsOverPostgres(t *testing.T) {
	logs := twoLogs(t)
	withoutHints(t, newWorld(t, logs[0]), logs[1])
}
