package doctor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/internal/doctor"
	"github.com/parley-gateway/parley/internal/stores"
)

func folder(t *testing.T) config.Config {
	t.Helper()
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestDoctorKeepsTheKeyStore: with the wrong master key the key store itself is intact, and an
// older backup in its place would lose keys. A key store that is missing beside existing data is a
// fault, even if the gateway has never run (FT13).
func TestDoctorKeepsTheKeyStore(t *testing.T) {
	cfg := folder(t)
	s, err := stores.Open(t.Context(), cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(cfg.MasterKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{"another": bytes.Repeat([]byte("ab"), 32), "no key": []byte("x")} {
		if err := os.WriteFile(cfg.MasterKeyFile(), key, 0o600); err != nil {
			t.Fatal(err)
		}
		if f := doctor.DataKeys(t.Context(), cfg); len(f) != 1 || f[0].Status != "fail" || !strings.Contains(f[0].Fix, "master key") || strings.Contains(f[0].Fix, "restore") {
			t.Errorf("%s as master key: doctor says %+v, want a failure that is about the master key only", name, f)
		}
	}
	if err := errors.Join(os.WriteFile(cfg.MasterKeyFile(), kept, 0o600), os.Remove(cfg.Keys())); err != nil {
		t.Fatal(err)
	}
	if f := doctor.DataKeys(t.Context(), cfg); len(f) != 1 || f[0].Status != "fail" || !strings.Contains(f[0].Fix, "restore") {
		t.Errorf("no key store: doctor says %+v, want a failure", f)
	}
}

// A server that cannot be reached is reported precisely and without the password.
func TestDoctorWithoutServer(t *testing.T) {
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + t.TempDir(), config.EnvName("store") + "=postgres://ana:canary@127.0.0.1:1/parley"})
	if err != nil {
		t.Fatal(err)
	}
	found := doctor.Database(t.Context(), cfg)
	if len(found) != 1 || found[0].Status != "fail" || found[0].Fix == "" || !strings.Contains(found[0].Detail, "connection refused") {
		t.Errorf("doctor: %+v", found)
	}
	_, openErr := stores.Open(context.WithoutCancel(t.Context()), cfg, nil, slog.New(slog.DiscardHandler))
	if openErr == nil {
		t.Fatal("opened a server that is not there")
	}
	if s := found[0].Detail + found[0].Fix + openErr.Error(); strings.Contains(s, "canary") {
		t.Errorf("the password shows in %s", s)
	}
}
