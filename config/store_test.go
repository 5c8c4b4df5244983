package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/config"
)

// Only the code that connects to the store gets its password.
func TestStorePassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("canary:@/ %x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string
		dsn  string
		show string
	}{
		"default":     {nil, "", "sqlite"},
		"inline":      {[]string{"PARLEY_STORE=postgres://ana:canary@db:5433/p?sslmode=require"}, "postgres://ana:canary@db:5433/p?sslmode=require", "postgres://ana:********@db:5433/p?sslmode=require"},
		"environment": {[]string{"PARLEY_STORE=postgresql://ana@db/p", "PARLEY_STORE_PASSWORD=canary"}, "postgresql://ana:canary@db/p", "postgresql://ana@db/p"},
		"file": {
			[]string{"PARLEY_STORE=postgres://ana@db/p", "PARLEY_STORE_PASSWORD_FILE=" + file},
			"postgres://ana:canary%3A%40%2F%20%25x@db/p", "postgres://ana@db/p",
		},
		"parameter": {[]string{"PARLEY_STORE=postgres://db/p?user=ana&password=canary"}, "postgres://db/p?user=ana&password=canary", "postgres://db/p?password=%2A%2A%2A%2A%2A%2A%2A%2A&user=ana"},
		"socket":    {[]string{"PARLEY_STORE=postgres://ana@/p?host=/run/postgresql"}, "postgres://ana@/p?host=/run/postgresql", "postgres://ana@/p?host=/run/postgresql"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Load("", c.env)
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.DSN(); got != c.dsn {
				t.Errorf("DSN: got %q, want %q", got, c.dsn)
			}
			if got := cfg.Store.String(); got != c.show {
				t.Errorf("String: got %q, want %q", got, c.show)
			}
			var b strings.Builder
			if err := cfg.Print(&b); err != nil {
				t.Fatal(err)
			}
			j, err := json.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			slog.New(slog.NewTextHandler(&b, nil)).Info("x", "store", cfg.Store)
			if s := b.String() + string(j) + fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg.Store); strings.Contains(s, "canary") {
				t.Errorf("the password shows in %s", s)
			}
		})
	}
}

// The key database has a password of its own, which only the code that connects to it gets.
func TestKeysPassword(t *testing.T) {
	cfg, err := config.Load("", []string{"PARLEY_STORE=postgres://ana@db/p", "PARLEY_VAULT__STORE=postgres://keys@db/k?sslmode=require", "PARLEY_VAULT__STORE_PASSWORD=canary"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.KeysDSN(), "postgres://keys:canary@db/k?sslmode=require"; got != want {
		t.Errorf("KeysDSN: got %q, want %q", got, want)
	}
	var b strings.Builder
	if err := cfg.Print(&b); err != nil {
		t.Fatal(err)
	}
	if s := b.String() + fmt.Sprintf("%v %+v", cfg, cfg) + cfg.DSN(); strings.Contains(s, "canary") {
		t.Errorf("the password shows in %s", s)
	}
	if cfg, err = config.Load("", nil); err != nil || cfg.KeysDSN() != "" {
		t.Errorf("by default: %q, %v; want a file", cfg.KeysDSN(), err)
	}
}
