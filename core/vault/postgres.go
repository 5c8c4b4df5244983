package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/parley-gateway/parley/core/database"
)

// serverStore is a PostgreSQL database, which several nodes write. Every writer locks the row of
// vault_state first, so that writers take turns. No statement takes longer than patience.
type serverStore struct {
	db       *sql.DB
	patience time.Duration
}

// serverConns is how many connections a node has, unless the connection string says otherwise: keys
// are read once and then kept in memory.
const serverConns = 4

// page is how many keys one statement reads or writes when all are gone through.
const page = 1000

func openServer(ctx context.Context, dsn string, patience time.Duration, write bool) (_ *serverStore, err error) {
	var files fs.FS
	if write {
		if files, err = fs.Sub(migrations, "migrations/postgres"); err != nil {
			return nil, err
		}
	}
	db, err := database.Server(ctx, dsn, serverConns, files, "goose_vault")
	if err != nil {
		return nil, named(err)
	}
	s := &serverStore{db: db, patience: patience}
	if !write {
		var there bool
		err = s.ask(ctx, func(ctx context.Context) error {
			return db.QueryRowContext(ctx, `SELECT to_regclass('vault_meta') IS NOT NULL`).Scan(&there)
		})
		if err == nil && !there {
			err = ErrKeysLost
		}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// named turns a database's error into this package's, so that callers need not know the database.
func named(err error) error {
	err = database.Classify(err)
	switch {
	case errors.Is(err, database.ErrUnavailable):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, database.ErrFailed):
		return fmt.Errorf("%w: %w", ErrFailed, err)
	default:
		return err
	}
}

// ask runs fn, for at most patience.
func (s *serverStore) ask(ctx context.Context, fn func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	err := named(fn(within))
	if err != nil && within.Err() != nil && ctx.Err() == nil && !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("%w: no answer within %v: %w", ErrUnavailable, s.patience, err)
	}
	return err
}

// state is the row of vault_state, locked for the transaction.
type state struct{ last, gone int64 }

// change runs fn in a transaction in which no other node writes, for at most patience.
func (s *serverStore) change(ctx context.Context, fn func(context.Context, *sql.Tx, state) error) error {
	return s.ask(ctx, func(ctx context.Context) error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // no effect after Commit
		var st state
		if err := tx.QueryRowContext(ctx, `SELECT last, gone FROM vault_state FOR UPDATE`).Scan(&st.last, &st.gone); err != nil {
			return err
		}
		if err := fn(ctx, tx, st); err != nil {
			return err
		}
		return tx.Commit()
	})
}

func (s *serverStore) meta(ctx context.Context, name string) (value []byte, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		value, err = metaOf(ctx, s.db, name)
		return err
	})
	return value, err
}

func (s *serverStore) setMeta(ctx context.Context, ifRoot []byte, values map[string][]byte) (ok bool, err error) {
	err = s.change(ctx, func(ctx context.Context, tx *sql.Tx, _ state) error {
		ok, err = setMeta(ctx, tx, ifRoot, values)
		return err
	})
	return ok && err == nil, err
}

// takeOver finds no unused keys: giveBack has deleted them, and after a kill nobody knows which of
// a block were assigned.
func (s *serverStore) takeOver(ctx context.Context, floor int64) (_ []wrappedKey, last int64, err error) {
	err = s.change(ctx, func(ctx context.Context, tx *sql.Tx, st state) error {
		last = st.last
		return setLast(ctx, tx, max(st.last, floor))
	})
	return nil, last, err
}

func setLast(ctx context.Context, tx *sql.Tx, last int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE vault_state SET last = $1`, last)
	return err
}

func (s *serverStore) addBlock(ctx context.Context, after int64, n int, wrap func([]byte, int64) ([][]byte, error)) error {
	return s.change(ctx, func(ctx context.Context, tx *sql.Tx, st state) error {
		if st.last < after {
			return fmt.Errorf("%w: it knows ids up to %d, but %d was handed out", errWentBack, st.last, after)
		}
		root, err := metaOf(ctx, tx, metaRoot)
		if err != nil {
			return err
		}
		keys, err := wrap(root, st.last+1)
		if err != nil {
			return err
		}
		if err := setLast(ctx, tx, st.last+int64(n)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO vault_keys (id, wrapped)
SELECT $1::bigint + n, w FROM unnest($2::bytea[]) WITH ORDINALITY AS k (w, n)`, st.last, keys)
		return err
	})
}

