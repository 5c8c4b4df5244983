//go:build clockfault

package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// systemTime reads the system's clock and adds the duration ("-1h") that is at present in the file
// named by CLOCKFAULT_OFFSET_FILE. It exists only in builds with the tag clockfault: tests make the
// clock jump with it (FT19), because they must not change the machine's own clock. Plugin processes
// use the machine's clock.
func systemTime() func() time.Time {
	name := os.Getenv("CLOCKFAULT_OFFSET_FILE")
	return func() time.Time {
		text, err := os.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("CLOCKFAULT_OFFSET_FILE: %v", err))
		}
		offset, err := time.ParseDuration(strings.TrimSpace(string(text)))
		if err != nil {
			panic(fmt.Sprintf("CLOCKFAULT_OFFSET_FILE: %v", err))
		}
		return time.Now().Round(0).Add(offset)
	}
}
