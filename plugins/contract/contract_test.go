package contract_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// TestConventions checks that the contract keeps its own conventions.
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
