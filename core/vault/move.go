package vault

import (
	"bytes"
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"os"
)

// Moved says what Move found in the file, all of which is in the database now.
type Moved struct {
	Keys      int // that can be used
	Destroyed int
	Damaged   int // neither here nor there can they be unwrapped
}

// Move copies the key store in the file at Options.Path into the database Options.DSN, which must be
// empty, byte for byte: the root of all keyed hashes stays the same. It compares every row and
// unwraps every key, then marks the file as moved (Open refuses it with ErrMoved) and lets nodes
// use the database (ErrMoving before). The file must not be in use. An interrupted Move goes on
// when it is called again; after a finished one it only compares again, as long as no node has
// used the database. The file keeps its copies of the keys: who wants to erase removes it.
func Move(ctx context.Context, o Options) (_ Moved, err error) {
	fail := func(err error) (Moved, error) { return Moved{}, fmt.Errorf("vault: move: %w", err) }
	keys, err := newMasters(o)
	if err != nil {
		return fail(err)
	}
	if _, err := os.Stat(o.Path); err != nil {
		return fail(err)
	}
	lock, err := acquireLock(o.Path + ".lock")
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	from, err := openFile(ctx, o.Path, true)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, from.close()) }()
	if o.Patience <= 0 {
		o.Patience = 10 * DefaultPatience // a page of keys is more than one
	}
	to, err := openServer(ctx, o.DSN, o.Patience, true)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, to.close()) }()
	m := mover{from, to, keys}
	if err := m.begin(ctx); err != nil {
		return fail(err)
	}
	if err := m.copy(ctx); err != nil {
		return fail(err)
	}
	done, err := m.compare(ctx)
	if err != nil {
		return fail(err)
	}
	if err := m.finish(ctx); err != nil {
		return fail(err)
	}
	return done, nil
}

type mover struct {
	from *fileStore
	to   *serverStore
	keys masters
}

// errOccupied: the database has another installation's keys, or nodes use it already.
var errOccupied = errors.New("the database has keys already that are not this file's, or nodes have used it")

// begin marks the database, so that no node opens it before everything is there.
func (m mover) begin(ctx context.Context) error {
	root, err := m.from.meta(ctx, metaRoot)
	if err != nil {
		return err
	}
	if root == nil {
		return errors.New("the file has no keys")
	}
	if _, _, err := m.keys.of(metaRoot, root); err != nil {
		return err
	}
	if rotating, err := m.from.meta(ctx, metaRotating); err != nil || rotating != nil {
		return errors.Join(err, errors.New("the change of the master key is not finished: run `parley keys rotate` first"))
	}
	there, err := m.to.meta(ctx, metaRoot)
	if err != nil {
		return err
	}
	if there == nil {
		_, err := m.to.setMeta(ctx, nil, map[string][]byte{metaRoot: root, metaMoving: []byte("1")})
		return err
	}
	moving, err := m.to.meta(ctx, metaMoving)
	if err != nil {
		return err
	}
	moved, err := m.from.meta(ctx, metaMoved)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, root) || moving == nil && moved == nil {
		return errOccupied
	}
	return nil
}

// copy stores the rows that the database lacks, lowest id first.
func (m mover) copy(ctx context.Context) error {
	last, err := m.to.largest(ctx)
	if err != nil {
		return err
	}
	rows := make([]wrappedKey, 0, page)
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := m.to.add(ctx, rows)
		rows = rows[:0]
		return err
	}
	err = m.from.each(ctx, last, func(k wrappedKey) error {
		if rows = append(rows, k); len(rows) == page {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// compare fails unless both have the same rows, and counts them.
func (m mover) compare(ctx context.Context) (done Moved, err error) {
	differs := func(id int64) error {
		return fmt.Errorf("key %d in the database is not the file's: %w", id, errOccupied)
	}
	var rows []wrappedKey // of the database, not yet compared
	after := int64(0)
	next := func() error {
		rows, err = m.to.page(ctx, after, page)
		return err
	}
	err = m.from.each(ctx, 0, func(k wrappedKey) error {
		if len(rows) == 0 {
			if err := next(); err != nil {
				return err
			}
		}
		if len(rows) == 0 || rows[0].id != k.id || !bytes.Equal(rows[0].wrapped, k.wrapped) || (rows[0].wrapped == nil) != (k.wrapped == nil) {
			return differs(k.id)
		}
		if k.wrapped == nil {
			done.Destroyed++
		} else if _, err := m.keys.unwrap(labelKey, k.id, rows[0].wrapped); err == nil {
			done.Keys++
		} else {
			done.Damaged++
		}
		rows, after = rows[1:], k.id
		return nil
	})
	if err != nil {
		return done, err
	}
	if len(rows) == 0 {
		if err := next(); err != nil {
			return done, err
		}
	}
	if len(rows) > 0 {
		return done, differs(rows[0].id)
	}
	return done, m.compareRoots(ctx)
}

func (m mover) compareRoots(ctx context.Context) error {
	var roots [2][]byte
	for i, s := range []store{m.from, m.to} {
		wrapped, err := s.meta(ctx, metaRoot)
		if err != nil {
			return err
		}
		if _, roots[i], err = m.keys.of(metaRoot, wrapped); err != nil {
			return err
		}
	}
	if subtle.ConstantTimeCompare(roots[0], roots[1]) != 1 {
		return errOccupied
	}
	return nil
}

// finish marks the file before it opens the database, so that never both can be used.
func (m mover) finish(ctx context.Context) error {
	root, err := m.from.meta(ctx, metaRoot)
	if err != nil {
		return err
	}
	ok, err := m.from.setMeta(ctx, root, map[string][]byte{metaMoved: []byte("1")})
	if err == nil && ok {
		ok, err = m.to.setMeta(ctx, root, map[string][]byte{metaMoving: nil})
	}
	if err == nil && !ok {
		err = errOccupied
	}
	return err
}

// IsMoved reports whether the file at path was moved into a database. A file that is missing or is
// no key store was not.
func IsMoved(ctx context.Context, path string) bool {
	s, err := openFile(ctx, path, false)
	if err != nil {
		return false
	}
	defer func() { _ = s.close() }()
	moved, err := s.meta(ctx, metaMoved)
	return err == nil && moved != nil
}

func (s *serverStore) largest(ctx context.Context) (last int64, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		return s.db.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM vault_keys`).Scan(&last)
	})
	return last, err
}

// add stores rows as they are. The last of them has the largest id.
func (s *serverStore) add(ctx context.Context, rows []wrappedKey) error {
	ids, wrapped := columns(rows)
	return s.change(ctx, func(ctx context.Context, tx *sql.Tx, st state) error {
		if err := setLast(ctx, tx, max(st.last, ids[len(ids)-1])); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO vault_keys (id, wrapped) SELECT * FROM unnest($1::bigint[], $2::bytea[])`, ids, wrapped)
		return err
	})
}