// giveBack deletes the keys that were not assigned. Their ids are not used again. It compares the
// keys too, so that it deletes nobody else's if the server has forgotten this node's.
func (s *serverStore) giveBack(ctx context.Context, _ int64, unused []wrappedKey) error {
	if len(unused) == 0 {
		return nil
	}
	ids, wrapped := columns(unused)
	return s.change(ctx, func(ctx context.Context, tx *sql.Tx, _ state) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM vault_keys k
USING unnest($1::bigint[], $2::bytea[]) AS u (id, wrapped) WHERE k.id = u.id AND k.wrapped = u.wrapped`, ids, wrapped)
		return err
	})
}

func (s *serverStore) key(ctx context.Context, id int64) (wrappedKey, error) {
	k := wrappedKey{id: id}
	err := s.ask(ctx, func(ctx context.Context) error {
		return s.db.QueryRowContext(ctx, `SELECT wrapped FROM vault_keys WHERE id = $1`, id).Scan(&k.wrapped)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownKey
	}
	return k, err
}

const selectPage = `SELECT id, wrapped FROM vault_keys WHERE id > $1 ORDER BY id LIMIT $2`

// page returns up to n keys above after, lowest id first.
func (s *serverStore) page(ctx context.Context, after int64, n int) (keys []wrappedKey, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		rows, err := s.db.QueryContext(ctx, selectPage, after, n)
		if err != nil {
			return err
		}
		keys = nil
		return eachRow(rows, func(k wrappedKey) error {
			keys = append(keys, k)
			return nil
		})
	})
	return keys, err
}

// each reads page by page, so that it keeps no transaction open.
func (s *serverStore) each(ctx context.Context, after int64, fn func(wrappedKey) error) error {
	for {
		keys, err := s.page(ctx, after, page)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, k := range keys {
			if err := fn(k); err != nil {
				return err
			}
		}
		after = keys[len(keys)-1].id
	}
}

func (s *serverStore) destroy(ctx context.Context, ids []int64) error {
	return s.change(ctx, func(ctx context.Context, tx *sql.Tx, st state) error {
		if _, err := tx.ExecContext(ctx, `UPDATE vault_state SET gone = $1`, st.gone+1); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE vault_keys SET wrapped = NULL, gone = $1 WHERE id = ANY($2) AND wrapped IS NOT NULL`, st.gone+1, ids)
		return err
	})
}

func (s *serverStore) rewrap(ctx context.Context, after int64, n int, fn func(wrappedKey) []byte) (last int64, err error) {
	err = s.change(ctx, func(ctx context.Context, tx *sql.Tx, _ state) error {
		rows, err := tx.QueryContext(ctx, selectPage, after, n)
		if err != nil {
			return err
		}
		var changed []wrappedKey
		if changed, last, err = rewrapRows(rows, fn); err != nil || len(changed) == 0 {
			return err
		}
		ids, wrapped := columns(changed)
		_, err = tx.ExecContext(ctx, `UPDATE vault_keys k SET wrapped = c.wrapped
FROM unnest($1::bigint[], $2::bytea[]) AS c (id, wrapped) WHERE k.id = c.id`, ids, wrapped)
		return err
	})
	return last, err
}

func columns(keys []wrappedKey) (ids []int64, wrapped [][]byte) {
	for _, k := range keys {
		ids, wrapped = append(ids, k.id), append(wrapped, k.wrapped)
	}
	return ids, wrapped
}

// scrub can do nothing: the server's old row versions, its write-ahead log and its backups go when
// they age out (decision 0025).
func (s *serverStore) scrub(context.Context) error { return nil }

func (s *serverStore) shared() bool { return true }

func (s *serverStore) news(ctx context.Context, since int64) (n news, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		err := s.db.QueryRowContext(ctx, `SELECT last, gone, (SELECT value FROM vault_meta WHERE name = $1) FROM vault_state`, metaRoot).
			Scan(&n.last, &n.number, &n.root)
		if err != nil || n.number <= since {
			return err
		}
		rows, err := s.db.QueryContext(ctx, `SELECT id, wrapped FROM vault_keys WHERE gone > $1 LIMIT $2`, since, mostGone+1)
		if err != nil {
			return err
		}
		return eachRow(rows, func(k wrappedKey) error {
			n.gone = append(n.gone, k.id)
			return nil
		})
	})
	if len(n.gone) > mostGone {
		n.gone, n.many = nil, true
	}
	return n, err
}

func (s *serverStore) close() error { return s.db.Close() }
