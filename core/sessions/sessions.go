package sessions

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
)

// ID names a login session. It is not the token, and nobody can log in with it.
type ID [16]byte

// String is the id in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Session is one login. The token itself is never stored, only its SHA-256.
type Session struct {
	ID        ID
	TokenHash [32]byte
	User      conversation.AgentID
	Bearer    bool // the session belongs to a client that is no browser
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time // the session ends at this time even if it is used
	RevokedAt time.Time // zero: not revoked
}

// ErrNotFound: no such session, or the user's password has been changed.
var ErrNotFound = errors.New("sessions: not found")

// Store keeps the sessions. Safe for concurrent use.
type Store struct {
	db  *database.DB
	now func() time.Time
}

// New makes a Store over an open database, which the caller must close. now is the installation's
// time, by which sessions are revoked.
func New(db *database.DB, now func() time.Time) *Store { return &Store{db: db, now: now} }

// Add stores a new session and is durable on return. hash is the stored password against which the
// login was checked. Add fails with ErrNotFound when the user's stored password is another one by
// now: a new password ends the existing sessions, so no session may be added after it with the old
// password (PR23).
func (s *Store) Add(ctx context.Context, add Session, hash string) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, token_hash, user_id, bearer, created_at, seen_at, expires_at)
SELECT $1, $2, id, $4, $5, $6, $7 FROM users WHERE id = $3 AND password = $8`,
			add.ID[:], add.TokenHash[:], add.User, add.Bearer, add.CreatedAt.UnixMilli(), add.SeenAt.UnixMilli(), add.ExpiresAt.UnixMilli(), hash)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrNotFound, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sessions: add: %w", err)
	}
	return nil
}

// ByToken finds a session by the hash of its token, revoked and
// expired ones included; ErrNotFound when there is none.
func (s *Store) ByToken(ctx context.Context, hash [32]byte) (Session, error) {
	found := Session{TokenHash: hash}
	var id []byte
	var created, seen, expires, revoked int64
	err := s.db.Reader().QueryRowContext(ctx, `SELECT id, user_id, bearer, created_at, seen_at, expires_at, revoked_at
FROM sessions WHERE token_hash = $1`, hash[:]).Scan(&id, &found.User, &found.Bearer, &created, &seen, &expires, &revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, fmt.Errorf("sessions: by token: %w", ErrNotFound)
	}
	if err != nil {
		return Session{}, fmt.Errorf("sessions: by token: %w", s.db.Note(err))
	}
	copy(found.ID[:], id)
	found.CreatedAt, found.SeenAt, found.ExpiresAt = time.UnixMilli(created).UTC(), time.UnixMilli(seen).UTC(), time.UnixMilli(expires).UTC()
	if revoked != 0 {
		found.RevokedAt = time.UnixMilli(revoked).UTC()
	}
	return found, nil
}

// Touch records the last use of sessions; a time before the recorded one changes nothing.
func (s *Store) Touch(ctx context.Context, seen map[ID]time.Time) error {
	if len(seen) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for id, at := range seen {
			_, err := tx.ExecContext(ctx, `UPDATE sessions SET seen_at = $1 WHERE id = $2 AND seen_at < $3`, at.UnixMilli(), id[:], at.UnixMilli())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sessions: touch: %w", err)
	}
	return nil
}

// Revoke ends one session; ending it twice is no error.
func (s *Store) Revoke(ctx context.Context, id ID) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0`, s.now().UnixMilli(), id[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("sessions: revoke: %w", err)
	}
	return nil
}

// RevokeUser ends all sessions of a user but keep (zero: all), with at as the time of their end. It
// runs within a transaction of database.DB's Write, so that the sessions end together with the
// change that makes them end.
func RevokeUser(ctx context.Context, tx *sql.Tx, user conversation.AgentID, keep ID, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE sessions SET revoked_at = $1 WHERE user_id = $2 AND revoked_at = 0 AND id <> $3`,
		at.UnixMilli(), user, keep[:])
	return err
}

// Unrevoked reports, within a transaction, whether a user has this session and it has not been
// revoked.
func Unrevoked(ctx context.Context, tx *sql.Tx, user conversation.AgentID, id ID) (bool, error) {
	var revoked int64
	err := tx.QueryRowContext(ctx, `SELECT revoked_at FROM sessions WHERE id = $1 AND user_id = $2`, id[:], user).Scan(&revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil && revoked == 0, err
}

// RevokedSince lists sessions that were revoked at or after a moment.
func (s *Store) RevokedSince(ctx context.Context, since time.Time) ([]ID, error) {
	// The second condition lets the index on revoked rows be used.
	rows, err := s.db.Reader().QueryContext(ctx, `SELECT id FROM sessions WHERE revoked_at >= $1 AND revoked_at > 0`, since.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("sessions: revoked since: %w", s.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var out []ID
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("sessions: revoked since: %w", err)
		}
		var s ID
		copy(s[:], id)
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sessions: revoked since: %w", s.db.Note(err))
	}
	return out, nil
}

// Prune removes sessions that expired or were revoked before a moment.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at < $1 OR (revoked_at > 0 AND revoked_at < $2)`,
			before.UnixMilli(), before.UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("sessions: prune: %w", err)
	}
	return nil
}
