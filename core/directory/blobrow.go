package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// BlobState is how far an attachment got.
type BlobState string

// Blob states.
const (
	BlobUploading BlobState = "uploading"
	BlobReady     BlobState = "ready"
	BlobOrphaned  BlobState = "orphaned" // no message may name it any more; its content goes soon
	BlobDeleted   BlobState = "deleted"  // the content is gone, the row tells that it was
)

// BlobRow describes an attachment; core/blob keeps the content. It is the
// conversation's; while Conversation is zero, the account's, and there the
// thread's when it names one.
type BlobRow struct {
	ID            conversation.BlobID
	Conversation  conversation.ConversationID
	Account       conversation.AccountID
	Thread        []byte // keyed hash (vault.MAC); nil: any of the account
	KeyID         int64
	Size          int64 // bytes in clear
	MIME          string
	Width, Height int  // pixels; 0 when not a picture
	Thumbnail     bool // a thumbnail is stored beside it
	SealedName    []byte
	State         BlobState
	Used          bool // a committed message names it. The log is what counts: it may say so earlier
	CreatedAt     time.Time
	OrphanedAt    time.Time // zero: not BlobOrphaned
}

// AddBlob stores a new row, durable on return.
func (d *Directory) AddBlob(ctx context.Context, b BlobRow) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO blobs
(id, conversation, account, thread, key_id, size, mime, width, height, thumbnail, name, state, used, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			b.ID, b.Conversation, b.Account, b.Thread, b.KeyID, b.Size, b.MIME, b.Width, b.Height, b.Thumbnail,
			b.SealedName, string(b.State), b.Used, b.CreatedAt.UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("directory: add blob: %w", err)
	}
	return nil
}

// FinishBlob completes the row of an upload and makes it ready. ErrNotFound
// when it is not uploading any more.
func (d *Directory) FinishBlob(ctx context.Context, b BlobRow) error {
	return d.changeBlob(ctx, "finish", `UPDATE blobs SET size = $1, mime = $2, width = $3, height = $4, thumbnail = $5, state = $6
WHERE id = $7 AND state = 'uploading'`, b.Size, b.MIME, b.Width, b.Height, b.Thumbnail, string(BlobReady), b.ID)
}

// UseBlobs records that a committed message of conv names these attachments.
// What is used already, or deleted, stays as it is.
func (d *Directory) UseBlobs(ctx context.Context, conv conversation.ConversationID, ids ...conversation.BlobID) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
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
		return fmt.Errorf("directory: use blobs: %w", err)
	}
	return nil
}

// OrphanBlob marks an attachment that no message uses, so that none takes it
// any more; an upload that still runs fails at its end. ErrNotFound when it is
// used, marked or deleted by now.
func (d *Directory) OrphanBlob(ctx context.Context, id conversation.BlobID, at time.Time) error {
	return d.changeBlob(ctx, "orphan", `UPDATE blobs SET state = 'orphaned', orphaned_at = $1
WHERE id = $2 AND used = FALSE AND state IN ('ready', 'uploading')`, at.UnixMilli(), id)
}

// EndBlob marks an attachment as deleted; ErrNotFound when it already is.
func (d *Directory) EndBlob(ctx context.Context, id conversation.BlobID) error {
	return d.changeBlob(ctx, "delete", `UPDATE blobs SET state = 'deleted', size = 0, width = 0, height = 0, thumbnail = FALSE, name = $1
WHERE id = $2 AND state <> 'deleted'`, []byte{}, id)
}

// EndOrphan deletes like EndBlob, but only what OrphanBlob has marked and no
// message has taken meanwhile.
func (d *Directory) EndOrphan(ctx context.Context, id conversation.BlobID) error {
	return d.changeBlob(ctx, "delete", `UPDATE blobs SET state = 'deleted', size = 0, width = 0, height = 0, thumbnail = FALSE, name = $1
WHERE id = $2 AND state = 'orphaned' AND used = FALSE`, []byte{}, id)
}

func (d *Directory) changeBlob(ctx context.Context, what, query string, args ...any) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
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
		return fmt.Errorf("directory: %s blob: %w", what, err)
	}
	return nil
}

const selectBlob = `SELECT id, conversation, account, thread, key_id, size, mime, width, height, thumbnail, name, state, used, created_at, orphaned_at
FROM blobs`

// Blob reads a row in any state, or ErrNotFound.
func (d *Directory) Blob(ctx context.Context, id conversation.BlobID) (BlobRow, error) {
	rows, err := d.blobs(ctx, selectBlob+` WHERE id = $1`, id)
	if err != nil {
		return BlobRow{}, err
	}
	if len(rows) == 0 {
		return BlobRow{}, fmt.Errorf("directory: blob: %w", ErrNotFound)
	}
	return rows[0], nil
}

// BlobsOf lists the attachments of a conversation, oldest first, but for
// deleted ones.
func (d *Directory) BlobsOf(ctx context.Context, conv conversation.ConversationID) ([]BlobRow, error) {
	return d.blobs(ctx, selectBlob+` WHERE conversation = $1 AND state <> 'deleted' ORDER BY id`, conv)
}

// UnusedBlobs lists up to limit attachments that are not marked as used, by
// id, which is the order of their uploads, beginning behind after (zero: at the
// first). Uploads that run or were cut short and orphans are among them.
func (d *Directory) UnusedBlobs(ctx context.Context, after conversation.BlobID, limit int) ([]BlobRow, error) {
	return d.blobs(ctx, selectBlob+` WHERE (used = FALSE OR state <> 'ready') AND state <> 'deleted'
AND id > $1 ORDER BY id LIMIT $2`, after[:], limit)
}

// UnusedBlobsOf lists those of one conversation.
func (d *Directory) UnusedBlobsOf(ctx context.Context, conv conversation.ConversationID) ([]BlobRow, error) {
	return d.blobs(ctx, selectBlob+` WHERE conversation = $1 AND used = FALSE AND state <> 'deleted' ORDER BY id`, conv)
}

func (d *Directory) blobs(ctx context.Context, query string, args ...any) ([]BlobRow, error) {
	rows, err := d.db.Reader().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("directory: read blobs: %w", d.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var out []BlobRow
	for rows.Next() {
		var b BlobRow
		var at, orphaned int64
		err := rows.Scan(&b.ID, &b.Conversation, &b.Account, &b.Thread, &b.KeyID, &b.Size, &b.MIME, &b.Width, &b.Height,
			&b.Thumbnail, &b.SealedName, &b.State, &b.Used, &at, &orphaned)
		if err != nil {
			return nil, fmt.Errorf("directory: read blobs: %w", err)
		}
		b.CreatedAt = time.UnixMilli(at).UTC()
		if orphaned != 0 {
			b.OrphanedAt = time.UnixMilli(orphaned).UTC()
		}
		out = append(out, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("directory: read blobs: %w", d.db.Note(err))
	}
	return out, nil
}
