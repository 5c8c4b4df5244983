package outbox

import (
	"context"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	// mostHeard is how many rows are read one by one: if there are more, all are read together.
	mostHeard = 64
	// heardPause is how long a message that was heard of has to come into memory by itself.
	heardPause = 200 * time.Millisecond
)

// Heard takes commands into memory whose rows have appeared in the log. Most of them are there
// already, by their commit; the others were written by other nodes for this one, and nobody may have
// told it (PR8). A failure is made up for by the next reading of all rows.
func (o *Outbox) Heard(ctx context.Context, commands [][16]byte) {
	missing := o.missing(commands)
	if len(missing) == 0 {
		return
	}
	if len(missing) > mostHeard {
		o.ReadAgain()
		return
	}
	o.beginRead()
	rows, err := o.readEach(ctx, missing)
	// A message may have to wait for earlier ones that other nodes have, which a reading of all rows
	// finds. It was most likely committed by this node a moment ago, and then needs no reading.
	var messages [][16]byte
	rows = slices.DeleteFunc(rows, func(row eventlog.OutboxRow) bool {
		if row.Kind == KindSend {
			messages = append(messages, row.CommandID)
		}
		return row.Kind == KindSend
	})
	o.endRead(rows, found{})
	if err != nil {
		o.logger.Warn("outbox: new commands cannot be read", "err", err)
		o.ReadAgain()
	}
	if len(messages) > 0 {
		o.runner.After(heardPause, func() {
			if len(o.missing(messages)) > 0 {
				o.ReadAgain()
			}
		})
	}
}

// missing returns those commands that are neither in memory nor among those that were settled last.
func (o *Outbox) missing(commands [][16]byte) (out [][16]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range commands {
		if _, settled := o.past.rows[id]; o.byID[id] == nil && !settled {
			out = append(out, id)
		}
	}
	return out
}
