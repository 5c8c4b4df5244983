package blob

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
)

// State is the stage that an attachment has reached.
type State string

// States of an attachment.
const (
	StateUploading State = "uploading"
	StateReady     State = "ready"
	StateOrphaned  State = "orphaned" // no message may name the attachment any more; its content will be deleted soon
	StateDeleted   State = "deleted"  // the content is deleted; the row stays and tells that there was one
)

// Row describes an attachment, whose content is in the bucket. The attachment belongs to
// Conversation. While that is zero it belongs to Account, and within the account to Thread when
// that is set.
type Row struct {
	ID            conversation.BlobID
	Conversation  conversation.ConversationID
	Account       conversation.AccountID
	Thread        []byte // keyed hash of the thread (vault.MAC); nil: every thread of the account may use the attachment
	KeyID         int64
	Size          int64 // bytes in clear
	MIME          string
	Width, Height int  // pixels; 0 when not a picture
	Thumbnail     bool // a thumbnail is stored beside the content
	SealedName    []byte
	State         State
	Used          bool // a committed message names the attachment. The log decides: it may have such a message before this is set
	CreatedAt     time.Time
	OrphanedAt    time.Time // zero unless State is StateOrphaned
}

// Rows is where a Store keeps its rows; see Table.
type Rows interface {
	Add(ctx context.Context, b Row) error
	Finish(ctx context.Context, b Row) error
	Use(ctx context.Context, conv conversation.ConversationID, ids ...conversation.BlobID) error
	Reseal(ctx context.Context, id conversation.BlobID, oldKey, newKey int64, name []byte) error
	Orphan(ctx context.Context, id conversation.BlobID, at time.Time) error
	End(ctx context.Context, id conversation.BlobID) error
	EndOrphan(ctx context.Context, id conversation.BlobID) error
	Row(ctx context.Context, id conversation.BlobID) (Row, error)
	OfConversation(ctx context.Context, conv conversation.ConversationID) ([]Row, error)
	Unused(ctx context.Context, after conversation.BlobID, limit int) ([]Row, error)
	UnusedOf(ctx context.Context, conv conversation.ConversationID) ([]Row, error)
}

// Table is the table of rows in the installation's database. Safe for concurrent use.
type Table struct{ db *database.DB }

// NewTable makes a Table over an open database, which the caller must close.
func NewTable(db *database.DB) *Table { return &Table{db: db} }

// Add stores a new row, durable on return.
func (t *Table) Add(ctx context.Context, b Row) error {
	err := t.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO blobs
(id, conversation, account, thread, key_id, size, mime, width, height, thumbnail, name, state, used, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			b.ID, b.Conversation, b.Account, b.Thread, b.KeyID, b.Size, b.MIME, b.Width, b.Height, b.Thumbnail,
			b.SealedName, string(b.State), b.Used, b.CreatedAt.UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("blob: add row: %w", err)
	}
	return nil
}

// Finish completes the row of an upload and makes it ready. It fails with ErrNotFound when the
// row's state is not uploading any more.
func (t *Table) Finish(ctx context.Context, b Row) error {
	return t.change(ctx, "finish", `UPDATE blobs SET size = $1, mime = $2, width = $3, height = $4, thumbnail = $5, state = $6
WHERE id = $7 AND state = 'uploading'`, b.Size, b.MIME, b.Width, b.Height, b.Thumbnail, string(StateReady), b.ID)
}

// Use records that a committed message of conv names these attachments. Attachments that are used
// already, or deleted, stay as they are.
func (t *Table) Use(ctx context.Context, conv conversation.ConversationID, ids ...conversation.BlobID) error {
	err := t.db.Write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			_, err := tx.ExecContext(ctx, `UPDATE blobs SET used = TRUE, conversation = $1, state = 'ready', orphaned_at = 0
WHERE id = $2 AND used = FALSE AND state IN ('ready', 'orphaned')`, conv, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("blob: use rows: %w", err)
	}
	return nil
}

// Reseal replaces the sealed part of a row, unless it is sealed under another key than oldKey by now:
// then it fails with ErrNotFound.
func (t *Table) Reseal(ctx context.Context, id conversation.BlobID, oldKey, newKey int64, name []byte) error {
	return t.change(ctx, "reseal", `UPDATE blobs SET key_id = $1, name = $2 WHERE id = $3 AND key_id = $4 AND state <> 'deleted'`, newKey, name, id, oldKey)
}

