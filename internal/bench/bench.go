package bench

import (
	"context"
	"errors"
	"net/netip"
	"os"

	"github.com/parley-gateway/parley/config"
)

// Demo is what a bench needs to know of the demo without running it: some benches fill the demo's
// store beforehand.
type Demo struct {
	// Seed makes the records in a data folder those of the demo.
	Seed func(ctx context.Context, cfg config.Config) error
	// ServeEnv is the environment with which `parley serve` runs the demo's configuration on a data
	// folder, listening on these two addresses.
	ServeEnv func(dir string, public, ops netip.AddrPort) []string
}

// inDir runs f in dir, or in a temporary folder that is removed afterwards.
func inDir(dir string, f func(string) error) error {
	if dir != "" {
		return errors.Join(os.MkdirAll(dir, 0o700), f(dir))
	}
	tmp, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		return err
	}
	return errors.Join(f(tmp), os.RemoveAll(tmp))
}
