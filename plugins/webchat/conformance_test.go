package webchat_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk/kit"
)

// TestConformance runs the SDK's kit against the plugin as a process.
func TestConformance(t *testing.T) {
	report, err := kit.Run(t.Context(), kit.Options{
		Exec: os.Args[0], // A binary built for the race detector would sleep a second before it exits.
		Env:  []string{serveEnv + "=1", "GORACE=atexit_sleep_ms=0"},
		Fixtures: kit.Fixtures{
			Accounts: []kit.Account{{ID: "site", Settings: []byte(`{"site":"demo","allowed_origins":["https://shop.example"],"demo_page":true}`)}},
			Invalid: []kit.Invalid{
				{Name: "origin", Account: []byte(`{"allowed_origins":["shop"]}`)},
				{Name: "colour", Account: []byte(`{"theme":{"color":"red"}}`)},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteText(&table); err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the kit found faults:\n%s", &table)
	}
}
