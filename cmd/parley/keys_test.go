package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/internal/doctor"
	"github.com/parley-gateway/parley/internal/pgtest"
	"github.com/parley-gateway/parley/internal/stores"
)

// keyServer is a PostgreSQL server that lasts as long as the test.
func keyServer(t *testing.T) *pgtest.Cluster {
	t.Helper()
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// keysSetup is an installation whose configuration changes as its operator goes on.
type keysSetup struct {
	t   *testing.T
	env []string
}

func (s *keysSetup) set(key, value string) {
	s.t.Helper()
	name := config.EnvName(key) + "="
	s.t.Setenv(config.EnvName(key), value)
	s.env = append(slices.DeleteFunc(slices.Clone(s.env), func(kv string) bool { return strings.HasPrefix(kv, name) }), name+value)
}

func (s *keysSetup) config() config.Config {
	s.t.Helper()
	cfg, err := config.Load("", s.env)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *keysSetup) run(code int, args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	if got := run(s.t.Context(), args, &out, &out); got != code {
		s.t.Fatalf("parley %s: exit %d, want %d: %s", strings.Join(args, " "), got, code, out.String())
	}
	if strings.Contains(out.String(), "canary") {
		s.t.Errorf("parley %s shows the password: %s", strings.Join(args, " "), out.String())
	}
	return out.String()
}

// open opens the stores as a gateway does, and returns the account's secret.
func (s *keysSetup) open(account conversation.AccountID) (mac [32]byte, secret string) {
	s.t.Helper()
	st, err := stores.Open(s.t.Context(), s.config(), nil, discard())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	secrets, err := st.Directory.Secrets(s.t.Context(), account)
	if err != nil {
		s.t.Fatal(err)
	}
	return st.Vault.MAC("thread", account[:], []byte("+15550001")), secrets["token"]
}

// An operator moves the keys of a folder into a database, and changes the master key there: what was
// sealed can be read after each step, thread keys stay the same (so a known number's exchange is
// found again), and a start with what was true before is refused with a clear text.
func TestKeysMoveAndRotate(t *testing.T) {
	c := keyServer(t)
	s := &keysSetup{t: t}
	data := t.TempDir()
	s.set("data", data)
	st, err := stores.Open(t.Context(), s.config(), nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	svc, err := st.Directory.PutService(t.Context(), directory.Service{Name: "Support"})
	if err != nil {
		t.Fatal(err)
	}
	acc, err := st.Directory.PutAccount(t.Context(), directory.Account{Name: "A", Plugin: "sms", Service: svc.ID, Enabled: true}, map[string]string{"token": "secret-token"})
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	mac, _ := s.open(acc.ID)
	same := func(when string) {
		t.Helper()
		if m, secret := s.open(acc.ID); m != mac || secret != "secret-token" {
			t.Errorf("%s: thread key the same: %t, secret %q", when, m == mac, secret)
		}
	}

	if out := s.run(2, "keys", "move"); !strings.Contains(out, "vault.store") {
		t.Errorf("move without a database: %s", out)
	}
	dsn := strings.Replace(c.DSN(c.Database(t)), "parley@", "parley:canary@", 1) // the server trusts everybody
	if !strings.Contains(dsn, "canary") {
		t.Fatalf("no password in %s", dsn)
	}
	before := s.env
	s.set("vault.store", dsn)
	if _, err := stores.Open(t.Context(), s.config(), nil, discard()); !errors.Is(err, stores.ErrNotMoved) {
		t.Errorf("start before the move: %v, want ErrNotMoved", err)
	}
	if out := s.run(0, "keys", "move"); !strings.Contains(out, "keys are in postgres://parley:********@") {
		t.Errorf("move says: %s", out)
	}
	same("after the move")
	old, err := config.Load("", before)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Open(t.Context(), old, nil, discard()); !errors.Is(err, vault.ErrMoved) {
		t.Errorf("start on the file: %v, want ErrMoved", err)
	}
	found := map[string]doctor.Finding{}
	for _, f := range doctor.DataKeys(t.Context(), s.config()) {
		found[f.Name] = f
	}
	if found["key database"].Status != "ok" || found["data keys"].Status != "ok" || found["old keys"].Status != "warn" || found["key durability"].Status != "warn" {
		t.Errorf("doctor: %+v", found)
	}
	files, err := filepath.Glob(filepath.Join(data, "keys", "keys.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	same("without the file")

	if out := s.run(2, "keys", "rotate"); !strings.Contains(out, "vault.master_key_previous") {
		t.Errorf("rotate without a new master key: %s", out)
	}
	next := filepath.Join(t.TempDir(), "next.key")
	s.run(0, "keys", "master", next)
	s.run(1, "keys", "master", next) // never replaces one
	s.set("vault.master_key", key(t, next))
	s.set("vault.master_key_previous", key(t, filepath.Join(data, "keys", "master.key")))
	same("with both master keys")
	if out := s.run(0, "keys", "rotate"); !strings.Contains(out, "keys are wrapped by the new master key") {
		t.Errorf("rotate says: %s", out)
	}
	if out := s.run(0, "keys", "rotate"); !strings.Contains(out, "already") {
		t.Errorf("rotate again says: %s", out)
	}
	s.set("vault.master_key_previous", "")
	same("with the new master key alone")
}

func key(t *testing.T, file string) string {
	t.Helper()
	k, err := vault.LoadMaster("", file)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(k)
}

// A node must not make a master key of its own for a database that others use.
func TestKeyDatabaseNeedsMasterKey(t *testing.T) {
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + t.TempDir(), config.EnvName("vault.store") + "=postgres://parley@127.0.0.1:1/keys"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Open(context.WithoutCancel(t.Context()), cfg, nil, discard()); err == nil || !strings.Contains(err.Error(), "parley keys master") {
		t.Errorf("Open: %v, want what to do", err)
	}
	if _, err := os.Stat(cfg.MasterKeyFile()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a master key: %v", err)
	}
}
