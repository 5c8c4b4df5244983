package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-gateway/parley/core/vault"
)

func TestLoadMaster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "master")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(master)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		value, path string
		ok          bool
	}{
		"hex":          {value: hex.EncodeToString(master), ok: true},
		"base64":       {value: base64.StdEncoding.EncodeToString(master), ok: true},
		"file":         {path: file, ok: true},
		"both":         {value: hex.EncodeToString(master), path: file},
		"neither":      {},
		"short":        {value: hex.EncodeToString(master[:31])},
		"nonsense":     {value: "correct horse battery staple"},
		"missing file": {path: file + ".no"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := vault.LoadMaster(c.value, c.path)
			if (err == nil) != c.ok || (c.ok && !bytes.Equal(got, master)) {
				t.Errorf("LoadMaster(%q, %q) = %x, %v, want ok %v", c.value, c.path, got, err, c.ok)
			}
			if err != nil && c.value != "" && bytes.Contains([]byte(err.Error()), []byte(c.value)) {
				t.Errorf("the error shows the value: %v", err)
			}
		})
	}
}

func TestCreateMaster(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	key, err := vault.CreateMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := vault.LoadMaster("", path)
	if err != nil || !bytes.Equal(loaded, key) {
		t.Errorf("LoadMaster: got %x, %v, want %x", loaded, err, key)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode: got %v, %v, want 0600", st.Mode(), err)
	}
	if _, err := vault.CreateMaster(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CreateMaster over an existing key: error %v, want fs.ErrExist", err)
	}
	if again, _ := vault.LoadMaster("", path); !bytes.Equal(again, key) {
		t.Error("the existing key was changed")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("files left behind: %v", entries)
	}
}
