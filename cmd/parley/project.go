package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/project"
	"github.com/parley-gateway/parley/core/project/intervals"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/internal/stores"
)

// projectionCatalogue names the projections of this build.
func projectionCatalogue() []project.Projection {
	return []project.Projection{intervals.Projection()}
}

// projections is control.Projections over open stores.
type projections struct {
	follower *project.Follower
	db       *database.DB
}

func (p projections) ProjectionStatus(ctx context.Context) ([]project.Status, error) {
	return p.follower.Status(ctx)
}

func (p projections) RebuildProjection(ctx context.Context, name string) error {
	return p.follower.Rebuild(ctx, name)
}

func (p projections) Intervals(ctx context.Context, from, until time.Time) ([]intervals.Interval, error) {
	all, err := p.follower.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Name == intervals.Name && s.Version == 0 {
			return nil, errors.New("the projection has not been made yet: a running gateway makes it")
		}
	}
	return intervals.Between(ctx, p.db, from, until)
}

// readProjections calls do with the projections of the running gateway, or with the stores' own, opened
// for reading only, if no gateway is running here: another node may run, and a question must not
// change its tables.
func readProjections(ctx context.Context, cfg config.Config, do func(control.Projections) error) (err error) {
	if err := do(control.Client{RunDir: cfg.RunDir()}); !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	db, err := openRecordsReadOnly(ctx, cfg) // first, since it says what is wrong with tables of another version
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	log, err := stores.OpenLogReadOnly(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	f, err := project.New(project.Options{Node: cfg.Node, Log: log, Database: db, Projections: projectionCatalogue()})
	if err != nil {
		return err
	}
	return do(projections{f, db})
}

// openRecordsReadOnly opens the tables beside the log for reading, beside the process that writes
// them. Tables that are older than this program are a *database.TablesError.
func openRecordsReadOnly(ctx context.Context, cfg config.Config) (*database.DB, error) {
	o := database.Options{DSN: cfg.Database()}
	if dsn := cfg.DSN(); dsn != "" {
		o = database.Options{DSN: dsn, Dialect: database.Postgres}
	}
	db, err := database.OpenReadOnly(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	return db, nil
}

// withProjections is readProjections for what changes them.
func withProjections(ctx context.Context, cfg config.Config, do func(control.Projections) error) error {
	err := do(control.Client{RunDir: cfg.RunDir()})
	if !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	s, err := stores.Open(ctx, cfg, nil, discard())
	if err != nil {
		return err
	}
	f, err := project.New(project.Options{Node: cfg.Node, Log: s.Log, Database: s.Directory.Database(), Projections: projectionCatalogue()})
	if err == nil {
		err = do(projections{f, s.Directory.Database()})
	}
	return errors.Join(err, s.Close())
}

type projectCmd struct {
	Status  projectStatusCmd  `cmd:"" help:"Show how far each projection is."`
	Rebuild projectRebuildCmd `cmd:"" help:"Drop a projection's tables and make them anew from the log."`
	Show    projectShowCmd    `cmd:"" help:"Print what services had in each quarter of an hour, as JSON lines."`
}

type projectStatusCmd struct {
	configFlags
	JSON bool `help:"As JSON."`
}

func (c *projectStatusCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var all []project.Status
	err = readProjections(a.ctx, cfg, func(p control.Projections) (err error) {
		all, err = p.ProjectionStatus(a.ctx)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(a.stdout).Encode(all)
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "PROJECTION\tVERSION\tPOSITION\tBEHIND\tLAG\tPROBLEM") // Flush returns the error
	for _, s := range all {
		lag := time.Duration(0)
		if !s.Oldest.IsZero() {
			lag = max(0, time.Since(s.Oldest)).Round(time.Second)
		}
		_, _ = fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%s\t%s\n", s.Name, s.Version, s.Position, s.Behind, lag, s.Problem)
	}
	return tw.Flush()
}

type projectRebuildCmd struct {
	configFlags
	Name string `arg:"" help:"The projection's name, as status prints it."`
}

func (c *projectRebuildCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	err = withProjections(a.ctx, cfg, func(p control.Projections) error { return p.RebuildProjection(a.ctx, c.Name) })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s is made anew; a running gateway fills it, and `parley project status` tells how far it is\n", c.Name)
	return err
}

type projectShowCmd struct {
	configFlags
	Name string        `arg:"" enum:"intervals" help:"intervals: counts by service and quarter of an hour."`
	Last time.Duration `default:"24h" help:"How far back."`
}

func (c *projectShowCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if c.Last <= 0 {
		return usageError{errors.New("--last: must be above zero")}
	}
	var all []intervals.Interval
	now := time.Now()
	err = readProjections(a.ctx, cfg, func(p control.Projections) (err error) {
		all, err = p.Intervals(a.ctx, now.Add(-c.Last), now.Add(intervals.Length))
		return err
	})
	if err != nil {
		return err
	}
	enc := json.NewEncoder(a.stdout)
	for _, i := range all {
		if err := enc.Encode(i); err != nil {
			return err
		}
	}
	return nil
}
