package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/sessions"
)

// Limits of passwords (OWASP ASVS 5.0, 6.2.1 and 6.2.9).
const (
	MinPassword = 8   // characters
	MaxPassword = 256 // bytes; hashing a longer one would only cost time
)

// ErrPassword: a password is too short, too long or not UTF-8.
var ErrPassword = errors.New("directory: a password must have at least 8 characters and at most 256 bytes")

// passwordParams follow OWASP's password storage sheet: argon2id, 19 MiB, two
// passes, one lane (about 25 ms on the machines that this runs on).
func passwordParams() *argon2id.Params {
	return &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// HashPassword makes the stored form of a password. It takes tens of milliseconds and 19 MiB, so
// callers must bound how many run at once.
func HashPassword(password string) (string, error) {
	if !utf8.ValidString(password) || utf8.RuneCountInString(password) < MinPassword || len(password) > MaxPassword {
		return "", ErrPassword
	}
	h, err := argon2id.CreateHash(password, passwordParams())
	if err != nil {
		return "", fmt.Errorf("directory: hash password: %w", err)
	}
	return h, nil
}

// CheckPassword reports whether a password is the one that was hashed. It
// costs as much as HashPassword, also when the answer is no.
func CheckPassword(password, hash string) (bool, error) {
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("directory: check password: %w", err)
	}
	return ok, nil
}

// SetPassword gives a user a new password and revokes all sessions but keep (PR23; zero: all of
// them). It fails with ErrNotFound when keep was revoked meanwhile, since somebody else may have
// set a password.
func (d *Directory) SetPassword(ctx context.Context, user conversation.AgentID, password string, keep sessions.ID) error {
	hash, err := HashPassword(password)
	if err != nil {
		return err
	}
	_, err = d.edit(ctx, func(e *editor) error { return e.setHash(user, hash, keep) })
	return err
}

func (e *editor) setHash(user conversation.AgentID, hash string, keep sessions.ID) error {
	u, ok := e.snap.User(user)
	if !ok {
		return fmt.Errorf("directory: set password: %w", ErrNotFound)
	}
	if keep != (sessions.ID{}) {
		ok, err := sessions.Unrevoked(e.ctx, e.tx, user, keep)
		if err == nil && !ok {
			err = ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("directory: set password: session: %w", err)
		}
	}
	if err := setHash(e.ctx, e.tx, user, hash); err != nil {
		return fmt.Errorf("directory: set password: %w", err)
	}
	if err := e.revokeSessions(user, keep); err != nil {
		return fmt.Errorf("directory: set password: %w", err)
	}
	e.snap.hashes[user] = hash
	e.note(Change{Kind: "user", ID: user.String(), Name: u.Login, Action: Updated, Fields: []string{"password"}})
	return nil
}

// revokeSessions ends all sessions of a user but keep (zero: all), in the transaction of the
// change.
func (e *editor) revokeSessions(user conversation.AgentID, keep sessions.ID) error {
	return sessions.RevokeUser(e.ctx, e.tx, user, keep, e.d.now())
}

func setHash(ctx context.Context, tx *sql.Tx, user conversation.AgentID, hash string) error {
	_, err := tx.ExecContext(ctx, `UPDATE users SET password = $1 WHERE id = $2`, hash, user)
	return err
}
