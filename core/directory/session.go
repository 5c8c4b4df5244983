package directory

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// SessionID names a login session. It is not the token and opens nothing.
type SessionID [16]byte

// String is the id in hex.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// Session is a login. The token itself is never stored, only its SHA-256.
type Session struct {
	ID        SessionID
	TokenHash [32]byte
	User      conversation.AgentID
	Bearer    bool // a non-browser client's
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time // absolute limit
	RevokedAt time.Time // zero: not revoked
}

// AddSession stores a new session, durable on return, of a user whose stored
// password is the one that was checked: hash. ErrNotFound when it no longer is.
// A new password ends the sessions that are there, so none may come after it
// by the old one (PR23).
func (d *Directory) AddSession(ctx context.Context, s Session, hash string) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, token_hash, user_id, bearer, created_at, seen_at, expires_at)
SELECT $1, $2, id, $4, $5, $6, $7 FROM users WHERE id = $3 AND password = $8`,
			s.ID[:], s.TokenHash[:], s.User, s.Bearer, s.CreatedAt.UnixMilli(), s.SeenAt.UnixMilli(), s.ExpiresAt.UnixMilli(), hash)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrNotFound, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("directory: add session: %w", err)
	}
	return nil
}

// SessionByToken finds a session by the hash of its token, revoked and
// expired ones included; ErrNotFound when there is none.
func (d *Directory) SessionByToken(ctx context.Context, hash [32]byte) (Session, error) {
	s := Session{TokenHash: hash}
	var id []byte
	var created, seen, expires, revoked int64
	err := d.db.Reader().QueryRowContext(ctx, `SELECT id, user_id, bearer, created_at, seen_at, expires_at, revoked_at
FROM sessions WHERE token_hash = $1`, hash[:]).Scan(&id, &s.User, &s.Bearer, &created, &seen, &expires, &revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, fmt.Errorf("directory: session: %w", ErrNotFound)
	}
	if err != nil {
		return Session{}, fmt.Errorf("directory: session: %w", d.db.Note(err))
	}
	copy(s.ID[:], id)
	s.CreatedAt, s.SeenAt, s.ExpiresAt = time.UnixMilli(created).UTC(), time.UnixMilli(seen).UTC(), time.UnixMilli(expires).UTC()
	if revoked != 0 {
		s.RevokedAt = time.UnixMilli(revoked).UTC()
	}
	return s, nil
}

// TouchSessions moves the last use of sessions forward.
func (d *Directory) TouchSessions(ctx context.Context, seen map[SessionID]time.Time) error {
	if len(seen) == 0 {
		return nil
	}
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		for id, at := range seen {
			_, err := tx.ExecContext(ctx, `UPDATE sessions SET seen_at = $1 WHERE id = $2 AND seen_at < $3`, at.UnixMilli(), id[:], at.UnixMilli())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("directory: touch sessions: %w", err)
	}
	return nil
}

// RevokeSession ends one session; ending it twice is no error.
func (d *Directory) RevokeSession(ctx context.Context, id SessionID) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0`, d.now().UnixMilli(), id[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("directory: revoke session: %w", err)
	}
	return nil
}

// RevokeUser ends all sessions of a user but one (zero: all).
func (d *Directory) RevokeUser(ctx context.Context, user conversation.AgentID, keep SessionID) error {
	if err := d.db.Write(ctx, func(tx *sql.Tx) error { return d.revokeUser(ctx, tx, user, keep) }); err != nil {
		return fmt.Errorf("directory: revoke sessions: %w", err)
	}
	return nil
}

func (e *editor) revokeUser(user conversation.AgentID, keep SessionID) error {
	return e.d.revokeUser(e.ctx, e.tx, user, keep)
}

func (d *Directory) revokeUser(ctx context.Context, tx *sql.Tx, user conversation.AgentID, keep SessionID) error {
	_, err := tx.ExecContext(ctx, `UPDATE sessions SET revoked_at = $1 WHERE user_id = $2 AND revoked_at = 0 AND id <> $3`,
		d.now().UnixMilli(), user, keep[:])
	return err
}

// RevokedSince lists sessions that were revoked at or after a moment.
func (d *Directory) RevokedSince(ctx context.Context, since time.Time) ([]SessionID, error) {
	// The second condition lets the index on revoked rows be used.
	rows, err := d.db.Reader().QueryContext(ctx, `SELECT id FROM sessions WHERE revoked_at >= $1 AND revoked_at > 0`, since.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("directory: revoked sessions: %w", d.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var out []SessionID
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("directory: revoked sessions: %w", err)
		}
		var s SessionID
		copy(s[:], id)
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("directory: revoked sessions: %w", d.db.Note(err))
	}
	return out, nil
}

// PruneSessions removes sessions that expired or were revoked before a moment.
func (d *Directory) PruneSessions(ctx context.Context, before time.Time) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at < $1 OR (revoked_at > 0 AND revoked_at < $2)`,
			before.UnixMilli(), before.UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("directory: prune sessions: %w", err)
	}
	return nil
}
