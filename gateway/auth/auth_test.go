package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/auth"
)

func request(method, token string, bearer bool, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://desk.example/api/v1/me", nil)
	switch {
	case token == "":
	case bearer:
		r.Header.Set("Authorization", "Bearer "+token)
	default:
		r.AddCookie(&http.Cookie{Name: auth.CookieName, Value: token})
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	return r
}

func TestLogin(t *testing.T) {
	d := fakeDirectory(t)
	reg := prometheus.NewRegistry()
	a := newAuth(t, auth.Options{Directory: d, PairBurst: 100, IPBurst: 100, LoginBurst: 100, Registry: reg})
	defer closeAuth(t, a)
	for name, c := range map[string]struct {
		login, password string
		want            error
	}{
		"good":             {"ana", password, nil},
		"case and space":   {" ANA ", password, nil},
		"wrong password":   {"ana", "wrong horse", auth.ErrCredentials},
		"empty password":   {"ana", "", auth.ErrCredentials},
		"unknown":          {"nobody", password, auth.ErrCredentials},
		"disabled":         {"gone", password, auth.ErrCredentials},
		"without password": {"nopass", "nobody has this password", auth.ErrCredentials},
		"huge password":    {"ana", strings.Repeat("x", 1<<20), auth.ErrCredentials},
		"huge login":       {strings.Repeat("x", 1<<20), password, auth.ErrCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := a.Login(t.Context(), auth.LoginRequest{Login: c.login, Password: c.password, IP: home})
			if !errors.Is(err, c.want) {
				t.Fatalf("Login: got %v, want %v", err, c.want)
			}
			if err != nil {
				if err.Error() != auth.ErrCredentials.Error() {
					t.Errorf("the error tells more than the others: %v", err)
				}
				return
			}
			id, err := a.Authenticate(request("GET", res.Token, false))
			if err != nil || id.Login != "ana" || !id.Has("mask") || id.Has("ban") {
				t.Errorf("Authenticate: got %+v, %v; want ana with mask", id, err)
			}
		})
	}
	if got := d.audited(audit.Login); got != 2 {
		t.Errorf("%d logins in the audit trail, want 2", got)
	}
	for _, e := range d.entries {
		if s := fmt.Sprintf("%+v", e); strings.Contains(s, "nobody") || strings.Contains(s, "horse") {
			t.Errorf("audit entry shows what was typed: %s", s)
		}
	}
}

// The time of the answer must not show whether a login exists [ASVS 6.3.8]: both cases cost the
// same work. The test measures processor time, which does not depend on what else runs on the
// machine.
func TestUnknownLoginCostsAsMuch(t *testing.T) {
	a := newAuth(t, auth.Options{Directory: fakeDirectory(t), PairBurst: 100, IPBurst: 100, LoginBurst: 100})
	defer closeAuth(t, a)
	cost := map[string]time.Duration{}
	for _, name := range []string{"ana", "nobody", "gone", "nopass"} {
		start := cpuTime(t)
		for range 3 {
			_, _ = a.Login(t.Context(), auth.LoginRequest{Login: name, Password: "wrong horse", IP: home})
		}
		cost[name] = cpuTime(t) - start
	}
	for name, c := range cost {
		if c*3 < cost["ana"] || c > cost["ana"]*3 {
			t.Errorf("login as %s cost %v of the processor, as ana %v", name, c, cost["ana"])
		}
	}
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestSessionsEnd(t *testing.T) {
	d := fakeDirectory(t)
	for name, c := range map[string]struct {
		use  time.Duration // how often the session is used; 0: never
		good time.Duration // the age at which the session is still valid
		bad  time.Duration // the age at which the session has ended
	}{
		"idle":     {0, 59 * time.Minute, time.Hour},
		"absolute": {30 * time.Minute, 10*time.Hour - time.Second, 10 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuth(t, auth.Options{Directory: d, IdleTimeout: time.Hour, AbsoluteTimeout: 10 * time.Hour})
				defer closeAuth(t, a)
				start := time.Now()
				token := login(t, a, "ana", false).Token
				if c.use > 0 {
					for time.Since(start)+c.use < c.good {
						time.Sleep(c.use)
						if _, err := a.Authenticate(request("GET", token, false)); err != nil {
							t.Fatalf("after %v: %v", time.Since(start), err)
						}
					}
					time.Sleep(time.Until(start.Add(c.good)))
					if _, err := a.Authenticate(request("GET", token, false)); err != nil {
						t.Fatalf("after %v: %v", time.Since(start), err)
					}
				}
				time.Sleep(time.Until(start.Add(c.bad)))
				if _, err := a.Authenticate(request("GET", token, false)); !errors.Is(err, auth.ErrUnauthenticated) {
					t.Errorf("after %v: got %v, want ErrUnauthenticated", c.bad, err)
				}
			})
		})
	}
}

