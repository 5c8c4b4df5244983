package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of the plugins' stores.
const (
	MaxKVKey   = 512      // bytes
	MaxKVValue = 64 << 10 // bytes
)

// ErrKVSize: a key is empty, longer than 512 bytes or no text, or a value longer than 64 KiB.
var ErrKVSize = errors.New("directory: a key has 1 to 512 bytes of text, a value at most 64 KiB")

// Get reads a plugin's value. (plugin.KV)
func (d *Directory) Get(ctx context.Context, plugin, key string) (value []byte, version uint64, found bool, err error) {
	if !isKVKey(key) {
		return nil, 0, false, nil
	}
	keyID, err := d.pluginKey(ctx, d.db.Reader(), plugin)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("directory: kv get: %w", d.db.Note(err))
	}
	var sealed []byte
	err = d.db.Reader().QueryRowContext(ctx, `SELECT value, version FROM plugin_kv WHERE plugin = $1 AND key = $2`, plugin, key).Scan(&sealed, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("directory: kv get: %w", d.db.Note(err))
	}
	if value, err = d.vault.Open(keyID, kvAAD(plugin, key), sealed); err != nil {
		return nil, 0, false, fmt.Errorf("directory: kv get: %w", err)
	}
	return value, version, true, nil
}

// Put stores a plugin's value, sealed, and returns its new version: one more
// than the version before, from 1. With conditional it does so only if the
// stored version is ifVersion (0: absent); otherwise ok is false and version
// the stored one. (plugin.KV)
func (d *Directory) Put(ctx context.Context, plugin, key string, value []byte, ifVersion uint64, conditional bool) (version uint64, ok bool, err error) {
	if !isKVKey(key) || len(value) > MaxKVValue {
		return 0, false, ErrKVSize
	}
	err = d.db.Write(ctx, func(tx *sql.Tx) error {
		keyID, err := d.needPluginKey(ctx, tx, plugin)
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
		sealed, err := d.vault.Seal(keyID, kvAAD(plugin, key), value)
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
		d.forgetPluginKey(plugin) // it may not have been committed
		return 0, false, fmt.Errorf("directory: kv put: %w", err)
	}
	return version, ok, nil
}

// Delete removes a plugin's value; one that is not there is no error. It is
// part of plugin.KV.
func (d *Directory) Delete(ctx context.Context, plugin, key string) error {
	if !isKVKey(key) {
		return nil
	}
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM plugin_kv WHERE plugin = $1 AND key = $2`, plugin, key)
		return err
	})
	if err != nil {
		return fmt.Errorf("directory: kv delete: %w", err)
	}
	return nil
}

// List returns up to limit keys of a plugin that start with prefix and come
// after a key, in byte order. (plugin.KV)
func (d *Directory) List(ctx context.Context, plugin, prefix, after string, limit int) ([]string, error) {
	limit = min(max(limit, 0), 1000)
	rows, err := d.db.Reader().QueryContext(ctx, `SELECT key FROM plugin_kv
WHERE plugin = $1 AND key > $2 AND substr(key, 1, $3) = $4 ORDER BY key LIMIT $5`,
		plugin, after, len([]rune(prefix)), prefix, limit)
	if err != nil {
		return nil, fmt.Errorf("directory: kv list: %w", d.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var keys []string
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, fmt.Errorf("directory: kv list: %w", err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("directory: kv list: %w", d.db.Note(err))
	}
	return keys, nil
}

// isKVKey: PostgreSQL's text is UTF-8 without NUL.
func isKVKey(key string) bool {
	return key != "" && len(key) <= MaxKVKey && utf8.ValidString(key) && !strings.Contains(key, "\x00")
}

func kvAAD(plugin, key string) []byte { return []byte("plugin-kv/" + plugin + "\x00" + key) }

// pluginKey is the data key of a plugin's store, or sql.ErrNoRows.
func (d *Directory) pluginKey(ctx context.Context, q querier, plugin string) (id int64, err error) {
	d.keyMu.Lock()
	defer d.keyMu.Unlock()
	if id, ok := d.pluginKeys[plugin]; ok {
		return id, nil
	}
	err = q.QueryRowContext(ctx, `SELECT key_id FROM plugin_keys WHERE plugin = $1`, plugin).Scan(&id)
	if err == nil {
		d.pluginKeys[plugin] = id
	}
	return id, err
}

func (d *Directory) needPluginKey(ctx context.Context, tx *sql.Tx, plugin string) (int64, error) {
	id, err := d.pluginKey(ctx, tx, plugin)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	if id, err = d.vault.Assign(); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO plugin_keys (plugin, key_id) VALUES ($1, $2)`, plugin, id)
	return id, err
}

func (d *Directory) forgetPluginKey(plugin string) {
	d.keyMu.Lock()
	defer d.keyMu.Unlock()
	delete(d.pluginKeys, plugin)
}
