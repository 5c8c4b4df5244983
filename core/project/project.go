package project

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Projection is a set of tables that the log determines.
type Projection struct {
	// Name is unique among the projections: small letters, digits and "_", at most 40.
	Name string
	// Version, from 1, must grow with every change of the tables or of Apply, also when Apply begins to
	// read a type of events that it ignored before. The projection is then made anew.
	Version int
	// Tables are the names of all its tables. Nothing else may write to them.
	Tables []string
	// Schema makes the tables and their indexes, for each engine; several statements are allowed.
	Schema map[database.Dialect]string
	// Apply changes the tables by events of any stream, in the order of positions. It may read nothing
	// but the events and its own tables, so that the same events always lead to the same tables. Types
	// of events that it does not know it ignores: a build that knows them has a higher Version. For an
	// event of a type that it knows and cannot read it returns a *EventError. The transaction keeps all
	// other writers of the database waiting, so Apply does no other I/O.
	Apply func(ctx context.Context, tx *sql.Tx, recs []eventlog.Record) error
}

// EventError says that a projection cannot apply one event. Its text has no content.
type EventError struct {
	Pos  int64
	Type string
	Err  error
}

// Error implements error.
func (e *EventError) Error() string {
	return fmt.Sprintf("event at position %d (%.64q) cannot be read: %v", e.Pos, e.Type, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }

// Errors. Those of the log and the database come wrapped.
var (
	// ErrUnknown: there is no projection of that name.
	ErrUnknown = errors.New("project: no such projection")
	// ErrNewer: a newer build has made the projection's tables, so this one does not touch them.
	ErrNewer = errors.New("project: tables of a newer version")
	// errMoved: another follower, or a rebuild, has changed the position meanwhile.
	errMoved = errors.New("project: position was changed meanwhile")
)

// Log is what this package needs of the log (eventlog.Log).
type Log interface {
	Tail(ctx context.Context, after int64, limit int) ([]eventlog.Record, error)
	Wait(ctx context.Context, after int64) error
	Position(ctx context.Context) (int64, error)
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (epoch int64, held bool, err error)
	ReleaseLease(ctx context.Context, name, node string, epoch int64) error
}

// Options for New. All fields but Logger and Now are needed.
type Options struct {
	Node        string // unique among the installation's nodes
	Log         Log
	Database    *database.DB // the log's own database; the caller closes it
	Projections []Projection
	Logger      *slog.Logger     // nil discards the log
	Now         func() time.Time // the installation's time (core/clock), by which lags are told; nil: time.Now
}

// Follower keeps projections up to the log. Safe for concurrent use.
type Follower struct {
	node    string
	log     Log
	db      *database.DB
	all     []*followed
	logger  *slog.Logger
	now     func() time.Time
	metrics *metrics
}

// followed is a projection and how far this node has brought it.
type followed struct {
	Projection
	smaller int // by how many halvings transactions are smaller than atOnce; of the goroutine that follows

	mu       sync.Mutex
	leads    bool
	position int64     // of the last event applied
	head     int64     // of the last event in the log, when this was last asked
	oldest   time.Time // when the first event that is not applied was logged; zero: all are applied
	problem  string    // why the projection has stopped; "" while it goes on
}

var goodName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// New makes a Follower. Nothing runs before Run.
func New(o Options) (*Follower, error) {
	if o.Node == "" || o.Log == nil || o.Database == nil {
		return nil, errors.New("project: incomplete options")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Follower{node: o.Node, log: o.Log, db: o.Database, logger: o.Logger, now: o.Now}
	for _, p := range o.Projections {
		if !goodName.MatchString(p.Name) || p.Version < 1 || len(p.Tables) == 0 || p.Apply == nil || p.Schema[o.Database.Dialect()] == "" {
			return nil, fmt.Errorf("project: projection %.40q is incomplete", p.Name)
		}
		for _, t := range p.Tables {
			if !goodName.MatchString(t) {
				return nil, fmt.Errorf("project: projection %s: %.40q cannot be a table's name", p.Name, t)
			}
		}
		if f.named(p.Name) != nil {
			return nil, fmt.Errorf("project: there are two projections named %s", p.Name)
		}
		f.all = append(f.all, &followed{Projection: p})
	}
	f.metrics = newMetrics(f)
	return f, nil
}

// named returns the projection with a name, or nil.
func (f *Follower) named(name string) *followed {
	for _, p := range f.all {
		if p.Name == name {
			return p
		}
	}
	return nil
}
