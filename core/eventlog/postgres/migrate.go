package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A statement that changes a table needs it for itself, and waits until nobody uses it. Everybody who
// comes later waits behind it, so that a long query, a backup say, would stop all nodes. Such a
// statement therefore gives up after migrateLock, lets the others go on for migratePause, and is tried
// again for migrateWithin.
const (
	migrateLock   = 200 * time.Millisecond
	migratePause  = time.Second
	migrateWithin = 10 * time.Minute
)

// lockNotAvailable is the SQLSTATE of a statement that gave up waiting for a lock.
const lockNotAvailable = "55P03"

// migrate brings the log's tables up to date, one node at a time. The log has a version table of
// its own, since core/directory has migrations in the same database.
func migrate(ctx context.Context, c *pgx.ConnConfig) (err error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if done, err := migrated(ctx, c, sub); err != nil || done {
		return err
	}
	c = c.Copy()
	c.RuntimeParams["lock_timeout"] = strconv.FormatInt(migrateLock.Milliseconds(), 10)
	db := stdlib.OpenDB(*c)
	defer func() { err = errors.Join(err, db.Close()) }()
	const everySecond, times = 1, 600 // another node makes an index, which waits for transactions that are under way
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, times), lock.WithUnlockTimeout(everySecond, times))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub,
		goose.WithTableName("goose_eventlog"), goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	for began := time.Now(); ; {
		_, err := p.Up(ctx)
		if err == nil {
			return nil
		}
		if state := (*pgconn.PgError)(nil); !errors.As(err, &state) || state.Code != lockNotAvailable || time.Since(began) > migrateWithin {
			return fmt.Errorf("migrate: %w", plain(err))
		}
		t := time.NewTimer(migratePause)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("migrate: %w", ctx.Err())
		case <-t.C:
		}
	}
}

// migrated reports whether the tables are as new as this program or newer, so
// that a start needs no lock.
func migrated(ctx context.Context, c *pgx.ConnConfig, files fs.FS) (bool, error) {
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return false, named(ctx, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return false, err
	}
	var newest int64
	for _, n := range names {
		v, err := goose.NumericComponent(n)
		if err != nil {
			return false, err
		}
		newest = max(newest, v)
	}
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('goose_eventlog') IS NOT NULL`).Scan(&there); err != nil || !there {
		return false, named(ctx, err)
	}
	var version int64
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_eventlog WHERE is_applied`).Scan(&version)
	return version >= newest, named(ctx, err)
}
