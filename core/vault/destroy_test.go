package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-gateway/parley/core/vault"
)

// wrappedKey reads a key's wrapped form from the store.
func wrappedKey(t *testing.T, o vault.Options, id int64) []byte {
	t.Helper()
	var w []byte
	if err := raw(t, o).QueryRowContext(t.Context(), `SELECT wrapped FROM vault_keys WHERE id = $1`, id).Scan(&w); err != nil {
		t.Fatal(err)
	}
	return w
}

// filesHolding lists the files of dir that contain want.
func filesHolding(t *testing.T, dir string, want []byte) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, want) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestDestroy(t *testing.T) {
	o := options(t)
	dir := filepath.Dir(o.Path)
	v := openVault(t, o)
	gone, stays := assign(t, v), assign(t, v)
	sealedGone, err := v.Seal(gone, nil, []byte("erase me"))
	if err != nil {
		t.Fatal(err)
	}
	sealedStays, err := v.Seal(stays, nil, []byte("keep me"))
	if err != nil {
		t.Fatal(err)
	}
	ro, err := vault.OpenReadOnly(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ro.Close() }()
	wrapped := wrappedKey(t, o, gone)
	if !onServer() && len(filesHolding(t, dir, wrapped)) == 0 {
		t.Fatal("the wrapped key is in no file before Destroy: the check below would prove nothing")
	}

	if err := v.Destroy(t.Context(), gone, 999_999); err != nil {
		t.Fatalf("Destroy: %v", err)
	}
	if onServer() {
		if w := wrappedKey(t, o, gone); w != nil {
			t.Errorf("the destroyed key is still in the table: %x", w)
		}
	} else if names := filesHolding(t, dir, wrapped); len(names) > 0 {
		t.Errorf("destroyed key still lies in %v", names)
	}
	for name, v := range map[string]*vault.Vault{"owner": v, "read only": ro} {
		if _, err := v.Open(gone, nil, sealedGone); !errors.Is(err, vault.ErrDestroyed) {
			t.Errorf("%s: Open under the destroyed key: error %v, want ErrDestroyed", name, err)
		}
		if _, err := v.Seal(gone, nil, nil); !errors.Is(err, vault.ErrDestroyed) {
			t.Errorf("%s: Seal under the destroyed key: error %v, want ErrDestroyed", name, err)
		}
		if got, err := v.Open(stays, nil, sealedStays); err != nil || string(got) != "keep me" {
			t.Errorf("%s: Open under a neighbour's key: got %q, %v", name, got, err)
		}
	}

	_ = ro.Close()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v = openVault(t, o)
	if _, err := v.Open(gone, nil, sealedGone); !errors.Is(err, vault.ErrDestroyed) {
		t.Errorf("after a restart: error %v, want ErrDestroyed", err)
	}
}
