package hook_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/hook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a plugin host with one account, whose plugin takes each body as one message with the body
// as its id, and keeps it.
type host struct {
	mu      sync.Mutex
	account conversation.AccountID
	limits  pluginhost.HookLimits
	down    chan struct{} // not nil: the plugin is away until this is closed
	fail    error
	calls   []pluginhost.HookRequest
	log     map[string]int // how often each message is in the log
}

func (h *host) HookLimits(a conversation.AccountID) (pluginhost.HookLimits, bool) {
	return h.limits, a == h.account
}

func (h *host) Hook(ctx context.Context, _ conversation.AccountID, req pluginhost.HookRequest) (pluginhost.HookResponse, error) {
	h.mu.Lock()
	down, fail := h.down, h.fail
	h.calls = append(h.calls, req)
	h.mu.Unlock()
	if down != nil {
		select {
		case <-down:
		case <-ctx.Done():
			return pluginhost.HookResponse{}, ctx.Err()
		}
	}
	if fail != nil {
		return pluginhost.HookResponse{}, fmt.Errorf("hook: account x: %w", fail)
	}
	if req.Header.Get("X-Signature") == "wrong" {
		return pluginhost.HookResponse{Status: 403, Reason: "signature"}, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.log[string(req.Body)] == 0 {
		h.log[string(req.Body)] = 1 // as the log does, whose unique key external_ids makes a repeat harmless
	}
	return pluginhost.HookResponse{Status: 200, Body: []byte("<Response/>"), Header: http.Header{
		"Content-Type": {"text/xml"}, "Set-Cookie": {"a=b"}, "Content-Length": {"99"}, "Access-Control-Allow-Origin": {"*"},
	}}, nil
}

type fixture struct {
	*host
	web *httptest.Server
	reg *prometheus.Registry
}

func setup(t *testing.T, mend func(*hook.Options)) *fixture {
	t.Helper()
	f := &fixture{host: &host{
		account: conversation.NewID[conversation.AccountID](), log: map[string]int{},
		limits: pluginhost.HookLimits{Methods: []string{"POST"}, MaxBody: 1000},
	}, reg: prometheus.NewRegistry()}
	opts := hook.Options{Host: f.host, PublicURL: "https://chat.example.com", Log: slog.New(slog.DiscardHandler), Registry: f.reg}
	if mend != nil {
		mend(&opts)
	}
	f.web = httptest.NewServer(hook.New(opts))
	t.Cleanup(f.web.Close)
	return f
}

func (f *fixture) do(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.web.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := f.web.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// PR2: another node has added an account a moment ago. A 404 would lose the carrier's message.
func TestAccountThatIsNew(t *testing.T) {
	recorded := conversation.NewID[conversation.AccountID]()
	f := setup(t, func(o *hook.Options) {
		o.Recorded = func(_ context.Context, a conversation.AccountID) bool { return a == recorded }
	})
	for path, want := range map[string]int{
		"/hooks/" + recorded.String(): 503, "/hooks/" + f.account.String(): 200, "/hooks/01890000-0000-7000-8000-000000000000": 404, "/hooks/": 404,
	} {
		if res, _ := f.do(t, "POST", path, strings.NewReader("a")); res.StatusCode != want || (want == 503) != (res.Header.Get("Retry-After") != "") {
			t.Errorf("%s: %d, Retry-After %q, want %d", path, res.StatusCode, res.Header.Get("Retry-After"), want)
		}
	}
}

func TestAnswers(t *testing.T) {
	f := setup(t, nil)
	path := "/hooks/" + f.account.String()
	cases := []struct {
		name, method, path string
		body               io.Reader
		header             []string
		status             int
	}{
		{"good", "POST", path, strings.NewReader("a"), nil, 200},
		{"unknown account", "POST", "/hooks/01890000-0000-7000-8000-000000000000", strings.NewReader("a"), nil, 404},
		{"no account", "POST", "/hooks/", strings.NewReader("a"), nil, 404},
		{"not an id", "POST", "/hooks/../../etc/passwd", strings.NewReader("a"), nil, 404},
		{"more behind the account", "POST", path + "/x", strings.NewReader("a"), nil, 404},
		{"method not taken", "DELETE", path, nil, nil, 405},
		{"too large, said so", "POST", path, strings.NewReader(strings.Repeat("a", 1001)), nil, 413},
		{"too large, found out", "POST", path, io.MultiReader(strings.NewReader(strings.Repeat("a", 1001))), nil, 413},
		{"as large as may be", "POST", path, strings.NewReader(strings.Repeat("a", 1000)), nil, 200},
		{"wrong signature", "POST", path, strings.NewReader("a"), []string{"X-Signature", "wrong"}, 403},
	}
	for _, c := range cases {
		res, _ := f.do(t, c.method, c.path, c.body, c.header...)
		if res.StatusCode != c.status {
			t.Errorf("%s: %s %s = %d, want %d", c.name, c.method, c.path, res.StatusCode, c.status)
		}
		if c.status == 405 && res.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow = %q, want POST", c.name, res.Header.Get("Allow"))
		}
	}
	if n := len(f.calls); n != 3 {
		t.Errorf("the plugin was called %d times, want 3: only for what it may take", n)
	}
	if got := f.metric(t, "parley_hook_requests_total", "unknown_account"); got != 4 {
		t.Errorf("unknown accounts counted: %v, want 4", got)
	}
}

// The plugin never sees a body that ends before its announced length.
func TestBodyCutShort(t *testing.T) {
	f := setup(t, nil)
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", f.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, err = fmt.Fprintf(c, "POST /hooks/%s HTTP/1.1\r\nHost: chat.example.com\r\nContent-Length: 10\r\n\r\nabc", f.account)
	if err = errors.Join(err, c.(*net.TCPConn).CloseWrite()); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if f.mu.Lock(); res.StatusCode != http.StatusBadRequest || len(f.calls) != 0 {
		t.Errorf("3 of 10 bytes: got %d and %d calls of the plugin, want 400 and none", res.StatusCode, len(f.calls))
	}
	f.mu.Unlock()
}

// TestWhatThePluginSees (FT31): the plugin sees the body unchanged, the configured public URL
// whatever the request claims, and none of the gateway's own headers.
func TestWhatThePluginSees(t *testing.T) {
	f := setup(t, nil)
	const body = "Body=caf%C3%A9&MediaUrl0=\r\n\x00raw"
	res, text := f.do(t, "POST", "/hooks/"+f.account.String()+"?b=2&a=%201&a=", strings.NewReader(body),
		"Host", "evil.example", "Cookie", "__Host-parley=secret", "Parley-Identity", "forged", "X-Twilio-Signature", "sig=")
	call := f.calls[0]
	if want := "https://chat.example.com/hooks/" + f.account.String() + "?b=2&a=%201&a="; call.URL != want {
		t.Errorf("URL = %q, want %q", call.URL, want)
	}
	if string(call.Body) != body {
		t.Errorf("body = %q, want it as it came", call.Body)
	}
	for _, name := range []string{"Cookie", "Parley-Identity", "Connection"} {
		if v := call.Header.Get(name); v != "" {
			t.Errorf("header %s = %q, want none", name, v)
		}
	}
	if call.Header.Get("X-Twilio-Signature") != "sig=" || call.RemoteIP != "127.0.0.1" || call.Received.IsZero() {
		t.Errorf("signature %q, ip %q, received %v", call.Header.Get("X-Twilio-Signature"), call.RemoteIP, call.Received)
	}
	if res.Header.Get("Content-Type") != "text/xml" || text != "<Response/>" {
		t.Errorf("answer %q of type %q, want the plugin's", text, res.Header.Get("Content-Type"))
	}
	for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin"} {
		if v := res.Header.Get(name); v != "" {
			t.Errorf("answer sets %s = %q, want it dropped", name, v)
		}
	}
}

