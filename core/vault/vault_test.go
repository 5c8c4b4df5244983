package vault_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/internal/enginetest"
)

// engines runs every test on a file, and again on a database.
var engines enginetest.Engines

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		runChild()
	}
	os.Exit(engines.Run(m))
}

func onServer() bool { return engines.Dialect() == database.Postgres }

var (
	master = bytes.Repeat([]byte{7}, 32)
	other  = bytes.Repeat([]byte{8}, 32)
)

// fileOptions name a new file.
func fileOptions(t testing.TB) vault.Options {
	t.Helper()
	return vault.Options{Path: filepath.Join(t.TempDir(), "keys.db"), Master: master, BlockSize: 8}
}

// options name a new store of the engine under test.
func options(t testing.TB) vault.Options {
	t.Helper()
	o := fileOptions(t)
	if onServer() {
		o.Path, o.DSN = "", engines.DSN(t)
	}
	return o
}

func openVault(t *testing.T, o vault.Options) *vault.Vault {
	t.Helper()
	v, err := vault.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return v
}

func assign(t *testing.T, v *vault.Vault) int64 {
	t.Helper()
	id, err := v.Assign()
	if err != nil {
		t.Fatalf("Assign: %v", err)
	}
	return id
}

func TestSealOpensOnlyUnderSameKeyAndAAD(t *testing.T) {
	v := openVault(t, options(t))
	a, b := assign(t, v), assign(t, v)
	sealed, err := v.Seal(a, []byte("aad"), []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("hello")) {
		t.Error("sealed bytes contain the plain text")
	}
	cut := sealed[:len(sealed)-1]
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		key    int64
		aad    string
		sealed []byte
		want   error
	}{
		"same":         {a, "aad", sealed, nil},
		"other key":    {b, "aad", sealed, vault.ErrSealed},
		"other aad":    {a, "aaD", sealed, vault.ErrSealed},
		"cut":          {a, "aad", cut, vault.ErrSealed},
		"bit flipped":  {a, "aad", flipped, vault.ErrSealed},
		"empty":        {a, "aad", nil, vault.ErrSealed},
		"unknown key":  {1 << 40, "aad", sealed, vault.ErrUnknownKey},
		"other format": {a, "aad", append([]byte{9}, sealed[1:]...), vault.ErrSealed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Open(c.key, []byte(c.aad), c.sealed)
			if !errors.Is(err, c.want) {
				t.Fatalf("Open: error %v, want %v", err, c.want)
			}
			if c.want == nil && string(got) != "hello" {
				t.Errorf("Open: got %q, want %q", got, "hello")
			}
		})
	}
}

func TestSealProperty(t *testing.T) {
	v := openVault(t, options(t))
	key := assign(t, v)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		aad := rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
		prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix")
		out, err := v.AppendSeal(bytes.Clone(prefix), key, aad, plain)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(out, prefix) || len(out) != len(prefix)+len(plain)+vault.Overhead {
			t.Fatalf("AppendSeal: got %d bytes, want prefix %d + plain %d + %d", len(out), len(prefix), len(plain), vault.Overhead)
		}
		got, err := v.Open(key, aad, out[len(prefix):])
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("Open: got %x, %v, want %x", got, err, plain)
		}
	})
}

func TestSealedReadableAfterRestart(t *testing.T) {
	o := options(t)
	v := openVault(t, o)
	key := assign(t, v)
	sealed, err := v.Seal(key, nil, []byte("kept"))
	if err != nil {
		t.Fatal(err)
	}
	mac := v.MAC("thread", []byte("a"))
	sub := v.Subkey("visitor")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(context.Context, vault.Options) (*vault.Vault, error){
		"owner": vault.Open, "read only": vault.OpenReadOnly,
	} {
		t.Run(name, func(t *testing.T) {
			v, err := open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = v.Close() }()
			if got, err := v.Open(key, nil, sealed); err != nil || string(got) != "kept" {
				t.Errorf("Open after restart: got %q, %v", got, err)
			}
			if v.MAC("thread", []byte("a")) != mac {
				t.Error("MAC changed over a restart")
			}
			if !bytes.Equal(v.Subkey("visitor"), sub) {
				t.Error("Subkey changed over a restart")
			}
		})
	}
}

