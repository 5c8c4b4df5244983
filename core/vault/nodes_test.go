package vault_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/vault"
)

// serverOptions name a new database; the test is skipped while files are tested.
func serverOptions(t *testing.T) vault.Options {
	t.Helper()
	if !onServer() {
		t.Skip("a database's test")
	}
	return options(t)
}

func seal(t *testing.T, v *vault.Vault, text string) (id int64, sealed []byte) {
	t.Helper()
	id = assign(t, v)
	sealed, err := v.Seal(id, nil, []byte(text))
	if err != nil {
		t.Fatalf("Seal under %d: %v", id, err)
	}
	return id, sealed
}

// Nodes that make the store at the same moment, and assign from it at the same time, must have one
// root and never the same key; each opens what the others seal (DESIGN.md 9).
func TestNodesShareOneStore(t *testing.T) {
	o := serverOptions(t)
	const nodes, each = 4, 60
	var vaults [nodes]*vault.Vault
	var used sync.Map // id -> sealed
	var wg sync.WaitGroup
	for i := range vaults {
		wg.Go(func() {
			v, err := vault.Open(t.Context(), o)
			if err != nil {
				t.Errorf("node %d: Open: %v", i, err)
				return
			}
			vaults[i] = v
			for range each {
				id, err := v.Assign()
				if err != nil {
					t.Errorf("node %d: Assign: %v", i, err)
					return
				}
				sealed, err := v.Seal(id, nil, []byte("x"))
				if err != nil {
					t.Errorf("node %d: Seal: %v", i, err)
				}
				if _, twice := used.LoadOrStore(id, sealed); twice {
					t.Errorf("key %d assigned twice", id)
				}
			}
		})
	}
	wg.Wait()
	for i, v := range vaults {
		if v == nil {
			continue
		}
		used.Range(func(id, sealed any) bool {
			if got, err := v.Open(id.(int64), nil, sealed.([]byte)); err != nil || string(got) != "x" {
				t.Errorf("node %d: Open under %d: %q, %v", i, id, got, err)
			}
			return true
		})
		if v.MAC("thread", []byte("a")) != vaults[0].MAC("thread", []byte("a")) || !bytes.Equal(v.Subkey("visitor"), vaults[0].Subkey("visitor")) {
			t.Errorf("node %d computes other keyed hashes than node 0", i)
		}
		if err := v.Close(); err != nil {
			t.Errorf("node %d: Close: %v", i, err)
		}
	}
	v := openVault(t, o)
	if keys, bad, err := v.Check(t.Context()); err != nil || len(bad) > 0 || keys != nodes*each+o.BlockSize {
		t.Errorf("Check after orderly stops: %d keys, damaged %v, %v; want the %d that were assigned and a new block", keys, bad, err, nodes*each)
	}
}

