package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/limit"
)

// Errors of Login and ChangePassword.
var (
	// ErrCredentials: login or password is wrong; the answer does not say which. HTTP 401.
	ErrCredentials = errors.New("auth: wrong login or password")
	// ErrBusy: too many logins at once; try again. HTTP 503.
	ErrBusy = errors.New("auth: too many logins at once")
)

// LimitedError says that the password was not checked, and that the sender must wait RetryAfter
// because too many logins failed. HTTP 429. After that time the next attempt is checked; asking
// earlier does not prolong the wait.
type LimitedError struct {
	RetryAfter time.Duration
}

func (e *LimitedError) Error() string {
	return fmt.Sprintf("auth: too many failed logins, retry after %s", e.RetryAfter.Round(time.Second))
}

// LoginRequest asks for a session.
type LoginRequest struct {
	Login    string
	Password string
	// Bearer asks for a token to be sent in the Authorization header.
	Bearer bool
	// IP is the client's address, for limits and the audit trail.
	IP netip.Addr
	// Previous is the token of the client's present session, which ends when the new one begins; ""
	// when there is none.
	Previous string
	// Device is the value of DeviceCookie; "" when there is none.
	Device string
}

// LoginResult is a new session. Token goes into a cookie (Cookie) or, for
// Bearer, into the answer's body; nowhere else. Device goes into a browser's
// DeviceCookie (DeviceSetCookie).
type LoginResult struct {
	Token    string
	Device   string
	Expires  time.Time
	Identity Identity
}

// Results of a login, used as the label of the counter and as the reason in the audit trail.
const (
	resultOK       = "ok"
	resultUnknown  = "unknown"
	resultDisabled = "disabled"
	resultPassword = "password"
	resultLimited  = "limited"
	resultBusy     = "busy"
	resultError    = "error"
)

// Login checks a password and opens a session, which is durable on return. Errors: ErrCredentials,
// *LimitedError, ErrBusy.
func (a *Auth) Login(ctx context.Context, req LoginRequest) (LoginResult, error) {
	res, result, err := a.login(ctx, req)
	a.logins.WithLabelValues(result).Inc()
	return res, err
}

func (a *Auth) login(ctx context.Context, req LoginRequest) (LoginResult, string, error) {
	ctx = audit.WithActor(ctx, audit.Actor{Via: "login", IP: ipText(req.IP)})
	name := strings.ToLower(strings.TrimSpace(req.Login))
	if name == "" || len(name) > 64 || len(req.Password) > directory.MaxPassword {
		return LoginResult{}, resultUnknown, ErrCredentials
	}
	snap, now := a.dir.Snapshot(), a.opts.Now()
	u, known := snap.UserByLogin(name)
	devices, from := a.devices(req.Device, now), source{ip: limit.Address(req.IP)}
	for _, d := range devices {
		if known && d.user() == u.ID {
			from = source{id: d.id()}
		}
	}
	try, err := a.begin(ctx, name, from, now)
	if err != nil {
		return LoginResult{}, resultLimited, err
	}
	hash, result := snap.PasswordHash(u.ID), resultOK
	switch {
	case !known || hash == "":
		hash, result = a.dummy, resultUnknown
	case u.Disabled:
		result = resultDisabled
	}
	ok, err := a.checkPassword(ctx, from, req.Password, hash)
	switch {
	case errors.Is(err, ErrBusy):
		try.unchecked()
		return LoginResult{}, resultBusy, err
	case err != nil:
		try.unchecked()
		return LoginResult{}, resultError, err
	case !ok && result == resultOK:
		result = resultPassword
	}
	var token string
	var s sessions.Session
	if result == resultOK {
		try.succeeded()
		token, s, err = a.open(ctx, u.ID, hash, req.Bearer)
		if errors.Is(err, sessions.ErrNotFound) {
			result = resultPassword // the password was changed in this very moment
		} else if err != nil {
			return LoginResult{}, resultError, fmt.Errorf("auth: login: %w", err)
		}
	}
	if result != resultOK {
		entry := audit.Entry{Action: audit.LoginFailed, Reason: result}
		if known { // an unknown login is not written down: it may be a password typed into the wrong field
			entry.Object, entry.ObjectID = "user", u.ID.String()
		}
		a.audit(ctx, entry)
		return LoginResult{}, result, ErrCredentials
	}
	if req.Previous != "" {
		a.endPrevious(ctx, req.Previous, req.Bearer)
	}
	a.audit(ctx, audit.Entry{
		Action: audit.Login, Actor: audit.Actor{User: u.ID, Via: "login", IP: ipText(req.IP)},
		Object: "session", ObjectID: s.ID.String(),
	})
	id, err := a.identity(s)
	if err != nil { // the user was disabled in this very moment
		return LoginResult{}, resultDisabled, ErrCredentials
	}
	return LoginResult{Token: token, Device: a.remembered(devices, u.ID, now), Expires: time.Now().Add(a.opts.AbsoluteTimeout), Identity: id}, resultOK, nil
}

