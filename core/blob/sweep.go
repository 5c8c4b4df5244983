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
	"github.com/parley-gateway/parley/core/directory"
)

// How often Run looks.
const (
	sweepEvery = 10 * time.Minute
	strayEvery = 24 * time.Hour
	sweepPage  = 500
	// orphanGrace is how long an orphan's content stays after no message can
	// find it any more: one that found it before may be on its way to the log.
	orphanGrace = time.Minute
	// maxEnded bounds the conversations whose end waits for Run; what is over it
	// is left to the next sweep.
	maxEnded = 1024
)

// Run removes orphans: those of a conversation when it ends, others every ten
// minutes; and once a day stored objects that no row knows; until ctx ends.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var strays time.Time
	var soon <-chan time.Time // when the grace of marked orphans is over
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

// Ended says that a conversation is over: what was uploaded to it and no
// message names goes now. It never blocks.
func (s *Store) Ended(conv conversation.ConversationID) {
	select {
	case s.ended <- conv:
	default: // Sweep finds out
	}
}

// orphan marks what no message of an ended conversation names.
func (s *Store) orphan(ctx context.Context, conv conversation.ConversationID) (n int, err error) {
	rows, err := s.rows.UnusedBlobsOf(ctx, conv)
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
func (s *Store) mark(ctx context.Context, row *directory.BlobRow) (bool, error) {
	if named, err := s.settle(ctx, row.ID); named || err != nil {
		return false, err
	}
	err := s.rows.OrphanBlob(ctx, row.ID, s.opts.Now())
	if errors.Is(err, directory.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Sweep looks at every attachment that is not marked as used, and tells how
// many it deleted. One that a message names in the log after all is the
// message's. Another is an orphan when it is a day old or its conversation is
// over: no message finds it from then on, and a minute later its content goes.
func (s *Store) Sweep(ctx context.Context) (n int, err error) {
	n, _, err = s.sweep(ctx)
	return n, err
}

// sweep also tells how many orphans it marked, or left for their grace.
func (s *Store) sweep(ctx context.Context) (deleted, marked int, err error) {
	var after conversation.BlobID
	for {
		rows, err := s.rows.UnusedBlobs(ctx, after, sweepPage)
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

// look does what is due with one attachment that is not marked as used.
func (s *Store) look(ctx context.Context, row *directory.BlobRow) (gone, waits bool, err error) {
	if row.State != directory.BlobOrphaned {
		due := s.opts.Now().Sub(row.CreatedAt) >= OrphanAge
		if !due && !row.Conversation.IsZero() && s.opts.Over != nil {
			if due, err = s.opts.Over(ctx, row.Conversation); err != nil {
				return false, false, err
			}
		}
		if due {
			waits, err = s.mark(ctx, row)
		} else {
			_, err = s.settle(ctx, row.ID)
		}
		return false, waits, err
	}
	if named, err := s.settle(ctx, row.ID); named || err != nil {
		return false, false, err
	}
	if s.opts.Now().Sub(row.OrphanedAt) < orphanGrace {
		return false, true, nil
	}
	err = s.rows.EndOrphan(ctx, row.ID)
	if errors.Is(err, directory.ErrNotFound) { // taken in this moment
		return false, false, nil
	}
	if err == nil {
		err = s.removeAll(ctx, row.ID)
	}
	return err == nil, false, err
}

// SweepObjects deletes what a kill or a failed removal left in the bucket:
// objects older than a day whose attachment is gone or was never ready, and
// files cut short. It lists the whole bucket.
func (s *Store) SweepObjects(ctx context.Context) (n int, err error) {
	// The file system dates by the system's clock: when that has jumped, back or
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
		return false, nil //nolint:nilerr // not ours
	}
	if ending != "" && ending != "t" {
		return true, nil // an upload or a temporary file of a day ago
	}
	row, err := s.rows.Blob(ctx, id)
	if errors.Is(err, directory.ErrNotFound) {
		return true, nil
	}
	return err == nil && row.State == directory.BlobDeleted, err
}
