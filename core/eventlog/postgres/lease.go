package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

// change runs a writing statement outside the lanes. The statement must be harmless when it is done
// twice. change returns eventlog.ErrNotFound when the statement returns no row.
func (l *Log) change(ctx context.Context, text string, to []any, args ...any) error {
	if err := l.readable(ctx); err != nil {
		return err
	}
	if l.w == nil {
		return ErrReadOnly
	}
	bounded, cancel := context.WithTimeout(ctx, l.o.Patience)
	defer cancel()
	err := l.pool.QueryRow(bounded, text, args...).Scan(to...)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return eventlog.ErrNotFound
	case err != nil && l.readable(ctx) != nil:
		return l.readable(ctx)
	}
	return named(ctx, err)
}

// AcquireLease implements eventlog.Log. It uses the server's time, so that nodes whose clocks
// differ agree. A lease that has expired but that no other node has taken is still held: the epoch
// protects it.
func (l *Log) AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (epoch int64, held bool, err error) {
	err = l.change(ctx, `INSERT INTO leases AS l (name, node, epoch, until) VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE SET node = excluded.node, until = excluded.until, epoch = l.epoch + CASE WHEN l.node = excluded.node THEN 0 ELSE 1 END
WHERE l.node IN ('', excluded.node) OR l.until <= clock_timestamp() RETURNING epoch`, []any{&epoch}, name, node, ttl.Microseconds())
	switch {
	case err == nil:
		return epoch, true, nil
	case errors.Is(err, eventlog.ErrNotFound): // another node holds the lease
		err = l.change(ctx, `SELECT epoch FROM leases WHERE name = $1`, []any{&epoch}, name)
	}
	if err != nil {
		return 0, false, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	return epoch, false, nil
}

// ReleaseLease implements eventlog.Log.
func (l *Log) ReleaseLease(ctx context.Context, name, node string, epoch int64) error {
	var was int64
	err := l.change(ctx, `UPDATE leases SET node = '' WHERE name = $1 AND node = $2 AND epoch = $3 RETURNING epoch`, []any{&was}, name, node, epoch)
	if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}

// PruneReceipts implements eventlog.Log.
func (l *Log) PruneReceipts(ctx context.Context, before time.Time) (n int, err error) {
	err = l.change(ctx, `WITH gone AS (DELETE FROM early_receipts WHERE at < $1 RETURNING 1) SELECT count(*) FROM gone`, []any{&n}, timeValue(before))
	if err != nil {
		return 0, fmt.Errorf("prune early receipts: %w", err)
	}
	return n, nil
}
