package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/gateway/control"
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

func openAndClose(t *testing.T, cfg config.Config) error {
	t.Helper()
	s, err := stores.Open(t.Context(), cfg, nil, discard())
	if err != nil {
		return err
	}
	return s.Close()
}

// A master key that is missing beside existing data is never replaced by a new one: every command
// refuses, says why, and does not change the folder.
func TestMissingMasterKey(t *testing.T) {
	for name, lost := range map[string]func(config.Config) []string{
		"key alone":    func(c config.Config) []string { return []string{c.MasterKeyFile()} },
		"key and keys": func(c config.Config) []string { return []string{c.MasterKeyFile(), c.Keys()} },
		"key and log":  func(c config.Config) []string { return []string{c.MasterKeyFile(), c.Database()} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := folder(t)
			if err := openAndClose(t, cfg); err != nil { // a new folder gets a key
				t.Fatal(err)
			}
			for _, f := range lost(cfg) {
				for _, f := range []string{f, f + "-wal", f + "-shm"} {
					if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Fatal(err)
					}
				}
			}
			if err := openAndClose(t, cfg); !errors.Is(err, stores.ErrNoMaster) {
				t.Errorf("the start says %v, want that the master key is missing", err)
			}
			var out bytes.Buffer
			a := &app{ctx: t.Context(), stdout: &out, stderr: &out}
			f := configFlags{Data: cfg.Data}
			for what, err := range map[string]error{
				"user add": f.change(a, control.User{Login: "adam", Name: "Adam", Role: directory.RoleAdmin, Add: true}),
				"log":      (&logCmd{configFlags: f}).Run(a),
			} {
				if err == nil {
					t.Errorf("%s goes on without the master key", what)
				}
			}
			if f := doctor.MasterKey(cfg); f.Status != "fail" || !strings.Contains(f.Detail, "missing beside existing data") {
				t.Errorf("doctor says %+v", f)
			}
			if _, err := os.Stat(cfg.MasterKeyFile()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a master key again: %v", err)
			}
			for _, f := range lost(cfg)[1:] {
				if _, err := os.Stat(f); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s was made anew: %v", f, err)
				}
			}
		})
	}
}

// Doctor counts damaged keys; the stores can be opened all the same (FT13).
func TestDoctorShowsDamagedKeys(t *testing.T) {
	cfg := folder(t)
	s, err := stores.Open(t.Context(), cfg, nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	svc, err := s.Directory.PutService(t.Context(), directory.Service{Name: "Support"})
	if err != nil {
		t.Fatal(err)
	}
	var accounts [2]conversation.AccountID
	for i := range accounts {
		a, err := s.Directory.PutAccount(t.Context(), directory.Account{Name: fmt.Sprint("A", i), Plugin: "sms", Service: svc.ID, Enabled: true}, map[string]string{"token": "t"})
		if err != nil {
			t.Fatal(err)
		}
		accounts[i] = a.ID
	}
	_, err = s.Log.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
		{Stream: eventlog.StreamID{1}, Events: []eventlog.Event{{Type: "note/1", Head: []byte(`{}`)}}},
	}})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if f := doctor.DataKeys(t.Context(), cfg); len(f) != 1 || f[0].Status != "ok" {
		t.Errorf("whole keys: doctor says %+v", f)
	}
	db, err := sql.Open("sqlite", cfg.Keys())
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `UPDATE vault_keys SET wrapped = randomblob(length(wrapped)) WHERE id = 1`) // the key of the first account
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if f := doctor.DataKeys(t.Context(), cfg); len(f) != 1 || f[0].Status != "warn" || !strings.Contains(f[0].Detail, "1 of ") {
		t.Errorf("a damaged key: doctor says %+v", f)
	}
	if s, err = stores.Open(t.Context(), cfg, nil, discard()); err != nil {
		t.Fatalf("the start beside a damaged key: %v", err)
	}
	list, err := accountConfigs(t.Context(), s.Directory, discard())
	if err != nil || len(list) != 2 {
		t.Errorf("accounts for the plugins: %v, %v; want both", list, err)
	}
	for _, a := range list {
		if a.Enabled != (a.ID == accounts[1]) {
			t.Errorf("account %s is on: %v; want the one off whose secrets are lost, and only that", a.Name, a.Enabled)
		}
	}
	if n := s.Vault.Damaged(); n != 1 {
		t.Errorf("%d damaged keys are counted, want 1", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
