package config_test

import (
	"errors"
	"testing"

	"github.com/parley-gateway/parley/config"
)

// The example in docs is valid, except that the key file that it names is not on this machine.
func TestExampleFile(t *testing.T) {
	_, err := config.Load("../docs/parley.example.yaml", nil)
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatal(err)
	}
	for _, f := range faults {
		if f.Path != "vault.master_key_file" {
			t.Errorf("docs/parley.example.yaml: %v", f)
		}
	}
}
