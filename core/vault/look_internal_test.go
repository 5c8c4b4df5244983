package vault

import (
	"context"
	"crypto/cipher"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// silentStore is a database that does not answer.
type silentStore struct{ store }

func (silentStore) shared() bool { return true }

func (silentStore) news(context.Context, int64) (news, error) {
	return news{}, errors.Join(ErrUnavailable, errors.New("silent"))
}

// A node that is cut off uses what it has in memory until StaleAfter, and not longer: it cannot know
// what others have destroyed.
func TestCutOffNodeForgetsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Vault{store: silentStore{}, cache: newCache(4), log: slog.New(slog.DiscardHandler), failed: make(chan struct{}), readOnly: true}
		v.contact.heard(7, nil)
		v.cache.put(1, cipher.AEAD(nil))
		v.start(t.Context(), nil)
		time.Sleep(StaleAfter - time.Second)
		if _, ok := v.cache.get(1); !ok {
			t.Error("the key was forgotten too early")
		}
		if err := v.Ready(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Ready: %v, want ErrUnavailable", err)
		}
		time.Sleep(3 * time.Second)
		if _, ok := v.cache.get(1); ok {
			t.Errorf("the key is still used %v after the last answer", v.Stats().Silent)
		}
		v.stop()
		v.done.Wait()
	})
}

// busyStore is a database in which this node makes a block just after it was read.
type busyStore struct {
	store
	v    *Vault
	root []byte
}

func (s busyStore) news(context.Context, int64) (news, error) {
	n := news{last: 8, root: s.root}
	s.v.pool.add([]spareKey{{dataKey: dataKey{id: 16}}})
	return n, nil
}

// A block that is made while the database is asked must not be taken for one that it has lost.
func TestBlockMadeMeanwhile(t *testing.T) {
	w, err := newWrapper(make([]byte, keySize))
	if err != nil {
		t.Fatal(err)
	}
	v := &Vault{cache: newCache(4), log: slog.New(slog.DiscardHandler), failed: make(chan struct{}), masters: masters{w}}
	v.store = busyStore{v: v, root: w.wrap(metaRoot, 0, make([]byte, keySize))}
	v.pool.add([]spareKey{{dataKey: dataKey{id: 8}}})
	v.look(t.Context())
	if err := v.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// A key that was read before it was destroyed, and comes late, must not get into the cache.
func TestLateReadIsNotCached(t *testing.T) {
	for name, drop := range map[string]func(*cache){
		"destroyed": func(c *cache) { c.drop([]int64{1}) },
		"cleared":   (*cache).clear,
	} {
		c := newCache(4)
		since := c.drops()
		drop(c)
		c.putSince(since, 1, nil)
		if _, ok := c.get(1); ok {
			t.Errorf("%s: the key is in the cache", name)
		}
		c.putSince(c.drops(), 1, nil)
		if _, ok := c.get(1); !ok {
			t.Errorf("%s: a key read afterwards is not in the cache", name)
		}
	}
}

// manyStore is a database in which more keys were destroyed than are listed.
type manyStore struct {
	store
	root []byte
}

func (s manyStore) news(context.Context, int64) (news, error) {
	return news{number: 3, many: true, root: s.root}, nil
}

// When too many keys were destroyed to be listed, none that is in memory may be used on.
func TestTooManyDestroyedToList(t *testing.T) {
	w, err := newWrapper(make([]byte, keySize))
	if err != nil {
		t.Fatal(err)
	}
	v := &Vault{cache: newCache(4), log: slog.New(slog.DiscardHandler), failed: make(chan struct{}), masters: masters{w}}
	v.store = manyStore{root: w.wrap(metaRoot, 0, make([]byte, keySize))}
	v.cache.put(1, cipher.AEAD(nil))
	v.look(t.Context())
	if _, ok := v.cache.get(1); ok {
		t.Error("a key is still in memory")
	}
	if number, _, err := v.contact.state(); err != nil || number != 3 {
		t.Errorf("the next look asks after %d, %v; want 3", number, err)
	}
}
