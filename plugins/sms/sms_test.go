package sms_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
	"github.com/parley-gateway/parley/plugins/sms"
)

// serveEnv is the environment variable that makes the test binary run as the plugin.
const serveEnv = "SMS_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		sms.Serve()
	}
	goleak.VerifyTestMain(m)
}

const (
	accountSid = "AC00000000000000000000000000000001"
	serviceSid = "MG00000000000000000000000000000001"
	token      = "parley-test-auth-token-0001"
	number     = "+15550100002"
	customer   = "+15550100001"
	hookURL    = "https://gw.example.test/hooks/a"
	commandID  = "0190c1c0-0000-7000-8000-000000000001"
)

// double is a carrier that answers as the test says.
type double struct {
	*httptest.Server
	mu     sync.Mutex
	handle http.HandlerFunc
	posts  []url.Values // forms sent to Messages.json
}

func newDouble(t testing.TB) *double {
	t.Helper()
	d := &double{}
	d.Server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.Close)
	return d
}

// on sets the handler for everything except the check of the account.
func (d *double) on(h http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handle = h
}

func (d *double) serve(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if r.URL.Path == "/2010-04-01/Accounts/"+accountSid+".json" {
		if user != accountSid || password != token {
			answer(w, http.StatusUnauthorized, `{"code":20003,"message":"Authenticate","status":401}`)
			return
		}
		answer(w, http.StatusOK, `{"sid":"`+accountSid+`","status":"active"}`)
		return
	}
	d.mu.Lock()
	h := d.handle
	if r.Method == http.MethodPost {
		_ = r.ParseForm()
		d.posts = append(d.posts, r.PostForm)
	}
	n := len(d.posts)
	d.mu.Unlock()
	if h != nil {
		h(w, r)
		return
	}
	answer(w, http.StatusCreated, fmt.Sprintf(`{"sid":"SM%032d","status":"queued"}`, n))
}

func (d *double) sent() []url.Values {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.posts)
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// syncBuffer takes logs of several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// world is the plugin between a fake gateway and a fake carrier.
type world struct {
	*sdktest.Host
	carrier *double
	log     syncBuffer
}

// settings are the settings of the test's account; more overrides them.
func settings(base string, more map[string]any) json.RawMessage {
	m := map[string]any{"base_url": base, "account_sid": accountSid, "number": number}
	for k, v := range more {
		m[k] = v
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return text
}

func config(base string, more map[string]any) sdk.Config {
	return sdk.Config{Accounts: []sdk.Account{{
		ID: "a", Name: "Line", Settings: settings(base, more), HookURL: hookURL, Enabled: true,
		Secrets: map[string]sdk.Secret{"auth_token": sdk.NewSecret(token)},
	}}}
}

func newWorld(t *testing.T, more map[string]any) *world {
	t.Helper()
	w := &world{carrier: newDouble(t)}
	w.Host = sdktest.Start(t, sms.New(), sdktest.Options{
		Config: config(w.carrier.URL, more),
		Log:    slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	return w
}

// inbound is the form of a webhook as the carrier sends it, with 20 fields.
func inbound(more map[string]string) url.Values {
	form := url.Values{}
	for k, v := range map[string]string{
		"ToCountry": "US", "ToState": "CA", "ToCity": "SAN FRANCISCO", "ToZip": "94103",
		"SmsMessageSid": "SM00000000000000000000000000000001", "SmsSid": "SM00000000000000000000000000000001",
		"MessageSid": "SM00000000000000000000000000000001", "AccountSid": accountSid,
		"NumMedia": "0", "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01",
		"FromCountry": "US", "FromState": "NY", "FromCity": "", "FromZip": "10001",
		"From": customer, "To": number, "Body": "Is it waterproof?", "New": "unknown fields are signed, too",
	} {
		form.Set(k, v)
	}
	for k, v := range more {
		form.Set(k, v)
	}
	return form
}

// sign computes a signature by the carrier's scheme, independently of the plugin's code.
func sign(address string, form url.Values, token string) string {
	text := address
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range form {
			if !yield(k) {
				return
			}
		}
	}) {
		for _, v := range form[name] {
			text += name + v
		}
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// post is a signed webhook.
func post(address string, form url.Values) sdk.HookRequest {
	return sdk.HookRequest{
		Account: "a", Method: http.MethodPost, URL: address, Body: []byte(form.Encode()),
		Header: http.Header{
			"Content-Type":       {"application/x-www-form-urlencoded; charset=UTF-8"},
			"X-Twilio-Signature": {sign(address, form, token)},
		},
		ReceivedTime: time.UnixMicro(1_790_000_000_000_000),
	}
}

// send is a command to send an agent's message.
func send(text string, parts ...sdk.Part) sdk.SendCommand {
	if text != "" {
		parts = append([]sdk.Part{sdk.Text{Text: text}}, parts...)
	}
	return sdk.SendCommand{
		CommandInfo: sdk.CommandInfo{ID: commandID, Account: "a", Thread: customer},
		MessageID:   "0190c1c0-0000-7000-8000-000000000002", To: customer, Parts: parts,
	}
}

// series returns the value of the metric whose line begins with prefix.
func series(t *testing.T, text, prefix string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix+" "); ok {
			return rest
		}
	}
	t.Fatalf("no series %s in\n%s", prefix, text)
	return ""
}

// fuzzed is a plugin that accepts unsigned webhooks.
func fuzzed(tb testing.TB) *sms.Plugin {
	tb.Helper()
	p := sms.New()
	cfg := config("http://127.0.0.1:1", map[string]any{"signature": "observe"})
	if err := p.Configure(tb.Context(), &cfg); err != nil {
		tb.Fatal(err)
	}
	return p
}
