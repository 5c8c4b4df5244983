package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/parley-gateway/parley/config"
)

func TestLoadGood(t *testing.T) {
	c, err := config.Load("testdata/good.yaml", []string{"PARLEY_NODE=gw-2", "PARLEY_LOGIN__IDLE_TIMEOUT=30m", "HOME=/root"})
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if c.Node != "gw-2" {
		t.Errorf("node: got %q, want the environment's gw-2 over the file's", c.Node)
	}
	if got := c.Login.IdleTimeout.Duration(); got != 30*time.Minute {
		t.Errorf("login.idle_timeout: got %v, want 30m", got)
	}
	if got := c.Login.AbsoluteTimeout.Duration(); got != 24*time.Hour {
		t.Errorf("login.absolute_timeout: got %v, want 24h from a plain number of seconds", got)
	}
	if got := c.Plugins.Builtin; len(got) != 2 || got[0] != "webchat" || got[1] != "sms" {
		t.Errorf("plugins.builtin: got %v, want the default [webchat sms]", got)
	}
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatalf("Print: %v", err)
	}
	for _, want := range []string{"# PARLEY_NODE", "# testdata/good.yaml:13", "# default"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("Print: no origin %q in\n%s", want, b.String())
		}
	}
}

// TestLoadBad: each file under testdata/bad contains one mistake, named by the file; the .want file
// has the expected messages. No message contains a secret.
func TestLoadBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yaml"), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(f, ".yaml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Load(f, nil)
			var faults config.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("Load(%s): got %v, want Faults", f, err)
			}
			for line := range strings.Lines(string(want)) {
				if line = strings.TrimSpace(line); !strings.Contains(faults.Error(), line) {
					t.Errorf("Load(%s):\n got  %s\n want %s", f, faults.Error(), line)
				}
			}
			if strings.Contains(faults.Error(), "canary") {
				t.Errorf("Load(%s) tells the secret: %s", f, faults.Error())
			}
		})
	}
}

func TestEnvironmentFaults(t *testing.T) {
	_, err := config.Load("", []string{"PARLEY_LISTEN__PUBLC=:80", "PARLEY_DRAIN=never"})
	for _, want := range []string{"PARLEY_LISTEN__PUBLC: unknown variable", "PARLEY_DRAIN: drain: want a duration"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load: got %v, want %q", err, want)
		}
	}
}

func TestSecretsPrintMasked(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte("canary-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load("", []string{"PARLEY_VAULT__MASTER_KEY_FILE=" + file})
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if got := c.Vault.MasterKey.Reveal(); got != "canary-secret" {
		t.Fatalf("master key from file: got %q", got)
	}
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(map[string]any{"key": c.Vault.MasterKey})
	if err != nil {
		t.Fatal(err)
	}
	if s := b.String() + string(j); strings.Contains(s, "canary") {
		t.Errorf("secret shows in %s", s)
	}
}

func TestSchemaAcceptsTheGoodFile(t *testing.T) {
	b, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("parley.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("parley.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(map[string]any{"listen": map[string]any{"public": ":80"}, "drain": "8s"}); err != nil {
		t.Errorf("schema refuses a good file: %v", err)
	}
	if err := s.Validate(map[string]any{"listen": map[string]any{"pubic": ":80"}}); err == nil {
		t.Error("schema takes an unknown key")
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, src string) {
		name := filepath.Join(t.TempDir(), "parley.yaml")
		if err := os.WriteFile(name, []byte(src), 0o600); err != nil {
			t.Skip(err)
		}
		c, err := config.Load(name, nil)
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Errorf("Load took what Validate refuses: %v", err)
			}
		}
	})
}
