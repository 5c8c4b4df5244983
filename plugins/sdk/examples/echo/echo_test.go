package main_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk/kit"
)

// TestConformance runs the kit against the built program.
func TestConformance(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "echo")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	fixtures, err := kit.LoadFixtures("testdata/kit.json")
	if err != nil {
		t.Fatal(err)
	}
	report, err := kit.Run(t.Context(), kit.Options{Exec: bin, Fixtures: fixtures})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteText(&table); err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the echo plugin breaks rules:\n%s", &table)
	}
	t.Logf("%s", &table)
}
