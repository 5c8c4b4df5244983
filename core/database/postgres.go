package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/postgres/*.sql
var migrationsPostgres embed.FS

// lockWrites makes the writers of all nodes take turns, as BEGIN IMMEDIATE does on SQLite: what a
// change reads cannot change before it is committed.
const lockWrites = `SELECT pg_advisory_xact_lock('directory_version'::regclass::oid::int, 1)`

// openPostgres connects to the database that dsn names. Errors never show dsn.
func openPostgres(ctx context.Context, dsn string) (writer, reader *sql.DB, err error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, nil, errors.New("connection string cannot be understood") // the parser's error may show the connection string
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 3 * time.Second
	}
	if c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	delete(c.RuntimeParams, "pool_max_conns") // a setting of the log's pool
	for name, value := range map[string]string{
		"application_name": "parley", "lock_timeout": "5000", "statement_timeout": "30000",
		"idle_in_transaction_session_timeout": "10000", "jit": "off",
	} {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	if err := durable(ctx, c); err != nil {
		return nil, nil, err
	}
	if err := migratePostgres(ctx, c); err != nil {
		return nil, nil, err
	}
	// A connection used a moment ago may be gone with its server. The writer's connection is
	// therefore pinged before each change, so that the change uses a new one.
	ask := stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return true })
	writer, reader = stdlib.OpenDB(*c, ask), stdlib.OpenDB(*c)
	writer.SetMaxOpenConns(1)
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	for _, db := range []*sql.DB{writer, reader} {
		db.SetConnMaxIdleTime(5 * time.Minute)
	}
	return writer, reader, nil
}

// durable makes commits wait for the disk even if the server's default is not to wait: a change
// must be durable before it is visible.
func durable(ctx context.Context, c *pgx.ConnConfig) (err error) {
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return fmt.Errorf("%w: cannot connect", ErrUnavailable) // the driver's error may show more than it should
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var mode string
	if err := conn.QueryRow(ctx, `SHOW synchronous_commit`).Scan(&mode); err != nil {
		return err
	}
	if mode == "off" {
		c.RuntimeParams["synchronous_commit"] = "on"
	}
	return nil
}

func migratePostgres(ctx context.Context, c *pgx.ConnConfig) (err error) {
	c = c.Copy()
	delete(c.RuntimeParams, "lock_timeout") // another node may hold the lock for a moment
	db := stdlib.OpenDB(*c)
	defer func() { err = errors.Join(err, db.Close()) }()
	sub, err := fs.Sub(migrationsPostgres, "migrations/postgres")
	if err != nil {
		return err
	}
	const everySecond, times = 1, 60
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, times), lock.WithUnlockTimeout(everySecond, times))
	if err != nil {
		return err
	}
	return up(ctx, goose.DialectPostgres, db, sub, goose.WithSessionLocker(locker))
}

// kindOfPostgres reads SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func kindOfPostgres(err error) trouble {
	var e *pgconn.PgError
	var connect *pgconn.ConnectError
	var link net.Error
	switch {
	case errors.As(err, &e):
	case errors.As(err, &connect), errors.As(err, &link), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.Is(err, driver.ErrBadConn), pgconn.SafeToRetry(err):
		return troubleUnavailable
	default:
		return troubleNone
	}
	switch {
	case e.Code == "53100":
		return troubleFull
	case e.Code == "XX001" || e.Code == "XX002":
		return troubleFailed
	case e.Code == "55P03" || e.Code == "25006" || e.Code == "25P03" || e.Code == "40P01",
		strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "53"), strings.HasPrefix(e.Code, "57"):
		return troubleUnavailable
	default:
		return troubleNone
	}
}
