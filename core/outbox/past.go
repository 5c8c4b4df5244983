package outbox

import "github.com/parley-gateway/parley/core/eventlog"

// maxPast bounds the settled commands in memory (about 300 bytes each).
const maxPast = 8192

// past holds the commands that were settled last.
type past struct {
	rows map[[16]byte]eventlog.OutboxRow
	ring [][16]byte
	next int // index in ring of the oldest, once ring is full
}

func (p *past) add(row eventlog.OutboxRow) {
	if _, ok := p.rows[row.CommandID]; ok {
		return
	}
	if len(p.ring) < maxPast {
		p.ring = append(p.ring, row.CommandID)
	} else {
		delete(p.rows, p.ring[p.next])
		p.ring[p.next] = row.CommandID
		p.next = (p.next + 1) % maxPast
	}
	p.rows[row.CommandID] = row
}

// Settled removes a command from memory whose row is settled in the log. It keeps the row for a
// while, since the provider's later reports refer to it.
func (o *Outbox) Settled(row eventlog.OutboxRow) {
	row.State, row.Payload = eventlog.OutboxSettled, nil
	o.mu.Lock()
	o.past.add(row)
	o.mu.Unlock()
	o.forget(row.CommandID)
}

// Known returns the row of a command that memory holds. The log may have a newer version of the
// row, unless it is settled: a settled row never changes.
func (o *Outbox) Known(command [16]byte) (eventlog.OutboxRow, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.byID[command]; c != nil {
		return c.row, true
	}
	row, ok := o.past.rows[command]
	return row, ok
}
