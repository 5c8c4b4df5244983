package sms_test

import (
	"bufio"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sms"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block returns the README's fenced block of the given kind.
func block(t *testing.T, kind string) string {
	t.Helper()
	m := regexp.MustCompile("(?s)```" + kind + "\n(.*?)\n```").FindStringSubmatch(readme(t))
	if m == nil {
		t.Fatalf("the README has no %q block", kind)
	}
	return m[1]
}

// TestReadmeExample configures the plugin with the README's settings and delivers its webhook.
func TestReadmeExample(t *testing.T) {
	w := newWorld(t, nil)
	cfg := config(w.carrier.URL, nil)
	cfg.Accounts[0].Settings = []byte(strings.Replace(block(t, "json settings"), "https://api.twilio.com", w.carrier.URL, 1))
	if err := w.Configure(cfg); err != nil {
		t.Fatalf("the README's settings: %v", err)
	}
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.Replace(block(t, "http"), "ACCOUNT\n", "ACCOUNT HTTP/1.0\n", 1))))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(block(t, "http"), "\n\n")
	got := w.Hook(sdk.HookRequest{Account: "a", URL: request.URL.String(), Header: request.Header, Body: []byte(body)})
	if got.Status != 200 || len(w.Events()) != 1 {
		t.Errorf("the README's webhook: got %d %q with %d events, want 200 with 1", got.Status, got.Reason, len(w.Events()))
	}
}

// TestReadmeNames: the README names every setting, reason and series.
func TestReadmeNames(t *testing.T) {
	text := readme(t)
	m, err := sms.New().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^    "([a-z_]+)": \{`).FindAllStringSubmatch(m.AccountSchema, -1)
	if len(names) != 13 {
		t.Fatalf("%d settings in the schema, want 13", len(names))
	}
	for _, n := range names {
		if !strings.Contains(text, n[1]) {
			t.Errorf("setting %s is not in the README", n[1])
		}
	}
	for _, name := range slices.Concat(
		[]string{"signature_missing", "malformed", "signature", "account", "address", "unknown_account"},
		[]string{"webhooks_total", "signature_failures_total", "sends_total", "segments_total", "media_total", "request_duration_seconds"},
	) {
		if !strings.Contains(text, "`"+name) {
			t.Errorf("%s is not in the README", name)
		}
	}
}
