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
	sweepEvery    = 10 * time.Minute
	strayEvery    = 24 * time.Hour
	orphansAtOnce = 500
)

// Run removes orphans every ten minutes, and once a day stored objects that no
// row knows, until ctx ends.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var strays time.Time
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "cannot remove orphaned attachments", "err", err)
		}
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
		}
	}
}

// Sweep deletes attachments that are older than a day and that no message
// uses, and tells how many.
func (s *Store) Sweep(ctx context.Context) (n int, err error) {
	for {
		rows, err := s.rows.OrphanBlobs(ctx, s.opts.Now().Add(-OrphanAge), orphansAtOnce)
		if err != nil {
			return n, fmt.Errorf("blob: sweep: %w", err)
		}
		for _, row := range rows {
			// A claim in this moment wins: then it is no orphan any more.
			err := s.rows.EndOrphan(ctx, row.ID)
			if errors.Is(err, directory.ErrNotFound) {
				continue
			}
			if err == nil {
				err = s.removeAll(ctx, row.ID)
			}
			if err != nil {
				return n, fmt.Errorf("blob: sweep: %w", err)
			}
			n++
		}
		if len(rows) < orphansAtOnce {
			return n, nil
		}
	}
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
