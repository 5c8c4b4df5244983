package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/vault"
)

// A conversation whose events are rewritten gets another data key, and the old one is destroyed
// (router.Rewrite). The rows of its attachments must be sealed under the new key before that. An
// upload that begins meanwhile is not lost: whoever comes second, Rekey or the upload, finds a row
// that is sealed under the old key.

// Rekey seals what the old keys of a conversation have sealed under newKey, and deletes the
// attachments in gone, which no message names any more, together with data keys of their own. The
// caller destroys the old keys afterwards. It may be repeated.
func (s *Store) Rekey(ctx context.Context, conv conversation.ConversationID, newKey int64, old []int64, gone []conversation.BlobID) error {
	for _, id := range gone {
		if err := s.erase(ctx, id, append([]int64{newKey}, old...)); err != nil {
			return fmt.Errorf("blob: rekey: %w", err)
		}
	}
	for again := true; again; {
		again = false
		rows, err := s.rows.OfConversation(ctx, conv)
		if err != nil {
			return fmt.Errorf("blob: rekey: %w", err)
		}
		for _, row := range rows {
			if !slices.Contains(old, row.KeyID) {
				continue
			}
			plain, err := s.vault.Open(row.KeyID, metaAAD(row.ID), row.SealedName)
			if vault.Lost(err) {
				continue // nobody can read it any more
			}
			if err == nil {
				err = s.reseal(ctx, row, newKey, plain)
			}
			if err != nil {
				return fmt.Errorf("blob: rekey: %w", err)
			}
			again = true // an upload may have added another row meanwhile
		}
	}
	return nil
}

// erase deletes an attachment and destroys its data key, unless that is one of a conversation's.
func (s *Store) erase(ctx context.Context, id conversation.BlobID, shared []int64) error {
	row, err := s.rows.Row(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		// Deleted before, perhaps by a call that was cut short: the content may still be there.
		if err = s.Delete(ctx, id); errors.Is(err, ErrNotFound) {
			err = s.removeAll(ctx, id)
		}
	}
	if err == nil && !slices.Contains(shared, row.KeyID) {
		err = s.vault.Destroy(ctx, row.KeyID)
	}
	return err
}

// reseal seals a row's secret part under another key. It is no error if somebody else has done so.
func (s *Store) reseal(ctx context.Context, row Row, newKey int64, plain []byte) error {
	sealed, err := s.vault.Seal(newKey, metaAAD(row.ID), plain)
	if err != nil {
		return err
	}
	if err := s.rows.Reseal(ctx, row.ID, row.KeyID, newKey, sealed); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// followKey seals a new row anew if its conversation has got another data key meanwhile.
func (s *Store) followKey(ctx context.Context, row *Row, plain []byte) error {
	if row.Conversation.IsZero() || s.opts.ConversationKey == nil {
		return nil
	}
	key, err := s.opts.ConversationKey(ctx, row.Conversation)
	if err != nil || key == row.KeyID {
		return err
	}
	switch err := s.reseal(ctx, *row, key, plain); {
	case vault.Lost(err):
		return nil // the conversation's key is lost, and the row has one of its own: see begin
	case err != nil:
		return err
	}
	row.KeyID = key
	return nil
}
