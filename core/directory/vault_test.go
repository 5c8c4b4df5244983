package directory_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
)

// memVault is a vault in memory that really seals.
type memVault struct {
	mu   sync.Mutex
	root [32]byte
	keys map[int64]cipher.AEAD
	last int64
	err  error // error that Assign returns, when set
	away error // error that Destroy returns, when set
}

func newVault() *memVault {
	v := &memVault{keys: map[int64]cipher.AEAD{}}
	_, _ = rand.Read(v.root[:])
	return v
}

var errNoKey = errors.New("no such key")

func (v *memVault) Assign() (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return 0, v.err
	}
	var k [32]byte
	_, _ = rand.Read(k[:])
	b, err := aes.NewCipher(k[:])
	if err != nil {
		return 0, err
	}
	a, err := cipher.NewGCMWithRandomNonce(b)
	if err != nil {
		return 0, err
	}
	v.last++
	v.keys[v.last] = a
	return v.last, nil
}

func (v *memVault) key(id int64) (cipher.AEAD, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if a, ok := v.keys[id]; ok {
		return a, nil
	}
	return nil, errNoKey
}

func (v *memVault) Seal(id int64, aad, plain []byte) ([]byte, error) {
	a, err := v.key(id)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, plain, aad), nil
}

func (v *memVault) Open(id int64, aad, sealed []byte) ([]byte, error) {
	a, err := v.key(id)
	if err != nil {
		return nil, err
	}
	return a.Open(nil, nil, sealed, aad)
}

func (v *memVault) MAC(purpose string, parts ...[]byte) [32]byte {
	h := hmac.New(sha256.New, v.root[:])
	_, _ = h.Write([]byte(purpose))
	for _, p := range parts {
		_, _ = h.Write([]byte{0, byte(len(p)), byte(len(p) >> 8)})
		_, _ = h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// fail makes Destroy fail with err from now on; nil: no more.
func (v *memVault) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.away = err
}

// held is how many keys there are.
func (v *memVault) held() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.keys)
}

func (v *memVault) Destroy(_ context.Context, ids ...int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away != nil {
		return v.away
	}
	for _, id := range ids {
		delete(v.keys, id)
	}
	return nil
}
