package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/parley-gateway/parley/config"
)

// Without a configuration all plugins of the catalogue run.
func TestBuiltInPluginsRunByDefault(t *testing.T) {
	got := slices.Sorted(slices.Values(config.Default().Plugins.Builtin))
	if want := slices.Sorted(maps.Keys(builtin())); !slices.Equal(got, want) {
		t.Errorf("by default %v run, want the catalogue: %v", got, want)
	}
}
