package vault

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

// fileStore is the SQLite file. writer has one connection.
type fileStore struct {
	writer *sql.DB // nil when read only
	reader *sql.DB
	get    *sql.Stmt
}

func openFile(ctx context.Context, path string, write bool) (_ *fileStore, err error) {
	s := &fileStore{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if write {
		if err := createPrivate(path); err != nil {
			return nil, err
		}
		if s.writer, err = sql.Open("sqlite", dsn(path, "rw")); err != nil {
			return nil, err
		}
		s.writer.SetMaxOpenConns(1)
		if err := s.migrate(ctx); err != nil {
			return nil, err
		}
	}
	if s.reader, err = sql.Open("sqlite", dsn(path, "ro")); err != nil {
		return nil, err
	}
	s.reader.SetMaxOpenConns(4)
	s.reader.SetMaxIdleConns(4)
	s.get, err = s.reader.PrepareContext(ctx, `SELECT wrapped FROM vault_keys WHERE id = ?`)
	return s, err
}

// dsn names the file with the settings that a connection must have: a flush at each commit, deleted
// content overwritten, waiting for locks.
func dsn(path, mode string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_error_rc": {"1"}}
	q.Add("_pragma", "busy_timeout(10000)")
	if mode == "rw" {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)")
		q.Add("_pragma", "secure_delete(1)")
		q.Add("_pragma", "temp_store(MEMORY)")
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
	if err := f.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *fileStore) migrate(ctx context.Context) error {
	sub, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.writer, sub,
		goose.WithTableName("goose_vault"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (s *fileStore) meta(ctx context.Context, name string) (value []byte, err error) {
	return metaOf(ctx, s.reader, name)
}

// asker is a database, or a transaction of it.
type asker interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func metaOf(ctx context.Context, q asker, name string) (value []byte, err error) {
	err = q.QueryRowContext(ctx, `SELECT value FROM vault_meta WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// change runs fn in a transaction. An I/O error is ErrFailed.
func (s *fileStore) change(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return noteIO(err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := fn(tx); err != nil {
		return noteIO(err)
	}
	return noteIO(tx.Commit())
}

func (s *fileStore) setMeta(ctx context.Context, ifRoot []byte, values map[string][]byte) (ok bool, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		ok, err = setMeta(ctx, tx, ifRoot, values)
		return err
	})
	return ok && err == nil, err
}

// setMeta is store.setMeta within a transaction in which no other writer comes between.
func setMeta(ctx context.Context, tx *sql.Tx, ifRoot []byte, values map[string][]byte) (ok bool, err error) {
	root, err := metaOf(ctx, tx, metaRoot)
	if err != nil || !bytes.Equal(root, ifRoot) {
		return false, err
	}
	for name, value := range values {
		if value == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM vault_meta WHERE name = $1`, name)
		} else {
			_, err = tx.ExecContext(ctx, upsertMeta, name, value)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

const upsertMeta = `INSERT INTO vault_meta (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value`

// reserved is the id up to which keys may have been assigned.
func (s *fileStore) reserved(ctx context.Context) (int64, error) {
	b, err := s.meta(ctx, metaReserved)
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("reserved id has %d bytes, want 8", len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

func reservedValue(id int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(id))
}

// takeOver skips, after a kill, the block that was in use: only the event store knows which of its
// keys were assigned, and a key may also have been used for something that is not in the event
// store (an attachment).
func (s *fileStore) takeOver(ctx context.Context, floor int64) (unused []wrappedKey, last int64, err error) {
	reserved, err := s.reserved(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := s.reader.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM vault_keys`).Scan(&last); err != nil {
		return nil, 0, err
	}
	err = s.each(ctx, max(floor, reserved), func(k wrappedKey) error {
		if k.wrapped != nil {
			unused = append(unused, k)
		}
		return nil
	})
	if err != nil || len(unused) == 0 {
		return nil, last, err
	}
	return unused, last, s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, upsertMeta, metaReserved, reservedValue(last))
		return err
	})
}

func (s *fileStore) giveBack(ctx context.Context, given int64, _ []wrappedKey) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, upsertMeta, metaReserved, reservedValue(given))
		return err
	})
}

// addBlock marks the block's keys as assigned in the transaction that stores them.
func (s *fileStore) addBlock(ctx context.Context, after int64, n int, wrap func([]byte, int64) ([][]byte, error)) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		root, err := metaOf(ctx, tx, metaRoot)
		if err != nil {
			return err
		}
		keys, err := wrap(root, after+1)
		if err != nil {
			return err
		}
		ins, err := tx.PrepareContext(ctx, `INSERT INTO vault_keys (id, wrapped) VALUES (?, ?)`)
		if err != nil {
			return err
		}
		defer func() { _ = ins.Close() }()
		for i, wrapped := range keys {
			if _, err := ins.ExecContext(ctx, after+int64(i)+1, wrapped); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, upsertMeta, metaReserved, reservedValue(after+int64(n)))
		return err
	})
}

func (s *fileStore) key(ctx context.Context, id int64) (wrappedKey, error) {
	k := wrappedKey{id: id}
	err := s.get.QueryRowContext(ctx, id).Scan(&k.wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownKey
	}
	return k, err
}

func (s *fileStore) each(ctx context.Context, after int64, fn func(wrappedKey) error) error {
	rows, err := s.reader.QueryContext(ctx, `SELECT id, wrapped FROM vault_keys WHERE id > ? ORDER BY id`, after)
	if err != nil {
		return err
	}
	return eachRow(rows, fn)
}

// eachRow calls fn with each row of (id, wrapped), and closes rows.
func eachRow(rows *sql.Rows, fn func(wrappedKey) error) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k wrappedKey
		if err := rows.Scan(&k.id, &k.wrapped); err != nil {
			return err
		}
		if err := fn(k); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *fileStore) destroy(ctx context.Context, ids []int64) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `UPDATE vault_keys SET wrapped = NULL WHERE id = ?`, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *fileStore) rewrap(ctx context.Context, after int64, n int, fn func(wrappedKey) []byte) (last int64, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id, wrapped FROM vault_keys WHERE id > ? ORDER BY id LIMIT ?`, after, n)
		if err != nil {
			return err
		}
		var changed []wrappedKey
		changed, last, err = rewrapRows(rows, fn)
		for _, k := range changed {
			if err != nil {
				break
			}
			_, err = tx.ExecContext(ctx, `UPDATE vault_keys SET wrapped = ? WHERE id = ?`, k.wrapped, k.id)
		}
		return err
	})
	return last, err
}

// rewrapRows returns the keys of rows that fn changes, and the last id.
func rewrapRows(rows *sql.Rows, fn func(wrappedKey) []byte) (changed []wrappedKey, last int64, err error) {
	err = eachRow(rows, func(k wrappedKey) error {
		last = k.id
		if k.wrapped == nil {
			return nil
		}
		if wrapped := fn(k); wrapped != nil {
			changed = append(changed, wrappedKey{k.id, wrapped})
		}
		return nil
	})
	return changed, last, err
}

// scrub moves everything into the database file, which overwrites what is deleted (secure_delete),
// and truncates the write-ahead log to zero length. It waits for readers until ctx ends.
func (s *fileStore) scrub(ctx context.Context) error {
	for {
		var busy, frames, done int
		err := s.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done)
		if err != nil {
			return noteIO(err)
		}
		if busy == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *fileStore) shared() bool { return false }

func (s *fileStore) news(context.Context, int64) (news, error) { return news{}, nil }

func (s *fileStore) close() error {
	var errs []error
	if s.get != nil {
		errs = append(errs, s.get.Close())
	}
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil { // closed last, since only the writer may clean up the write-ahead log
		errs = append(errs, s.writer.Close())
	}
	return errors.Join(errs...)
}

// noteIO adds ErrFailed to an error with which the storage itself failed (SQLITE_IOERR and its
// extended codes, https://www.sqlite.org/rescode.html#ioerr).
func noteIO(err error) error {
	const ioerr = 10
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == ioerr {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return err
}
