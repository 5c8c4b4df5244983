package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

const keySize = 32

// Sealed bytes are: one byte of format, 12 bytes of random nonce, the ciphertext, 16 bytes of tag
// (AES-256-GCM, NIST SP 800-38D). Random nonces are safe for 2^32 messages under one key; a
// conversation has far fewer.
const (
	sealFormat = 1
	// Overhead is how many bytes longer sealed bytes are than plain ones.
	Overhead = 1 + 12 + 16
)

// dataKey is an unwrapped key with which data can be sealed.
type dataKey struct {
	id   int64
	aead cipher.AEAD
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("vault: cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(b)
}

// Seal encrypts plain under a data key and authenticates aad with it. Open must be given the same
// aad. plain may be empty. Errors: ErrDestroyed, ErrUnknownKey, ErrDamaged.
func (v *Vault) Seal(keyID int64, aad, plain []byte) ([]byte, error) {
	return v.AppendSeal(make([]byte, 0, len(plain)+Overhead), keyID, aad, plain)
}

// AppendSeal appends the sealed form of plain to dst, which must not overlap plain, and returns the
// extended slice. If dst has room for len(plain)+Overhead more bytes and the key is in memory, it
// allocates nothing.
func (v *Vault) AppendSeal(dst []byte, keyID int64, aad, plain []byte) ([]byte, error) {
	aead, err := v.aead(keyID)
	if err != nil {
		return nil, fmt.Errorf("vault: seal under key %d: %w", keyID, err)
	}
	return aead.Seal(append(dst, sealFormat), nil, plain, aad), nil
}

// Open decrypts what Seal made. Errors: ErrDestroyed, ErrUnknownKey,
// ErrDamaged, ErrSealed.
func (v *Vault) Open(keyID int64, aad, sealed []byte) ([]byte, error) {
	aead, err := v.aead(keyID)
	if err != nil {
		return nil, fmt.Errorf("vault: open under key %d: %w", keyID, err)
	}
	if len(sealed) < Overhead || sealed[0] != sealFormat {
		return nil, fmt.Errorf("vault: open under key %d: %w", keyID, ErrSealed)
	}
	plain, err := aead.Open(make([]byte, 0, len(sealed)-Overhead), nil, sealed[1:], aad)
	if err != nil {
		return nil, fmt.Errorf("vault: open under key %d: %w", keyID, ErrSealed)
	}
	return plain, nil
}

func (v *Vault) aead(id int64) (cipher.AEAD, error) {
	if a, ok := v.cache.get(id); ok {
		return a, nil
	}
	since := v.cache.drops()
	key, err := v.load(id)
	if err != nil {
		return nil, err
	}
	a, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	v.cache.putSince(since, id, a)
	return a, nil
}

// load reads and unwraps a key. It takes one indexed read, which the store bounds, so no context is
// needed.
func (v *Vault) load(id int64) ([]byte, error) {
	v.loads.Add(1)
	ctx := context.Background()
	k, err := v.store.key(ctx, id)
	switch {
	case errors.Is(err, ErrUnknownKey):
		if v.missing.add(id) {
			v.log.Error("a data key is not in the key store: what it sealed cannot be read; was an old copy of the key store restored?", "key", id)
		}
		return nil, err
	case err != nil:
		v.failures.Add(1)
		return nil, err
	case k.wrapped == nil:
		return nil, ErrDestroyed
	}
	plain, err := v.masters.unwrap(labelKey, id, k.wrapped)
	if err == nil {
		return plain, nil
	}
	// A key is only called damaged, and its conversation gets another, if this node has the master
	// keys that the store has at present.
	if _, err := v.root(ctx); err != nil {
		return nil, err
	}
	if v.damaged.add(id) {
		v.log.Error("a data key is damaged: what it sealed cannot be read; restore the key store from its backup", "key", id)
	}
	return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// root returns the unwrapped MAC root, nil if there is none. Errors: ErrMaster; ErrRotating if the
// store has keys of a former master key that this node does not have.
func (v *Vault) root(ctx context.Context) ([]byte, error) {
	wrapped, err := v.store.meta(ctx, metaRoot)
	if err != nil || wrapped == nil {
		return nil, err
	}
	_, root, err := v.masters.of(metaRoot, wrapped)
	if err != nil {
		return nil, err
	}
	former, err := v.store.meta(ctx, metaRotating)
	if err != nil || former == nil {
		return root, err
	}
	if _, _, err := v.masters.of(metaRotating, former); err != nil {
		return nil, ErrRotating
	}
	return root, nil
}
