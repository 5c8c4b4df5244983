package sms_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
	"github.com/parley-gateway/parley/plugins/sms"
	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

// line is the plugin between the carrier's sandbox and a fake gateway.
type line struct {
	*sdktest.Host
	t       *testing.T
	sandbox string
	hits    chan int // receives when a webhook was answered
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{t: t, hits: make(chan int, 64)}
	var mu sync.Mutex // the fake gateway takes one webhook at a time
	var hooks *httptest.Server
	hooks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		got := l.Hook(sdk.HookRequest{Account: "a", Method: r.Method, URL: hooks.URL + r.URL.RequestURI(), Header: r.Header, Body: body})
		mu.Unlock()
		for name, values := range got.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(got.Status)
		_, _ = w.Write(got.Body)
		l.hits <- got.Status
	}))
	t.Cleanup(hooks.Close)
	box, err := sandbox.New(sandbox.Options{
		AccountSID: accountSid, AuthToken: token,
		Numbers: []sandbox.Number{{Number: number, WebhookURL: hooks.URL + "/hooks/a#rc=3&rp=5xx,ct,rt&tt=14000"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box)
	box.SetURL(server.URL)
	l.sandbox = server.URL
	cfg := config(server.URL, nil)
	cfg.Accounts[0].HookURL = hooks.URL + "/hooks/a"
	l.Host = sdktest.Start(t, sms.New(), sdktest.Options{Config: cfg})
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return l
}

// control calls the sandbox's control API.
func (l *line) control(path string, in any) {
	l.t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		l.t.Fatal(err)
	}
	resp, err := http.Post(l.sandbox+"/_sandbox/"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode > 299 {
		l.t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
}

// taken is how many of the account's messages the sandbox has taken.
func (l *line) taken() int {
	l.t.Helper()
	resp, err := http.Get(l.sandbox + "/_sandbox/ledger")
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var ledger struct {
		Outbound []json.RawMessage `json:"outbound"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&ledger); err != nil {
		l.t.Fatal(err)
	}
	return len(ledger.Outbound)
}

// statuses waits until there are n statuses in the log, and returns them.
func (l *line) statuses(n int) []sdk.DeliveryStatus {
	l.t.Helper()
	for {
		var out []sdk.DeliveryStatus
		for _, ev := range l.Events() {
			if st, ok := ev.Body.(sdk.DeliveryStatus); ok {
				out = append(out, st)
			}
		}
		if len(out) >= n {
			return out
		}
		select {
		case <-l.hits:
		case <-time.After(10 * time.Second):
			l.t.Fatalf("%d status callbacks, want %d: %+v", len(out), n, out)
		}
	}
}

// TestSandboxSend: a message is sent, and its callbacks come back with the command's id.
func TestSandboxSend(t *testing.T) {
	l := newLine(t)
	got := l.Send(send("Good morning 😀"))
	if got.Outcome != sdk.OutcomeSent || len(got.ProviderIDs) != 1 {
		t.Fatalf("got %+v, want sent", got)
	}
	var states []sdk.MessageStatus
	for _, st := range l.statuses(2) {
		if st.ProviderID != got.ProviderIDs[0] || st.Command != commandID {
			t.Errorf("status %+v, want that of %s", st, got.ProviderIDs[0])
		}
		states = append(states, st.Status)
	}
	if diff := cmp.Diff([]sdk.MessageStatus{sdk.StatusSent, sdk.StatusDelivered}, states); diff != "" {
		t.Errorf("statuses (-want +got)\n%s", diff)
	}
}

// TestSandboxFaults tests FT33 with the sandbox and its ledger: what the result says, against what
// the carrier really has.
func TestSandboxFaults(t *testing.T) {
	type fault = map[string]any
	for name, tc := range map[string]struct {
		fault   fault
		outcome sdk.Outcome
		retry   bool
		taken   int
	}{
		"429":                 {fault{"kind": "status", "status": 429}, sdk.OutcomeFailed, true, 0},
		"500 before":          {fault{"kind": "status", "status": 500}, sdk.OutcomeUnknown, false, 0},
		"500 after":           {fault{"kind": "status", "status": 500, "after": true}, sdk.OutcomeUnknown, false, 1},
		"reset after reading": {fault{"kind": "reset", "after": true}, sdk.OutcomeUnknown, false, 1},
		"reset before":        {fault{"kind": "reset"}, sdk.OutcomeUnknown, false, 0},
		"hang":                {fault{"kind": "hang"}, sdk.OutcomeUnknown, false, 0},
		"hang after":          {fault{"kind": "hang", "after": true}, sdk.OutcomeUnknown, false, 1},
		"error in a 200":      {fault{"kind": "status", "status": 200, "body": `{"code":21610,"message":"no","status":400}`}, sdk.OutcomeFailed, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t)
			tc.fault["count"] = 1
			l.control("faults", tc.fault)
			cmd := send("hello")
			cmd.Deadline = time.Now().Add(1500 * time.Millisecond)
			got := l.Send(cmd)
			if got.Outcome != tc.outcome || got.Retryable != tc.retry {
				t.Errorf("got %+v, want outcome %d, another try %v", got, tc.outcome, tc.retry)
			}
			if n := l.taken(); n != tc.taken {
				t.Errorf("the carrier has %d messages, want %d", n, tc.taken)
			}
			if tc.taken == 1 { // the callback settles what the answer left open
				if st := l.statuses(2)[0]; st.Command != commandID || st.ProviderID == "" {
					t.Errorf("status %+v, want one with the command", st)
				}
			}
		})
	}
}

// TestSandboxText: a handset sends texts, one with a picture; the sandbox signs the webhooks.
func TestSandboxText(t *testing.T) {
	l := newLine(t)
	l.control("texts?wait=1", map[string]any{"from": customer, "to": number, "body": "first", "copies": 5})
	l.control("texts?wait=1", map[string]any{"from": customer, "to": number, "body": "unsigned", "signature": "wrong"})
	l.control("texts?wait=1", map[string]any{
		"from": customer, "to": number, "body": "look", "files": []map[string]string{{"content_type": "image/gif", "data": "R0lGODlh"}},
	})
	events := l.Events()
	if len(events) != 2 {
		t.Fatalf("events %+v, want a text and a deferred item", events)
	}
	if got := process(l.Host, events[1].Body.(sdk.Deferred).Opaque, 1); got.Outcome != sdk.OutcomeSent {
		t.Fatalf("process: %+v", got)
	}
	m := received(l.Host)[1].Body.(sdk.Message)
	if len(m.Parts) != 2 {
		t.Fatalf("parts %+v, want text and picture", m.Parts)
	}
	if f, ok := m.Parts[1].(sdk.File); !ok || f.Size != 6 {
		t.Errorf("part %+v, want the picture of 6 bytes", m.Parts[1])
	}
}
