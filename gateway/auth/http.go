package auth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/limit"
)

// CookieName is the session cookie. Browsers take a __Host- cookie only when
// it is Secure, has no Domain and the path /; on http://localhost and its
// subdomains they count the connection as secure.
const CookieName = "__Host-parley"

// CSRFHeader must be "1" on unsafe requests with a cookie. A page of another
// origin cannot set it without a preflight that we never answer.
const CSRFHeader = "Parley-CSRF"

type identityKey struct{}

// FromContext is the identity that Middleware found; ok is false for a
// request without one.
func FromContext(ctx context.Context) (id Identity, ok bool) {
	id, ok = ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// NewContext carries an identity, as Middleware does.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// Token is what the client sent to be known by; "" for nothing. An
// Authorization header counts before a cookie.
func Token(r *http.Request) (token string, bearer bool) {
	if scheme, t, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(t), true
	}
	if c, err := r.Cookie(CookieName); err == nil {
		return c.Value, false
	}
	return "", false
}

// Cookie is the Set-Cookie of a session.
func Cookie(res LoginResult) *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Value: res.Token, Path: "/", Expires: res.Expires,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// NoCookie removes the session cookie.
func NoCookie() *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Path: "/", MaxAge: -1, Expires: time.Unix(1, 0),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// Authenticate tells who sends a request. Errors: ErrUnauthenticated (also
// without any token), ErrForged, or why the directory could not be asked.
func (a *Auth) Authenticate(r *http.Request) (Identity, error) {
	token, bearer := Token(r)
	if token == "" {
		return Identity{}, ErrUnauthenticated
	}
	if !bearer {
		if err := a.CheckOrigin(r); err != nil {
			return Identity{}, err
		}
	}
	return a.lookup(r.Context(), token, bearer)
}

// CheckOrigin refuses unsafe requests, and those that open a socket, when they
// may come from a page of another origin [ASVS 3.5.1-3.5.3, 4.4.2]: ErrForged.
// Requests that carry a session cookie must have the CSRF header as well,
// except for sockets, where browsers cannot set it.
func (a *Auth) CheckOrigin(r *http.Request) error {
	socket := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	if safe(r.Method) && !socket {
		return nil
	}
	if _, bearer := Token(r); bearer {
		return nil // no browser adds that by itself, and the cookie does not count beside it
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return ErrForged
	}
	origin := r.Header.Get("Origin")
	if origin != "" && !a.opts.SameOrigin(r) {
		return ErrForged
	}
	switch {
	case len(r.CookiesNamed(CookieName)) == 0:
		return nil // nothing that a browser adds by itself
	case socket && origin == "":
		return ErrForged
	case !socket && r.Header.Get(CSRFHeader) != "1":
		return ErrForged
	}
	return nil
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// Middleware finds out who sends each request and puts the identity, and the
// actor for the audit trail, into its context. Whoever sends no token, or one
// that is no longer good, passes without an identity: handlers say what they
// need with Check or Require. Forged requests get 403; when sessions cannot
// be looked up the answer is 503.
func (a *Auth) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.CheckOrigin(r); err != nil {
			refuse(w, http.StatusForbidden, "forged", "the request does not come from the desk")
			return
		}
		id, err := a.Authenticate(r)
		switch {
		case err == nil:
			ctx := NewContext(r.Context(), id)
			ctx = directory.WithActor(ctx, directory.Actor{User: id.User, Via: "api", IP: ipText(limit.IP(r))})
			r = r.WithContext(ctx)
		case errors.Is(err, ErrUnauthenticated):
		default:
			a.log.ErrorContext(r.Context(), "cannot look up a session", "err", err)
			refuse(w, http.StatusServiceUnavailable, "unavailable", "try again")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Check is the identity in the context, if it has the role and all
// privileges. Errors: ErrUnauthenticated, ErrDenied (which is audited).
func (a *Auth) Check(ctx context.Context, role directory.Role, privileges ...string) (Identity, error) {
	id, ok := FromContext(ctx)
	if !ok {
		return Identity{}, ErrUnauthenticated
	}
	allowed := id.Role.Includes(role)
	for _, p := range privileges {
		allowed = allowed && id.Has(p)
	}
	if !allowed {
		a.Denied(ctx, id, "role")
		return Identity{}, ErrDenied
	}
	return id, nil
}

// Recheck is Check by what holds now, for after a body was read: its sender may
// take minutes for it, and must not act by rights lost meanwhile (PR23). The
// identity is the present one.
func (a *Auth) Recheck(ctx context.Context, role directory.Role) (Identity, error) {
	id, ok := FromContext(ctx)
	if !ok {
		return Identity{}, ErrUnauthenticated
	}
	id, err := a.Current(id)
	if err != nil {
		return Identity{}, err
	}
	return a.Check(NewContext(ctx, id), role)
}

// Denied notes in the audit trail that somebody tried what they may not,
// also for checks made elsewhere (another's conversation). A storm of them
// is noted in part.
func (a *Auth) Denied(ctx context.Context, id Identity, reason string) {
	if a.denials.Allow(id.Session, time.Now()) {
		a.audit(ctx, directory.AuditEntry{Action: directory.AuditDenied, Object: "user", ObjectID: id.User.String(), Reason: reason})
	}
}

// Require lets only those through who have the role and all privileges.
func (a *Auth) Require(role directory.Role, privileges ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch _, err := a.Check(r.Context(), role, privileges...); {
			case errors.Is(err, ErrUnauthenticated):
				refuse(w, http.StatusUnauthorized, "unauthenticated", "log in first")
			case err != nil:
				refuse(w, http.StatusForbidden, "denied", "not allowed")
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// refuse answers with a problem (RFC 9457), as the API does.
func refuse(w http.ResponseWriter, status int, code, detail string) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="parley"`)
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"title":"` + http.StatusText(status) + `","status":` + strconv.Itoa(status) + `,"detail":"` + detail + `","code":"` + code + `"}` + "\n"))
}