// PR21: what one node has destroyed, another that has the key in memory must not open for longer than
// the documented bound. Other keys stay in its memory.
func TestOtherNodeSeesDestroy(t *testing.T) {
	o := serverOptions(t)
	a, b := openVault(t, o), openVault(t, o)
	gone, sealedGone := seal(t, a, "erase me")
	stays, sealedStays := seal(t, a, "keep me")
	for _, s := range [][]byte{sealedGone, sealedStays} {
		id := gone
		if &s[0] == &sealedStays[0] {
			id = stays
		}
		if _, err := b.Open(id, nil, s); err != nil {
			t.Fatalf("Open on the other node: %v", err)
		}
	}
	if err := a.Destroy(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	destroyed := time.Now()
	for {
		_, err := b.Open(gone, nil, sealedGone)
		if errors.Is(err, vault.ErrDestroyed) {
			break
		}
		if took := time.Since(destroyed); err != nil || took > vault.DestroyedWithin {
			t.Fatalf("%v after Destroy the other node opens what it erased (%v), want an end within %v", took, err, vault.DestroyedWithin)
		}
		time.Sleep(10 * time.Millisecond) // asks again until the bound
	}
	before := b.Stats()
	if got, err := b.Open(stays, nil, sealedStays); err != nil || string(got) != "keep me" {
		t.Errorf("Open under a neighbour's key: %q, %v", got, err)
	}
	if s := b.Stats(); s.Loads != before.Loads || s.Removed != 1 {
		t.Errorf("a neighbour's key was read again, or the wrong keys were dropped: %+v", s)
	}
}

// While the key database is away, what is in memory must be usable, nobody may wait for longer than
// the bound, Ready must say so, and work must go on by itself when the database is back.
func TestServerAway(t *testing.T) {
	o := serverOptions(t)
	o.Patience = time.Second
	const bound = 20 * time.Second // each waits for one attempt or two; one after the other they would wait twice as long
	c := engines.Cluster()
	for name, f := range map[string]struct{ away, back func() error }{
		"frozen":  {c.Freeze, c.Thaw},
		"crashed": {func() error { return c.Crash(context.WithoutCancel(t.Context())) }, func() error { return c.Restart(context.WithoutCancel(t.Context())) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			o.DSN = engines.DSN(t)
			v := openVault(t, o)
			id, sealed := seal(t, v, "x")
			uncached, sealed2 := seal(t, openVault(t, o), "y")
			if err := f.away(); err != nil {
				t.Fatal(err)
			}
			back := sync.OnceValue(f.back)
			t.Cleanup(func() { _ = back() }) // in case the test ends early
			if got, err := v.Open(id, nil, sealed); err != nil || string(got) != "x" {
				t.Errorf("Open under a key in memory: %q, %v", got, err)
			}
			began := time.Now()
			if _, err := v.Open(uncached, nil, sealed2); !errors.Is(err, vault.ErrUnavailable) || vault.Lost(err) {
				t.Errorf("Open under another key: %v, want ErrUnavailable", err)
			}
			if took := time.Since(began); took > bound {
				t.Errorf("that took %v with a patience of %v", took, o.Patience)
			}
			var wg sync.WaitGroup
			began = time.Now()
			for range 5 * o.BlockSize {
				wg.Go(func() {
					if _, err := v.Assign(); err != nil && !errors.Is(err, vault.ErrUnavailable) {
						t.Errorf("Assign: %v, want a spare key or ErrUnavailable", err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); took > bound {
				t.Errorf("many that need keys waited %v with a patience of %v", took, o.Patience)
			}
			if _, err := v.Assign(); !errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("Assign without spare keys: %v, want ErrUnavailable", err)
			}
			if err := v.Destroy(t.Context(), id); !errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("Destroy: %v, want ErrUnavailable", err)
			}
			eventually(t, func() bool { return errors.Is(v.Ready(), vault.ErrUnavailable) }, "Ready does not say that the database is away")
			if err := back(); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool { return v.Ready() == nil }, "Ready does not say that the database is back")
			eventually(t, func() bool { _, err := v.Assign(); return err == nil }, "no keys are made again")
			if got, err := v.Open(uncached, nil, sealed2); err != nil || string(got) != "y" {
				t.Errorf("Open afterwards: %q, %v", got, err)
			}
		})
	}
}

func eventually(t *testing.T, ok func() bool, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(text)
		}
	}
}

// A database that has lost what it had confirmed would give the same ids to two nodes: a node that
// notices must assign nothing more.
func TestServerWentBack(t *testing.T) {
	o := serverOptions(t)
	v := openVault(t, o)
	assign(t, v)
	if _, err := raw(t, o).ExecContext(t.Context(), `UPDATE vault_state SET last = 1`); err != nil {
		t.Fatal(err)
	}
	select {
	case <-v.Failed():
	case <-time.After(30 * time.Second):
		t.Fatal("the vault has not failed")
	}
	if _, err := v.Assign(); !errors.Is(err, vault.ErrFailed) {
		t.Errorf("Assign: %v, want ErrFailed", err)
	}
	if err := v.Ready(); !errors.Is(err, vault.ErrFailed) {
		t.Errorf("Ready: %v, want ErrFailed", err)
	}
}
