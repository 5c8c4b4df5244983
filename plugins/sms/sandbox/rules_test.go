package sandbox_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

func TestCallbacks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []sandbox.Step
		want  []string // statuses of the expected callbacks
		final string
		code  int
	}{
		{"usual", nil, []string{"sending", "sent", "delivered"}, "delivered", 0},
		{"undelivered", []sandbox.Step{{Status: "sent"}, {Status: "undelivered", ErrorCode: 30003}}, []string{"sent", "undelivered"}, "undelivered", 30003},
		{"failed", []sandbox.Step{{Status: "failed", ErrorCode: 30008, ErrorMessage: "own words"}}, []string{"failed"}, "failed", 30008},
		{"backwards with repeats", []sandbox.Step{{Status: "delivered"}, {Status: "sent"}, {Status: "sending"}, {Status: "delivered"}}, []string{"delivered", "sent", "sending", "delivered"}, "delivered", 0},
		{"read", []sandbox.Step{{Status: "delivered"}, {Status: "read", AfterMS: 1}}, []string{"delivered", "read"}, "read", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t)
			d := newDouble(t, sandbox.Options{}, "")
			if tt.steps != nil {
				if code := d.control("POST", "/_sandbox/behaviours", sandbox.Behaviour{To: customer, Count: 1, Steps: tt.steps}, nil); code != 201 {
					t.Fatalf("behaviour: %d", code)
				}
			}
			var made answer
			d.call("POST", "/Messages.json", sms("StatusCallback", g.URL+"/hooks/1?status=c-1"), &made)
			m := d.outbound(made["sid"].(string))
			if diff := cmp.Diff(tt.want, statuses(m)); diff != "" {
				t.Errorf("callbacks (-want +got):\n%s", diff)
			}
			if m.Status != tt.final || m.ErrorCode != tt.code {
				t.Errorf("ends %s %d, want %s %d", m.Status, m.ErrorCode, tt.final, tt.code)
			}
			for i, h := range g.hits() {
				if h.form.Get("MessageStatus") != tt.want[i] || h.form.Get("MessageSid") != m.SID || h.form.Get("status") != "c-1" {
					t.Errorf("callback %d: %v", i, h.form)
				}
				h.form.Del("status")
				if h.signature != sandbox.Sign(token, g.URL+"/hooks/1?status=c-1", h.form) {
					t.Errorf("callback %d: wrong signature", i)
				}
				if (h.form.Get("ErrorCode") != "") != (tt.code != 0 && h.form.Get("MessageStatus") == tt.final) {
					t.Errorf("callback %d: error code %q", i, h.form.Get("ErrorCode"))
				}
			}
		})
	}
}

func TestEarlyCallback(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{}, "")
	if _, err := d.AddBehaviour(sandbox.Behaviour{Steps: []sandbox.Step{{Status: "sent"}, {Status: "delivered"}}, Early: 2}); err != nil {
		t.Fatal(err)
	}
	var made answer
	d.call("POST", "/Messages.json", sms("StatusCallback", g.URL), &made)
	if n := len(g.hits()); n != 2 || made["status"] != "queued" {
		t.Errorf("%d callbacks before the answer (status %v), want 2 and queued", n, made["status"])
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  sandbox.Fault
		status int // expected status; 0: no answer
		code   any
		taken  int
	}{
		{"429", sandbox.Fault{Kind: "status", Status: 429, RetryAfter: "1"}, 429, 20429.0, 0},
		{"503", sandbox.Fault{Kind: "status", Status: 503}, 503, 20500.0, 0},
		{"500 but taken", sandbox.Fault{Kind: "status", Status: 500, After: true}, 500, 20500.0, 1},
		{"region", sandbox.Fault{Kind: "status", Status: 400, Code: 21408, To: customer}, 400, 21408.0, 0},
		{"200 with an error", sandbox.Fault{Kind: "status", Status: 200, Body: `{"code":30001,"message":"odd"}`}, 200, 30001.0, 0},
		{"reset unread", sandbox.Fault{Kind: "reset"}, 0, nil, 0},
		{"reset of one number", sandbox.Fault{Kind: "reset", To: customer}, 0, nil, 0},
		{"reset but taken", sandbox.Fault{Kind: "reset", After: true}, 0, nil, 1},
		{"other number", sandbox.Fault{Kind: "reset", To: "+15550100198"}, 201, nil, 1},
		{"other operation", sandbox.Fault{Kind: "reset", Op: "list"}, 201, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDouble(t, sandbox.Options{}, "")
			tt.fault.Count = 1
			if code := d.control("POST", "/_sandbox/faults", tt.fault, nil); code != 201 {
				t.Fatalf("fault: %d", code)
			}
			if tt.status == 0 {
				if resp, err := d.try("POST", "/Messages.json", sms()); err == nil {
					resp.Body.Close()
					t.Errorf("answer %d, want a broken connection", resp.StatusCode)
				}
			} else {
				var got answer
				if code := d.call("POST", "/Messages.json", sms(), &got); code != tt.status || got["code"] != tt.code {
					t.Errorf("answer %d %v, want %d with %v", code, got, tt.status, tt.code)
				}
			}
			if n := len(d.Ledger().Outbound); n != tt.taken {
				t.Errorf("%d messages taken, want %d", n, tt.taken)
			}
			d.ClearRules()
			if code := d.call("POST", "/Messages.json", sms(), nil); code != 201 {
				t.Errorf("afterwards: %d", code)
			}
		})
	}
}

