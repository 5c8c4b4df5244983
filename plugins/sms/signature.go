package sms

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the carrier's scheme is HMAC-SHA1
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
)

// signatureHeader is the header with a webhook's signature.
const signatureHeader = "X-Twilio-Signature"

// verifier checks signatures with the tokens of one account, the primary token first. Safe for
// concurrent use.
type verifier struct {
	keys []*sync.Pool // of *signer
}

// signer is a keyed hash with a buffer for its input.
type signer struct {
	mac  hash.Hash
	text []byte
}

func newVerifier(tokens ...string) *verifier {
	v := &verifier{}
	for _, token := range tokens {
		if token != "" {
			v.keys = append(v.keys, &sync.Pool{New: func() any { return &signer{mac: hmac.New(sha1.New, []byte(token))} }})
		}
	}
	return v
}

// verify reports whether the signature belongs to the URL and the parameters, which are sorted by
// name. The carrier signs the URL with or without its port, so both are tried. The comparison takes
// the same time whatever is wrong.
func (v *verifier) verify(address string, params []param, signature string) bool {
	with, without := ports(address)
	for _, pool := range v.keys {
		s := pool.Get().(*signer)
		ok := s.matches(address, params, signature) ||
			with != address && s.matches(with, params, signature) ||
			without != address && s.matches(without, params, signature)
		pool.Put(s)
		if ok {
			return true
		}
	}
	return false
}

func (s *signer) matches(address string, params []param, signature string) bool {
	s.text = append(s.text[:0], address...)
	for i := range params {
		s.text = append(s.text, params[i].name...)
		s.text = append(s.text, params[i].value...)
	}
	s.mac.Reset()
	_, _ = s.mac.Write(s.text)
	var sum [sha1.Size]byte
	var want [28]byte // room for the base64 of 20 bytes
	base64.StdEncoding.Encode(want[:], s.mac.Sum(sum[:0]))
	return subtle.ConstantTimeCompare(want[:], []byte(signature)) == 1
}

// ports returns the URL with its scheme's standard port added, if it has no port, and with any port
// removed.
func ports(address string) (with, without string) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address, address
	}
	host, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, tail = rest[:i], rest[i:]
	}
	// A colon within brackets belongs to an IPv6 address.
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return address, scheme + "://" + host[:i] + tail
	}
	standard := ":443"
	if scheme == "http" {
		standard = ":80"
	}
	return scheme + "://" + host + standard + tail, address
}

// bodyMatches compares a body with the lower-case hexadecimal SHA-256 that is in the signed URL.
func bodyMatches(body []byte, want string) bool {
	sum := sha256.Sum256(body)
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	return subtle.ConstantTimeCompare(text[:], []byte(want)) == 1
}