func TestOpenSocketKeepsSessionAndHearsOfItsEnd(t *testing.T) {
	d := fakeDirectory(t)
	synctest.Test(t, func(t *testing.T) {
		a := newAuth(t, auth.Options{Directory: d, IdleTimeout: time.Hour, AbsoluteTimeout: 10 * time.Hour})
		defer closeAuth(t, a)
		res := login(t, a, "ana", false)
		told := 0
		a.Watch(res.Identity, func() { told++ })
		cancel := a.Watch(res.Identity, func() { t.Error("a cancelled watcher was told") })
		cancel()
		time.Sleep(9 * time.Hour)
		if _, err := a.Authenticate(request("GET", res.Token, false)); err != nil {
			t.Errorf("with an open socket: %v", err)
		}
		time.Sleep(time.Hour + 2*time.Second)
		synctest.Wait()
		if told != 1 {
			t.Errorf("told %d times at the absolute limit, want once", told)
		}
	})
}

func TestSessionsSurviveARestart(t *testing.T) {
	d := fakeDirectory(t)
	a := newAuth(t, auth.Options{Directory: d})
	token := login(t, a, "ana", true).Token
	closeAuth(t, a)
	a = newAuth(t, auth.Options{Directory: d})
	defer closeAuth(t, a)
	if id, err := a.Authenticate(request("GET", token, true)); err != nil || id.Login != "ana" {
		t.Errorf("after a restart: got %+v, %v", id, err)
	}
}

func TestRotationAndKindsOfTokens(t *testing.T) {
	a := newAuth(t, auth.Options{Directory: fakeDirectory(t)})
	defer closeAuth(t, a)
	first := login(t, a, "ana", false)
	second, err := a.Login(t.Context(), auth.LoginRequest{Login: "ana", Password: password, IP: home, Previous: first.Token})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token  string
		bearer bool
		want   error
	}{
		"new":                 {second.Token, false, nil},
		"before the login":    {first.Token, false, auth.ErrUnauthenticated},
		"cookie as a bearer":  {second.Token, true, auth.ErrUnauthenticated},
		"made up":             {strings.Repeat("A", len(second.Token)), false, auth.ErrUnauthenticated},
		"of the wrong length": {"x", true, auth.ErrUnauthenticated},
		"none":                {"", false, auth.ErrUnauthenticated},
	} {
		if _, err := a.Authenticate(request("GET", c.token, c.bearer)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if first.Token == second.Token || len(second.Token) < 22 {
		t.Errorf("tokens %q and %q: want two of at least 128 bits", first.Token, second.Token)
	}
	c := auth.Cookie(second)
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("Cookie: got %+v, want what __Host- needs", c)
	}
}

