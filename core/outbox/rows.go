package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

const (
	// rereadEvery is how often all pending rows are read. A long list is read less often, so that
	// reading takes at most a twentieth of the time (rereadShare).
	rereadEvery = 5 * time.Second
	rereadShare = 20
	// rereadSoon is the shortest pause before a reading that was asked for and could not be made.
	rereadSoon = 20 * time.Millisecond
)

// Start takes the node's pending rows into memory. If the lease cannot be written, as on a full
// disk, the rows are read all the same (PR16): Keep renews the lease as soon as it can.
func (o *Outbox) Start(ctx context.Context) error {
	steady, held, err := o.renew(ctx)
	switch {
	case err != nil:
		o.logger.Warn("outbox: the lease on this node's commands cannot be written yet", "err", err)
	case !held:
		return nil
	}
	_, err = o.readRows(ctx, readMode{first: true, leased: held, steady: steady})
	return err
}

// Keep reads the rows again and again until ctx ends.
func (o *Outbox) Keep(ctx context.Context) {
	timer := time.NewTimer(rereadEvery)
	defer timer.Stop()
	asked := false // somebody asked for a reading that has not been made
	again := o.again
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			asked = true
		case <-timer.C:
		}
		read, barred, err := o.reread(ctx)
		if err != nil && ctx.Err() == nil {
			o.logger.Warn("outbox: rows cannot be read", "err", err)
		}
		asked = asked && !read
		wait := rereadEvery
		again = o.again
		switch {
		case barred: // who asks meanwhile waits too
			again = nil
			wait = retryPause/2 + rand.N(retryPause) //nolint:gosec // jitter, no secret
		case asked: // as soon as it may be: the rows were read a moment ago
			wait = min(wait, max(time.Until(o.notReadBefore), rereadSoon))
		}
		timer.Reset(wait)
	}
}

// ReadAgain makes Keep read the rows as soon as possible, since there may be a row that no node has
// in memory.
func (o *Outbox) ReadAgain() {
	token(o.again)
}

// reread renews the node's lease, brings memory up to date with the node's pending rows, and takes
// over those of nodes that are gone. It reports whether rows were read, and whether they cannot be
// read now (barred): the store is away, or another node is taking this node's rows over and has the
// lease. Rows that were read may come with an error of claiming or taking over, which is tried again
// with the next reading.
func (o *Outbox) reread(ctx context.Context) (read, barred bool, err error) {
	steady, held, err := o.renew(ctx)
	if err != nil || !held {
		return false, true, err
	}
	read, err = o.readRows(ctx, readMode{leased: true, steady: steady})
	return read, err != nil && !read, err
}

// readMode says how all rows are read.
type readMode struct {
	first  bool // the rows were all written before this process started
	leased bool // rows of nodes that are gone are taken over too
	steady bool // see renew
}

// readRows brings memory up to date with the node's pending rows, unless it did so a moment ago.
func (o *Outbox) readRows(ctx context.Context, how readMode) (read bool, err error) {
	began := time.Now()
	if began.Before(o.notReadBefore) {
		return false, nil
	}
	defer func() { o.notReadBefore = began.Add(rereadShare * time.Since(began)) }()
	number := o.beginRead()
	rows, err := o.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
	if err != nil {
		o.endRead(nil, found{})
		return false, fmt.Errorf("read outbox: %w", err)
	}
	mine := make(map[[16]byte]bool, len(rows)) // of all pending rows: whether they are this node's
	others := map[string]struct{}{}            // names of other nodes that have rows
	for i := range rows {
		if mine[rows[i].CommandID] = rows[i].Node == o.node; rows[i].Node != o.node {
			others[rows[i].Node] = struct{}{}
		}
	}
	o.endRead(rows, found{old: how.first})
	o.dropStale(mine, number)
	if !how.leased {
		return true, nil
	}
	if err := o.claim(ctx, rows); err != nil {
		return true, err
	}
	return true, o.takeOver(ctx, others, how.steady)
}

// found says what is known of rows that were read.
type found struct {
	old bool // they were written before this process started
	all bool // all messages of other nodes among them are noted, not only those in lanes that are in memory
}

