package vault

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
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

//go:embed migrations/*.sql
var migrations embed.FS

// Names in vault_meta.
const (
	metaRoot     = "mac_root" // the root of all MAC keys, wrapped; unwrapping it proves that the master key is right
	metaReserved = "reserved" // keys up to this id may have been assigned; 8 bytes, big endian
)

// keyStore is the SQLite file. writer has one connection.
type keyStore struct {
	writer *sql.DB // nil when read only
	reader *sql.DB
	get    *sql.Stmt
	master *wrapper
}

func openStore(ctx context.Context, o Options, write bool) (_ *keyStore, root []byte, err error) {
	master, err := newWrapper(o.Master)
	if err != nil {
		return nil, nil, err
	}
	s := &keyStore{master: master}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if write {
		if err := createPrivate(o.Path); err != nil {
			return nil, nil, err
		}
		if s.writer, err = sql.Open("sqlite", dsn(o.Path, "rw")); err != nil {
			return nil, nil, err
		}
		s.writer.SetMaxOpenConns(1)
		if err := s.migrate(ctx); err != nil {
			return nil, nil, err
		}
	}
	if s.reader, err = sql.Open("sqlite", dsn(o.Path, "ro")); err != nil {
		return nil, nil, err
	}
	s.reader.SetMaxOpenConns(4)
	s.reader.SetMaxIdleConns(4)
	if root, err = s.root(ctx, o, write); err != nil {
		return nil, nil, err
	}
	if write {
		// Remove the copies that stay if a crash interrupts Destroy.
		if err := s.emptyWAL(ctx); err != nil {
			return nil, nil, err
		}
	}
	s.get, err = s.reader.PrepareContext(ctx, `SELECT wrapped FROM vault_keys WHERE id = ?`)
	return s, root, err
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

func (s *keyStore) migrate(ctx context.Context) error {
	sub, err := fs.Sub(migrations, "migrations")
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

// root returns the unwrapped MAC root, which the first start makes.
func (s *keyStore) root(ctx context.Context, o Options, write bool) ([]byte, error) {
	wrapped, err := s.meta(ctx, metaRoot)
	switch {
	case err == nil:
		root, err := s.master.unwrap(metaRoot, 0, wrapped)
		if err != nil {
			return nil, ErrMaster
		}
		return root, nil
	case !errors.Is(err, sql.ErrNoRows):
		return nil, err
	case !write:
		return nil, ErrKeysLost
	case o.Floor > 0:
		return nil, ErrKeysLost
	}
	root := make([]byte, keySize)
	_, _ = rand.Read(root) // never fails (crypto/rand)
	_, err = s.writer.ExecContext(ctx, `INSERT INTO vault_meta (name, value) VALUES (?, ?)`,
		metaRoot, s.master.wrap(metaRoot, 0, root))
	return root, err
}

func (s *keyStore) meta(ctx context.Context, name string) (value []byte, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT value FROM vault_meta WHERE name = ?`, name).Scan(&value)
	return value, err
}

// reserved is the id up to which keys may have been assigned.
func (s *keyStore) reserved(ctx context.Context) (int64, error) {
	b, err := s.meta(ctx, metaReserved)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("reserved id has %d bytes, want 8", len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

func (s *keyStore) setReserved(ctx context.Context, id int64) error {
	_, err := s.writer.ExecContext(ctx, upsertMeta, metaReserved, reservedValue(id))
	return err
}

const upsertMeta = `INSERT INTO vault_meta (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value`

func reservedValue(id int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(id))
}

// unused returns the undamaged keys above after that were made and not destroyed, the ids of the
// damaged ones, and the largest id in the store.
func (s *keyStore) unused(ctx context.Context, after int64) (keys []dataKey, bad []int64, last int64, err error) {
	if err := s.reader.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM vault_keys`).Scan(&last); err != nil {
		return nil, nil, 0, err
	}
	err = s.each(ctx, after, func(id int64, plain []byte) error {
		if plain == nil {
			bad = append(bad, id)
			return nil
		}
		aead, err := newAEAD(plain)
		keys = append(keys, dataKey{id, aead})
		return err
	})
	return keys, bad, last, err
}

// each calls fn with every key above after that is not destroyed, lowest id first; plain is nil for
// a damaged key.
func (s *keyStore) each(ctx context.Context, after int64, fn func(id int64, plain []byte) error) error {
	rows, err := s.reader.QueryContext(ctx, `SELECT id, wrapped FROM vault_keys WHERE id > ? AND wrapped IS NOT NULL ORDER BY id`, after)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var wrapped []byte
		if err := rows.Scan(&id, &wrapped); err != nil {
			return err
		}
		plain, err := s.master.unwrap(labelKey, id, wrapped)
		if err != nil {
			plain = nil
		}
		if err := fn(id, plain); err != nil {
			return err
		}
	}
	return rows.Err()
}

// addBlock makes n keys after the given id and stores them in one transaction, together with the
// mark that they may be assigned. They are durable when it returns nil.
func (s *keyStore) addBlock(ctx context.Context, after int64, n int) ([]dataKey, error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	ins, err := tx.PrepareContext(ctx, `INSERT INTO vault_keys (id, wrapped) VALUES (?, ?)`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ins.Close() }()
	keys := make([]dataKey, n)
	var plain [keySize]byte
	for i := range keys {
		_, _ = rand.Read(plain[:]) // never fails (crypto/rand)
		keys[i].id = after + int64(i) + 1
		if keys[i].aead, err = newAEAD(plain[:]); err != nil {
			return nil, err
		}
		if _, err := ins.ExecContext(ctx, keys[i].id, s.master.wrap(labelKey, keys[i].id, plain[:])); err != nil {
			return nil, err
		}
	}
	if _, err := tx.ExecContext(ctx, upsertMeta, metaReserved, reservedValue(after+int64(n))); err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, err
	}
	return keys, nil
}

func (s *keyStore) key(ctx context.Context, id int64) ([]byte, error) {
	var wrapped []byte
	switch err := s.get.QueryRowContext(ctx, id).Scan(&wrapped); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrUnknownKey
	case err != nil:
		return nil, err
	case wrapped == nil:
		return nil, ErrDestroyed
	}
	plain, err := s.master.unwrap(labelKey, id, wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return plain, nil
}

func (s *keyStore) destroy(ctx context.Context, ids []int64) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, `UPDATE vault_keys SET wrapped = NULL WHERE id = ?`, id); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// emptyWAL moves everything into the database file and truncates the write-ahead log to zero
// length. It waits for readers until ctx ends.
func (s *keyStore) emptyWAL(ctx context.Context) error {
	for {
		var busy, frames, done int
		err := s.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done)
		if err != nil {
			return err
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

func (s *keyStore) close() error {
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

// isIOError reports whether the storage itself failed (SQLITE_IOERR and its extended codes,
// https://www.sqlite.org/rescode.html#ioerr).
func isIOError(err error) bool {
	const ioerr = 10
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == ioerr
}