// TestRepeats (Y1, PR3): the same webhook sent twice in a row and five times at once makes one
// message, and every request gets its 2xx.
func TestRepeats(t *testing.T) {
	f := setup(t, nil)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if res, _ := f.do(t, "POST", "/hooks/"+f.account.String(), strings.NewReader("SM1")); res.StatusCode != 200 {
				t.Errorf("one of five at once = %d, want 200", res.StatusCode)
			}
		})
	}
	wg.Wait()
	if res, _ := f.do(t, "POST", "/hooks/"+f.account.String(), strings.NewReader("SM1")); res.StatusCode != 200 {
		t.Errorf("again = %d, want 200", res.StatusCode)
	}
	if f.log["SM1"] != 1 || len(f.log) != 1 {
		t.Errorf("log = %v, want SM1 once", f.log)
	}
}

// TestRestartInTheMiddle: a webhook that comes while the plugin restarts waits, and the restarted
// plugin answers it.
func TestRestartInTheMiddle(t *testing.T) {
	f := setup(t, nil)
	f.down = make(chan struct{})
	answer := make(chan int, 1)
	go func() {
		res, _ := f.do(t, "POST", "/hooks/"+f.account.String(), strings.NewReader("SM2"))
		answer <- res.StatusCode
	}()
	for called := false; !called; {
		f.mu.Lock()
		called = len(f.calls) == 1
		f.mu.Unlock()
	}
	select {
	case got := <-answer:
		t.Fatalf("answered %d before anything was durable", got)
	default:
	}
	close(f.down)
	if got := <-answer; got != 200 || f.log["SM2"] != 1 {
		t.Errorf("answer %d, log %v; want 200 and SM2 once", got, f.log)
	}
}