// beginRead makes remove record which commands leave memory until endRead, since the rows read may
// still show them as pending. It returns the number of the reading.
func (o *Outbox) beginRead() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reading++
	o.reads++
	return o.reads
}

// endRead takes into memory this node's rows that were read and are not there yet. A row that
// belonged to another node meanwhile replaces what is in memory of it. Of the rows of other nodes it
// notes those for which commands here wait.
func (o *Outbox) endRead(rows []eventlog.OutboxRow, how found) {
	plugins := map[eventlog.StreamID]string{} // plugin ids by account
	for i := range rows {
		if id := rows[i].Account; plugins[id] == "" {
			plugins[id] = o.convs.Plugin(conversation.AccountID(id))
		}
	}
	type lostCommand struct {
		c    *Command
		info plugin.Info
	}
	var lost []lostCommand
	o.mu.Lock()
	for _, row := range rows {
		if _, gone := o.gone[row.CommandID]; gone || row.Node != o.node {
			continue
		}
		if c := o.byID[row.CommandID]; c != nil {
			if c.row.Epoch >= row.Epoch || c.doubtful {
				continue
			}
			o.remove(c)
		}
		c := &Command{row: row, plugin: plugins[row.Account], maybe: row.Attempt > 1, old: how.old} // its text must be read from the log
		o.insert(c)
		g := o.plugins[o.accounts[conversation.AccountID(row.Account)].plugin]
		if row.State == eventlog.OutboxBegun && row.Route == "" && g.ready() { // no generation that is here began it
			c.doubtful = true
			lost = append(lost, lostCommand{c, g.info})
		}
	}
	o.noteOthers(rows, how.all) // after all of this node's rows, since these say which lanes are in memory
	if o.reading--; o.reading == 0 {
		o.gone = nil
	}
	o.mu.Unlock()
	o.endAll()
	for _, l := range lost {
		o.doubt(l.c, l.info)
	}
	if len(rows) > 0 {
		o.poke()
	}
}

// dropStale removes commands that were in memory before a reading and are not pending in the rows
// read: they ended elsewhere, or belong to another node now. Commands that a plugin has, or that
// doubt decides about, are left alone. Nor are messages of other nodes waited for that have ended.
func (o *Outbox) dropStale(mine map[[16]byte]bool, reading uint64) {
	o.mu.Lock()
	var stale []*Command
	for id, c := range o.byID {
		if !mine[id] && c.read < reading && !c.held && !c.doubtful {
			stale = append(stale, c)
		}
	}
	for _, c := range stale {
		o.remove(c)
	}
	ended := false
	for id := range o.others.of {
		if _, pending := mine[id]; !pending && o.others.readBefore(id, reading) {
			ended = o.otherEnded(id) || ended
		}
	}
	o.mu.Unlock()
	if ended || len(stale) > 0 {
		o.poke()
	}
}

// Learn takes into memory the pending rows of a conversation that was just loaded, for messages
// that wait to be sent and are not in memory. So the rows of an append with an unknown outcome are
// in their lane before any later message of the conversation is, and a later message waits for those
// that other nodes have. Messages of other nodes that have ended by the state are waited for no more.
func (o *Outbox) Learn(ctx context.Context, s *conversation.State) error {
	o.endOthers(s)
	var missing [][16]byte
	o.mu.Lock()
	for i := range s.Pending {
		if p := &s.Pending[i]; p.Status == conversation.StatusAccepted && o.byID[p.ID] == nil && !o.others.has(p.ID) {
			missing = append(missing, p.ID)
		}
	}
	o.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	o.beginRead()
	rows, err := o.readEach(ctx, missing)
	o.endRead(rows, found{all: true})
	return err
}

// readEach reads rows of commands, and returns those that are pending, also beside an error.
func (o *Outbox) readEach(ctx context.Context, commands [][16]byte) (rows []eventlog.OutboxRow, err error) {
	for _, id := range commands {
		row, err := o.log.OutboxRow(ctx, id)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
		case err != nil:
			return rows, fmt.Errorf("read outbox: %w", err)
		case row.State.Pending():
			rows = append(rows, row)
		}
	}
	return rows, nil
}
