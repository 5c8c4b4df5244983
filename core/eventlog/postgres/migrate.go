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

// migrate brings the log's tables up to date, one node at a time. The version
// table is the log's own, since core/directory has migrations in the same
// database.
func migrate(ctx context.Context, c *pgx.ConnConfig) (err error) {
	c = c.Copy()
	delete(c.RuntimeParams, "lock_timeout") // an older node may be busy for a moment
	db := stdlib.OpenDB(*c)
	defer func() { err = errors.Join(err, db.Close()) }()
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
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
