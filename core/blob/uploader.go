package blob

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// maxUploaders is how many are counted at once. Agents are configured, so their
// number is nobody's to choose.
const maxUploaders = 50_000

// usage is what is counted of whom.
type usage struct {
	who   conversation.AgentID
	bytes bool // else files
}

// QuotaError is an ErrQuota that says when there is room again.
type QuotaError struct{ After time.Duration }

// Error implements error.
func (*QuotaError) Error() string { return ErrQuota.Error() }

// Unwrap gives ErrQuota.
func (*QuotaError) Unwrap() error { return ErrQuota }

// take counts what an agent uploads within an hour. Nothing gives it back: what
// was received and then refused has cost the same. Plugins are not counted here:
// one that were told to wait for an hour gives up a picture that a carrier's
// webhook was acknowledged for, and chats have limits of their own.
func (s *Store) take(who conversation.AgentID, bytes bool, n int64) error {
	if who.IsZero() {
		return nil
	}
	limit := s.opts.UploaderFiles
	if bytes {
		limit = s.opts.UploaderBytes
	}
	if after, ok := s.used.Take(s.opts.Now(), usage{who, bytes}, n, limit); !ok {
		return &QuotaError{after}
	}
	return nil
}
