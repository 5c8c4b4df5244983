package project

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/eventlog"
)

// cursor is a projection's row in the table projections.
type cursor struct {
	version  int
	position int64
	tables   []string
	problem  string
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// read returns a projection's row, or sql.ErrNoRows.
func read(ctx context.Context, q querier, name string) (c cursor, err error) {
	var tables string
	err = q.QueryRowContext(ctx, `SELECT version, position, tables, problem FROM projections WHERE name = $1`, name).
		Scan(&c.version, &c.position, &tables, &c.problem)
	c.tables = strings.Split(tables, ",")
	return c, err
}

// cursorOf reads how far a projection has come. It makes the tables, empty, if there are none or
// an older version has made them. It fails with ErrNewer.
func (f *Follower) cursorOf(ctx context.Context, p *followed) (cursor, error) {
	c, err := read(ctx, f.db.Reader(), p.Name)
	switch {
	case err == nil && c.version == p.Version:
		return c, nil
	case err == nil && c.version > p.Version:
		return c, fmt.Errorf("%w: %d, this build has %d", ErrNewer, c.version, p.Version)
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return c, fmt.Errorf("project: read position of %s: %w", p.Name, f.db.Note(err))
	}
	if err := f.remake(ctx, p, false); err != nil {
		return c, err
	}
	f.logger.InfoContext(ctx, "a projection is made anew", "projection", p.Name, "version", p.Version)
	return cursor{version: p.Version}, nil
}

// remake drops a projection's tables, also those that an older version had, and makes them anew,
// empty, at position 0. Tables of this version are left as they are unless force is set; tables of a
// newer version are ErrNewer.
func (f *Follower) remake(ctx context.Context, p *followed, force bool) error {
	err := f.db.Write(ctx, func(tx *sql.Tx) error {
		c, err := read(ctx, tx, p.Name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			c = cursor{}
		case err != nil:
			return err
		case c.version > p.Version:
			return fmt.Errorf("%w: %d, this build has %d", ErrNewer, c.version, p.Version)
		case c.version == p.Version && !force:
			return nil // another node was first
		}
		for _, table := range slices.Concat(c.tables, p.Tables) {
			if !goodName.MatchString(table) { // what the database says is not trusted with a statement
				continue
			}
			if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS `+table); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, p.Schema[f.db.Dialect()]); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO projections (name, version, position, tables) VALUES ($1, $2, 0, $3)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, position = 0, tables = excluded.tables, problem = ''`,
			p.Name, p.Version, strings.Join(p.Tables, ","))
		return err
	})
	if err != nil {
		return fmt.Errorf("project: make tables of %s: %w", p.Name, err)
	}
	return nil
}

// apply applies events and moves the position in one transaction. It fails with errMoved if the
// projection is not at from any more: what another follower has applied is never applied again.
func (f *Follower) apply(ctx context.Context, p *followed, from cursor, recs []eventlog.Record) error {
	err := f.db.Write(ctx, func(tx *sql.Tx) error {
		now, err := read(ctx, tx, p.Name)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err != nil || now.version != from.version || now.position != from.position {
			return errMoved
		}
		if err := p.Apply(ctx, tx, recs); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE projections SET position = $1, problem = '' WHERE name = $2`, recs[len(recs)-1].Pos, p.Name)
		return err
	})
	if err != nil {
		return fmt.Errorf("project: %s after position %d: %w", p.Name, from.position, err)
	}
	return nil
}

// stop records why a projection does not go on.
func (f *Follower) stop(ctx context.Context, p *followed, problem string) error {
	err := f.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE projections SET problem = $1 WHERE name = $2 AND version = $3`, problem, p.Name, p.Version)
		return err
	})
	if err != nil {
		return fmt.Errorf("project: stop %s: %w", p.Name, err)
	}
	return nil
}