// Logout ends the session of an identity and tells the session's open sockets.
func (a *Auth) Logout(ctx context.Context, id Identity) error {
	if err := a.sessions.Revoke(ctx, id.Session); err != nil {
		return fmt.Errorf("auth: logout: %w", err)
	}
	a.end(a.opts.Now(), id.Session)
	a.audit(ctx, audit.Entry{Action: audit.Logout, Object: "session", ObjectID: id.Session.String()})
	return nil
}

// ChangePassword gives a user who knows the old password a new one and ends
// all other sessions of that user. Errors: ErrCredentials,
// ErrUnauthenticated, directory.ErrPassword, *LimitedError, ErrBusy.
func (a *Auth) ChangePassword(ctx context.Context, id Identity, old, password string) error {
	if len(old) > directory.MaxPassword {
		return ErrCredentials
	}
	hash := a.dir.Snapshot().PasswordHash(id.User)
	if hash == "" {
		return ErrCredentials
	}
	from := source{id: id.Session} // wrong passwords count against this session alone
	try, err := a.begin(ctx, id.Login, from, a.opts.Now())
	if err != nil {
		return err
	}
	ok, err := a.checkPassword(ctx, from, old, hash)
	if err != nil {
		try.unchecked()
		return err
	}
	if !ok {
		a.audit(ctx, audit.Entry{Action: audit.LoginFailed, Object: "user", ObjectID: id.User.String(), Reason: "change"})
		return ErrCredentials
	}
	try.succeeded()
	err = a.hashing(ctx, from, func() error { return a.dir.SetPassword(ctx, id.User, password, id.Session) })
	if errors.Is(err, directory.ErrNotFound) { // the session ended in this very moment
		return ErrUnauthenticated
	}
	if err != nil {
		return fmt.Errorf("auth: change password: %w", err)
	}
	a.audit(ctx, audit.Entry{Action: audit.PasswordChanged, Object: "user", ObjectID: id.User.String()})
	a.sweep(ctx, a.opts.Now()) // ends the other sessions now, not up to a second later
	return nil
}

// begin asks the guard whether an attempt is let through. Attempts that must wait are counted, and
// logged once a minute.
func (a *Auth) begin(ctx context.Context, login string, from source, now time.Time) (attempt, error) {
	try, wait, why := a.guard.begin(login, from, now)
	if wait == 0 {
		return try, nil
	}
	a.waits.WithLabelValues(why).Inc()
	a.slowed.Do(func() {
		a.log.WarnContext(ctx, "logins are made to wait after failed ones", "because_of", why, "seconds", int(wait.Seconds()))
	})
	return attempt{}, &LimitedError{RetryAfter: wait}
}

func (a *Auth) checkPassword(ctx context.Context, from source, password, hash string) (ok bool, err error) {
	err = a.hashing(ctx, from, func() error {
		ok, err = directory.CheckPassword(password, hash)
		return err
	})
	return ok, err
}

// lane has a few places in which passwords are hashed, which takes a core and much memory, and a
// bounded number of logins that wait for a place.
type lane struct {
	places  chan struct{}
	waiting *limit.Conns[source]
}

func newLane(places, perSource int) lane {
	return lane{make(chan struct{}, places), limit.NewConns[source](perSource, maxWaiting)}
}

// hashing runs fn in the lane of its source: a flood from strangers leaves a place for known
// devices, and one address cannot fill the queue.
func (a *Auth) hashing(ctx context.Context, from source, fn func() error) error {
	l := a.strangers
	if from.known() {
		l = a.known
	}
	if l.waiting.Acquire(from, false) != limit.OK {
		return ErrBusy
	}
	defer l.waiting.Release(from)
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.places }()
	return fn()
}

// endPrevious ends the session that the client had before the login.
func (a *Auth) endPrevious(ctx context.Context, token string, bearer bool) {
	id, err := a.lookup(ctx, token, bearer)
	if err != nil {
		return
	}
	if err := a.sessions.Revoke(ctx, id.Session); err != nil {
		a.log.WarnContext(ctx, "cannot end the session before a login", "err", err)
		return
	}
	a.end(a.opts.Now(), id.Session)
}

// audit appends to the audit trail. When that fails users can go on with their work, but it is
// logged as an error that somebody must look into.
func (a *Auth) audit(ctx context.Context, e audit.Entry) {
	if err := a.opts.Trail.Append(context.WithoutCancel(ctx), e); err != nil {
		a.log.ErrorContext(ctx, "cannot write the audit trail", "err", err)
	}
}

func ipText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
