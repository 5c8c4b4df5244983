package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/gateway/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// users is a snapshot of realDirectory's users, made once because hashing passwords is slow.
var users = sync.OnceValue(func() (s *directory.Snapshot) {
	dir, err := os.MkdirTemp("", "parley-auth-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	withDirectory(dir, func(d *directory.Directory) { s = d.Snapshot() })
	return s
})

// fake is a directory that keeps sessions in memory, so that it works inside a synctest bubble;
// its users come from a real directory.
type fake struct {
	snap *directory.Snapshot

	mu      sync.Mutex
	rows    map[[32]byte]sessions.Session
	entries []audit.Entry
	down    bool
}

var errDown = errors.New("the database is gone")

func (s *fake) Snapshot() *directory.Snapshot { return s.snap }

func (s *fake) locked(fn func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	fn()
	return nil
}

func (s *fake) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *fake) Add(_ context.Context, row sessions.Session, hash string) error {
	if s.snap.PasswordHash(row.User) != hash {
		return sessions.ErrNotFound
	}
	return s.locked(func() { s.rows[row.TokenHash] = row })
}

func (s *fake) ByToken(_ context.Context, hash [32]byte) (row sessions.Session, err error) {
	ok := false
	if err := s.locked(func() { row, ok = s.rows[hash] }); err != nil {
		return row, err
	}
	if !ok {
		return row, sessions.ErrNotFound
	}
	return row, nil
}

func (s *fake) each(fn func(*sessions.Session)) error {
	return s.locked(func() {
		for h, row := range s.rows {
			fn(&row)
			s.rows[h] = row
		}
	})
}

func (s *fake) Touch(_ context.Context, seen map[sessions.ID]time.Time) error {
	return s.each(func(row *sessions.Session) {
		if t, ok := seen[row.ID]; ok {
			row.SeenAt = t
		}
	})
}

func (s *fake) Revoke(_ context.Context, id sessions.ID) error {
	return s.each(func(row *sessions.Session) {
		if row.ID == id {
			row.RevokedAt = time.Now()
		}
	})
}

func (s *fake) RevokedSince(_ context.Context, since time.Time) (ids []sessions.ID, err error) {
	err = s.each(func(row *sessions.Session) {
		if !row.RevokedAt.IsZero() && !row.RevokedAt.Before(since) {
			ids = append(ids, row.ID)
		}
	})
	return ids, err
}

func (s *fake) Prune(context.Context, time.Time) error { return s.locked(func() {}) }

func (s *fake) SetPassword(_ context.Context, user conversation.AgentID, _ string, keep sessions.ID) error {
	return s.each(func(row *sessions.Session) {
		if row.User == user && row.ID != keep {
			row.RevokedAt = time.Now()
		}
	})
}

func (s *fake) Append(_ context.Context, e audit.Entry) error {
	return s.locked(func() { s.entries = append(s.entries, e) })
}

func (s *fake) audited(action string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.Action == action {
			n++
		}
	}
	return n
}

const password = "correct horse"

// seed gives a directory the users ana (agent, privilege mask), sue
// (supervisor), adam (admin) and gone (disabled), all with the same password, and nopass
// without one.
func seed(d *directory.Directory) error {
	pw := directory.NewSecret(password)
	_, err := d.Apply(context.Background(), directory.Records{Users: []directory.UserRecord{
		{Login: "ana", Name: "Ana", Privileges: []string{"mask"}, Password: pw},
		{Login: "sue", Name: "Sue", Role: directory.RoleSupervisor, Password: pw},
		{Login: "adam", Name: "Adam", Role: directory.RoleAdmin, Password: pw},
		{Login: "gone", Name: "Gone", Disabled: true, Password: pw},
		{Login: "nopass", Name: "No Password"},
	}}, false)
	return err
}

func openDirectory(dir string) (d *directory.Directory, stop func(), err error) {
	ctx := context.Background()
	v, err := vault.Open(ctx, vault.Options{Path: filepath.Join(dir, "keys.db"), Master: make([]byte, 32), BlockSize: 4})
	if err != nil {
		return nil, nil, err
	}
	d, err = directory.Open(ctx, directory.Options{DSN: filepath.Join(dir, "parley.db"), Vault: v, Poll: 20 * time.Millisecond})
	if err != nil {
		return nil, nil, errors.Join(err, v.Close())
	}
	return d, func() { _, _ = d.Close(), v.Close() }, nil
}

func withDirectory(dir string, fn func(*directory.Directory)) {
	d, stop, err := openDirectory(dir)
	if err != nil {
		panic(err)
	}
	defer stop()
	if err := seed(d); err != nil {
		panic(err)
	}
	fn(d)
}

func realDirectory(t *testing.T) *directory.Directory {
	t.Helper()
	d, stop, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if err := seed(d); err != nil {
		t.Fatal(err)
	}
	return d
}

func fakeDirectory(t *testing.T) *fake {
	t.Helper()
	return &fake{snap: users(), rows: map[[32]byte]sessions.Session{}}
}

func sameOrigin(r *http.Request) bool { return r.Header.Get("Origin") == "http://"+r.Host }

func newAuth(t *testing.T, o auth.Options) *auth.Auth {
	t.Helper()
	o.SameOrigin = sameOrigin
	switch d := o.Directory.(type) {
	case *fake:
		o.Sessions, o.Trail = d, d
	case interface { // a real directory, or a wrapper around one
		Database() *database.DB
		Trail() *audit.Trail
	}:
		o.Trail = d.Trail()
		if o.Sessions == nil {
			o.Sessions = sessions.New(d.Database(), time.Now)
		}
	}
	a, err := auth.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var home = netip.MustParseAddr("192.0.2.1")

func login(t *testing.T, a *auth.Auth, name string, bearer bool) auth.LoginResult {
	t.Helper()
	res, err := a.Login(t.Context(), auth.LoginRequest{Login: name, Password: password, Bearer: bearer, IP: home})
	if err != nil {
		t.Fatalf("Login(%s): %v", name, err)
	}
	return res
}

func closeAuth(t *testing.T, a *auth.Auth) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
