package router_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// As TestTwoNodesAgree, but each node has a log of its own over one
// PostgreSQL: what one knows of streams, threads and ids is out of date
// whenever the other one was first (PR1, PR3, PR6, PR7).
func TestTwoNodesAgreeOverPostgres(t *testing.T) {
	c, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn := c.DSN(c.Database(t))
	var logs [2]*postgres.Log
	for i := range logs {
		logs[i], err = postgres.Open(t.Context(), postgres.Options{DSN: dsn})
		must(t, err)
		t.Cleanup(func() { must(t, logs[i].Close()) })
	}
	p := &pair{world: newWorld(t, logs[0]), acked: map[string]pluginhost.Ack{}}
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
			p.stop(p.nodes[i%2])
			open(i % 2)
			p.mu.Unlock()
		}
	}
	p.check()
	for i, l := range logs {
		if s := l.Stats(); s.Events == 0 || s.Failures > 0 {
			t.Errorf("node %d: %s", i, fmt.Sprintf("%+v", s))
		}
	}
}
