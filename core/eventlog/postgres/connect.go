package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// minVersion is the oldest supported server, as server_version_num: the oldest that the PostgreSQL
// project still supports.
const minVersion = 140000

// connectTimeout bounds one attempt to connect.
const connectTimeout = 3 * time.Second

// parse reads a connection string (postgres://user:password@host/db?..., see
// https://www.postgresql.org/docs/current/libpq-connect.html; pool_max_conns is pgxpool's) and adds
// the settings of every connection: a name, bounds on waiting, no planner compiler, and a server
// that takes writes, unless the string says otherwise. Errors never show the string.
func parse(dsn string, lockTimeout time.Duration) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, plain(err)
	}
	c := pc.ConnConfig
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	if c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	for name, value := range map[string]string{
		"application_name":                    "parley",
		"lock_timeout":                        strconv.FormatInt(lockTimeout.Milliseconds(), 10),
		"idle_in_transaction_session_timeout": "10000", // a node that is frozen must not keep its locks
		"tcp_keepalives_idle":                 "15",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
		"jit":                                 "off",
	} {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	return pc, nil
}

// byKey returns c with settings for a connection whose statements all find their rows by key.
// Without them the planner would plan full scans while the tables are empty, and keep that plan
// while the tables grow.
func byKey(c *pgx.ConnConfig) *pgx.ConnConfig {
	c = c.Copy()
	for _, name := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin"} {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = "off"
		}
	}
	return c
}

// errNoCancel keeps the driver from dialling a second time.
var errNoCancel = errors.New("statements of this connection are not cancelled")

// connectOnce makes a connection that never asks the server to cancel the statement under way. The
// driver would do so when a link breaks: a COMMIT that waits for its standby would then give up
// waiting and become visible to everybody (PR18). What such connections run is bounded by
// lock_timeout.
func connectOnce(ctx context.Context, c *pgx.ConnConfig) (*pgx.Conn, error) {
	c = c.Copy()
	var made atomic.Bool
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if made.Load() {
			return nil, errNoCancel
		}
		return dial(ctx, network, addr)
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	made.Store(err == nil)
	return conn, err
}

// newPool makes the readers' pool; it connects on demand. The server too bounds how long a reader's
// statement runs.
func newPool(pc *pgxpool.Config) (*pgxpool.Pool, error) {
	pc = pc.Copy()
	if _, set := pc.ConnConfig.RuntimeParams["statement_timeout"]; !set {
		pc.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(maxRead.Milliseconds(), 10)
	}
	// The pool lives until Close, so it must not end with Open's context.
	return pgxpool.NewWithConfig(context.Background(), pc)
}

// Server holds the properties of a server that matter to the log.
type Server struct {
	Version           int    // server_version_num: 150007 is 15.7
	Encoding          string // encoding of the database
	SynchronousCommit string
	StandbyNames      string // setting synchronous_standby_names, "" for none
	Fsync             bool
	FullPageWrites    bool
	Checksums         bool // the server keeps checksums of data pages
	Clock             time.Time
	RoundTrip         time.Duration // time that it takes to ask the server for its clock
}

// Probe connects to the server and returns its properties. The log's tables need not exist.
func Probe(ctx context.Context, dsn string) (s Server, err error) {
	pc, err := parse(dsn, time.Second)
	if err != nil {
		return s, err
	}
	conn, err := pgx.ConnectConfig(ctx, pc.ConnConfig)
	if err != nil {
		return s, named(ctx, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return inspect(ctx, conn)
}

func inspect(ctx context.Context, conn *pgx.Conn) (s Server, err error) {
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_encoding_to_char(encoding),
  current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), current_setting('fsync')::bool,
  current_setting('full_page_writes')::bool, current_setting('data_checksums')::bool
FROM pg_database WHERE datname = current_database()`).Scan(&s.Version, &s.Encoding, &s.SynchronousCommit, &s.StandbyNames,
		&s.Fsync, &s.FullPageWrites, &s.Checksums)
	if err != nil {
		return s, named(ctx, err)
	}
	began := time.Now()
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&s.Clock); err != nil {
		return s, named(ctx, err)
	}
	s.RoundTrip = time.Since(began)
	return s, nil
}

// Fits returns why the log cannot live on the server, as ErrServer, or nil.
func (s Server) Fits() error {
	switch {
	case s.Version < minVersion:
		return fmt.Errorf("%w: PostgreSQL %d, want %d or later", ErrServer, s.Version/10000, minVersion/10000)
	case s.Encoding != "UTF8":
		return fmt.Errorf("%w: the database's encoding is %s, want UTF8", ErrServer, s.Encoding)
	}
	return nil
}

// Warnings lists settings under which an acknowledged event can be lost (PR1) or damage is not
// noticed, each with what to do.
func (s Server) Warnings() []string {
	var w []string
	if s.SynchronousCommit == "off" {
		w = append(w, "synchronous_commit is off, so a crash of the server loses what was acknowledged; set it to on")
	}
	if !s.Fsync || !s.FullPageWrites {
		w = append(w, "fsync or full_page_writes is off, so a power cut can destroy the database; set both to on")
	}
	if s.StandbyNames != "" && strings.HasPrefix(s.SynchronousCommit, "l") { // local
		w = append(w, "synchronous_commit is local, so the synchronous standby is not waited for; set it to on")
	}
	if !s.Checksums {
		w = append(w, "data checksums are off, so damage on disk stays unseen; stop the server and run pg_checksums --enable")
	}
	return w
}
