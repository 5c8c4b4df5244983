package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/internal/doctor"
	"github.com/parley-gateway/parley/internal/pgtest"
	"github.com/parley-gateway/parley/internal/stores"
)

// Log, records and keys of one node with PostgreSQL: they are written, opened again, read by
// `parley log` at the same time, and examined by `parley doctor`.
func TestStoreOnPostgres(t *testing.T) {
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	data := t.TempDir()
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + data, config.EnvName("store") + "=" + c.DSN(c.Database(t))})
	if err != nil {
		t.Fatal(err)
	}
	stream := eventlogtest.ID(1)
	for n := range uint64(2) {
		s, err := stores.Open(t.Context(), cfg, nil, discard())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Directory.PutSkill(t.Context(), directory.Skill{Name: "german"}); err != nil {
			t.Error(err)
		}
		_, err = s.Log.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
			{Stream: stream, Expect: n, Events: []eventlog.Event{{Type: "note/1", Head: []byte(`{"n":1}`)}}},
		}})
		if err != nil {
			t.Error(err)
		}
		if skills := s.Directory.Snapshot().Skills(); len(skills) != 1 {
			t.Errorf("start %d: skills %v", n, skills)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if found, err := filepath.Glob(filepath.Join(data, "parley.db*")); err != nil || len(found) > 0 {
		t.Errorf("the data folder holds %v, %v although the store is elsewhere", found, err)
	}
	file := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(file, []byte("data: "+data+"\nstore: "+cfg.DSN()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{ctx: t.Context(), stdout: &out, stderr: &out}
	if err := (&logCmd{configFlags: configFlags{Config: file}}).Run(a); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), `"type":"note/1"`); n != 2 {
		t.Errorf("parley log printed %d events, want 2:\n%s", n, out.String())
	}
	status := map[string]string{}
	for _, f := range doctor.Database(t.Context(), cfg) {
		status[f.Name] = f.Status
	}
	// The tests' server has no standby and runs without fsync, hence the warnings.
	if status["database"] != "ok" || status["database clock"] != "ok" || status["standby"] != "warn" || status["durability"] != "warn" {
		t.Errorf("doctor: %v", status)
	}
}
