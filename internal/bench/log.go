package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/parley-gateway/parley/core/eventlog/eventlogbench"
)

// Log measures the log alone, and compares it with a bare loop that writes the same rows.
type Log struct {
	Dir      string        // folder on the disk to measure; "" = a temporary one
	Store    string        // postgres://...: measured alternately with SQLite, in a schema of its own; "" = SQLite alone
	Writers  int           // writers at the same time
	Duration time.Duration // of each of the two measurements
}

// Run prints the figures to w.
func (c Log) Run(ctx context.Context, w io.Writer) error {
	return inDir(c.Dir, func(dir string) error {
		if _, err := fmt.Fprintln(w, machine()); err != nil {
			return err
		}
		if c.Store != "" {
			results, err := eventlogbench.Compare(ctx, dir, c.Store, c.Writers, c.Duration)
			if err != nil {
				return err
			}
			for _, res := range results {
				if _, err := fmt.Fprintln(w, res); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(w, "postgres / sqlite: %.2f\n", results[1].PerSecond/results[0].PerSecond)
			return err
		}
		res, err := eventlogbench.Run(ctx, dir, c.Writers, c.Duration)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(w, res)
		return err
	})
}
