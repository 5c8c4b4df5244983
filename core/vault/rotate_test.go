package vault_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/vault"
)

func keysOf(o vault.Options, now, before []byte) vault.Options {
	o.Master, o.Previous = now, before
	return o
}

// After a change of the master key everything sealed before must open with the new key alone, keyed
// hashes must be the same, destroyed keys stay destroyed, and the former key opens nothing.
func TestRotate(t *testing.T) {
	o := options(t)
	v := openVault(t, o)
	kept, sealed := seal(t, v, "kept")
	gone, _ := seal(t, v, "gone")
	if err := v.Destroy(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	damaged := assign(t, v)
	mac, sub := v.MAC("thread", []byte("a")), v.Subkey("visitor")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, o, damaged)
	keys, _, err := openReadOnly(t, o).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	both := keysOf(o, other, master)
	done, err := vault.Rotate(t.Context(), both)
	if err != nil || done != (vault.Rotated{Keys: keys - 1, Damaged: 1}) {
		t.Fatalf("Rotate: %+v, %v; want %d keys and one damaged", done, err, keys-1)
	}
	if again, err := vault.Rotate(t.Context(), both); err != nil || again != (vault.Rotated{}) {
		t.Errorf("Rotate again: %+v, %v; want nothing to do", again, err)
	}
	if _, err := vault.OpenReadOnly(t.Context(), o); !errors.Is(err, vault.ErrMaster) {
		t.Errorf("Open with the former key: %v, want ErrMaster", err)
	}
	v = openVault(t, keysOf(o, other, nil))
	if got, err := v.Open(kept, nil, sealed); err != nil || string(got) != "kept" {
		t.Errorf("Open: %q, %v", got, err)
	}
	if _, err := v.Seal(gone, nil, nil); !errors.Is(err, vault.ErrDestroyed) {
		t.Errorf("Seal under the destroyed key: %v, want ErrDestroyed", err)
	}
	if _, err := v.Seal(damaged, nil, nil); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("Seal under the damaged key: %v, want ErrDamaged", err)
	}
	if v.MAC("thread", []byte("a")) != mac || !bytes.Equal(v.Subkey("visitor"), sub) {
		t.Error("keyed hashes changed with the master key")
	}
	seal(t, v, "new")
}

func openReadOnly(t *testing.T, o vault.Options) *vault.Vault {
	t.Helper()
	v, err := vault.OpenReadOnly(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func TestRotateRefuses(t *testing.T) {
	o := options(t)
	empty := keysOf(o, other, master)
	if _, err := vault.Rotate(t.Context(), empty); err == nil {
		t.Error("Rotate of a store that is not there: no error")
	}
	v := openVault(t, o)
	if _, err := vault.Rotate(t.Context(), o); err == nil {
		t.Error("Rotate without a former key: no error")
	}
	if _, err := vault.Rotate(t.Context(), keysOf(o, other, bytes.Repeat([]byte{9}, 32))); !onServer() && !errors.Is(err, vault.ErrLocked) {
		t.Errorf("Rotate of a file in use: %v, want ErrLocked", err)
	} else if onServer() && !errors.Is(err, vault.ErrMaster) {
		t.Errorf("Rotate with keys that are not the store's: %v, want ErrMaster", err)
	}
	seal(t, v, "still works")
}

// Nodes with both keys must work while the master key changes, and destroy keys that are being
// wrapped anew. A node without the new key must call nothing damaged: what it cannot read is not
// lost.
func TestRotateWhileNodesRun(t *testing.T) {
	o := serverOptions(t)
	both := keysOf(o, other, master)
	late := openVault(t, o) // was not given the new key
	a := openVault(t, both)
	id, sealed := seal(t, a, "x") // wrapped by the former key until the change
	var gone []int64
	for range 50 {
		gone = append(gone, assign(t, a))
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for _, id := range gone {
			if err := a.Destroy(t.Context(), id); err != nil {
				t.Errorf("Destroy: %v", err)
			}
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := a.Assign(); err != nil {
				t.Errorf("Assign: %v", err)
				return
			}
		}
	}()
	if _, err := vault.Rotate(t.Context(), both); err != nil {
		t.Errorf("Rotate: %v", err)
	}
	close(stop)
	<-done
	next := openVault(t, keysOf(o, other, nil))
	if keys, bad, err := next.Check(t.Context()); err != nil || len(bad) > 0 || keys == 0 {
		t.Errorf("Check with the new key alone: %d keys, %v, %v", keys, bad, err)
	}
	if got, err := next.Open(id, nil, sealed); err != nil || string(got) != "x" {
		t.Errorf("Open: %q, %v", got, err)
	}
	for _, id := range gone {
		if _, err := next.Seal(id, nil, nil); !errors.Is(err, vault.ErrDestroyed) {
			t.Fatalf("Seal under a key destroyed meanwhile: %v, want ErrDestroyed", err)
		}
	}
	if _, err := late.Open(id, nil, sealed); !errors.Is(err, vault.ErrMaster) || vault.Lost(err) {
		t.Errorf("Open on a node without the new key: %v, want ErrMaster", err)
	}
	if n := late.Damaged(); n != 0 {
		t.Errorf("that node calls %d keys damaged", n)
	}
	eventually(t, func() bool { return errors.Is(late.Ready(), vault.ErrMaster) }, "Ready does not say that the node lacks the new key")
}

// A change of the master key that is interrupted leaves a store that needs both keys, says so, and is
// finished by the next one.
func TestRotateInterrupted(t *testing.T) {
	o := serverOptions(t)
	o.BlockSize = 1500
	v := openVault(t, o)
	id, sealed := seal(t, v, "first page")
	both := keysOf(o, other, master)
	db := raw(t, o)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after the one below
	if _, err := tx.ExecContext(t.Context(), `SELECT FROM vault_keys WHERE id = 1400 FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Rotate(t.Context(), both); !errors.Is(err, vault.ErrUnavailable) {
		t.Fatalf("Rotate while a row is locked: %v, want ErrUnavailable", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    vault.Options
		want error
	}{
		"former key alone": {o, vault.ErrMaster},
		"new key alone":    {keysOf(o, other, nil), vault.ErrRotating},
		"both":             {both, nil},
	} {
		v, err := vault.OpenReadOnly(t.Context(), c.o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Open: %v, want %v", name, err, c.want)
		}
		if err != nil {
			continue
		}
		if got, err := v.Open(id, nil, sealed); err != nil || string(got) != "first page" {
			t.Errorf("%s: Open: %q, %v", name, got, err)
		}
		if keys, bad, err := v.Check(t.Context()); err != nil || len(bad) > 0 || keys < 1500 {
			t.Errorf("%s: Check: %d keys, %v, %v", name, keys, bad, err)
		}
		_ = v.Close()
	}
	third := bytes.Repeat([]byte{9}, 32)
	if _, err := vault.Rotate(t.Context(), keysOf(o, third, other)); !errors.Is(err, vault.ErrRotating) {
		t.Errorf("another change before this one is finished: %v, want ErrRotating", err)
	}
	if _, err := vault.Rotate(t.Context(), both); err != nil {
		t.Fatalf("Rotate again: %v", err)
	}
	if keys, bad, err := openReadOnly(t, keysOf(o, other, nil)).Check(t.Context()); err != nil || len(bad) > 0 || keys < 1500 {
		t.Errorf("Check with the new key alone: %d keys, %v, %v", keys, bad, err)
	}
}