func TestFaultCountAndLatency(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	for _, f := range []sandbox.Fault{{Kind: "latency", DelayMS: 30, Count: 3}, {Kind: "status", Status: 503, Count: 2, Op: "any"}} {
		if _, err := d.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []struct {
		code int
		late bool
	}{{503, true}, {503, true}, {201, true}, {201, false}} {
		began := time.Now()
		if code := d.call("POST", "/Messages.json", sms(), nil); code != want.code {
			t.Errorf("request %d: %d, want %d", i, code, want.code)
		}
		if took := time.Since(began); want.late && took < 30*time.Millisecond {
			t.Errorf("request %d took %v, want 30ms at least", i, took)
		}
	}
	var left struct{ Faults, Behaviours []any }
	if d.control("GET", "/_sandbox/rules", nil, &left); len(left.Faults) != 0 {
		t.Errorf("faults left: %v", left.Faults)
	}
}

func TestHang(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	if _, err := d.AddFault(sandbox.Fault{Kind: "hang", Count: 1, After: true}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", d.url+"/2010-04-01/Accounts/"+account+"/Messages.json", strings.NewReader(sms().Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(account, token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	failed := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		failed <- err
	}()
	until(t, "the message", func() bool { return len(d.Ledger().Outbound) == 1 })
	select {
	case err := <-failed:
		t.Fatalf("answered: %v", err)
	default:
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("a hanging request was answered")
	}
}

func TestRulesRefused(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	for _, tt := range []struct {
		name, path string
		body       any
	}{
		{"unknown kind", "/_sandbox/faults", map[string]any{"kind": "flood"}},
		{"unknown member", "/_sandbox/faults", map[string]any{"kind": "hang", "often": true}},
		{"no status", "/_sandbox/faults", map[string]any{"kind": "status"}},
		{"no delay", "/_sandbox/faults", map[string]any{"kind": "latency"}},
		{"bad op", "/_sandbox/faults", map[string]any{"kind": "hang", "op": "update"}},
		{"bad step", "/_sandbox/behaviours", map[string]any{"steps": []map[string]any{{"status": "gone"}}}},
		{"initial step", "/_sandbox/behaviours", map[string]any{"steps": []map[string]any{{"status": "accepted"}}}},
		{"too early", "/_sandbox/behaviours", map[string]any{"steps": []map[string]any{{"status": "sent"}}, "early": 2}},
		{"bad number", "/_sandbox/phones", map[string]any{"phone": "call me"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got struct{ Error string }
			if code := d.control("POST", tt.path, tt.body, &got); code != 400 || got.Error == "" {
				t.Errorf("%d %q, want 400 with a reason", code, got.Error)
			}
		})
	}
	for _, n := range []sandbox.Number{{Number: "x y z!"}, {Number: number, Method: "PUT"}, {Number: number, WebhookURL: "/in"}, {Number: number, WebhookURL: "http://a/#rc=9"}} {
		if code := d.control("PUT", "/_sandbox/numbers", n, nil); code != 400 {
			t.Errorf("number %+v: %d, want 400", n, code)
		}
	}
}
