package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

// examples are the JSON blocks of the README: the webhook and the callback.
func examples(t *testing.T) (hook, callback string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)\n```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("README.md has %d JSON examples, want 2", len(blocks))
	}
	return blocks[0][1], blocks[1][1]
}

func run(t *testing.T, callback string) *sdktest.Host {
	t.Helper()
	text, err := json.Marshal(settings{Callback: callback})
	if err != nil {
		t.Fatal(err)
	}
	return sdktest.Start(t, new(echo), sdktest.Options{Config: sdk.Config{Accounts: []sdk.Account{{ID: "a", Settings: text, Enabled: true}}}})
}

func TestReadmeWebhook(t *testing.T) {
	hook, _ := examples(t)
	h := run(t, "")
	for range 2 { // a carrier may send a webhook twice
		if got := h.Hook(sdk.HookRequest{Account: "a", Body: []byte(hook)}); got.Status != http.StatusOK {
			t.Fatalf("the README's webhook: got %+v, want 200", got)
		}
	}
	events := h.Events()
	if len(events) != 1 {
		t.Fatalf("%d events in the log, want 1", len(events))
	}
	want := sdk.Message{
		From: sdk.Address{Address: "+15005550001"}, Parts: []sdk.Part{sdk.Text{Text: "Hello"}}, ProviderIDs: []string{"m-1"},
	}
	if diff := cmp.Diff(want, events[0].Body); diff != "" || events[0].Thread != "+15005550001" {
		t.Errorf("thread %s, message (-want +got)\n%s", events[0].Thread, diff)
	}
}

func TestReadmeCallback(t *testing.T) {
	_, want := examples(t)
	for name, tc := range map[string]struct {
		status int
		want   sdk.Result
	}{
		"taken":     {http.StatusOK, sdk.Sent("0190c1c0-0000-7000-8000-000000000001")},
		"busy":      {http.StatusServiceUnavailable, sdk.Result{Outcome: sdk.OutcomeFailed, ErrorKind: sdk.KindContent, Code: "503 Service Unavailable", Retryable: true}},
		"refused":   {http.StatusBadRequest, sdk.Failed(sdk.KindContent, "400 Bad Request", "")},
		"no answer": {0, sdk.Unknown("no_answer", "")},
	} {
		t.Run(name, func(t *testing.T) {
			posted := make(chan string, 8)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				posted <- string(body)
				if tc.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(tc.status)
			}))
			defer server.Close()
			result := run(t, server.URL).Send(sdk.SendCommand{
				CommandInfo: sdk.CommandInfo{Account: "a", Thread: "+15005550001"},
				MessageID:   "0190c1c0-0000-7000-8000-000000000001", To: "+15005550001",
				Parts: []sdk.Part{sdk.Text{Text: "Good morning"}},
			})
			if diff := cmp.Diff(tc.want, result); diff != "" {
				t.Errorf("result: (-want +got)\n%s", diff)
			}
			got := <-posted
			var a, b any
			if json.Unmarshal([]byte(want), &a) != nil || json.Unmarshal([]byte(got), &b) != nil || !cmp.Equal(a, b) {
				t.Errorf("callback got %s, the README says %s", got, want)
			}
		})
	}
}

func TestWithoutCallback(t *testing.T) {
	if got := run(t, "").Send(sdk.SendCommand{CommandInfo: sdk.CommandInfo{Account: "a"}}); got.Outcome != sdk.OutcomeSent {
		t.Errorf("got %+v, want sent", got)
	}
}
