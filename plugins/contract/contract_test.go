package contract_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

var update = flag.Bool("update", false, "write testdata/v1.txt anew")

// TestReleasedFieldsStay compares the contract with what was released: names,
// numbers and types may be added to, never changed or taken away.
func TestReleasedFieldsStay(t *testing.T) {
	const golden = "testdata/v1.txt"
	now := describe(pluginv1.File_parley_plugin_v1_plugin_proto)
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(now, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); !slices.Contains(now, line) {
			t.Errorf("released and no longer there: %s", line)
		}
	}
	for _, line := range now {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("new; run go test ./plugins/contract -update: %s", line)
		}
	}
}

func describe(f protoreflect.FileDescriptor) []string {
	var out []string
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			out = append(out, fmt.Sprintf("rpc %s (stream=%v %s) returns (stream=%v %s)", m.FullName(),
				m.IsStreamingClient(), m.Input().FullName(), m.IsStreamingServer(), m.Output().FullName()))
		}
	}
	for i := range f.Enums().Len() {
		e := f.Enums().Get(i)
		for j := range e.Values().Len() {
			out = append(out, fmt.Sprintf("enum %s %s = %d", e.FullName(), e.Values().Get(j).Name(), e.Values().Get(j).Number()))
		}
	}
	for i := range f.Messages().Len() {
		m := f.Messages().Get(i)
		for j := range m.Fields().Len() {
			fd := m.Fields().Get(j)
			kind := fd.Kind().String()
			if fd.Message() != nil {
				kind = string(fd.Message().FullName())
			}
			if fd.Enum() != nil {
				kind = string(fd.Enum().FullName())
			}
			oneof := ""
			if o := fd.ContainingOneof(); o != nil {
				oneof = " in " + string(o.Name())
			}
			out = append(out, fmt.Sprintf("field %s %s %s = %d%s", fd.FullName(), fd.Cardinality(), kind, fd.Number(), oneof))
		}
	}
	slices.Sort(out)
	return out
}

// TestConventions holds what the contract says of itself.
func TestConventions(t *testing.T) {
	f := pluginv1.File_parley_plugin_v1_plugin_proto
	for i := range f.Enums().Len() {
		e := f.Enums().Get(i)
		if first := string(e.Values().ByNumber(0).Name()); !strings.HasSuffix(first, "_UNSPECIFIED") {
			t.Errorf("enum %s starts with %s, want UNSPECIFIED", e.FullName(), first)
		}
	}
	for i := range f.Messages().Len() {
		m := f.Messages().Get(i)
		for j := range m.Fields().Len() {
			if fd := m.Fields().Get(j); fd.IsMap() {
				t.Errorf("%s is a map: it costs three times a list in a frequent message", fd.FullName())
			}
		}
	}
}

func TestReasonsTravel(t *testing.T) {
	err := contract.Error(codes.NotFound, contract.ReasonNotFound, "no such blob")
	if got := contract.Reason(fmt.Errorf("blob: %w", err)); got != contract.ReasonNotFound {
		t.Errorf("reason of a wrapped error: got %q, want %q", got, contract.ReasonNotFound)
	}
	for _, err := range []error{nil, os.ErrNotExist} {
		if got := contract.Reason(err); got != "" {
			t.Errorf("reason of %v: got %q, want none", err, got)
		}
	}
}
