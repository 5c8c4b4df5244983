package blob

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// maxUploaders is how many uploaders are counted at once. Agents are configured by an
// administrator, so no attacker can make their number grow.
const maxUploaders = 50_000

// usage names a count: an agent's bytes or an agent's files.
type usage struct {
	who   conversation.AgentID
	bytes bool // true counts bytes, false files
}

// QuotaError is an ErrQuota that says after what time uploads are possible again.
type QuotaError struct{ After time.Duration }

// Error implements error.
func (*QuotaError) Error() string { return ErrQuota.Error() }

// Unwrap makes errors.Is recognise an ErrQuota.
func (*QuotaError) Unwrap() error { return ErrQuota }

// take counts what an agent uploads within an hour. Refused uploads count too, since receiving them
// has cost the same. Plugins are not counted: a plugin that must wait for an hour would give up a
// picture whose webhook the carrier has been told is accepted, and chats have limits of their own.
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
