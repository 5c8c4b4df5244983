package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/parley-gateway/parley/config"
)

// What runs when the configuration says nothing is the whole catalogue.
func TestBuiltInPluginsRunByDefault(t *testing.T) {
	got := slices.Sorted(slices.Values(config.Default().Plugins.Builtin))
	if want := slices.Sorted(maps.Keys(builtin())); !slices.Equal(got, want) {
		t.Errorf("by default %v run, want the catalogue: %v", got, want)
	}
}
