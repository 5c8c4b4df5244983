package kv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/database"
)

// Limits of a store.
const (
	MaxKey   = 512      // bytes
	MaxValue = 64 << 10 // bytes
)

// ErrSize: a key is empty, longer than 512 bytes or not valid text, or a value is longer than 64
// KiB.
var ErrSize = errors.New("kv: a key has 1 to 512 bytes of text, a value at most 64 KiB")

// Vault is what the stores need of core/vault.
type Vault interface {
	Assign() (int64, error)
	Seal(keyID int64, aad, plain []byte) ([]byte, error)
	Open(keyID int64, aad, sealed []byte) ([]byte, error)
}

// Store holds the stores of all plugins. Safe for concurrent use.
type Store struct {
	db    *database.DB
	vault Vault

	keyMu sync.Mutex
	keys  map[string]int64 // data key of each plugin's store; only those that were needed so far
}

// New makes a Store over an open handle, which the caller must close.
func New(db *database.DB, v Vault) *Store {
	return &Store{db: db, vault: v, keys: map[string]int64{}}
}

// Get reads a plugin's value.
func (s *Store) Get(ctx context.Context, plugin, key string) (value []byte, version uint64, found bool, err error) {
	if !isKey(key) {
		return nil, 0, false, nil
	}
	keyID, err := s.pluginKey(ctx, s.db.Reader(), plugin)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("kv: get: %w", s.db.Note(err))
	}
	var sealed []byte
	err = s.db.Reader().QueryRowContext(ctx, `SELECT value, version FROM plugin_kv WHERE plugin = $1 AND key = $2`, plugin, key).Scan(&sealed, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("kv: get: %w", s.db.Note(err))
	}
	if value, err = s.vault.Open(keyID, aad(plugin, key), sealed); err != nil {
		return nil, 0, false, fmt.Errorf("kv: get: %w", err)
	}
	return value, version, true, nil
}

// Put stores a plugin's value, sealed, and returns its new version: one more than the version
// before, from 1. With conditional it stores the value only if the stored version is ifVersion (0:
// there is none); otherwise ok is false and version is the stored one.
func (s *Store) Put(ctx context.Context, plugin, key string, value []byte, ifVersion uint64, conditional bool) (version uint64, ok bool, err error) {
	if !isKey(key) || len(value) > MaxValue {
		return 0, false, ErrSize
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		keyID, err := s.needPluginKey(ctx, tx, plugin)
		if err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `SELECT version FROM plugin_kv WHERE plugin = $1 AND key = $2`, plugin, key).Scan(&version)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if conditional && version != ifVersion {
			return nil
		}
		sealed, err := s.vault.Seal(keyID, aad(plugin, key), value)
		if err != nil {
			return err
		}
		version++
		ok = true
		_, err = tx.ExecContext(ctx, `INSERT INTO plugin_kv (plugin, key, version, value) VALUES ($1, $2, $3, $4)
ON CONFLICT (plugin, key) DO UPDATE SET version = excluded.version, value = excluded.value`, plugin, key, int64(version), sealed)
		return err
	})
	if err != nil {
		s.forgetPluginKey(plugin) // the key's row may not have been committed
		return 0, false, fmt.Errorf("kv: put: %w", err)
	}
	return version, ok, nil
}

// Delete removes a plugin's value; it is no error if there is none.
func (s *Store) Delete(ctx context.Context, plugin, key string) error {
	if !isKey(key) {
		return nil
	}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM plugin_kv WHERE plugin = $1 AND key = $2`, plugin, key)
		return err
	})
	if err != nil {
		return fmt.Errorf("kv: delete: %w", err)
	}
	return nil
}

// List returns up to limit keys of a plugin that start with prefix and come
// after a key, in byte order.
func (s *Store) List(ctx context.Context, plugin, prefix, after string, limit int) ([]string, error) {
	limit = min(max(limit, 0), 1000)
	rows, err := s.db.Reader().QueryContext(ctx, `SELECT key FROM plugin_kv
WHERE plugin = $1 AND key > $2 AND substr(key, 1, $3) = $4 ORDER BY key LIMIT $5`,
		plugin, after, len([]rune(prefix)), prefix, limit)
	if err != nil {
		return nil, fmt.Errorf("kv: list: %w", s.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var keys []string
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, fmt.Errorf("kv: list: %w", err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("kv: list: %w", s.db.Note(err))
	}
	return keys, nil
}

// isKey reports whether both engines can store a key: PostgreSQL's text is UTF-8
// without NUL.
func isKey(key string) bool {
	return key != "" && len(key) <= MaxKey && utf8.ValidString(key) && !strings.Contains(key, "\x00")
}

func aad(plugin, key string) []byte { return []byte("plugin-kv/" + plugin + "\x00" + key) }

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// pluginKey returns the data key of a plugin's store, or sql.ErrNoRows.
func (s *Store) pluginKey(ctx context.Context, q querier, plugin string) (id int64, err error) {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	if id, ok := s.keys[plugin]; ok {
		return id, nil
	}
	err = q.QueryRowContext(ctx, `SELECT key_id FROM plugin_keys WHERE plugin = $1`, plugin).Scan(&id)
	if err == nil {
		s.keys[plugin] = id
	}
	return id, err
}

// needPluginKey is pluginKey, but assigns a key for a plugin's first value.
func (s *Store) needPluginKey(ctx context.Context, tx *sql.Tx, plugin string) (int64, error) {
	id, err := s.pluginKey(ctx, tx, plugin)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	if id, err = s.vault.Assign(); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO plugin_keys (plugin, key_id) VALUES ($1, $2)`, plugin, id)
	return id, err
}

func (s *Store) forgetPluginKey(plugin string) {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	delete(s.keys, plugin)
}
