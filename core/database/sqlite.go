package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// readers is how many reads run at once; the frequent ones are served from memory elsewhere.
const readers = 4

func openSQLite(ctx context.Context, path string) (writer, reader *sql.DB, err error) {
	if path == "" {
		return nil, nil, errors.New("no database file named")
	}
	if err := createPrivate(path); err != nil {
		return nil, nil, err
	}
	if writer, err = sql.Open("sqlite", sqliteDSN(path)); err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer); err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	if reader, err = sql.Open("sqlite", sqliteDSN(path)+"&_pragma=query_only(1)"); err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	return writer, reader, nil
}

// sqliteDSN names the file with the settings that a connection must have: a flush at each commit,
// deleted content overwritten, waiting for locks, and transactions that take the write lock when
// they begin. The log copies the write-ahead log back, so commits here need not.
func sqliteDSN(path string) string {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)", "temp_store(MEMORY)", "wal_autocheckpoint(0)"} {
		q.Add("_pragma", p)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// createPrivate makes an empty file that only its owner can read; SQLite gives its other files the
// same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func migrate(ctx context.Context, db *sql.DB) error {
	sub, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	return up(ctx, goose.DialectSQLite3, db, sub, versions)
}

// versions is goose's own table for this package's tables. Its name is older than this package; it
// stays, since existing installations have it.
const versions = "goose_directory"

// up brings tables up to date.
func up(ctx context.Context, d goose.Dialect, db *sql.DB, sub fs.FS, versions string, more ...goose.ProviderOption) error {
	p, err := goose.NewProvider(d, db, sub,
		append(more, goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// trouble is what an engine's error means to callers.
type trouble int

const (
	troubleNone trouble = iota
	troubleFull
	troubleFailed
	troubleUnavailable
)

// kindOf tells what an error of either engine means for callers.
func kindOf(err error) trouble {
	if k := kindOfSQLite(err); k != troubleNone {
		return k
	}
	return kindOfPostgres(err)
}

// kindOfSQLite reads SQLite's primary result code (https://www.sqlite.org/rescode.html).
func kindOfSQLite(err error) trouble {
	const (
		ioerr = 10
		full  = 13
	)
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return troubleNone
	}
	switch e.Code() & 0xff {
	case ioerr:
		return troubleFailed
	case full:
		return troubleFull
	default:
		return troubleNone
	}
}
