package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// How often Run looks for attachments to remove.
const (
	sweepEvery = 10 * time.Minute
	strayEvery = 24 * time.Hour
	sweepPage  = 500
	// orphanGrace is how long an orphan's content stays after messages can no longer find it: a
	// message that found it before may still be on its way to the log.
	orphanGrace = time.Minute
	// maxEnded bounds the ended conversations that wait for Run; any more are left to the next
	// sweep.
	maxEnded = 1024
)

// Run removes orphans until ctx ends: those of a conversation when it ends, others every ten
// minutes. Once a day it removes stored objects that have no row.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var strays time.Time
	var soon <-chan time.Time // fires when the grace of the marked orphans is over
	sweep := func() {
		_, marked, err := s.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "cannot remove orphaned attachments", "err", err)
		}
		if soon = nil; marked > 0 {
			soon = time.After(orphanGrace)
		}
	}
	sweep()
	for {
		if now := time.Now(); now.Sub(strays) >= strayEvery {
			strays = now
			if _, err := s.SweepObjects(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "cannot remove stray objects", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			sweep()
		case <-soon:
			sweep()
		case conv := <-s.ended:
			n, err := s.orphan(ctx, conv)
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "cannot mark the attachments of an ended conversation", "err", err)
			}
			if n > 0 && soon == nil {
				soon = time.After(orphanGrace)
			}
		}
	}
}

// Ended says that a conversation is over, so that its attachments that no message names are removed
// now. It never blocks.
func (s *Store) Ended(conv conversation.ConversationID) {
	select {
	case s.ended <- conv:
	default: // the next Sweep will find them
	}
}

// orphan marks the attachments of an ended conversation that no message names.
func (s *Store) orphan(ctx context.Context, conv conversation.ConversationID) (n int, err error) {
	rows, err := s.rows.UnusedOf(ctx, conv)
	for i := range rows {
		marked, err := s.mark(ctx, &rows[i])
		if err != nil {
			return n, err
		}
		if marked {
			n++
		}
	}
	return n, err
}

// mark makes a row an orphan unless the log has a message that names it.
func (s *Store) mark(ctx context.Context, row *Row) (bool, error) {
	if named, err := s.followLog(ctx, row.ID); named || err != nil {
		return false, err
	}
	err := s.rows.Orphan(ctx, row.ID, s.opts.Now())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Sweep looks at every attachment that is not marked as used, and returns how many it deleted. If
// the log has a message that names the attachment, it is marked as used. Otherwise it is an orphan
// when it is a day old or its conversation is over: then no message can find it any more, and a
// minute later its content is removed.
func (s *Store) Sweep(ctx context.Context) (n int, err error) {
	n, _, err = s.sweep(ctx)
	return n, err
}

// sweep also returns how many orphans it marked, or kept because of their grace.
func (s *Store) sweep(ctx context.Context) (deleted, marked int, err error) {
	var after conversation.BlobID
	for {
		rows, err := s.rows.Unused(ctx, after, sweepPage)
		if err != nil {
			return deleted, marked, fmt.Errorf("blob: sweep: %w", err)
		}
		for i := range rows {
			gone, waits, err := s.look(ctx, &rows[i])
			if err != nil {
				return deleted, marked, fmt.Errorf("blob: sweep: %w", err)
			}
			if gone {
				deleted++
			}
			if waits {
				marked++
			}
			after = rows[i].ID
		}
		if len(rows) < sweepPage {
			return deleted, marked, nil
		}
	}
}

// look handles one attachment that is not marked as used.
func (s *Store) look(ctx context.Context, row *Row) (gone, waits bool, err error) {
	if row.State != StateOrphaned {
		due := s.opts.Now().Sub(row.CreatedAt) >= OrphanAge
		if !due && !row.Conversation.IsZero() && s.opts.Over != nil {
			if due, err = s.opts.Over(ctx, row.Conversation); err != nil {
				return false, false, err
			}
		}
		if due {
			waits, err = s.mark(ctx, row)
		} else {
			_, err = s.followLog(ctx, row.ID)
		}
		return false, waits, err
	}
	if named, err := s.followLog(ctx, row.ID); named || err != nil {
		return false, false, err
	}
	if s.opts.Now().Sub(row.OrphanedAt) < orphanGrace {
		return false, true, nil
	}
	err = s.rows.EndOrphan(ctx, row.ID)
	if errors.Is(err, ErrNotFound) { // a message has taken it just now
		return false, false, nil
	}
	if err == nil {
		err = s.removeAll(ctx, row.ID)
	}
	return err == nil, false, err
}

// SweepObjects deletes what a kill or a failed removal left in the bucket: objects older than a day
// whose attachment is deleted or never became ready, and incomplete files. It lists the whole
// bucket.
func (s *Store) SweepObjects(ctx context.Context) (n int, err error) {
	// The file system dates objects by the system's clock: even if that clock has jumped, back or
	// ahead, an object that was just written must not look a day old (FT19).
	before := time.Now()
	if now := s.opts.Now(); now.Before(before) {
		before = now
	}
	before = before.Add(-OrphanAge)
	for list := s.bucket.List(nil); ; {
		o, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("blob: sweep: %w", err)
		}
		if o.ModTime.After(before) {
			continue
		}
		stray, err := s.stray(ctx, o.Key)
		if err == nil && stray {
			n++
			if err = s.bucket.Delete(ctx, o.Key); isMissing(err) {
				err = nil
			}
		}
		if err != nil {
			return n, fmt.Errorf("blob: sweep: %w", err)
		}
	}
}

func (s *Store) stray(ctx context.Context, key string) (bool, error) {
	name := path.Base(key)
	stem, ending, _ := strings.Cut(name, ".")
	id, err := conversation.ParseID[conversation.BlobID](stem)
	if err != nil {
		return false, nil //nolint:nilerr // not an object of the store
	}
	if ending != "" && ending != "t" {
		return true, nil // an upload or a temporary file that is a day old
	}
	row, err := s.rows.Row(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return err == nil && row.State == StateDeleted, err
}
