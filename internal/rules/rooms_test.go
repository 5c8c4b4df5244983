package rules_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rooms are the folders whose packages are rooms (DESIGN.md 2).
var rooms = []string{"config", "core", "drive", "gateway", "internal", "e2e/system"}

var (
	promises = regexp.MustCompile(`\bpromises?\b`)
	leaves   = regexp.MustCompile(`\b[Ll](eaves|eft)\b`)
)

// TestRoomsSayWhatTheyAreFor checks that every room has a doc.go that says what the room is for,
// what it promises, and what it leaves to others, so that whoever looks for the place of something
// finds it by reading these files alone.
func TestRoomsSayWhatTheyAreFor(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test || f.pkg == "main" || strings.Contains(f.dir, "testdata") {
			continue
		}
		if slices.ContainsFunc(rooms, func(room string) bool { return below(f.dir, room) }) {
			seen[f.dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(seen)) {
		b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(dir), "doc.go"))
		if err != nil {
			t.Errorf("%s: no doc.go", dir)
			continue
		}
		text := string(b)
		for what, re := range map[string]*regexp.Regexp{"promises": promises, "leaves to others": leaves} {
			if !re.MatchString(text) {
				t.Errorf("%s/doc.go does not say what the room %s", dir, what)
			}
		}
	}
}
