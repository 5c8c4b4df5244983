package directory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Actor says who does something, for the audit trail.
type Actor struct {
	User conversation.AgentID `json:"user,omitzero"`
	Via  string               `json:"via,omitempty"` // "api", "cli" ...; "" means the system itself
	IP   string               `json:"ip,omitempty"`
}

type actorKey struct{}

// WithActor makes the changes that are done under the context the actor's.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Audit actions beside those that changes of records make ("user.created",
// "account.updated" ...). The list only grows.
const (
	AuditLogin         = "login"
	AuditLoginFailed   = "login.failed"
	AuditLogout        = "logout"
	AuditPassword      = "password.changed"
	AuditDenied        = "access.denied"
	AuditTranscript    = "transcript.read"      // SPEC Z5: events of a conversation
	AuditSummary       = "summary.read"         // SPEC Z5: its name, number and state
	AuditListed        = "conversations.listed" // SPEC Z5: the same of several
	AuditFile          = "file.read"            // SPEC Z5: the address of an attachment
	AuditRecording     = "recording.read"       // SPEC Z5
	AuditPluginChanged = "plugin.changed"
)

// AuditEntry is one line of the audit trail. It names records by id and
// fields by name and holds no content, no customer's data and no secret.
type AuditEntry struct {
	Seq      int64     `json:"-"` // 1..n without holes
	At       time.Time `json:"-"` // UTC, milliseconds
	Actor    Actor     `json:"actor,omitzero"`
	Action   string    `json:"action"`
	Object   string    `json:"object,omitempty"` // kind of record
	ObjectID string    `json:"object_id,omitempty"`
	Objects  []string  `json:"objects,omitempty"` // ids: of a list's records, or of parts of the record
	Fields   []string  `json:"fields,omitempty"`
	Reason   string    `json:"reason,omitempty"` // a published code
}

// AuditHead is the end of the chain. Kept elsewhere, it also proves later
// that no entries were cut off the end.
type AuditHead struct {
	Seq  int64
	Hash [32]byte
}

// AuditError says where the audit trail was tampered with.
type AuditError struct {
	Seq     int64 // first entry that does not fit
	Problem string
}

func (e *AuditError) Error() string {
	return fmt.Sprintf("directory: audit trail does not fit at entry %d: %s", e.Seq, e.Problem)
}

// Audit appends an entry; a zero Actor is taken from the context. Durable on return.
func (d *Directory) Audit(ctx context.Context, e AuditEntry) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error { return d.appendAudit(ctx, tx, e) })
	if err != nil {
		return fmt.Errorf("directory: audit %s: %w", e.Action, err)
	}
	return nil
}

const lastAudit = `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`

func (d *Directory) appendAudit(ctx context.Context, tx *sql.Tx, e AuditEntry) error {
	if e.Actor == (Actor{}) {
		e.Actor = actorOf(ctx)
	}
	var seq int64
	prev := make([]byte, 32)
	if err := tx.QueryRowContext(ctx, lastAudit).Scan(&seq, &prev); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	seq++
	at := d.now().UnixMilli()
	hash := d.auditHash(prev, seq, at, text)
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, at, entry, prev, hash) VALUES ($1, $2, $3, $4, $5)`,
		seq, at, string(text), prev, hash[:])
	return err
}

// auditHash chains an entry to the one before it, under a key of the vault:
// who can write to the database alone cannot make a chain that fits.
func (d *Directory) auditHash(prev []byte, seq, at int64, text []byte) [32]byte {
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(seq))
	binary.BigEndian.PutUint64(n[8:], uint64(at))
	return d.vault.MAC("directory/audit", prev, n[:], text)
}

// AuditTrail returns up to limit entries after a sequence, oldest first.
func (d *Directory) AuditTrail(ctx context.Context, after int64, limit int) ([]AuditEntry, error) {
	var out []AuditEntry
	err := d.eachAudit(ctx, after, limit, func(e AuditEntry, _ []byte, _, _ []byte) error {
		out = append(out, e)
		return nil
	})
	return out, err
}

// VerifyAudit checks the whole chain and returns its end. What does not fit
// is an *AuditError.
func (d *Directory) VerifyAudit(ctx context.Context) (AuditHead, error) {
	var head AuditHead
	err := d.eachAudit(ctx, 0, -1, func(e AuditEntry, text, prev, hash []byte) error {
		want := d.auditHash(head.Hash[:], e.Seq, e.At.UnixMilli(), text)
		switch {
		case e.Seq != head.Seq+1:
			return &AuditError{Seq: head.Seq + 1, Problem: "missing"}
		case string(prev) != string(head.Hash[:]):
			return &AuditError{Seq: e.Seq, Problem: "not chained to the entry before"}
		case string(hash) != string(want[:]):
			return &AuditError{Seq: e.Seq, Problem: "changed"}
		}
		head = AuditHead{Seq: e.Seq, Hash: want}
		return nil
	})
	return head, err
}

func (d *Directory) eachAudit(ctx context.Context, after int64, limit int, fn func(e AuditEntry, text, prev, hash []byte) error) error {
	const page = 1000
	for limit != 0 {
		n := page
		if limit > 0 {
			n = min(page, limit)
		}
		got, err := d.auditPage(ctx, after, n, func(e AuditEntry, text, prev, hash []byte) error {
			after = e.Seq
			return fn(e, text, prev, hash)
		})
		if err != nil {
			return err
		}
		if limit > 0 {
			limit -= got
		}
		if got < n {
			return nil
		}
	}
	return nil
}

func (d *Directory) auditPage(ctx context.Context, after int64, n int, fn func(e AuditEntry, text, prev, hash []byte) error) (got int, err error) {
	rows, err := d.db.Reader().QueryContext(ctx, `SELECT seq, at, entry, prev, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2`, after, n)
	if err != nil {
		return 0, fmt.Errorf("directory: read audit trail: %w", d.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e AuditEntry
		var at int64
		var text, prev, hash []byte
		if err := rows.Scan(&e.Seq, &at, &text, &prev, &hash); err != nil {
			return got, fmt.Errorf("directory: read audit trail: %w", err)
		}
		e.At = time.UnixMilli(at).UTC()
		if err := json.Unmarshal(text, &e); err != nil {
			return got, &AuditError{Seq: e.Seq, Problem: "not an entry"}
		}
		if err := fn(e, text, prev, hash); err != nil {
			return got, err
		}
		got++
	}
	if err := rows.Err(); err != nil {
		return got, fmt.Errorf("directory: read audit trail: %w", d.db.Note(err))
	}
	return got, nil
}
