package sandbox_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

func TestInboundWebhook(t *testing.T) {
	g := newGateway(t)
	hook := g.URL + "/hooks/1?org=7"
	d := newDouble(t, sandbox.Options{}, hook+"#rc=2")
	m, err := d.Send(sandbox.Text{From: customer, To: number, Body: "Héllo & welcome"})
	if err != nil {
		t.Fatal(err)
	}
	h := g.hits()[0]
	if h.method != "POST" || h.uri != "/hooks/1?org=7" || h.token == "" {
		t.Errorf("request %+v", h)
	}
	h.form.Del("org") // part of the URL, not a parameter
	if want := sandbox.Sign(token, hook, h.form); h.signature != want {
		t.Errorf("signature %s, want %s", h.signature, want)
	}
	want := map[string]string{
		"MessageSid": m.SID, "SmsSid": m.SID, "SmsMessageSid": m.SID, "AccountSid": account, "From": customer, "To": number,
		"Body": "Héllo & welcome", "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01",
		"FromCity": "", "FromState": "", "FromZip": "", "FromCountry": "US", "ToCity": "", "ToState": "", "ToZip": "", "ToCountry": "US",
	}
	got := map[string]string{}
	for name := range h.form {
		got[name] = h.form.Get(name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if len(m.Deliveries) != 1 || m.Deliveries[0].State != "answered" || m.Deliveries[0].Attempts[0].Code != 200 || m.Deliveries[0].Token != h.token {
		t.Errorf("deliveries %+v", m.Deliveries)
	}
}

func TestInboundByGET(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{}, "")
	hook := g.URL + "/hooks/1?org=7"
	if code := d.control("PUT", "/_sandbox/numbers", sandbox.Number{Number: number, WebhookURL: hook, Method: "GET", AdvancedOptOut: true}, nil); code != 200 {
		t.Fatalf("number: %d", code)
	}
	if _, err := d.Send(sandbox.Text{From: customer, To: number, Body: "help"}); err != nil {
		t.Fatal(err)
	}
	h := g.hits()[0]
	if h.method != "GET" || h.form.Get("OptOutType") != "HELP" || h.signature != sandbox.Sign(token, g.URL+h.uri, nil) {
		t.Errorf("request %+v", h)
	}
}

func TestCopiesSignaturesReplay(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{}, g.URL)
	m, err := d.Send(sandbox.Text{From: customer, To: number, Body: "five", Copies: 5})
	if err != nil || len(m.Deliveries) != 5 {
		t.Fatalf("%d deliveries, %v; want 5", len(m.Deliveries), err)
	}
	if code := d.control("POST", "/_sandbox/texts/"+m.SID+"/replay", map[string]int{"copies": 2}, &m); code != 200 || len(m.Deliveries) != 7 {
		t.Errorf("replay: %d, %d deliveries, want 7", code, len(m.Deliveries))
	}
	for _, h := range g.hits() {
		if h.token != m.Deliveries[0].Token || h.form.Get("MessageSid") != m.SID {
			t.Errorf("copy differs: %+v", h)
		}
	}
	if _, err := d.Send(sandbox.Text{From: customer, To: number, Body: "x", Signature: "none", Fields: map[string]string{"AccountSid": "AC2"}}); err != nil {
		t.Fatal(err)
	}
	if h := g.hits()[7]; h.signature != "" || h.form.Get("AccountSid") != "AC2" {
		t.Errorf("unsigned: %+v", h)
	}
	if _, err := d.Send(sandbox.Text{From: customer, To: number, Body: "x", Signature: "wrong"}); err != nil {
		t.Fatal(err)
	}
	if h := g.hits()[8]; h.signature == "" || h.signature == sandbox.Sign(token, g.URL, h.form) {
		t.Errorf("signature %q, want a wrong one", h.signature)
	}
}

func TestTextRefused(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	for _, tt := range []struct {
		name string
		text sandbox.Text
	}{
		{"unknown number", sandbox.Text{From: customer, To: "+15550100777", Body: "x"}},
		{"bad sender", sandbox.Text{From: "+0", To: number, Body: "x"}},
		{"nothing", sandbox.Text{From: customer, To: number}},
		{"too long", sandbox.Text{From: customer, To: number, Body: strings.Repeat("x", 1601)}},
		{"not UTF-8", sandbox.Text{From: customer, To: number, Body: "\xff"}},
		{"too big", sandbox.Text{From: customer, To: number, Files: []sandbox.Upload{{ContentType: "image/png", Data: make([]byte, 6<<20)}}}},
		{"no type", sandbox.Text{From: customer, To: number, Files: []sandbox.Upload{{Data: []byte("x")}}}},
		{"copies", sandbox.Text{From: customer, To: number, Body: "x", Copies: -1}},
		{"signature", sandbox.Text{From: customer, To: number, Body: "x", Signature: "best"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := d.Send(tt.text); !errors.Is(err, sandbox.ErrInvalid) {
				t.Errorf("Send = %v, want ErrInvalid", err)
			}
		})
	}
	if n := len(d.Ledger().Inbound); n != 0 {
		t.Errorf("%d texts in the ledger", n)
	}
}

