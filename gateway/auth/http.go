package auth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/limit"
)

// CookieName is the session cookie. Browsers accept a __Host- cookie only if it is Secure, has no
// Domain, and has the path /; a connection to http://localhost or its subdomains counts as secure.
const CookieName = "__Host-parley"

// CSRFHeader must be "1" on unsafe requests with a cookie. A page of another origin cannot set it
// without a preflight request, which the gateway never allows.
const CSRFHeader = "Parley-CSRF"

type identityKey struct{}

// FromContext is the identity that Middleware found; ok is false for a
// request without one.
func FromContext(ctx context.Context) (id Identity, ok bool) {
	id, ok = ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// NewContext returns a context that carries an identity, as Middleware's does.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// Token returns the session token that the client sent; "" for none. If there is an Authorization
// header, the cookie is ignored.
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

// Authenticate returns the identity of a request's sender. Errors: ErrUnauthenticated (also without
// any token), ErrForged, or why the directory could not be asked.
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
		return nil // no browser adds this header by itself, and beside it the cookie is ignored
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
		return nil // without a cookie there is nothing that a browser would add by itself
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

// Middleware finds out who sends each request and puts the identity, and the actor for the audit
// trail, into its context. A request without a valid token passes without an identity: handlers
// demand one with Check or Require. Forged requests get 403; when sessions cannot be looked up the
// answer is 503.
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
			ctx = audit.WithActor(ctx, audit.Actor{User: id.User, Via: "api", IP: ipText(limit.IP(r))})
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

// Recheck is Check against the rights that the sender has now. Handlers call it after they have
// read a body, which may take minutes: the sender must not use rights that they lost meanwhile
// (PR23). The identity returned is the present one.
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

// Denied writes into the audit trail that a user tried what they may not, also for checks made
// outside this package (another agent's conversation). When many come from one session only some
// are written.
func (a *Auth) Denied(ctx context.Context, id Identity, reason string) {
	if a.denials.Allow(id.Session, time.Now()) {
		a.audit(ctx, audit.Entry{Action: audit.AccessDenied, Object: "user", ObjectID: id.User.String(), Reason: reason})
	}
}

// Require lets a request through only if its sender has the role and all privileges.
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