// PR23: whatever ends a session, in whichever process, within five seconds its open sockets are
// told and its token is refused.
func TestRevocationReachesOpenSockets(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, d *directory.Directory, a *auth.Auth, id auth.Identity) error{
		"logout": func(ctx context.Context, _ *directory.Directory, a *auth.Auth, id auth.Identity) error {
			return a.Logout(ctx, id)
		},
		"disabled elsewhere": func(ctx context.Context, d *directory.Directory, _ *auth.Auth, id auth.Identity) error {
			u, _ := d.Snapshot().User(id.User)
			u.Disabled = true
			_, err := d.PutUser(ctx, u)
			return err
		},
		"new password from elsewhere": func(ctx context.Context, d *directory.Directory, _ *auth.Auth, id auth.Identity) error {
			return d.SetPassword(ctx, id.User, "another horse", sessions.ID{})
		},
		"revoked elsewhere": func(ctx context.Context, d *directory.Directory, _ *auth.Auth, id auth.Identity) error {
			return sessions.New(d.Database(), time.Now).Revoke(ctx, id.Session)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := realDirectory(t)
			a := newAuth(t, auth.Options{Directory: d})
			defer closeAuth(t, a)
			res := login(t, a, "ana", false)
			told := make(chan struct{})
			a.Watch(res.Identity, func() { close(told) })
			if err := end(t.Context(), d, a, res.Identity); err != nil {
				t.Fatal(err)
			}
			select {
			case <-told:
			case <-time.After(5 * time.Second):
				t.Fatal("the open socket was not told within five seconds")
			}
			if _, err := a.Authenticate(request("GET", res.Token, false)); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("Authenticate: got %v, want ErrUnauthenticated", err)
			}
			if _, err := a.Current(res.Identity); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("Current: got %v, want ErrUnauthenticated", err)
			}
			late := make(chan struct{})
			a.Watch(res.Identity, func() { close(late) })
			select {
			case <-late:
			default:
				t.Error("a watcher that came too late was not told")
			}
			if _, err := d.Trail().Verify(t.Context()); err != nil {
				t.Errorf("VerifyAudit: %v", err)
			}
		})
	}
}

// PR23: a tunnel whose plugin was told the user's role or privileges when it was opened is closed
// within five seconds of their change; the session goes on with the new ones.
func TestChangedRightsReachOpenTunnels(t *testing.T) {
	for name, change := range map[string]func(*directory.User){
		"role":       func(u *directory.User) { u.Role = directory.RoleSupervisor },
		"privileges": func(u *directory.User) { u.Privileges = nil },
		"more":       func(u *directory.User) { u.Privileges = append(slices.Clone(u.Privileges), "sms") },
	} {
		t.Run(name, func(t *testing.T) {
			d := realDirectory(t)
			a := newAuth(t, auth.Options{Directory: d})
			defer closeAuth(t, a)
			res := login(t, a, "ana", false)
			tunnel := make(chan struct{})
			a.WatchRights(res.Identity, func() { close(tunnel) })
			defer a.Watch(res.Identity, func() { t.Error("the session was said to have ended") })()
			u, _ := d.Snapshot().User(res.Identity.User)
			change(&u)
			if _, err := d.PutUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			select {
			case <-tunnel:
			case <-time.After(5 * time.Second):
				t.Fatal("the tunnel was not told within five seconds")
			}
			id, err := a.Authenticate(request("GET", res.Token, false))
			if err != nil || id.Role != u.Role || !slices.Equal(id.Privileges, u.Privileges) {
				t.Errorf("the session is now %+v, %v; want the new rights", id, err)
			}
		})
	}
}

