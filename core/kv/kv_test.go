package kv_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/kv"
)

func TestKV(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	if _, _, found, err := f.Get(ctx, "echo", "a"); found || err != nil {
		t.Errorf("Get of nothing: found %v, %v", found, err)
	}
	for i, c := range []struct {
		value       string
		ifVersion   uint64
		conditional bool
		version     uint64
		ok          bool
	}{
		{"one", 5, true, 0, false}, // the value does not exist
		{"one", 0, true, 1, true},
		{"two", 0, true, 1, false}, // the value exists
		{"two", 0, false, 2, true},
		{"three", 1, true, 2, false}, // the value was changed
		{"three", 2, true, 3, true},
	} {
		version, ok, err := f.Put(ctx, "echo", "a", []byte(c.value), c.ifVersion, c.conditional)
		if version != c.version || ok != c.ok || err != nil {
			t.Errorf("Put %d: got version %d, %v, %v; want %d, %v", i, version, ok, err, c.version, c.ok)
		}
	}
	value, version, found, err := f.Get(ctx, "echo", "a")
	if string(value) != "three" || version != 3 || !found || err != nil {
		t.Errorf("Get: %q, %d, %v, %v", value, version, found, err)
	}
	if _, _, found, err := f.Get(ctx, "other", "a"); found || err != nil {
		t.Errorf("another plugin's Get: found %v, %v", found, err)
	}
	for name, put := range map[string]func() error{
		"empty key":   func() error { _, _, err := f.Put(ctx, "echo", "", nil, 0, false); return err },
		"long key":    func() error { _, _, err := f.Put(ctx, "echo", strings.Repeat("k", 513), nil, 0, false); return err },
		"large value": func() error { _, _, err := f.Put(ctx, "echo", "k", make([]byte, 64<<10+1), 0, false); return err },
	} {
		if err := put(); !errors.Is(err, kv.ErrSize) {
			t.Errorf("%s: got %v, want ErrKVSize", name, err)
		}
	}
	if _, _, err := f.Put(ctx, "echo", "max", make([]byte, 64<<10), 0, false); err != nil {
		t.Errorf("a value of 64 KiB: %v", err)
	}
	for range 2 {
		if err := f.Delete(ctx, "echo", "a"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if version, ok, err := f.Put(ctx, "echo", "a", nil, 0, true); version != 1 || !ok || err != nil {
		t.Errorf("Put after Delete: version %d, %v, %v", version, ok, err)
	}
}

func TestKVList(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	for _, k := range []string{"a", "b/1", "b/2", "b/3", "b%x", "bé", "c", "B/9"} {
		if _, _, err := f.Put(ctx, "echo", k, nil, 0, false); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		prefix, after string
		limit         int
		want          []string
	}{
		"all":              {"", "", 100, []string{"B/9", "a", "b%x", "b/1", "b/2", "b/3", "bé", "c"}},
		"prefix":           {"b/", "", 100, []string{"b/1", "b/2", "b/3"}},
		"limit":            {"b/", "", 2, []string{"b/1", "b/2"}},
		"next page":        {"b/", "b/2", 2, []string{"b/3"}},
		"no wildcards":     {"b%", "", 100, []string{"b%x"}},
		"wide character":   {"bé", "", 100, []string{"bé"}},
		"nothing":          {"zzz", "", 100, nil},
		"not a number":     {"", "", -1, nil},
		"of another store": {"b/1", "", 100, []string{"b/1"}},
	} {
		got, err := f.List(ctx, "echo", c.prefix, c.after, c.limit)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if got, err := f.List(ctx, "other", "", "", 10); err != nil || len(got) != 0 {
		t.Errorf("another plugin's List: %v, %v", got, err)
	}
}

// Plugins build locks and counters on conditional puts, so only one of several writers may win.
func TestKVCompareAndSet(t *testing.T) {
	f := open(t)
	var wins atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, ok, err := f.Put(t.Context(), "echo", "lock", fmt.Append(nil, i), 0, true); err != nil {
				t.Error(err)
			} else if ok {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d of 8 took the lock, want 1", wins.Load())
	}
}

func TestKVWithoutKeys(t *testing.T) {
	f := open(t)
	f.vault.err = errNoKey
	if _, _, err := f.Put(t.Context(), "echo", "a", nil, 0, false); !errors.Is(err, errNoKey) {
		t.Errorf("Put without a data key: got %v", err)
	}
	f.vault.err = nil
	if _, ok, err := f.Put(t.Context(), "echo", "a", []byte("x"), 0, false); !ok || err != nil {
		t.Errorf("Put afterwards: %v, %v", ok, err)
	}
	if v, _, _, err := f.another(t).Get(t.Context(), "echo", "a"); string(v) != "x" || err != nil {
		t.Errorf("Get after a restart: %q, %v", v, err)
	}
}

// Both engines must refuse keys with NUL or with bytes that are not text.
func TestKVKeysAreText(t *testing.T) {
	f := open(t)
	for _, key := range []string{"a\x00b", "\xff", ""} {
		if _, _, err := f.Put(t.Context(), "echo", key, nil, 0, false); !errors.Is(err, kv.ErrSize) {
			t.Errorf("Put(%q): got %v, want ErrKVSize", key, err)
		}
		if _, _, found, err := f.Get(t.Context(), "echo", key); found || err != nil {
			t.Errorf("Get(%q): found %v, %v", key, found, err)
		}
		if err := f.Delete(t.Context(), "echo", key); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
	}
}
