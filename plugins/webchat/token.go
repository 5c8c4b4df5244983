package webchat

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// tokenBytes is the length of a visitor's token: 128 bits from the system's random generator.
const tokenBytes = 16

var errToken = errors.New("malformed visitor token")

// newToken makes a visitor's token: 22 characters of base64url.
func newToken() string {
	var b [tokenBytes]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// keys derives from one key all values that identify visitors or prove what they may do. The same
// key on all nodes gives the same values (DESIGN.md 7).
type keys struct{ key []byte }

func newKeys(visitorKey sdk.Secret) keys { return keys{key: []byte(visitorKey.Reveal())} }

// address derives from a token the visitor's address, which is also the name of its thread. The
// token cannot be computed from the address.
func (k keys) address(token string) (string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != tokenBytes {
		return "", errToken
	}
	return "web:" + k.sum(token), nil
}

// fileKey is the key with which a visitor asks for a file that its thread has shown.
func (k keys) fileKey(account sdk.AccountID, thread sdk.ThreadID, blob string) string {
	return k.sum("file", string(account), string(thread), blob)
}

// partKey proves that f is a file that the gateway has returned for an upload by this thread.
func (k keys) partKey(account sdk.AccountID, thread sdk.ThreadID, f sdk.File) string {
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], f.Size)
	binary.BigEndian.PutUint32(n[8:12], f.Width)
	binary.BigEndian.PutUint32(n[12:], f.Height)
	return k.sum("part", string(account), string(thread), string(f.Blob), f.Name, f.MIME, string(n[:]))
}

// equal compares two values of sum in constant time.
func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// sum is the base64url HMAC-SHA-256 of the pieces, each preceded by its length. A single piece, a
// token, has no length before it, so that no list can have the same sum.
func (k keys) sum(pieces ...string) string {
	mac := hmac.New(sha256.New, k.key)
	for _, p := range pieces {
		if len(pieces) > 1 {
			var n [4]byte
			binary.BigEndian.PutUint32(n[:], uint32(len(p)))
			mac.Write(n[:])
		}
		mac.Write([]byte(p))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
