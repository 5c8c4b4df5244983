// Package identity makes and checks the Parley-Identity header, by which the gateway's proxy tells
// a plugin who sent a request (DESIGN.md 7): base64url JSON, a dot, and the base64url HMAC-SHA-256
// of that JSON. The JSON contains method, path and time, so a header cannot be used for another
// request. The key comes with each Configure and never leaves the two processes.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header is the name of the HTTP header.
const Header = "Parley-Identity"

// Lifetime is how long after its issue time a header is valid.
const Lifetime = 60 * time.Second

// Skew is how far in the future an issue time may lie, for clocks that differ.
const Skew = 5 * time.Second

// Errors that Verify returns, possibly wrapped.
var (
	ErrMalformed = errors.New("identity: malformed header")
	ErrSignature = errors.New("identity: wrong signature")
	ErrExpired   = errors.New("identity: expired")
	ErrBinding   = errors.New("identity: made for another request")
)

// Identity is what the gateway knows of the sender of a proxied request.
type Identity struct {
	// Subject is the agent's id, or the visitor's address; "" on a public route.
	Subject string `json:"sub,omitempty"`
	// Role is "agent", "supervisor", "admin", "visitor", or "" on a public route.
	Role string `json:"role,omitempty"`
	// Name is the display name; "" = not known.
	Name string `json:"name,omitempty"`
	// Conversation, Account, Thread, Purpose, Instance and GrantID are those of the grant that the
	// request used; "" without one.
	Conversation string `json:"conversation,omitempty"`
	Account      string `json:"account,omitempty"`
	Thread       string `json:"thread,omitempty"`
	Purpose      string `json:"purpose,omitempty"`
	Instance     string `json:"instance,omitempty"`
	GrantID      string `json:"jti,omitempty"`
	// RemoteIP is the client's address as the gateway saw it.
	RemoteIP string `json:"ip,omitempty"`
}

// envelope is the signed text: an Identity bound to one request.
type envelope struct {
	Identity
	Method string `json:"m"`
	Path   string `json:"p"`
	Issued int64  `json:"iat"` // when it was signed, in seconds since the Unix epoch
}

// Sign returns the header's value for a request with method and path (as the
// plugin sees it, without query), issued at now.
func Sign(key []byte, id Identity, method, path string, now time.Time) (string, error) {
	if len(key) == 0 {
		return "", errors.New("identity: sign: no key")
	}
	text, err := json.Marshal(envelope{Identity: id, Method: method, Path: path, Issued: now.Unix()})
	if err != nil {
		return "", fmt.Errorf("identity: sign: %w", err)
	}
	payload := base64.RawURLEncoding.EncodeToString(text)
	return payload + "." + base64.RawURLEncoding.EncodeToString(sum(key, payload)), nil
}

// Verify checks a header's value against the request that carries it.
func Verify(key []byte, header, method, path string, now time.Time) (Identity, error) {
	payload, mac, ok := strings.Cut(header, ".")
	if !ok || payload == "" || mac == "" {
		return Identity{}, ErrMalformed
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}
	if len(key) == 0 || !hmac.Equal(got, sum(key, payload)) {
		return Identity{}, ErrSignature
	}
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return Identity{}, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}
	issued := time.Unix(e.Issued, 0)
	if now.After(issued.Add(Lifetime)) || issued.After(now.Add(Skew)) {
		return Identity{}, ErrExpired
	}
	if e.Method != method || e.Path != path {
		return Identity{}, ErrBinding
	}
	return e.Identity, nil
}

func sum(key []byte, payload string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(payload))
	return mac.Sum(nil)
}
