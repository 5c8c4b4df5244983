package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

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
	delete(c.RuntimeParams, "lock_timeout") // an older node may hold the lock for a moment
	db := stdlib.OpenDB(*c)
	defer func() { err = errors.Join(err, db.Close()) }()
	const everySecond, times = 1, 60
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, times), lock.WithUnlockTimeout(everySecond, times))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub,
		goose.WithTableName("goose_eventlog"), goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", plain(err))
	}
	return nil
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
