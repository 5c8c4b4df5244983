package directory

import (
	"context"
	"database/sql"
	"time"
)

const (
	// spentPolls is after how many polls spent keys are looked for again.
	spentPolls = 30
	// maxSpent is how many keys are destroyed in one go.
	maxSpent = 1000
)

// saveSpent writes down, in the change's transaction, which data keys it makes useless. Whatever
// happens after the commit, they are destroyed some time.
func (e *editor) saveSpent() error {
	for _, id := range e.keys {
		if _, err := e.tx.ExecContext(e.ctx, `INSERT INTO spent_keys (key_id) VALUES ($1) ON CONFLICT DO NOTHING`, id); err != nil {
			return err
		}
	}
	return nil
}

// destroySpent destroys keys, and then forgets that they have to be.
func (d *Directory) destroySpent(ctx context.Context, ids []int64) error {
	if err := d.vault.Destroy(ctx, ids...); err != nil {
		return err
	}
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `DELETE FROM spent_keys WHERE key_id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // they are destroyed all the same, and will be once more
		d.log.WarnContext(ctx, "cannot note that keys were destroyed", "err", err)
	}
	return nil
}

// followSpent destroys keys that earlier changes left, because the key store was away or the process
// died; once at the start, and then now and again.
func (d *Directory) followSpent(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ids, err := d.spentKeys(ctx)
		if err == nil && len(ids) > 0 {
			err = d.destroySpent(ctx, ids)
		}
		if err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "keys that are no longer needed cannot be destroyed yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Directory) spentKeys(ctx context.Context) (ids []int64, err error) {
	rows, err := d.db.Reader().QueryContext(ctx, `SELECT key_id FROM spent_keys ORDER BY key_id LIMIT $1`, maxSpent)
	if err != nil {
		return nil, d.db.Note(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, d.db.Note(err)
		}
		ids = append(ids, id)
	}
	return ids, d.db.Note(rows.Err())
}