// script is a webhook host in a bubble of simulated time, with one reaction for each attempt.
type script struct {
	reactions []func(ctx context.Context) (int, error)
	tokens    []string
	began     []time.Duration
	start     time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	n := len(s.tokens)
	s.tokens = append(s.tokens, r.Header.Get("I-Twilio-Idempotency-Token"))
	s.began = append(s.began, time.Since(s.start))
	code, err := s.reactions[min(n, len(s.reactions)-1)](r.Context())
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader("<Response/>")), Request: r}, nil
}

func answers(code int) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
		return code, nil
	}
}

func refused(context.Context) (int, error) { return 0, errors.New("connection refused") }

func neverConnects(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func neverAnswers(ctx context.Context) (int, error) {
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
	<-ctx.Done()
	return 0, ctx.Err()
}

func breaksOff(ctx context.Context) (int, error) {
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
	return 0, io.ErrUnexpectedEOF
}

// TestRetries checks timeouts and retries against the vendor's page "Connection overrides".
func TestRetries(t *testing.T) {
	type reaction = func(context.Context) (int, error)
	for _, tt := range []struct {
		name, fragment string
		reactions      []reaction
		state          string
		code           int // the code that is logged
		began          []time.Duration
	}{
		{"answered", "", []reaction{answers(200)}, "answered", 0, []time.Duration{0}},
		{"one retry on a failed connection", "", []reaction{refused, answers(200)}, "answered", 0, []time.Duration{0, 0}},
		{"then given up", "", []reaction{refused}, "failed", 11205, []time.Duration{0, 0}},
		{"connect timeout 5 s", "", []reaction{neverConnects}, "failed", 11205, []time.Duration{0, 5 * time.Second}},
		{"no answer in 15 s is not repeated", "", []reaction{neverAnswers}, "failed", 11200, []time.Duration{0}},
		{"5xx is not repeated", "", []reaction{answers(503)}, "failed", 11200, []time.Duration{0}},
		{"5xx with rp", "#rc=2&rp=5xx", []reaction{answers(503), answers(500), answers(200)}, "answered", 0, []time.Duration{0, 0, 0}},
		{"5xx until rc", "#rc=3&rp=5xx,ct", []reaction{answers(503)}, "failed", 11200, []time.Duration{0, 0, 0, 0}},
		{"4xx only when asked", "#rc=3&rp=5xx", []reaction{answers(404)}, "failed", 11200, []time.Duration{0}},
		{"read timeout repeated", "#rc=1&rp=rt&rt=500", []reaction{neverAnswers, answers(200)}, "answered", 0, []time.Duration{0, 500 * time.Millisecond}},
		{"total time ends it", "#rc=5&rp=all&rt=4000&tt=9000", []reaction{neverAnswers}, "failed", 11200, []time.Duration{0, 4 * time.Second, 8 * time.Second}},
		{"broken off is a read failure", "#rc=1&rp=rt", []reaction{breaksOff, answers(200)}, "answered", 0, []time.Duration{0, 0}},
		{"no retry at all", "#rc=0", []reaction{refused}, "failed", 11205, []time.Duration{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host := &script{reactions: tt.reactions, start: time.Now()}
				s, err := sandbox.New(sandbox.Options{Transport: host, Numbers: []sandbox.Number{{Number: number, WebhookURL: "http://gw.example.test/in" + tt.fragment}}})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				m, err := s.Send(sandbox.Text{From: customer, To: number, Body: "x"})
				if err != nil {
					t.Fatal(err)
				}
				if d := m.Deliveries[0]; d.State != tt.state || d.Error != tt.code || len(d.Attempts) != len(tt.began) {
					t.Errorf("delivery %+v, want %s with %d after %d attempts", d, tt.state, tt.code, len(tt.began))
				}
				if diff := cmp.Diff(tt.began, host.began); diff != "" {
					t.Errorf("attempts began (-want +got):\n%s", diff)
				}
				if got := slices.Compact(slices.Clone(host.tokens)); len(got) != 1 || got[0] == "" {
					t.Errorf("tokens %q, want one", host.tokens)
				}
			})
		})
	}
}

