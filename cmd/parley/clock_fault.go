//go:build clockfault

package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// systemTime reads the system's clock plus the duration ("-1h") that the file
// named in CLOCKFAULT_OFFSET_FILE holds now. It is only in builds with the tag
// clockfault: tests make clocks jump with it (FT19) on a machine whose own clock
// others need. Plugin processes go by the machine's clock.
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
