package directory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/directory"
)

// PR21: a contact that is deleted while the key store is away is gone, but the answer does not say that
// it is erased; its key must be destroyed as soon as the key store is back, whoever runs then.
func TestSpentKeysAreDestroyedLater(t *testing.T) {
	f := open(t)
	c, err := f.PutContact(t.Context(), directory.Contact{Name: "Cora"})
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("key store is away")
	f.vault.fail(away)
	if err := f.DeleteContact(t.Context(), c.ID); !errors.Is(err, away) {
		t.Errorf("DeleteContact: %v, want the key store's error", err)
	}
	if _, err := f.Contact(t.Context(), c.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("Contact: %v, want ErrNotFound", err)
	}
	if n := f.vault.held(); n != 1 {
		t.Fatalf("the vault has %d keys, want 1: the test shows nothing", n)
	}
	f.another(t, 5*time.Millisecond) // finds it at its start, and again until it succeeds
	f.vault.fail(nil)
	spent := f.raw(t)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var left int
		if err := spent.QueryRowContext(t.Context(), `SELECT count(*) FROM spent_keys`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 && f.vault.held() == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d keys are noted as spent, %d are in the vault", left, f.vault.held())
		}
	}
}
