package directory

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/audit"
)

// Action is what happened to a record.
type Action string

// Actions.
const (
	Created Action = "created"
	Updated Action = "updated"
	Deleted Action = "deleted"
)

// Change tells what was done to one record. Fields names the fields that changed, never their
// content.
type Change struct {
	Kind   string // user, team, skill, service, account, contact
	ID     string
	Name   string // login or name; "" for contacts, whose names are sealed
	Action Action
	Fields []string // the fields that an update changed, in order
}

// String is one line for people to read: `updated user ana (role, skills)`.
func (c Change) String() string {
	name := c.Name
	if name == "" {
		name = c.ID
	}
	s := fmt.Sprintf("%s %s %s", c.Action, c.Kind, name)
	if len(c.Fields) > 0 {
		s += " (" + strings.Join(c.Fields, ", ") + ")"
	}
	return s
}

// editor is a change in progress: a transaction, and the records as they are within it.
type editor struct {
	ctx     context.Context //nolint:containedctx // lives for one transaction, inside one call
	d       *Directory
	tx      *sql.Tx
	snap    *Snapshot
	changes []Change
	keys    []int64 // data keys that are destroyed once the change is durable
}

// spent marks a data key to be destroyed when the change is durable; 0 is no key.
func (e *editor) spent(keyID int64) {
	if keyID != 0 {
		e.keys = append(e.keys, keyID)
	}
}

// errDryRun makes a transaction roll back. It is not returned to the caller.
var errDryRun = errors.New("dry run")

// edit carries out changes of records: everything that fn does becomes durable, with its audit
// entries, and then visible; or nothing does.
func (d *Directory) edit(ctx context.Context, fn func(*editor) error) ([]Change, error) {
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	e := &editor{ctx: ctx, d: d}
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		e.tx = tx
		var version int64
		err := tx.QueryRowContext(ctx, `UPDATE directory_version SET version = version + 1 WHERE one = 1 RETURNING version`).Scan(&version)
		if err != nil {
			return err
		}
		base := d.Snapshot()
		if base.version != version-1 { // another process has changed the records
			if base, err = readSnapshot(ctx, tx); err != nil {
				return err
			}
		}
		e.snap = base.clone()
		e.snap.version = version
		if err := fn(e); err != nil {
			return err
		}
		if len(e.changes) == 0 {
			return errDryRun // rolls back, so the version stays as it was
		}
		for _, c := range e.changes {
			entry := audit.Entry{Action: c.Kind + "." + string(c.Action), Object: c.Kind, ObjectID: c.ID, Fields: c.Fields}
			if err := d.trail.AppendTx(ctx, tx, entry); err != nil {
				return err
			}
		}
		return e.saveSpent()
	})
	if errors.Is(err, errDryRun) {
		return e.changes, nil
	}
	if err != nil {
		return nil, err
	}
	e.snap.finish()
	d.publish(e.snap)
	if len(e.keys) > 0 {
		if err := d.destroySpent(ctx, e.keys); err != nil {
			return e.changes, fmt.Errorf("directory: changed, but keys no longer needed could not be destroyed yet: %w", err)
		}
	}
	return e.changes, nil
}

// note records a change, and merges several changes of one record.
func (e *editor) note(c Change) {
	for i := range e.changes {
		if o := &e.changes[i]; o.Kind == c.Kind && o.ID == c.ID {
			if o.Action == Updated {
				o.Fields = sortedSet(append(o.Fields, c.Fields...))
			}
			return
		}
	}
	e.changes = append(e.changes, c)
}

// fail completes an error about a record with the record's kind.
func fail(kind string, err error) error {
	var inv *InvalidError
	if errors.As(err, &inv) {
		inv.Kind = kind
		return err
	}
	return fmt.Errorf("directory: put %s: %w", kind, err)
}

// kindOps describes how records of one kind are stored and named.
type kindOps[K comparable, T any] struct {
	kind  string
	field string // the field that TakenError names
	index *index[K, T]
	key   func(T) (K, string)
	label func(T) string
	arg   func(T) any // the id as a database value
	save  string      // $1 id, $2 name, $3 record
}

// putRecord stores a normalised, valid record under its id.
func putRecord[K comparable, T any](e *editor, ops kindOps[K, T], rec T) error {
	id, name := ops.key(rec)
	if other, ok := ops.index.named(name); ok {
		if oid, _ := ops.key(other); oid != id {
			return &TakenError{Kind: ops.kind, Field: ops.field}
		}
	}
	text, err := json.Marshal(rec)
	if err != nil {
		return fail(ops.kind, err)
	}
	c := Change{Kind: ops.kind, ID: fmt.Sprint(id), Name: ops.label(rec), Action: Created}
	oldName := ""
	if old, ok := ops.index.get(id); ok {
		_, oldName = ops.key(old)
		if c.Fields, err = differing(old, text); err != nil {
			return fail(ops.kind, err)
		}
		if len(c.Fields) == 0 {
			return nil
		}
		c.Action = Updated
	}
	if _, err := e.tx.ExecContext(e.ctx, ops.save, ops.arg(rec), name, string(text)); err != nil {
		return fail(ops.kind, err)
	}
	ops.index.put(id, oldName, name, rec)
	e.note(c)
	return nil
}

// differing names the top-level JSON fields in which old and the encoded new
// record differ.
func differing(old any, text []byte) ([]string, error) {
	was, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	var a, b map[string]json.RawMessage
	if err := json.Unmarshal(was, &a); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, err
	}
	var names []string
	for k, v := range b {
		if !bytes.Equal(v, a[k]) {
			names = append(names, k)
		}
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return names, nil
}
