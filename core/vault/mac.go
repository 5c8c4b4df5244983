package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
)

// macs derives a key per purpose from the root (HKDF-SHA-256, RFC 5869) and
// keeps keyed hash states for reuse. Purposes are constants of the program,
// so the map is small.
type macs struct {
	root []byte
	of   sync.Map // purpose string -> *sync.Pool of *macState
}

type macState struct {
	hash hash.Hash
	buf  []byte
}

// MAC is HMAC-SHA-256 over parts under a key that is used for purpose alone. Parts are
// length-prefixed, so ("ab","c") and ("a","bc") differ. The result is the same on every node that
// shares the key store, for as long as the key store exists.
func (v *Vault) MAC(purpose string, parts ...[]byte) [32]byte {
	p := v.macs.pool(purpose)
	s := p.Get().(*macState)
	s.buf = s.buf[:0]
	for _, part := range parts {
		s.buf = binary.BigEndian.AppendUint64(s.buf, uint64(len(part)))
		s.buf = append(s.buf, part...)
	}
	s.hash.Reset()
	_, _ = s.hash.Write(s.buf) // a hash never fails
	s.buf = s.hash.Sum(s.buf[:0])
	sum := [32]byte(s.buf)
	p.Put(s)
	return sum
}

// Subkey is a 32-byte key for purpose, to be given to a plugin or used elsewhere (identity header,
// visitor address, URL signing). It differs from the key that MAC uses for the same purpose, and no
// other key can be derived from it.
func (v *Vault) Subkey(purpose string) []byte { return v.macs.derive("parley/subkey/" + purpose) }

func (m *macs) derive(info string) []byte {
	k, err := hkdf.Key(sha256.New, m.root, nil, info, keySize)
	if err != nil { // happens only for lengths that are not allowed; 32 is allowed
		panic(fmt.Sprintf("vault: derive key: %v", err))
	}
	return k
}

func (m *macs) pool(purpose string) *sync.Pool {
	if p, ok := m.of.Load(purpose); ok {
		return p.(*sync.Pool)
	}
	key := m.derive("parley/mac/" + purpose)
	p, _ := m.of.LoadOrStore(purpose, &sync.Pool{New: func() any {
		return &macState{hash: hmac.New(sha256.New, key), buf: make([]byte, 0, 128)}
	}})
	return p.(*sync.Pool)
}
