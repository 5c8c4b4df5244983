package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
)

// Errors of Authenticate and Check.
var (
	// ErrUnauthenticated: no session, or one that is not valid. HTTP 401.
	ErrUnauthenticated = errors.New("auth: not logged in")
	// ErrDenied: the user is logged in but lacks the role or privilege. HTTP 403.
	ErrDenied = errors.New("auth: not allowed")
	// ErrForged: an unsafe request that may come from another site. HTTP 403.
	ErrForged = errors.New("auth: request does not come from the desk")
)

// Identity is who sends a request. Slices are shared and must not be changed.
type Identity struct {
	User       conversation.AgentID
	Login      string
	Name       string
	Role       directory.Role
	Privileges []string
	Session    sessions.ID
	Expires    time.Time // absolute limit of the session, in the installation's time
	Bearer     bool      // the token came in an Authorization header, not in a browser's cookie
}

// Has reports whether the user was given a privilege.
func (id Identity) Has(privilege string) bool {
	for _, p := range id.Privileges {
		if p == privilege {
			return true
		}
	}
	return false
}

func newToken() (token string, hash [32]byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	token = base64.RawURLEncoding.EncodeToString(b[:])
	return token, sha256.Sum256([]byte(token))
}

// tokenLength is the length of a token in characters; a token of another length is refused without
// a look-up.
const tokenLength = 43

// open makes a session for a user whose password was checked against hash, and returns its token.
func (a *Auth) open(ctx context.Context, user conversation.AgentID, hash string, bearer bool) (string, sessions.Session, error) {
	now := a.opts.Now()
	token, tokenHash := newToken()
	s := sessions.Session{
		TokenHash: tokenHash, User: user, Bearer: bearer, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(a.opts.AbsoluteTimeout),
	}
	_, _ = rand.Read(s.ID[:]) // never fails (crypto/rand)
	if err := a.sessions.Add(ctx, s, hash); err != nil {
		return "", s, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remember(&session{s})
	return token, s, nil
}

// remember keeps a valid session in memory; the caller holds a.mu.
func (a *Auth) remember(s *session) {
	if len(a.live) >= maxCached {
		// The cache is full so seldom that all of it is dropped and sessions are read again.
		clear(a.live)
		clear(a.byID)
	}
	a.live[s.TokenHash] = s
	a.byID[s.ID] = s.TokenHash
}

// forget drops a session from memory; the caller holds a.mu.
func (a *Auth) forget(id sessions.ID) {
	delete(a.live, a.byID[id])
	delete(a.byID, id)
	delete(a.touched, id)
}

// lookup returns the identity of the session that a token belongs to.
func (a *Auth) lookup(ctx context.Context, token string, bearer bool) (Identity, error) {
	if len(token) != tokenLength {
		return Identity{}, ErrUnauthenticated
	}
	hash := sha256.Sum256([]byte(token))
	s, err := a.find(ctx, hash)
	if err != nil {
		return Identity{}, err
	}
	// A cookie's token is not accepted as a bearer token, nor a bearer token as a cookie: otherwise
	// a request could avoid the checks made for the kind of its token.
	if s.Bearer != bearer {
		return Identity{}, ErrUnauthenticated
	}
	return a.identity(s)
}

func (a *Auth) find(ctx context.Context, hash [32]byte) (sessions.Session, error) {
	now := a.opts.Now()
	fresh := now.UnixMilli()-a.swept.Load() < sweepStale.Milliseconds()
	a.mu.Lock()
	s, ok := a.live[hash]
	a.mu.Unlock()
	if !ok || !fresh {
		row, err := a.sessions.ByToken(ctx, hash)
		if errors.Is(err, sessions.ErrNotFound) {
			return row, ErrUnauthenticated
		}
		if err != nil {
			return row, fmt.Errorf("auth: %w", err)
		}
		s = &session{row}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.touched[s.ID]; t.After(s.SeenAt) {
		s.SeenAt = t
	}
	if _, gone := a.revoked[s.ID]; gone || !a.good(s, now) {
		a.forget(s.ID)
		return sessions.Session{}, ErrUnauthenticated
	}
	s.SeenAt = now
	a.touched[s.ID] = now
	a.remember(s)
	return s.Session, nil
}

// good reports whether a session may be used at now; the caller holds a.mu.
func (a *Auth) good(s *session, now time.Time) bool {
	return s.RevokedAt.IsZero() && now.Before(s.ExpiresAt) && now.Sub(s.SeenAt) < a.opts.IdleTimeout
}

// identity describes a session's user with their present role and privileges, so that changes count
// at once.
func (a *Auth) identity(s sessions.Session) (Identity, error) {
	u, ok := a.dir.Snapshot().User(s.User)
	if !ok || u.Disabled {
		return Identity{}, ErrUnauthenticated
	}
	return Identity{
		User: u.ID, Login: u.Login, Name: u.Name, Role: u.Role, Privileges: u.Privileges,
		Session: s.ID, Expires: s.ExpiresAt, Bearer: s.Bearer,
	}, nil
}

// Current returns the present identity of an open socket's user. The socket calls it for each
// command, since role and privileges may have changed since it was opened.
func (a *Auth) Current(id Identity) (Identity, error) {
	a.mu.Lock()
	_, gone := a.revoked[id.Session]
	a.mu.Unlock()
	if gone {
		return Identity{}, ErrUnauthenticated
	}
	return a.identity(sessions.Session{ID: id.Session, User: id.User, ExpiresAt: id.Expires, Bearer: id.Bearer})
}

func (a *Auth) flushTouched(ctx context.Context) error {
	a.mu.Lock()
	seen := a.touched
	a.touched = make(map[sessions.ID]time.Time, len(seen))
	a.mu.Unlock()
	err := a.sessions.Touch(ctx, seen)
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		for id, t := range seen {
			if t.After(a.touched[id]) {
				a.touched[id] = t
			}
		}
	}
	return err
}
