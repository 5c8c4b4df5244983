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
	"strconv"
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
	sub, err := fs.Sub(migrationsPostgres, "migrations/postgres")
	if err != nil {
		return nil, nil, err
	}
	c, _, err := connect(ctx, dsn)
	if err != nil {
		return nil, nil, err
	}
	if err := migratePostgres(ctx, c, sub, versions); err != nil {
		return nil, nil, err
	}
	writer, reader = stdlib.OpenDB(*c, asked), stdlib.OpenDB(*c)
	writer.SetMaxOpenConns(1)
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	for _, db := range []*sql.DB{writer, reader} {
		db.SetConnMaxIdleTime(maxIdle)
	}
	return writer, reader, nil
}

// maxIdle is how long a connection is kept that nobody uses.
const maxIdle = 5 * time.Minute

// asked makes a pool ping each connection before it is used: one that was used a moment ago may be
// gone with its server, and a change must then use a new one.
var asked = stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return true })

// Server opens a pool on a PostgreSQL database whose tables belong to another package. It brings
// them up to date with the migrations of files, which goose counts in the table versions; files nil
// leaves them as they are. The pool has at most conns connections, unless dsn has pool_max_conns.
// Commits wait for the server's disk. Callers pass errors through Classify. Errors never show dsn.
func Server(ctx context.Context, dsn string, conns int, files fs.FS, versions string) (*sql.DB, error) {
	c, most, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if files != nil {
		if err := migratePostgres(ctx, c, files, versions); err != nil {
			return nil, Classify(err)
		}
	}
	if most > 0 {
		conns = most
	}
	db := stdlib.OpenDB(*c, asked)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(maxIdle)
	return db, nil
}

// connect reads dsn, adds the settings of every connection, and tries one. most is the value of
// pool_max_conns, 0 if dsn has none.
func connect(ctx context.Context, dsn string) (c *pgx.ConnConfig, most int, err error) {
	c, err = pgx.ParseConfig(dsn)
	if err != nil {
		return nil, 0, errors.New("connection string cannot be understood") // the parser's error may show the connection string
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 3 * time.Second
	}
	if c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if text, set := c.RuntimeParams["pool_max_conns"]; set { // a setting of a pool, which the server does not know
		if most, err = strconv.Atoi(text); err != nil || most < 1 {
			return nil, 0, errors.New("connection string: pool_max_conns: want a number from 1")
		}
		delete(c.RuntimeParams, "pool_max_conns")
	}
	for name, value := range map[string]string{
		"application_name": "parley", "lock_timeout": "5000", "statement_timeout": "30000",
		"idle_in_transaction_session_timeout": "10000", "jit": "off",
	} {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	return c, most, durable(ctx, c)
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

func migratePostgres(ctx context.Context, c *pgx.ConnConfig, files fs.FS, versions string) (err error) {
	c = c.Copy()
	c.RuntimeParams["lock_timeout"] = "200" // ms; the lock among nodes is asked for again and again, and not waited for
	db := stdlib.OpenDB(*c)
	defer func() { err = errors.Join(err, db.Close()) }()
	const everySecond, times = 1, 60
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, times), lock.WithUnlockTimeout(everySecond, times))
	if err != nil {
		return err
	}
	for began := time.Now(); ; {
		err := up(ctx, goose.DialectPostgres, db, files, versions, goose.WithSessionLocker(locker))
		var state *pgconn.PgError
		if !errors.As(err, &state) || state.Code != "55P03" || time.Since(began) > migrateWithin {
			return err
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

// A statement that changes a table waits until nobody uses it, and everybody who comes later waits
// behind it. It therefore gives up soon, lets the others go on for migratePause, and is tried again for
// migrateWithin.
const (
	migratePause  = time.Second
	migrateWithin = 10 * time.Minute
)

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
