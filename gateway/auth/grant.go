package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/sessions"
)

// GrantLifetime is how long after its making a grant can be redeemed.
const GrantLifetime = 60 * time.Second

// maxRedeemed bounds the memory for redeemed grants. They are kept for their lifetime only, so this
// allows more than a thousand openings a second.
const maxRedeemed = 100_000

// RoleVisitor is the role in a customer's grant.
const RoleVisitor = "visitor"

// ErrGrant: a grant is unknown, expired, already redeemed, or for another purpose; the caller is
// not told which. HTTP 403.
var ErrGrant = errors.New("auth: grant not valid")

// Grant lets whoever holds it open one thing at a plugin, once (DESIGN.md 7).
type Grant struct {
	ID           string                      `json:"jti"` // made by Mint
	Subject      string                      `json:"sub"` // the agent's id, or the visitor's thread
	Name         string                      `json:"name,omitempty"`
	Role         string                      `json:"role"`          // a directory.Role or RoleVisitor
	Session      string                      `json:"sid,omitempty"` // the agent's session in hex; when it ends, what the grant opened is closed
	Conversation conversation.ConversationID `json:"conversation,omitzero"`
	Account      conversation.AccountID      `json:"account,omitzero"`
	Thread       string                      `json:"thread,omitempty"`
	Plugin       string                      `json:"plugin"`
	Instance     string                      `json:"instance,omitempty"` // the plugin's generation; "" means any
	Purpose      string                      `json:"purpose"`
	IssuedAt     int64                       `json:"iat"` // ms since 1970, made by Mint
	ExpiresAt    int64                       `json:"exp"` // ms since 1970, made by Mint
}

// SessionID is the session of an agent's grant; ok is false for a visitor's.
func (g Grant) SessionID() (id sessions.ID, ok bool) {
	b, err := hex.DecodeString(g.Session)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, true
}

// Grants mints and redeems grants. A grant is encrypted, so its holder cannot read it. Safe for
// concurrent use.
//
// Only this process knows which grants were redeemed. It refuses grants minted before it started,
// so a restart never lets a grant be redeemed twice.
type Grants struct {
	aead    cipher.AEAD
	now     func() time.Time
	started int64

	mu       sync.Mutex
	redeemed map[string]int64 // when each redeemed grant expires, by its id
	swept    int64
}

// NewGrants needs a 32-byte key of its own (vault.Subkey("grant")), and the
// installation's time, by which grants expire; nil: time.Now.
func NewGrants(key []byte, now func() time.Time) (*Grants, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("auth: grants: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(b)
	if err != nil {
		return nil, fmt.Errorf("auth: grants: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	return &Grants{aead: aead, now: now, started: now().UnixMilli(), redeemed: map[string]int64{}}, nil
}

// Mint makes a grant; the caller has checked that the subject may have it. expires is in the
// system's time, for the holder of the grant to compare with their clock.
func (g *Grants) Mint(grant Grant) (token string, expires time.Time, err error) {
	if grant.Purpose == "" || grant.Plugin == "" {
		return "", time.Time{}, errors.New("auth: a grant needs a plugin and a purpose")
	}
	now := g.now()
	grant.ID, grant.IssuedAt, grant.ExpiresAt = rand.Text(), now.UnixMilli(), now.Add(GrantLifetime).UnixMilli()
	plain, err := json.Marshal(grant)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("auth: mint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(g.aead.Seal(nil, nil, plain, []byte("grant"))), time.Now().Add(GrantLifetime), nil
}

// MintVisitor makes a grant for the customer of a thread (plugin.Granter).
func (g *Grants) MintVisitor(_ context.Context, plugin, instance string, account conversation.AccountID, thread, purpose string) (string, time.Time, error) {
	return g.Mint(Grant{
		Subject: thread, Role: RoleVisitor, Account: account, Thread: thread,
		Plugin: plugin, Instance: instance, Purpose: purpose,
	})
}

// Redeem decrypts a grant and uses it up. With purpose "" every purpose is accepted, and the caller
// checks what the grant says. Errors: ErrGrant, ErrBusy.
func (g *Grants) Redeem(token, purpose string) (Grant, error) {
	var grant Grant
	if len(token) > 4096 {
		return grant, ErrGrant
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return grant, ErrGrant
	}
	plain, err := g.aead.Open(nil, nil, sealed, []byte("grant"))
	if err != nil || json.Unmarshal(plain, &grant) != nil {
		return Grant{}, ErrGrant
	}
	now := g.now().UnixMilli()
	if now >= grant.ExpiresAt || grant.IssuedAt < g.started || (purpose != "" && grant.Purpose != purpose) {
		return Grant{}, ErrGrant
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now-g.swept > 10_000 || len(g.redeemed) >= maxRedeemed {
		g.swept = now
		for id, exp := range g.redeemed {
			if exp <= now {
				delete(g.redeemed, id)
			}
		}
	}
	if _, twice := g.redeemed[grant.ID]; twice {
		return Grant{}, ErrGrant
	}
	if len(g.redeemed) >= maxRedeemed {
		return Grant{}, ErrBusy
	}
	g.redeemed[grant.ID] = grant.ExpiresAt
	return grant, nil
}
