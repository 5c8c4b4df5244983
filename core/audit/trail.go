package audit

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/database"
)

// Head is the last entry's place and hash. A Head that is kept outside the database proves later
// that no entries were cut off the end.
type Head struct {
	Seq  int64
	Hash [32]byte
}

// TamperError says where the audit trail was tampered with.
type TamperError struct {
	Seq     int64 // the first entry that does not fit the chain
	Problem string
}

func (e *TamperError) Error() string {
	return fmt.Sprintf("audit: trail does not fit at entry %d: %s", e.Seq, e.Problem)
}

// Vault is what the trail needs of core/vault.
type Vault interface {
	MAC(purpose string, parts ...[]byte) [32]byte
}

// Trail is the audit trail. Safe for concurrent use.
type Trail struct {
	db    *database.DB
	vault Vault
	now   func() time.Time
}

// New makes a Trail over an open database, which the caller must close. now is the installation's
// time.
func New(db *database.DB, v Vault, now func() time.Time) *Trail {
	return &Trail{db: db, vault: v, now: now}
}

// Append adds an entry and is durable on return. A zero Actor is replaced by the context's.
func (t *Trail) Append(ctx context.Context, e Entry) error {
	err := t.db.Write(ctx, func(tx *sql.Tx) error { return t.AppendTx(ctx, tx, e) })
	if err != nil {
		return fmt.Errorf("audit: append %s: %w", e.Action, err)
	}
	return nil
}

const selectLast = `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`

// AppendTx is Append within a transaction of database.DB's Write: the entry is stored if and only
// if the rest of the transaction is.
func (t *Trail) AppendTx(ctx context.Context, tx *sql.Tx, e Entry) error {
	if e.Actor == (Actor{}) {
		e.Actor = actorOf(ctx)
	}
	var seq int64
	prev := make([]byte, 32)
	if err := tx.QueryRowContext(ctx, selectLast).Scan(&seq, &prev); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	seq++
	at := t.now().UnixMilli()
	hash := t.hash(prev, seq, at, text)
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, at, entry, prev, hash) VALUES ($1, $2, $3, $4, $5)`,
		seq, at, string(text), prev, hash[:])
	return err
}

// hash chains an entry to the one before it, under a key of the vault, so that somebody who can
// only write to the database cannot make a chain that fits. The purpose of the MAC must not change,
// since all existing chains were made with it.
func (t *Trail) hash(prev []byte, seq, at int64, text []byte) [32]byte {
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(seq))
	binary.BigEndian.PutUint64(n[8:], uint64(at))
	return t.vault.MAC("directory/audit", prev, n[:], text)
}

// List returns up to limit entries after a sequence, oldest first.
func (t *Trail) List(ctx context.Context, after int64, limit int) ([]Entry, error) {
	var out []Entry
	err := t.each(ctx, after, limit, func(e Entry, _ []byte, _, _ []byte) error {
		out = append(out, e)
		return nil
	})
	return out, err
}

// Verify checks the whole chain and returns its end. It fails with *TamperError at an entry that
// does not fit.
func (t *Trail) Verify(ctx context.Context) (Head, error) {
	var head Head
	err := t.each(ctx, 0, -1, func(e Entry, text, prev, hash []byte) error {
		want := t.hash(head.Hash[:], e.Seq, e.At.UnixMilli(), text)
		switch {
		case e.Seq != head.Seq+1:
			return &TamperError{Seq: head.Seq + 1, Problem: "missing"}
		case string(prev) != string(head.Hash[:]):
			return &TamperError{Seq: e.Seq, Problem: "not chained to the entry before"}
		case string(hash) != string(want[:]):
			return &TamperError{Seq: e.Seq, Problem: "changed"}
		}
		head = Head{Seq: e.Seq, Hash: want}
		return nil
	})
	return head, err
}

func (t *Trail) each(ctx context.Context, after int64, limit int, fn func(e Entry, text, prev, hash []byte) error) error {
	const page = 1000
	for limit != 0 {
		n := page
		if limit > 0 {
			n = min(page, limit)
		}
		got, err := t.page(ctx, after, n, func(e Entry, text, prev, hash []byte) error {
			after = e.Seq
			return fn(e, text, prev, hash)
		})
		if err != nil {
			return err
		}
		if limit > 0 {
			limit -= got
		}
		if got < n {
			return nil
		}
	}
	return nil
}

func (t *Trail) page(ctx context.Context, after int64, n int, fn func(e Entry, text, prev, hash []byte) error) (got int, err error) {
	rows, err := t.db.Reader().QueryContext(ctx, `SELECT seq, at, entry, prev, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2`, after, n)
	if err != nil {
		return 0, fmt.Errorf("audit: read: %w", t.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e Entry
		var at int64
		var text, prev, hash []byte
		if err := rows.Scan(&e.Seq, &at, &text, &prev, &hash); err != nil {
			return got, fmt.Errorf("audit: read: %w", err)
		}
		e.At = time.UnixMilli(at).UTC()
		if err := json.Unmarshal(text, &e); err != nil {
			return got, &TamperError{Seq: e.Seq, Problem: "not an entry"}
		}
		if err := fn(e, text, prev, hash); err != nil {
			return got, err
		}
		got++
	}
	if err := rows.Err(); err != nil {
		return got, fmt.Errorf("audit: read: %w", t.db.Note(err))
	}
	return got, nil
}
