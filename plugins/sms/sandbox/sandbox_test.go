package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account  = "AC00000000000000000000000000000001"
	token    = "parley-test-auth-token-0001"
	number   = "+15550100100"
	customer = "+15550100199"
	service  = "MG00000000000000000000000000000001"
	pooled   = "+15550100102"
)

// gateway is a webhook host: it records the requests and answers as the test says.
type gateway struct {
	*httptest.Server
	mu     sync.Mutex
	got    []hit
	answer func(n int, w http.ResponseWriter, r *http.Request) // nil: the answer is an empty Response
}

type hit struct {
	method, uri, signature, token string
	form                          url.Values
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("webhook: %v", err)
		}
		g.mu.Lock()
		g.got = append(g.got, hit{r.Method, r.RequestURI, r.Header.Get("X-Twilio-Signature"), r.Header.Get("I-Twilio-Idempotency-Token"), r.Form})
		n, answer := len(g.got), g.answer
		g.mu.Unlock()
		if answer != nil {
			answer(n, w, r)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, "<Response/>")
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) hits() []hit {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]hit(nil), g.got...)
}

// double is a sandbox with an HTTP server in front.
type double struct {
	*sandbox.Sandbox
	t   *testing.T
	url string
}

func newDouble(t *testing.T, o sandbox.Options, hook string) *double {
	t.Helper()
	o.AccountSID, o.AuthToken = account, token
	o.APIKeys = map[string]string{"SK01": "key-secret"}
	o.Numbers = []sandbox.Number{{Number: number, WebhookURL: hook}, {Number: pooled, ServiceSID: service, WebhookURL: hook, NoMMS: true}}
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	s.SetURL(srv.URL)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		srv.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return &double{s, t, srv.URL}
}

// call makes a REST request with the account's credentials; the answer is decoded into out.
func (d *double) call(method, path string, form url.Values, out any) int {
	d.t.Helper()
	resp, err := d.try(method, path, form)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			d.t.Fatalf("%s %s: answer %d is no JSON: %v", method, path, resp.StatusCode, err)
		}
	}
	return resp.StatusCode
}

func (d *double) try(method, path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequest(method, d.url+"/2010-04-01/Accounts/"+account+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(account, token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return http.DefaultClient.Do(req)
}

// control makes a request to the control API.
func (d *double) control(method, path string, in, out any) int {
	d.t.Helper()
	data, err := json.Marshal(in)
	if err != nil {
		d.t.Fatal(err)
	}
	req, err := http.NewRequest(method, d.url+path, bytes.NewReader(data))
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			d.t.Fatalf("%s %s: %d: %v", method, path, resp.StatusCode, err)
		}
	}
	return resp.StatusCode
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// sms is a valid form, with changes.
func sms(pairs ...string) url.Values {
	v := form("To", customer, "From", number, "Body", "hello")
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		} else {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

// until waits for a condition that another goroutine brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		case <-tick.C:
		}
	}
}

// outbound waits until a message has reached the end of its plan, and returns it.
func (d *double) outbound(sid string) sandbox.Message {
	d.t.Helper()
	var got sandbox.Message
	until(d.t, "end of "+sid, func() bool {
		for _, m := range d.Ledger().Outbound {
			if m.SID == sid {
				got = m
				return m.Done == len(m.Plan)
			}
		}
		return false
	})
	return got
}

func statuses(m sandbox.Message) (list []string) {
	for _, d := range m.Deliveries {
		list = append(list, d.Status)
	}
	return list
}
