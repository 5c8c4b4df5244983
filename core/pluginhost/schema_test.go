package pluginhost_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/pluginhost"
)

func TestSchemaSplit(t *testing.T) {
	split, err := pluginhost.CompileSchema(`{"type":"object","properties":{
		"name":{"type":"string"},
		"auth":{"type":"object","properties":{"user":{"type":"string"},"key":{"type":"string","x-secret":true,"minLength":8}}},
		"pins":{"type":"array","x-secret":true},
		"site":{"type":"string","format":"uri"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	text, secrets, problems := split(`{"name":"a","auth":{"user":"u","key":"long enough"},"pins":[1,2]}`)
	if len(problems) > 0 {
		t.Fatalf("problems: got %v", problems)
	}
	if want := `{"auth":{"user":"u"},"name":"a"}`; text != want {
		t.Errorf("settings: got %s, want %s", text, want)
	}
	got := map[string]string{}
	for _, s := range secrets {
		got[s.GetName()] = s.GetValue()
	}
	if diff := cmp.Diff(map[string]string{"auth/key": "long enough", "pins": "[1,2]"}, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	for _, settings := range []string{`{"auth":{"key":"canary"}}`, `{"site":"canary no uri"}`} {
		_, _, problems = split(settings)
		if len(problems) != 1 || strings.Contains(fmt.Sprint(problems), "canary") {
			t.Errorf("settings %s: got %v, want one problem that does not quote the value", settings, problems)
		}
	}
	for _, bad := range []string{`{`, `{"type":"nonsense"}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"https://example.com/x"}`} {
		if _, err := pluginhost.CompileSchema(bad); err == nil {
			t.Errorf("schema %s: got no error", bad)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 250 * time.Millisecond, 1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 3: time.Second,
		7: 16 * time.Second, 8: 30 * time.Second, 1000: 30 * time.Second,
	} {
		for range 20 {
			if got := pluginhost.Backoff(n); got < want*8/10 || got > want*12/10 {
				t.Errorf("backoff after %d failures: got %v, want %v +-20 %%", n, got, want)
			}
		}
	}
}
