package rules_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestPackageComments checks that every package has one comment, in the form that documentation
// tools print: "Package x ..." or "Command x ...".
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{} // by folder: the files with a package comment
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		if _, ok := comments[f.dir]; !ok {
			comments[f.dir] = nil
		}
		if f.doc == "" {
			continue
		}
		comments[f.dir] = append(comments[f.dir], f.path)
		form := "Package " + f.pkg + " "
		if f.pkg == "main" {
			form = "Command "
		}
		if !isGenerated(f.path) && !strings.HasPrefix(f.doc, form) {
			t.Errorf("%s: the package comment starts %q, want %q", f.path, firstWords(f.doc), form+"...")
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(comments)) {
		if len(comments[dir]) == 0 {
			t.Errorf("%s: no file has a package comment", dir)
		}
		if hand := slices.DeleteFunc(slices.Clone(comments[dir]), isGenerated); len(hand) > 1 {
			t.Errorf("%s: several files have a package comment: %s", dir, strings.Join(hand, ", "))
		}
	}
}

func isGenerated(path string) bool { return strings.HasSuffix(path, ".pb.go") }

func firstWords(s string) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(3, len(words))], " ")
}
