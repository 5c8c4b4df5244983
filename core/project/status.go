package project

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Status tells how far a projection is.
type Status struct {
	Name     string    `json:"name"`
	Version  int       `json:"version"`  // of the tables; 0: there are none yet
	Position int64     `json:"position"` // of the last event applied
	Head     int64     `json:"head"`     // of the last event in the log
	Behind   int64     `json:"behind"`   // Head - Position: at least as many as there are events to apply, since positions may have holes
	Oldest   time.Time `json:"oldest,omitzero"`
	Problem  string    `json:"problem,omitempty"` // why the projection has stopped
}

// Status reads from the database how far each projection is, whichever node follows the log. Oldest is
// when the first event that is not applied was logged; zero: all are applied.
func (f *Follower) Status(ctx context.Context) ([]Status, error) {
	head, err := f.log.Position(ctx)
	if err != nil {
		return nil, fmt.Errorf("project: status: %w", err)
	}
	var all []Status
	for _, p := range f.all {
		c, err := read(ctx, f.db.Reader(), p.Name)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("project: status of %s: %w", p.Name, f.db.Note(err))
		}
		s := Status{Name: p.Name, Version: c.version, Position: c.position, Head: max(head, c.position), Problem: c.problem}
		s.Behind = s.Head - s.Position
		next, err := f.log.Tail(ctx, c.position, 1)
		if err != nil {
			return nil, fmt.Errorf("project: status of %s: %w", p.Name, err)
		}
		if len(next) > 0 {
			s.Oldest = next[0].At
		}
		all = append(all, s)
	}
	return all, nil
}

// Rebuild drops a projection's tables and makes them anew, empty: whichever node follows the log then
// fills them from the first event, also if the projection had stopped. It fails with ErrUnknown or
// ErrNewer.
func (f *Follower) Rebuild(ctx context.Context, name string) error {
	p := f.named(name)
	if p == nil {
		return fmt.Errorf("%w: %.40q", ErrUnknown, name)
	}
	return f.remake(ctx, p, true)
}
