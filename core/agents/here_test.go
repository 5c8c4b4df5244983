package agents_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
)

// blinking is a log of which some next reads or appends fail.
type blinking struct {
	*memlog.Log
	reads, appends atomic.Int32
}

func (l *blinking) Read(ctx context.Context, s eventlog.StreamID, after uint64, n int) ([]eventlog.Record, error) {
	if l.reads.Add(-1) >= 0 {
		return nil, eventlog.ErrUnavailable
	}
	return l.Log.Read(ctx, s, after, n)
}

func (l *blinking) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if l.appends.Add(-1) >= 0 {
		return eventlog.Appended{}, eventlog.ErrUnavailable
	}
	return l.Log.Append(ctx, b)
}

// A20: another node took this one for gone and recorded its agents as disconnected. An agent whose
// socket is open here is connected again also when the store fails just then, and though the word of it
// comes once.
func TestStillHereThroughFaults(t *testing.T) {
	for name, c := range map[string]struct{ reads, appends int32 }{
		"no fault": {}, "reads fail": {reads: 3}, "appends fail": {appends: 3}, "both": {reads: 2, appends: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := memlog.New()
				away := &blinking{Log: l}
				hints := bus.NewLocal()
				first, second := open(t, "n1", away, hints), open(t, "n2", l, hints)
				must(t, first.k.Connected(t.Context(), ana))
				must(t, first.k.Command(t.Context(), ana, acd.BeReady{}))
				_, err := second.k.CatchUp(ana, 99)
				must(t, err)
				second.k.NodesGone(func(n string) bool { return n == "n1" }, func(conversation.AgentID) bool { return true })
				away.reads.Store(c.reads)
				away.appends.Store(c.appends)
				first.k.Behind(ana, second.k.State(ana).Seq)
				time.Sleep(10 * time.Second) // of the bubble's clock
				synctest.Wait()
				_, err = second.k.CatchUp(ana, 100)
				must(t, err)
				if s := second.k.State(ana); s.Disconnected {
					t.Errorf("an agent whose socket is open at n1 is disconnected: nodes %v", s.Nodes)
				}
				first.close()
				second.close()
				must(t, hints.Close())
			})
		})
	}
}
