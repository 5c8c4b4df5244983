package outbox

import (
	"encoding/binary"
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

// White box: nothing outside shows how many commands are kept in memory.

// Only the commands that were settled last are known, and no more than maxPast.
func TestPastIsBounded(t *testing.T) {
	command := func(n int) (id [16]byte) {
		binary.BigEndian.PutUint64(id[:], uint64(n)+1)
		return id
	}
	o := New(Options{})
	const more = 10
	for n := range maxPast + more {
		o.past.add(eventlog.OutboxRow{CommandID: command(n), Seq: uint64(n)})
		o.past.add(eventlog.OutboxRow{CommandID: command(n), Seq: 0}) // the same command, settled twice
	}
	if len(o.past.rows) != maxPast || len(o.past.ring) != maxPast {
		t.Errorf("%d rows and %d places, want %d", len(o.past.rows), len(o.past.ring), maxPast)
	}
	for n := range maxPast + more {
		if row, ok := o.Known(command(n)); ok != (n >= more) || ok && row.Seq != uint64(n) {
			t.Fatalf("command %d: got %v, seq %d", n, ok, row.Seq)
		}
	}
}
