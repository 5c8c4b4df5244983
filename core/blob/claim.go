package blob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/vault"
)

// How the store knows to which message an attachment belongs: the log says so. The append that
// makes a message durable binds LogKey of each attachment to that message, and the log binds a key
// once. So a message and its attachments are committed together or not at all, a refused message
// takes none, and the log must be asked before an unused attachment is removed (promises.md 4.3,
// decision 0017). The row's Used and Conversation are written after the commit: when they are set
// the log need not be asked; while they are unset they prove nothing.

// LogKey is the external id under which the log records an attachment.
func LogKey(v interface {
	MAC(purpose string, parts ...[]byte) [32]byte
}, id conversation.BlobID,
) (account eventlog.StreamID, key eventlog.Key) {
	return eventlog.StreamID(id), v.MAC("blob", id[:])
}

// Sender is the author of a message that names attachments.
type Sender struct {
	Conversation conversation.ConversationID
	// Account and Thread are where a customer's message came in. An agent's message has neither,
	// and may name only attachments that were uploaded to the conversation.
	Account conversation.AccountID
	Thread  eventlog.Key // zero: the thread is not known
}

// Found is an attachment that a message names.
type Found struct {
	conversation.File // zero: there is none that the sender may name
	// Used: an earlier message of the conversation names it already, so the log need not record it
	// again.
	Used bool
}

// Find describes the attachments that a message names, in order. It changes nothing: they belong to
// the message only when it is in the log, see Take.
func (s *Store) Find(ctx context.Context, by Sender, ids []conversation.BlobID) ([]Found, error) {
	found := make([]Found, len(ids))
	for i, id := range ids {
		row, m, err := s.row(ctx, id)
		switch {
		case err == nil:
			if by.may(&row) {
				found[i] = Found{fileOf(row, m), row.Used}
			}
		case errors.Is(err, ErrNotFound), errors.Is(err, vault.ErrDestroyed):
		case isLost(err):
			s.log.ErrorContext(ctx, "an attachment's row does not open", "err", err)
		default:
			return nil, fmt.Errorf("blob: find: %w", err)
		}
	}
	return found, nil
}

// isLost reports whether a row can never be opened again, as opposed to a temporary error.
func isLost(err error) bool {
	var syntax *json.SyntaxError
	return vault.Lost(err) || errors.Is(err, vault.ErrSealed) || errors.As(err, &syntax)
}

func (by Sender) may(row *Row) bool {
	switch {
	case row.Conversation == by.Conversation:
		return true
	case row.Used || !row.Conversation.IsZero():
		return false
	default:
		return !by.Account.IsZero() && row.Account == by.Account && (len(row.Thread) == 0 || eventlog.Key(row.Thread) == by.Thread)
	}
}

// Take records that the log has a message of conv that names ids. If it fails nothing is lost,
// since Sweep and Info ask the log.
func (s *Store) Take(ctx context.Context, conv conversation.ConversationID, ids []conversation.BlobID) error {
	if err := s.rows.Use(ctx, conv, ids...); err != nil {
		return fmt.Errorf("blob: take: %w", err)
	}
	return nil
}

// FollowLog updates an attachment's row to what the log says of it.
func (s *Store) FollowLog(ctx context.Context, id conversation.BlobID) error {
	_, err := s.followLog(ctx, id)
	return err
}

// followLog also reports whether a committed message names the attachment.
func (s *Store) followLog(ctx context.Context, id conversation.BlobID) (named bool, err error) {
	if s.opts.Named == nil {
		return false, nil
	}
	conv, err := s.opts.Named(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("blob: ask the log: %w", err)
	}
	return true, s.Take(ctx, conv, []conversation.BlobID{id})
}
