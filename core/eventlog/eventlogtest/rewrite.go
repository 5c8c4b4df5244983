package eventlogtest

import (
	"context"
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Payloads of rows that are not settled are sealed anew, also those that come meanwhile; others stay.
func rewritePayloads(t *testing.T, l eventlog.Log) {
	s := ID(900)
	b := batch(s, 0, events("m", 3)...)
	b.Conversations = []eventlog.ConversationRow{row(900)}
	other := command(5, func(o *eventlog.OutboxRow) { o.Conversation = ID(901) })
	none := command(3, func(o *eventlog.OutboxRow) { o.Payload, o.KeyID = nil, 0 })
	unknown := command(6, func(o *eventlog.OutboxRow) { o.State = eventlog.OutboxUnknown })
	ownKey := command(8, func(o *eventlog.OutboxRow) { o.KeyID = 4 })
	b.Outbox = []eventlog.OutboxRow{command(9), none, command(4), unknown, command(7), ownKey}
	mustAppend(t, l, b)
	mustAppend(t, l, &eventlog.Batch{Outbox: []eventlog.OutboxRow{other},
		OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: [16]byte(ID(4)), State: eventlog.OutboxSettled, Attempt: 1, Node: "a", Epoch: 1}}})
	asked := map[[16]byte]int{}
	err := l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: 70, Body: func(r eventlog.Record) ([]byte, error) { return r.Body, nil },
		Payload: func(o eventlog.OutboxRow) ([]byte, error) {
			if len(asked) == 0 { // a command that has no event comes in between
				add := batch(s, 3)
				add.Outbox = []eventlog.OutboxRow{command(10)}
				mustAppend(t, l, add)
			}
			asked[o.CommandID]++
			if o.CommandID == [16]byte(ID(7)) {
				return nil, nil
			}
			return append([]byte("again "), o.Payload...), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "rows asked for", asked, map[[16]byte]int{ID(9): 1, ID(6): 1, ID(7): 1, ID(8): 1, ID(10): 1})
	anew := func(o *eventlog.OutboxRow) { o.Payload, o.KeyID = []byte("again sealed"), 70 }
	unknownToo := command(6, func(o *eventlog.OutboxRow) { o.State = eventlog.OutboxUnknown }, anew)
	for n, want := range map[int]eventlog.OutboxRow{9: command(9, anew), 6: unknownToo, 10: command(10, anew), 8: command(8, anew), 7: command(7), 3: none, 5: other} {
		got, err := l.OutboxRow(t.Context(), [16]byte(ID(n)))
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "row", got, want)
	}
	if got, err := l.OutboxRow(t.Context(), [16]byte(ID(4))); err != nil || got.Payload != nil {
		t.Errorf("the settled row: %+v, %v", got, err)
	}
	replaced(t, l, s, 3, 4, event("m").KeyID)
	mustAppend(t, l, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: [16]byte(ID(9)), State: eventlog.OutboxBegun, Attempt: 1, Node: "a", Epoch: 1}}})
}

// Whoever waits for another rewriting waits no longer than its context lasts.
func rewriteWaits(t *testing.T, l eventlog.Log) {
	s := ID(1)
	mustAppend(t, l, batch(s, 0, event("a")))
	begun, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: 70, Body: func(r eventlog.Record) ([]byte, error) {
			close(begun)
			<-goOn
			return r.Body, nil
		}})
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() { waits <- l.Rewrite(ctx, s, eventlog.Rewriting{Key: 71}) }()
	cancel()
	wantErr(t, "Rewrite that waits", <-waits, context.Canceled)
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("the other Rewrite: %v", err)
	}
}