// Orphan marks an attachment that no message uses, so that no message can take it any more; an
// upload that still runs fails at its end. It fails with ErrNotFound when the attachment was used,
// marked or deleted meanwhile.
func (t *Table) Orphan(ctx context.Context, id conversation.BlobID, at time.Time) error {
	return t.change(ctx, "orphan", `UPDATE blobs SET state = 'orphaned', orphaned_at = $1
WHERE id = $2 AND used = FALSE AND state IN ('ready', 'uploading')`, at.UnixMilli(), id)
}

// End marks an attachment as deleted. It fails with ErrNotFound when the attachment is deleted
// already.
func (t *Table) End(ctx context.Context, id conversation.BlobID) error {
	return t.change(ctx, "delete", `UPDATE blobs SET state = 'deleted', size = 0, width = 0, height = 0, thumbnail = FALSE, name = $1
WHERE id = $2 AND state <> 'deleted'`, []byte{}, id)
}

// EndOrphan deletes like End, but only an attachment that Orphan has marked and that no message has
// taken meanwhile.
func (t *Table) EndOrphan(ctx context.Context, id conversation.BlobID) error {
	return t.change(ctx, "delete", `UPDATE blobs SET state = 'deleted', size = 0, width = 0, height = 0, thumbnail = FALSE, name = $1
WHERE id = $2 AND state = 'orphaned' AND used = FALSE`, []byte{}, id)
}

func (t *Table) change(ctx context.Context, what, query string, args ...any) error {
	err := t.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrNotFound, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("blob: %s row: %w", what, err)
	}
	return nil
}

const selectBlob = `SELECT id, conversation, account, thread, key_id, size, mime, width, height, thumbnail, name, state, used, created_at, orphaned_at
FROM blobs`

// Row reads a row in any state, or ErrNotFound.
func (t *Table) Row(ctx context.Context, id conversation.BlobID) (Row, error) {
	rows, err := t.rows(ctx, selectBlob+` WHERE id = $1`, id)
	if err != nil {
		return Row{}, err
	}
	if len(rows) == 0 {
		return Row{}, fmt.Errorf("blob: row: %w", ErrNotFound)
	}
	return rows[0], nil
}

// OfConversation lists the attachments of a conversation, oldest first, without deleted ones.
func (t *Table) OfConversation(ctx context.Context, conv conversation.ConversationID) ([]Row, error) {
	return t.rows(ctx, selectBlob+` WHERE conversation = $1 AND state <> 'deleted' ORDER BY id`, conv)
}

// Unused lists up to limit attachments that are not marked as used, ordered by id, which is the
// order of their uploads. The list begins behind the id after (zero: at the first). Uploads that
// still run or were cut short are in it, and so are orphans.
func (t *Table) Unused(ctx context.Context, after conversation.BlobID, limit int) ([]Row, error) {
	return t.rows(ctx, selectBlob+` WHERE (used = FALSE OR state <> 'ready') AND state <> 'deleted'
AND id > $1 ORDER BY id LIMIT $2`, after[:], limit)
}

// UnusedOf lists the attachments of one conversation that are neither marked as used nor deleted.
func (t *Table) UnusedOf(ctx context.Context, conv conversation.ConversationID) ([]Row, error) {
	return t.rows(ctx, selectBlob+` WHERE conversation = $1 AND used = FALSE AND state <> 'deleted' ORDER BY id`, conv)
}

func (t *Table) rows(ctx context.Context, query string, args ...any) ([]Row, error) {
	rows, err := t.db.Reader().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("blob: read rows: %w", t.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var out []Row
	for rows.Next() {
		var b Row
		var at, orphaned int64
		err := rows.Scan(&b.ID, &b.Conversation, &b.Account, &b.Thread, &b.KeyID, &b.Size, &b.MIME, &b.Width, &b.Height,
			&b.Thumbnail, &b.SealedName, &b.State, &b.Used, &at, &orphaned)
		if err != nil {
			return nil, fmt.Errorf("blob: read rows: %w", err)
		}
		b.CreatedAt = time.UnixMilli(at).UTC()
		if orphaned != 0 {
			b.OrphanedAt = time.UnixMilli(orphaned).UTC()
		}
		out = append(out, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("blob: read rows: %w", t.db.Note(err))
	}
	return out, nil
}
