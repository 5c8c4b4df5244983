package api

import (
	"maps"
	"slices"
)

// CommandNames are the commands of the agents' socket.
func CommandNames() []string { return slices.Sorted(maps.Keys(commands())) }
