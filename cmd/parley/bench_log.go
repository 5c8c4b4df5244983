package main

import (
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/eventlog/eventlogbench"
)

type benchLogCmd struct {
	Dir      string        `type:"path" help:"Folder on the disk to measure. Default: a temporary one."`
	Store    string        `placeholder:"postgres://..." help:"Measure this PostgreSQL database in turns with SQLite. It gets a schema for the time."`
	Writers  int           `default:"512" help:"Concurrent writers."`
	Duration time.Duration `default:"8s" help:"For each side."`
}

func (c *benchLogCmd) Run(a *app) error {
	return inDir(c.Dir, func(dir string) error {
		if _, err := fmt.Fprintln(a.stdout, machine()); err != nil {
			return err
		}
		if c.Store != "" {
			results, err := eventlogbench.Compare(a.ctx, dir, c.Store, c.Writers, c.Duration)
			if err != nil {
				return err
			}
			for _, res := range results {
				if _, err := fmt.Fprintln(a.stdout, res); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(a.stdout, "postgres / sqlite: %.2f\n", results[1].PerSecond/results[0].PerSecond)
			return err
		}
		res, err := eventlogbench.Run(a.ctx, dir, c.Writers, c.Duration)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, res)
		return err
	})
}
