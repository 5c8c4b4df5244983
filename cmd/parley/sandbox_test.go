package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// startSandbox runs the command until stop is called, which returns its exit code.
func startSandbox(t *testing.T, args ...string) (self twilioSelf, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"sandbox", "twilio", "--listen", "127.0.0.1:0", "--json"}, args...), w, &stderr)
		_ = w.Close()
	}()
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &self)
	}
	if err != nil {
		cancel()
		t.Fatalf("line %q: %v; exit %d: %s", line, err, <-code, stderr.String())
	}
	return self, func() int {
		cancel()
		return <-code
	}
}

func TestSandboxCommand(t *testing.T) {
	dir := t.TempDir()
	self, stop := startSandbox(t, "--data", dir, "--number", "+15550100100", "--webhook-url", "http://gw.example.test/hooks/1#rc=2")
	resp, err := http.Get(self.PhonePage)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("phones: %v %v", resp, err)
	}
	_ = resp.Body.Close()
	events, err := http.Get(self.URL + "/_sandbox/events") // an open stream must not delay the end
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = events.Body.Close() }()
	if code := stop(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	again, stop := startSandbox(t, "--data", dir)
	defer stop()
	if again.AccountSID != self.AccountSID || again.AuthToken != self.AuthToken || len(again.Numbers) != 1 || again.Numbers[0] != self.Numbers[0] {
		t.Errorf("after a restart %+v, want the account and number of %+v", again, self)
	}
}

func TestSandboxCommandRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--webhook-url", "http://gw.example.test/"},
		{"--number", "+15550100100", "--webhook-url", "hooks"},
		{"--account-sid", "AC1"},
		{"--listen", "nowhere"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"sandbox", "twilio", "--listen", "127.0.0.1:0"}, args...), io.Discard, &stderr); code == 0 || stderr.Len() == 0 {
			t.Errorf("%q: exit %d, %q; want a fault", args, code, stderr.String())
		}
	}
}
