package contract_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// TestDocumentIsComplete checks that docs/plugin-contract.md explains every message, enum and
// service of the contract, each in an entry of its own that names all its fields, values or calls.
func TestDocumentIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/plugin-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := entriesOf(string(text))
	f := pluginv1.File_parley_plugin_v1_plugin_proto
	want := map[string][]protoreflect.Name{}
	for i := range f.Messages().Len() {
		m := f.Messages().Get(i)
		names := []protoreflect.Name{}
		for j := range m.Fields().Len() {
			names = append(names, m.Fields().Get(j).Name())
		}
		want[string(m.Name())] = names
	}
	for i := range f.Enums().Len() {
		e := f.Enums().Get(i)
		for j := range e.Values().Len() {
			want[string(e.Name())] = append(want[string(e.Name())], e.Values().Get(j).Name())
		}
	}
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		for j := range s.Methods().Len() {
			want[string(s.Name())] = append(want[string(s.Name())], s.Methods().Get(j).Name())
		}
	}
	for name, parts := range want {
		entry, ok := entries[name]
		if !ok {
			t.Errorf("%s has no entry", name)
			continue
		}
		for _, part := range parts {
			if !slices.Contains(entry, string(part)) {
				t.Errorf("the entry of %s does not name %s", name, part)
			}
		}
	}
	for name := range entries {
		if want[name] == nil {
			t.Errorf("%s has an entry and is not in the contract", name)
		}
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

// entriesOf reads the reference in the document: an entry begins with one or more names in bold
// code and ends at the next entry or heading. The result holds the code words of each entry, by
// name.
func entriesOf(text string) map[string][]string {
	out := map[string][]string{}
	_, reference, _ := strings.Cut(text, "## 18. Reference")
	var open []string
	for line := range strings.Lines(reference) {
		if strings.HasPrefix(line, "#") {
			open = nil
		}
		if strings.HasPrefix(line, "**`") {
			open = nil
			for _, name := range regexp.MustCompile("\\*\\*`([A-Za-z]+)`\\*\\*").FindAllStringSubmatch(line, -1) {
				open = append(open, name[1])
				out[name[1]] = []string{}
			}
		}
		for _, name := range open {
			for _, word := range quoted.FindAllStringSubmatch(line, -1) {
				out[name] = append(out[name], word[1])
			}
		}
	}
	return out
}
