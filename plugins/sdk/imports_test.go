package sdk_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// TestImports checks that plugin authors import the contract and nothing else of Parley.
func TestImports(t *testing.T) {
	const module, contract, sdk = "github.com/parley-gateway/parley/", "plugins/contract", "plugins/sdk"
	for root, allowed := range map[string][]string{
		contract: {contract},
		sdk:      {contract, sdk},
	} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,DepsErrors", module+root+"/...")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %s: %v", root, err)
		}
		d := json.NewDecoder(strings.NewReader(string(out)))
		for {
			var pkg struct{ ImportPath string }
			if err := d.Decode(&pkg); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			path, ours := strings.CutPrefix(pkg.ImportPath, module)
			if !ours {
				continue
			}
			ok := false
			for _, a := range allowed {
				ok = ok || path == a || strings.HasPrefix(path, a+"/")
			}
			if !ok {
				t.Errorf("%s/... imports %s, allowed are %v", root, path, allowed)
			}
		}
	}
}