func TestFallback(t *testing.T) {
	g := newGateway(t)
	g.answer = func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	d := newDouble(t, sandbox.Options{}, "")
	if err := d.SetNumber(sandbox.Number{Number: number, WebhookURL: g.URL + "/first", FallbackURL: g.URL + "/second"}); err != nil {
		t.Fatal(err)
	}
	m, err := d.Send(sandbox.Text{From: customer, To: number, Body: "x"})
	if err != nil || m.Deliveries[0].State != "answered" || len(m.Deliveries[0].Attempts) != 2 {
		t.Fatalf("%+v %v", m.Deliveries, err)
	}
	if h := g.hits()[1]; h.uri != "/second" || h.form.Get("ErrorCode") != "11200" || h.form.Get("ErrorUrl") != g.URL+"/first" {
		t.Errorf("fallback %+v", h)
	}
}

func TestTwiMLReply(t *testing.T) {
	for _, tt := range []struct {
		name, kind, body string
		replies          []string
		code             int
	}{
		{"none", "text/xml", `<?xml version="1.0" encoding="UTF-8"?><Response/>`, nil, 0},
		{"empty", "", "", nil, 0},
		{"text", "application/xml; charset=utf-8", "<Response><Message> Hi &amp; bye </Message></Response>", []string{"Hi & bye"}, 0},
		{"body, twice", "text/xml", "<Response><Message><Body>a</Body></Message><Message>b</Message></Response>", []string{"a", "b"}, 0},
		{"not XML", "text/xml", "ok", nil, 12100},
		{"cut off", "text/xml", "<Response><Message>", nil, 12100},
		{"wrong root", "text/xml", "<Answer/>", nil, 12102},
		{"wrong type", "text/plain", "<Response/>", nil, 12300},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t)
			g.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				_, _ = io.WriteString(w, tt.body)
			}
			d := newDouble(t, sandbox.Options{}, g.URL)
			m, err := d.Send(sandbox.Text{From: customer, To: number, Body: "x"})
			if err != nil || m.Deliveries[0].Error != tt.code {
				t.Errorf("logged %d, %v; want %d", m.Deliveries[0].Error, err, tt.code)
			}
			var got []string
			for _, out := range d.Ledger().Outbound {
				got = append(got, out.Body)
			}
			if diff := cmp.Diff(tt.replies, got); diff != "" {
				t.Errorf("replies (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStop(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{}, g.URL)
	say := func(text string) {
		t.Helper()
		if _, err := d.Send(sandbox.Text{From: customer, To: number, Body: text}); err != nil {
			t.Fatal(err)
		}
	}
	send := func() (int, any) {
		var got answer
		code := d.call("POST", "/Messages.json", sms(), &got)
		return code, got["code"]
	}
	for _, tt := range []struct {
		text    string
		blocked bool
	}{
		{"please stop", false}, {" Stop\n", true}, {"hello", true}, {"START", false}, {"unsubscribe", true}, {"help", true}, {"unstop", false},
	} {
		say(tt.text)
		status, code := send()
		if blocked := status == 400 && code == 21610.0; blocked != tt.blocked || !blocked && status != 201 {
			t.Errorf("after %q: %d %v, want blocked = %v", tt.text, status, code, tt.blocked)
		}
	}
	replies := 0
	for _, m := range d.Ledger().Outbound {
		if m.Direction == "outbound-reply" {
			replies++
		}
	}
	if replies != 5 || len(g.hits()) != 7 {
		t.Errorf("%d automatic answers and %d webhooks, want 5 and 7", replies, len(g.hits()))
	}
}

// TestLocalhostNames: names below .localhost lead to this machine without a resolver.
func TestLocalhostNames(t *testing.T) {
	g := newGateway(t)
	u, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := newDouble(t, sandbox.Options{}, "http://chat.localhost:"+u.Port()+"/hooks/1")
	m, err := d.Send(sandbox.Text{From: customer, To: number, Body: "x"})
	if err != nil || m.Deliveries[0].State != "answered" {
		t.Errorf("%+v %v", m.Deliveries, err)
	}
}

var _ http.Handler = (*sandbox.Sandbox)(nil)

func TestPageOfOtherOriginRefused(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	r := httptest.NewRequest("POST", "/_sandbox/reset", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("cross-site reset: %d, want 403", w.Code)
	}
}
