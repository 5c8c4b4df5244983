package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for releases.
var version = "dev"

// versionText returns the version, and the commit from which it was built.
func versionText() (v, commit string) {
	v = version
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return v, commit
}

type versionCmd struct {
	JSON bool `help:"As JSON."`
}

func (c *versionCmd) Run(a *app) error {
	v, commit := versionText()
	if c.JSON {
		return json.NewEncoder(a.stdout).Encode(map[string]string{"version": v, "commit": commit, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	_, err := fmt.Fprintf(a.stdout, "parley %s %s %s/%s\n", v, commit, runtime.GOOS, runtime.GOARCH)
	return err
}