// TestOurTrouble (PR2): what the gateway cannot make durable is answered with a 503 and a
// Retry-After, never with a 4xx.
func TestOurTrouble(t *testing.T) {
	f := setup(t, nil)
	for _, err := range []error{
		pluginhost.ErrUnavailable, plugin.ErrNotDurable, pluginhost.ErrBusy, pluginhost.ErrQuarantined, pluginhost.ErrClosed,
		context.DeadlineExceeded, errors.New("something new"),
	} {
		f.fail = err
		res, _ := f.do(t, "POST", "/hooks/"+f.account.String(), strings.NewReader("a"))
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("%v: %d, Retry-After %q; want 503 with a hint", err, res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	for err, want := range map[error]int{
		pluginhost.ErrUnknownAccount: 404, pluginhost.ErrNoHook: 404, pluginhost.ErrMethod: 405, plugin.ErrTooLarge: 413,
	} {
		f.fail = err
		if res, _ := f.do(t, "POST", "/hooks/"+f.account.String(), strings.NewReader("a")); res.StatusCode != want {
			t.Errorf("%v: %d, want %d", err, res.StatusCode, want)
		}
	}
	if len(f.log) != 0 {
		t.Errorf("log = %v, want nothing", f.log)
	}
}

func TestRates(t *testing.T) {
	f := setup(t, func(o *hook.Options) { o.PerSecond, o.Burst, o.BadPerSecond, o.BadBurst = .001, 3, .001, 2 })
	var got []int
	for range 4 {
		res, _ := f.do(t, "POST", "/hooks/"+f.account.String(), strings.NewReader("a"))
		got = append(got, res.StatusCode)
	}
	for range 3 {
		res, _ := f.do(t, "POST", "/hooks/x", strings.NewReader("a"))
		got = append(got, res.StatusCode)
	}
	if want := "[200 200 200 503 404 404 429]"; fmt.Sprint(got) != want {
		t.Errorf("four for an account with room for 3, three bad ones with room for 2: %v, want %v", got, want)
	}
}

// TestCarrierGone: a carrier that hangs up does not keep the hook waiting.
func TestCarrierGone(t *testing.T) {
	f := setup(t, nil)
	f.down = make(chan struct{})
	defer close(f.down)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", f.web.URL+"/hooks/"+f.account.String(), strings.NewReader("a"))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := f.web.Client().Do(req); err == nil {
		_ = res.Body.Close()
		t.Error("an answer although the plugin is away")
	}
}

func TestMetricNames(t *testing.T) {
	f := setup(t, nil)
	for i := range 20 {
		f.do(t, "POST", fmt.Sprintf("/hooks/%d", i), strings.NewReader("a"))
	}
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	for _, fam := range families {
		if n := len(fam.GetMetric()); n > 9 {
			t.Errorf("%s has %d series after 20 made-up accounts", fam.GetName(), n)
		}
	}
}

func (f *fixture) metric(t *testing.T, name, result string) float64 {
	t.Helper()
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, fam := range families {
		for _, m := range fam.GetMetric() {
			if fam.GetName() == name && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}
