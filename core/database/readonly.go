package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// ErrReadOnly: the handle was opened with OpenReadOnly.
var ErrReadOnly = errors.New("database: opened for reading only")

// TablesError says that the tables are older than this program, or that there are none.
type TablesError struct {
	Found int64 // version of the tables; 0: there are none
	Want  int64 // the version that this program brings them to when it opens them for writing
}

// Error implements error.
func (e *TablesError) Error() string {
	if e.Found == 0 {
		return "database: there are no tables yet: the first start of a gateway makes them"
	}
	return fmt.Sprintf("database: the tables are of version %d, and this program reads version %d: the start of a gateway of this version brings them up to date", e.Found, e.Want)
}

// OpenReadOnly connects to tables that exist, and changes nothing: Write fails with ErrReadOnly. It
// may be used beside processes that write. Tables of a newer program are read as far as this one
// knows them; those of an older one, and none at all, are a *TablesError.
func OpenReadOnly(ctx context.Context, o Options) (_ *DB, err error) {
	var reader *sql.DB
	var files fs.FS = migrations
	dir := "migrations/sqlite"
	exists := `SELECT count(*) FROM sqlite_master WHERE name = $1`
	switch o.Dialect {
	case "", SQLite:
		o.Dialect = SQLite
		if _, err := os.Stat(o.DSN); errors.Is(err, fs.ErrNotExist) {
			return nil, &TablesError{}
		}
		q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)", "temp_store(MEMORY)", "query_only(1)"}}
		if reader, err = sql.Open("sqlite", "file:"+(&url.URL{Path: o.DSN}).EscapedPath()+"?"+q.Encode()); err != nil {
			return nil, err
		}
	case Postgres:
		files, dir = migrationsPostgres, "migrations/postgres"
		exists = `SELECT count(to_regclass($1))`
		c, _, err := connect(ctx, o.DSN)
		if err != nil {
			return nil, err
		}
		c.RuntimeParams["default_transaction_read_only"] = "on"
		reader = stdlib.OpenDB(*c)
	default:
		return nil, fmt.Errorf("unknown dialect %q", o.Dialect)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, reader.Close())
		}
	}()
	reader.SetMaxOpenConns(readers)
	e := &TablesError{}
	if e.Want, err = newest(files, dir); err != nil {
		return nil, err
	}
	var there int
	if err := reader.QueryRowContext(ctx, exists, versions).Scan(&there); err != nil {
		return nil, Classify(err)
	}
	if there > 0 {
		if err := reader.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versions+` WHERE is_applied`).Scan(&e.Found); err != nil {
			return nil, Classify(err)
		}
	}
	if e.Found < e.Want {
		return nil, e
	}
	return &DB{dialect: o.Dialect, reader: reader, gate: &sync.Mutex{}, failed: make(chan struct{})}, nil
}

// newest is the highest version among migrations.
func newest(files fs.FS, dir string) (version int64, err error) {
	names, err := fs.Glob(files, dir+"/*.sql")
	if err != nil {
		return 0, err
	}
	for _, n := range names {
		v, err := goose.NumericComponent(n)
		if err != nil {
			return 0, err
		}
		version = max(version, v)
	}
	return version, nil
}