func TestReadOnlyBesideOwner(t *testing.T) {
	o := options(t)
	v := openVault(t, o)
	ro, err := vault.OpenReadOnly(t.Context(), o)
	if err != nil {
		t.Fatalf("OpenReadOnly beside the owner: %v", err)
	}
	defer func() { _ = ro.Close() }()
	for range 20 { // more keys than the block that existed when ro was opened
		key := assign(t, v)
		sealed, err := v.Seal(key, nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ro.Open(key, nil, sealed); err != nil {
			t.Fatalf("read-only Open of key %d: %v", key, err)
		}
	}
	if _, err := ro.Assign(); !errors.Is(err, vault.ErrReadOnly) {
		t.Errorf("Assign: error %v, want ErrReadOnly", err)
	}
	if err := ro.Destroy(t.Context(), 1); !errors.Is(err, vault.ErrReadOnly) {
		t.Errorf("Destroy: error %v, want ErrReadOnly", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	held := options(t)
	openVault(t, held) // keeps the store open
	for name, c := range map[string]struct {
		change func(*vault.Options)
		open   func(context.Context, vault.Options) (*vault.Vault, error)
		want   error
	}{
		"wrong master":          {func(o *vault.Options) { o.Master = other }, vault.OpenReadOnly, vault.ErrMaster},
		"short master":          {func(o *vault.Options) { o.Master = o.Master[:16] }, vault.OpenReadOnly, vault.ErrMasterSyntax},
		"short former master":   {func(o *vault.Options) { o.Previous = o.Master[:16] }, vault.OpenReadOnly, vault.ErrMasterSyntax},
		"store lost, keys used": {func(o *vault.Options) { *o = options(t); o.Floor = 3 }, vault.Open, vault.ErrKeysLost},
	} {
		t.Run(name, func(t *testing.T) {
			o := held
			c.change(&o)
			v, err := c.open(t.Context(), o)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err == nil {
				_ = v.Close()
			}
		})
	}
	t.Run("second owner of a file", func(t *testing.T) {
		o := fileOptions(t)
		openVault(t, o)
		if _, err := vault.Open(t.Context(), o); !errors.Is(err, vault.ErrLocked) {
			t.Errorf("error %v, want ErrLocked", err)
		}
	})
	t.Run("database that was never used", func(t *testing.T) {
		if !onServer() {
			t.Skip("a file that is missing cannot be opened for reading")
		}
		if _, err := vault.OpenReadOnly(t.Context(), options(t)); !errors.Is(err, vault.ErrKeysLost) {
			t.Errorf("error %v, want ErrKeysLost", err)
		}
	})
}

func TestWrongMasterLeavesStoreUsable(t *testing.T) {
	o := options(t)
	v := openVault(t, o)
	_ = v.Close()
	bad := o
	bad.Master = other
	if _, err := vault.Open(t.Context(), bad); !errors.Is(err, vault.ErrMaster) {
		t.Fatalf("Open with a wrong master: error %v, want ErrMaster", err)
	}
	openVault(t, o)
}

func TestAssign(t *testing.T) {
	t.Run("ids grow across restarts and never repeat", func(t *testing.T) {
		o := options(t)
		var last int64
		for round := range 5 {
			v := openVault(t, o)
			for range 11 {
				id := assign(t, v)
				if id <= last {
					t.Fatalf("round %d: assigned %d after %d", round, id, last)
				}
				last = id
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if last != 55 && !onServer() {
			t.Errorf("after 55 assignments with orderly stops the id is %d: keys were wasted", last)
		}
	})
	t.Run("above the floor", func(t *testing.T) {
		o := options(t)
		_ = openVault(t, o).Close()
		o.Floor = 1000
		if id := assign(t, openVault(t, o)); id <= 1000 {
			t.Errorf("assigned %d, want above 1000", id)
		}
	})
	t.Run("concurrent callers get different keys", func(t *testing.T) {
		v := openVault(t, options(t))
		var seen sync.Map
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					id, err := v.Assign()
					if err != nil {
						t.Errorf("Assign: %v", err)
						return
					}
					if _, twice := seen.LoadOrStore(id, true); twice {
						t.Errorf("key %d assigned twice", id)
					}
					if _, err := v.Seal(id, nil, nil); err != nil {
						t.Errorf("Seal under %d: %v", id, err)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("after close", func(t *testing.T) {
		v := openVault(t, options(t))
		_ = v.Close()
		for range 20 {
			if _, err := v.Assign(); !errors.Is(err, vault.ErrClosed) {
				t.Fatalf("Assign after Close: error %v, want ErrClosed", err)
			}
		}
	})
}

func TestSmallCacheStillOpens(t *testing.T) {
	o := options(t)
	o.CacheSize = 2
	v := openVault(t, o)
	sealed := map[int64][]byte{}
	for range 20 {
		id := assign(t, v)
		s, err := v.Seal(id, nil, []byte{byte(id)})
		if err != nil {
			t.Fatal(err)
		}
		sealed[id] = s
	}
	for id, s := range sealed {
		if got, err := v.Open(id, nil, s); err != nil || !bytes.Equal(got, []byte{byte(id)}) {
			t.Errorf("Open(%d): got %x, %v", id, got, err)
		}
	}
}

func TestMAC(t *testing.T) {
	v := openVault(t, options(t))
	base := v.MAC("thread", []byte("ab"), []byte("c"))
	if again := v.MAC("thread", []byte("ab"), []byte("c")); again != base {
		t.Error("the same input gave another MAC")
	}
	for name, got := range map[string][32]byte{
		"other split":   v.MAC("thread", []byte("a"), []byte("bc")),
		"joined":        v.MAC("thread", []byte("abc")),
		"other purpose": v.MAC("external", []byte("ab"), []byte("c")),
		"no parts":      v.MAC("thread"),
	} {
		if got == base {
			t.Errorf("%s: gives the same MAC", name)
		}
	}
	if bytes.Equal(v.Subkey("a"), v.Subkey("b")) {
		t.Error("two purposes share a subkey")
	}
	if len(v.Subkey("a")) != 32 {
		t.Errorf("Subkey: got %d bytes, want 32", len(v.Subkey("a")))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if v.MAC("thread", []byte("ab"), []byte("c")) != base {
					t.Error("concurrent MAC differs")
				}
			}
		})
	}
	wg.Wait()
}

// raw opens the store without the vault.
func raw(t testing.TB, o vault.Options) *sql.DB {
	t.Helper()
	if o.DSN != "" {
		return engines.Raw(t, o.DSN)
	}
	db, err := sql.Open("sqlite", "file:"+o.Path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// flip changes one bit of each of the stored keys.
func flip(t *testing.T, o vault.Options, ids ...int64) {
	t.Helper()
	db := raw(t, o)
	for _, id := range ids {
		var wrapped []byte
		if err := db.QueryRowContext(t.Context(), `SELECT wrapped FROM vault_keys WHERE id = $1`, id).Scan(&wrapped); err != nil {
			t.Fatal(err)
		}
		wrapped[20] ^= 4
		if _, err := db.ExecContext(t.Context(), `UPDATE vault_keys SET wrapped = $1 WHERE id = $2`, wrapped, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// FT13: a flipped bit in a key must lose only what that key sealed, and nothing if the key was not
// used yet; the start must succeed.
func TestDamagedKeys(t *testing.T) {
	o := options(t)
	v, err := vault.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := assign(t, v), assign(t, v)
	sealed := map[int64][]byte{}
	for _, id := range []int64{good, bad} {
		if sealed[id], err = v.Seal(id, nil, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	spare := bad + 2
	if onServer() { // an orderly stop leaves no spare keys in a database
		spare = bad
	}
	flip(t, o, slices.Compact([]int64{bad, spare})...)
	v = openVault(t, o)
	if plain, err := v.Open(good, nil, sealed[good]); err != nil || string(plain) != "hello" {
		t.Errorf("beside a damaged key: %q, %v", plain, err)
	}
	for range 2 {
		if _, err := v.Open(bad, nil, sealed[bad]); !errors.Is(err, vault.ErrDamaged) {
			t.Errorf("under the damaged key: %v, want ErrDamaged", err)
		}
	}
	if n := v.Damaged(); n != 1 {
		t.Errorf("%d damaged keys are counted, want 1", n)
	}
	if keys, ids, err := v.Check(t.Context()); err != nil || len(ids) != 1 || ids[0] != bad || keys < 8 {
		t.Errorf("Check: %d keys, damaged %v, %v; want %d alone, the spare one is dropped", keys, ids, err, bad)
	}
	for range 20 {
		id := assign(t, v)
		if id == spare {
			t.Errorf("the damaged spare key %d was assigned", id)
		}
		if _, err := v.Seal(id, nil, []byte("x")); err != nil {
			t.Errorf("under key %d: %v", id, err)
		}
	}
}
