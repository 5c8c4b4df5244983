package rules_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	coverageRow   = regexp.MustCompile(`(?m)^\| ([A-Z]+[0-9]+) \| (.*) \|$`)
	coveragePlace = regexp.MustCompile(`\]\(\.\./([^)]+)\)((?:,? ` + "`[A-Za-z0-9_]+`" + `)*)`)
	coverageName  = regexp.MustCompile("`([A-Za-z0-9_]+)`")
)

// TestCoverage checks that the tests named in docs/spec-coverage.md exist. TestLinks follows its
// links.
func TestCoverage(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "spec-coverage.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	rows := coverageRow.FindAllStringSubmatch(string(text), -1)
	for _, row := range rows {
		id := row[1]
		if seen[id] {
			t.Errorf("%s has two lines", id)
		}
		seen[id] = true
		places := coveragePlace.FindAllStringSubmatch(row[2], -1)
		if len(places) == 0 {
			t.Errorf("%s names no test", id)
		}
		for _, p := range places {
			source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p[1])))
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			for _, name := range coverageName.FindAllStringSubmatch(p[2], -1) {
				if !strings.Contains(string(source), "\nfunc "+name[1]+"(t *testing.T)") {
					t.Errorf("%s: %s has no test %s", id, p[1], name[1])
				}
			}
		}
	}
	if len(rows) == 0 {
		t.Error("docs/spec-coverage.md has no lines")
	}
}
