package vault

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// LoadMaster reads a master key: from value (an environment variable's content) or, when value is
// empty, from the file at path. Both forms hold 32 bytes as 64 hex digits or as standard base64;
// white space around them is ignored. Giving both is an error, so that neither is ignored silently.
func LoadMaster(value, path string) ([]byte, error) {
	switch {
	case value != "" && path != "":
		return nil, errors.New("vault: master key given both as a value and as a file")
	case value == "" && path == "":
		return nil, errors.New("vault: no master key given")
	case value == "":
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("vault: read master key: %w", err)
		}
		value = string(b)
	}
	value = strings.TrimSpace(value)
	key, err := hex.DecodeString(value)
	if err != nil {
		key, err = base64.StdEncoding.DecodeString(value)
	}
	if err != nil || len(key) != keySize {
		return nil, ErrMasterSyntax // the error shows nothing of the input
	}
	return key, nil
}

// CreateMaster makes a random master key and writes it to a new file with mode 0600, in base64. The
// file appears complete or not at all and is durable on return. An existing file is not changed:
// the error is fs.ErrExist.
func CreateMaster(path string) (_ []byte, err error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-*") // makes the file with mode 0600
	if err != nil {
		return nil, fmt.Errorf("vault: create master key: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("vault: write master key: %w", err)
	}
	// A link, unlike a rename, never replaces an existing key.
	if err := os.Link(f.Name(), path); err != nil {
		return nil, fmt.Errorf("vault: create master key: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, fmt.Errorf("vault: create master key: %w", err)
	}
	return key, nil
}

// labelKey is the wrapping label of data keys.
const labelKey = "key"

// masters are the master keys that a node has: the configured one, and the former one while the
// installation changes from one to the other.
type masters []*wrapper

func newMasters(o Options) (masters, error) {
	m := make(masters, 0, 2)
	for i, key := range [][]byte{o.Master, o.Previous} {
		if i > 0 && len(key) == 0 {
			continue
		}
		w, err := newWrapper(key)
		if err != nil {
			return nil, err
		}
		m = append(m, w)
	}
	return m, nil
}

// of returns the master key that wrapped a value of vault_meta, and what is in it; ErrMaster if
// this node does not have it.
func (m masters) of(label string, wrapped []byte) (*wrapper, []byte, error) {
	for _, w := range m {
		if key, err := w.unwrap(label, 0, wrapped); err == nil {
			return w, key, nil
		}
	}
	return nil, nil, ErrMaster
}

func (m masters) unwrap(label string, id int64, wrapped []byte) (key []byte, err error) {
	for _, w := range m {
		if key, err = w.unwrap(label, id, wrapped); err == nil {
			return key, nil
		}
	}
	return nil, err
}

// wrapper encrypts keys under a master key; label and id are authenticated too, so that rows cannot
// be swapped.
type wrapper struct{ aead cipher.AEAD }

func newWrapper(master []byte) (*wrapper, error) {
	if len(master) != keySize {
		return nil, ErrMasterSyntax
	}
	a, err := newAEAD(master)
	if err != nil {
		return nil, err
	}
	return &wrapper{aead: a}, nil
}

func (w *wrapper) wrap(label string, id int64, key []byte) []byte {
	return w.aead.Seal(nil, nil, key, wrapAAD(label, id))
}

func (w *wrapper) unwrap(label string, id int64, wrapped []byte) ([]byte, error) {
	key, err := w.aead.Open(nil, nil, wrapped, wrapAAD(label, id))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("unwrap: %w", ErrSealed)
	}
	return key, nil
}

func wrapAAD(label string, id int64) []byte {
	return binary.BigEndian.AppendUint64([]byte("parley/wrap/"+label+"/"), uint64(id))
}
