package kv_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/kv"
	"github.com/parley-gateway/parley/internal/enginetest"
)

// engines runs every test on SQLite, then on PostgreSQL.
var engines enginetest.Engines

func TestMain(m *testing.M) { os.Exit(engines.Run(m)) }

// fixture is a store in a database of its own.
type fixture struct {
	*kv.Store
	dsn   string
	vault *memVault
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dsn: engines.DSN(t), vault: &memVault{}}
	f.Store = f.another(t)
	return f
}

// another opens the same store once more.
func (f *fixture) another(t *testing.T) *kv.Store {
	t.Helper()
	return kv.New(engines.Open(t, f.dsn), f.vault)
}

// memVault is a vault whose Open fails for another key or purpose than that of Seal; it does not
// hide the content.
type memVault struct {
	mu   sync.Mutex
	last int64
	err  error // when set, the error of Assign
}

var errNoKey = errors.New("no such key")

func (v *memVault) Assign() (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return 0, v.err
	}
	v.last++
	return v.last, nil
}

func label(keyID int64, aad []byte) []byte { return fmt.Appendf(nil, "%d %x ", keyID, aad) }

func (v *memVault) Seal(keyID int64, aad, plain []byte) ([]byte, error) {
	return append(label(keyID, aad), plain...), nil
}

func (v *memVault) Open(keyID int64, aad, sealed []byte) ([]byte, error) {
	l := label(keyID, aad)
	if len(sealed) < len(l) || !slices.Equal(sealed[:len(l)], l) {
		return nil, errNoKey
	}
	return sealed[len(l):], nil
}
