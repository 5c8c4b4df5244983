// Package echonode_test runs the JavaScript plugin of this folder.
package echonode_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk/kit"
)

// node finds the program node and the plugin's modules, and fails with what is missing.
func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test runs a plugin in Node.js 20 or later: %v", err)
	}
	if _, err := os.Stat("node_modules/@grpc/grpc-js"); err != nil {
		t.Fatal("the plugin's modules are missing: run `make test-go`, or `npm ci` in plugins/sdk/examples/echo-node")
	}
	return path
}

// TestConformance runs the kit against the plugin (X2).
func TestConformance(t *testing.T) {
	fixtures, err := kit.LoadFixtures("testdata/kit.json")
	if err != nil {
		t.Fatal(err)
	}
	report, err := kit.Run(t.Context(), kit.Options{Exec: node(t), Args: []string{"main.js"}, Fixtures: fixtures})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteText(&table); err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the plugin breaks rules:\n%s", &table)
	}
	t.Logf("%s", &table)
}
