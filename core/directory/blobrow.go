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
	BlobDeleted   BlobState = "deleted" // the content is gone, the row tells that it was
)

// BlobRow describes an attachment; core/blob keeps the content. It is the
// conversation's, or the account's when Conversation is zero.
type BlobRow struct {
	ID            conversation.BlobID
	Conversation  conversation.ConversationID
	Account       conversation.AccountID
	KeyID         int64
	Size          int64 // bytes in clear
	MIME          string
	Width, Height int  // pixels; 0 when not a picture
	Thumbnail     bool // a thumbnail is stored beside it
	SealedName    []byte
	State         BlobState
	Used          bool // a message refers to it: no orphan
	CreatedAt     time.Time
}

// AddBlob stores a new row, durable on return.
func (d *Directory) AddBlob(ctx context.Context, b BlobRow) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO blobs
(id, conversation, account, key_id, size, mime, width, height, thumbnail, name, state, used, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			b.ID, b.Conversation, b.Account, b.KeyID, b.Size, b.MIME, b.Width, b.Height, b.Thumbnail,
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

// UseBlobs marks ready attachments as part of a message, all or none. Those
// that belong to the account move to the conversation; what belongs to
// another conversation or account is ErrNotFound. Using one twice is no error.
func (d *Directory) UseBlobs(ctx context.Context, ids []conversation.BlobID, conv conversation.ConversationID, account conversation.AccountID) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			r, err := tx.ExecContext(ctx, `UPDATE blobs SET used = TRUE, conversation = $1
WHERE id = $2 AND state = 'ready' AND (conversation = $3 OR (conversation IS NULL AND account = $4))`, conv, id, conv, account)
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil || n == 0 {
				return errors.Join(ErrNotFound, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("directory: use blobs: %w", err)
	}
	return nil
}

// EndBlob marks an attachment as deleted; ErrNotFound when it already is.
func (d *Directory) EndBlob(ctx context.Context, id conversation.BlobID) error {
	return d.changeBlob(ctx, "delete", `UPDATE blobs SET state = 'deleted', size = 0, width = 0, height = 0, thumbnail = FALSE, name = $1
WHERE id = $2 AND state <> 'deleted'`, []byte{}, id)
}

// EndOrphan deletes like EndBlob, but only what no message uses.
func (d *Directory) EndOrphan(ctx context.Context, id conversation.BlobID) error {
	return d.changeBlob(ctx, "delete", `UPDATE blobs SET state = 'deleted', size = 0, width = 0, height = 0, thumbnail = FALSE, name = $1
WHERE id = $2 AND (state = 'uploading' OR (state = 'ready' AND used = FALSE))`, []byte{}, id)
}

func (d *Directory) changeBlob(ctx context.Context, what, query string, args ...any) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
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

const selectBlob = `SELECT id, conversation, account, key_id, size, mime, width, height, thumbnail, name, state, used, created_at FROM blobs`

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

// OrphanBlobs lists up to limit rows made before a moment that no message
// uses, uploads cut short among them.
func (d *Directory) OrphanBlobs(ctx context.Context, before time.Time, limit int) ([]BlobRow, error) {
	return d.blobs(ctx, selectBlob+` WHERE (used = FALSE OR state <> 'ready') AND state <> 'deleted'
AND created_at < $1 ORDER BY created_at LIMIT $2`, before.UnixMilli(), limit)
}

func (d *Directory) blobs(ctx context.Context, query string, args ...any) ([]BlobRow, error) {
	rows, err := d.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("directory: read blobs: %w", d.note(err))
	}
	defer func() { _ = rows.Close() }()
	var out []BlobRow
	for rows.Next() {
		var b BlobRow
		var at int64
		err := rows.Scan(&b.ID, &b.Conversation, &b.Account, &b.KeyID, &b.Size, &b.MIME, &b.Width, &b.Height,
			&b.Thumbnail, &b.SealedName, &b.State, &b.Used, &at)
		if err != nil {
			return nil, fmt.Errorf("directory: read blobs: %w", err)
		}
		b.CreatedAt = time.UnixMilli(at).UTC()
		out = append(out, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("directory: read blobs: %w", d.note(err))
	}
	return out, nil
}