// PR23: when one change ends the session and changes the rights, an open socket is told of the end
// first, so that the desktop asks for the password at once.
func TestEndBeforeChangedRights(t *testing.T) {
	d := realDirectory(t)
	a := newAuth(t, auth.Options{Directory: d})
	defer closeAuth(t, a)
	res := login(t, a, "ana", false)
	heard := make(chan string, 2)
	a.Watch(res.Identity, func() { heard <- "end" })
	a.WatchRights(res.Identity, func() { heard <- "rights" })
	_, err := d.ChangeUser(t.Context(), "ana", "another horse", func(u directory.User, _ bool) (directory.User, error) {
		u.Role = directory.RoleSupervisor
		return u, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"end", "rights"} {
		select {
		case got := <-heard:
			if got != want {
				t.Fatalf("heard of %s, want %s", got, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("not told of %s within five seconds", want)
		}
	}
}

// sweeps calls one of next in each look for revoked sessions, if there is one.
type sweeps struct {
	auth.Sessions
	next chan func()
}

func (s *sweeps) RevokedSince(ctx context.Context, since time.Time) ([]sessions.ID, error) {
	select {
	case f := <-s.next:
		f()
	default:
	}
	return s.Sessions.RevokedSince(ctx, since)
}

// What is opened with a user's new rights while a sweep goes on is not told that they changed,
// though that sweep has read the records from before the change.
func TestRightsChangeDuringSweep(t *testing.T) {
	d := realDirectory(t)
	s := &sweeps{Sessions: sessions.New(d.Database(), time.Now), next: make(chan func(), 2)}
	a := newAuth(t, auth.Options{Directory: d, Sessions: s})
	defer closeAuth(t, a)
	var told atomic.Bool
	over := make(chan struct{})
	s.next <- func() {
		_, err := d.ChangeUser(t.Context(), "ana", "", func(u directory.User, _ bool) (directory.User, error) {
			u.Role = directory.RoleSupervisor
			return u, nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		res, err := a.Login(t.Context(), auth.LoginRequest{Login: "ana", Password: password, IP: home})
		if err != nil || res.Identity.Role != directory.RoleSupervisor {
			t.Errorf("login: %v with role %q, want a supervisor", err, res.Identity.Role)
			return
		}
		a.WatchRights(res.Identity, func() { told.Store(true) })
	}
	s.next <- func() { close(over) }
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatal("no second sweep within ten seconds")
	}
	if told.Load() {
		t.Error("told of a change of the rights that it was opened with")
	}
}

func TestChangePassword(t *testing.T) {
	d := realDirectory(t)
	a := newAuth(t, auth.Options{Directory: d})
	defer closeAuth(t, a)
	mine, other := login(t, a, "ana", false), login(t, a, "ana", true)
	for _, c := range []struct {
		name, old, password string
		want                error
	}{
		{"wrong old", "wrong horse", "battery staple", auth.ErrCredentials},
		{"too short", password, "short", directory.ErrPassword},
		{"in order", password, "battery staple", nil},
		{"old after the change", password, "battery staple", auth.ErrCredentials},
	} {
		if err := a.ChangePassword(t.Context(), mine.Identity, c.old, c.password); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := a.Authenticate(request("GET", mine.Token, false)); err != nil {
		t.Errorf("the session that changed the password: %v", err)
	}
	if _, err := a.Authenticate(request("GET", other.Token, true)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("the other session: got %v, want ErrUnauthenticated", err)
	}
}

// meanwhile is a directory in which happens is called just before auth writes to it.
type meanwhile struct {
	*directory.Directory
	happens func()
}

func (m meanwhile) SetPassword(ctx context.Context, user conversation.AgentID, password string, keep sessions.ID) error {
	m.happens()
	return m.Directory.SetPassword(ctx, user, password, keep)
}

// meanwhileSessions is a store of sessions in which happens is called just before auth adds one.
type meanwhileSessions struct {
	auth.Sessions
	happens func()
}

func (m meanwhileSessions) Add(ctx context.Context, s sessions.Session, hash string) error {
	m.happens()
	return m.Sessions.Add(ctx, s, hash)
}

// PR23: somebody who knows only the old password gains nothing by a request just before the new one
// is set, neither a session nor a password of their own.
func TestNewPasswordMeanwhile(t *testing.T) {
	d := realDirectory(t)
	ana, _ := d.Snapshot().UserByLogin("ana")
	other := func() {
		if err := d.SetPassword(t.Context(), ana.ID, "set by somebody else", sessions.ID{}); err != nil {
			t.Error(err)
		}
	}
	a := newAuth(t, auth.Options{
		Directory: meanwhile{d, other},
		Sessions:  meanwhileSessions{sessions.New(d.Database(), time.Now), other},
	})
	defer closeAuth(t, a)
	if _, err := a.Login(t.Context(), auth.LoginRequest{Login: "ana", Password: password, IP: home}); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("Login: got %v, want ErrCredentials", err)
	}
	before := newAuth(t, auth.Options{Directory: d})
	defer closeAuth(t, before)
	res, err := before.Login(t.Context(), auth.LoginRequest{Login: "ana", Password: "set by somebody else", IP: home})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.ChangePassword(t.Context(), res.Identity, "set by somebody else", "battery staple"); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("ChangePassword: got %v, want ErrUnauthenticated", err)
	}
	if ok, err := directory.CheckPassword("set by somebody else", d.Snapshot().PasswordHash(ana.ID)); err != nil || !ok {
		t.Errorf("the password that somebody else set is no longer good: %v", err)
	}
}

// When the directory cannot be reached, sessions in memory are trusted only for a moment.
func TestFailsClosed(t *testing.T) {
	d := fakeDirectory(t)
	synctest.Test(t, func(t *testing.T) {
		a := newAuth(t, auth.Options{Directory: d})
		token := login(t, a, "ana", false).Token
		d.setDown(true)
		if _, err := a.Authenticate(request("GET", token, false)); err != nil {
			t.Errorf("right after: got %v, want the session from memory", err)
		}
		time.Sleep(5 * time.Second)
		if _, err := a.Authenticate(request("GET", token, false)); !errors.Is(err, errDown) {
			t.Errorf("after 5 s: got %v, want that the directory is down", err)
		}
		d.setDown(false)
		time.Sleep(time.Second)
		if _, err := a.Authenticate(request("GET", token, false)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		closeAuth(t, a)
	})
}

func TestMiddleware(t *testing.T) {
	d := fakeDirectory(t)
	a := newAuth(t, auth.Options{Directory: d})
	defer closeAuth(t, a)
	ana, sue, bearer := login(t, a, "ana", false).Token, login(t, a, "sue", false).Token, login(t, a, "sue", true).Token
	h := a.Middleware(a.Require(directory.RoleSupervisor)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		w.Header().Set("Login", id.Login)
	})))
	const csrf = "Parley-CSRF: 1"
	for name, c := range map[string]struct {
		r    *http.Request
		want int
	}{
		"read":                         {request("GET", sue, false), 200},
		"read from another site":       {request("GET", sue, false, "Sec-Fetch-Site: cross-site"), 200}, // a read changes nothing, and the other site cannot see the answer
		"nobody":                       {request("GET", "", false), 401},
		"role too low":                 {request("GET", ana, false), 403},
		"write":                        {request("POST", sue, false, csrf, "Origin: http://desk.example", "Sec-Fetch-Site: same-origin"), 200},
		"write by a script":            {request("POST", sue, false, csrf), 200},
		"write without header":         {request("POST", sue, false, "Sec-Fetch-Site: same-origin"), 403},
		"write from another origin":    {request("POST", sue, false, csrf, "Origin: http://evil.example"), 403},
		"write from a null origin":     {request("POST", sue, false, csrf, "Origin: null"), 403},
		"write from another site":      {request("POST", sue, false, csrf, "Sec-Fetch-Site: cross-site"), 403},
		"write from a sibling":         {request("POST", sue, false, csrf, "Sec-Fetch-Site: same-site"), 403},
		"bearer":                       {request("POST", bearer, true), 200},
		"bearer from another origin":   {request("POST", bearer, true, "Origin: app://x", "Sec-Fetch-Site: cross-site"), 200},
		"login from another site":      {request("POST", "", false, "Sec-Fetch-Site: cross-site"), 403},
		"socket":                       {request("GET", sue, false, "Upgrade: websocket", "Origin: http://desk.example"), 200},
		"socket from another origin":   {request("GET", sue, false, "Upgrade: WebSocket", "Origin: http://evil.example"), 403},
		"socket by cookie, no origin":  {request("GET", sue, false, "Upgrade: websocket"), 403},
		"socket by bearer, no origin":  {request("GET", bearer, true, "Upgrade: websocket"), 200},
		"bearer beside a good cookie":  {request("GET", sue, false, "Authorization: Bearer x"), 401},
		"other scheme beside a cookie": {request("GET", sue, false, "Authorization: Basic x"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, c.r)
			if w.Code != c.want {
				t.Errorf("status %d, want %d: %s", w.Code, c.want, w.Body)
			}
			if c.want == 200 && w.Header().Get("Login") != "sue" {
				t.Errorf("handler saw %q, want sue", w.Header().Get("Login"))
			}
		})
	}
	if got := d.audited(audit.AccessDenied); got != 1 {
		t.Errorf("%d denials in the audit trail, want 1", got)
	}
	if _, err := a.Check(t.Context(), directory.RoleAgent); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Check without identity: got %v", err)
	}
}
