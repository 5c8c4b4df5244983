package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// textLine is what demo.json says of its SMS number.
type textLine struct {
	Account, Number string
	AccountSID      string `json:"account_sid"`
	AuthToken       string `json:"auth_token"`
	WebhookURL      string `json:"webhook_url"`
}

func (d *demo) textLine() textLine {
	d.t.Helper()
	var info struct{ SMS textLine }
	b, err := os.ReadFile(filepath.Join(d.data, "demo.json"))
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil || info.SMS.WebhookURL == "" {
		d.t.Fatalf("demo.json has no SMS line: %v", err)
	}
	return info.SMS
}

func (d *demo) carrier() *drive.Carrier {
	d.t.Helper()
	return d.carriers(1)[0]
}

// carriers are n connections of a carrier.
func (d *demo) carriers(n int) (out []*drive.Carrier) {
	d.t.Helper()
	l := d.textLine()
	for range n {
		c, err := drive.NewCarrier(drive.CarrierOptions{WebhookURL: l.WebhookURL, AccountSID: l.AccountSID, AuthToken: l.AuthToken, Number: l.Number})
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(c.Close)
		out = append(out, c)
	}
	return out
}

func sid(n int) string { return fmt.Sprintf("SM%032x", n) }

// texts are the customers' messages in the log, by text, with their streams.
func (d *demo) texts() map[string][]string {
	d.t.Helper()
	found := map[string][]string{}
	for _, e := range d.events() {
		if e.Type != "message/1" {
			continue
		}
		var body struct {
			Parts []struct{ Text string }
		}
		if err := json.Unmarshal(e.Body, &body); err != nil || len(body.Parts) == 0 {
			d.t.Fatalf("message %s/%d: %v", e.Stream, e.Seq, err)
		}
		found[body.Parts[0].Text] = append(found[body.Parts[0].Text], e.Stream)
	}
	return found
}

// PR3, Y1: one webhook five times at once, and again after its conversation has
// ended and the gateway was started anew: one event, always a 2xx.
func TestTextRepeated(t *testing.T) {
	data := t.TempDir()
	d := startDemo(t, data)
	var wg sync.WaitGroup
	for range 5 {
		c := d.carrier()
		wg.Go(func() {
			if status, err := c.Text(t.Context(), sid(1), "+12125550001", "five times"); err != nil || status != 200 {
				t.Errorf("delivery: %d, %v", status, err)
			}
		})
	}
	wg.Wait()
	if got := d.texts()["five times"]; len(got) != 1 {
		t.Errorf("the text is there %d times, want once", len(got))
	}
	d.stop()
	d = startDemo(t, data)
	if status, err := d.carrier().Text(t.Context(), sid(1), "+12125550001", "five times"); err != nil || status != 200 {
		t.Errorf("delivery after the restart: %d, %v", status, err)
	}
	if got := d.texts()["five times"]; len(got) != 1 {
		t.Errorf("after the restart the text is there %d times, want once", len(got))
	}
}

// Y3, PR7: two texts at the same moment from a number never seen before make
// one conversation.
func TestTextsAtOnce(t *testing.T) {
	d := startDemo(t, "")
	const phones = 30
	var wg sync.WaitGroup
	for p := range phones {
		for k := range 2 {
			c := d.carrier()
			wg.Go(func() {
				if status, err := c.Text(t.Context(), sid(p*2+k), fmt.Sprintf("+1212555%04d", p), fmt.Sprintf("phone %d text %d", p, k)); err != nil || status != 200 {
					t.Errorf("delivery: %d, %v", status, err)
				}
			})
		}
	}
	wg.Wait()
	texts := d.texts()
	for p := range phones {
		one, two := texts[fmt.Sprintf("phone %d text 0", p)], texts[fmt.Sprintf("phone %d text 1", p)]
		if len(one) != 1 || len(two) != 1 || one[0] != two[0] {
			t.Errorf("phone %d: texts in %v and %v, want each once, in one conversation", p, one, two)
		}
	}
}

// Y2, Y5, FT31: each bad webhook gets its precise answer, is counted, and
// leaves nothing in the log.
func TestTextRefused(t *testing.T) {
	d := startDemo(t, "")
	l, c := d.textLine(), d.carrier()
	with := func(change ...string) []drive.CarrierField {
		fields := c.TextFields(sid(7), "+12125550007", "canary of a refused text")
		for i := range fields {
			if len(change) == 2 && fields[i].Name == change[0] {
				fields[i].Value = change[1]
			}
		}
		return fields
	}
	form := func(fields []drive.CarrierField) string {
		v := url.Values{}
		for _, f := range fields {
			v.Set(f.Name, f.Value)
		}
		return v.Encode()
	}
	good := with()
	cases := []struct {
		name      string
		method    string
		url       string
		body      string
		signature string
		want      int
	}{
		{"no signature", "POST", l.WebhookURL, form(good), "", 400},
		{"wrong signature", "POST", l.WebhookURL, form(good), drive.Signature("another token", l.WebhookURL, good), 403},
		{"signed for another address", "POST", l.WebhookURL, form(good), drive.Signature(l.AuthToken, "http://elsewhere.example/hook", good), 403},
		{"another parameter than signed", "POST", l.WebhookURL, form(with("Body", "changed")), drive.Signature(l.AuthToken, l.WebhookURL, good), 403},
		{"another account's sid", "POST", l.WebhookURL, form(with("AccountSid", "AC"+strings.Repeat("9", 32))), drive.Signature(l.AuthToken, l.WebhookURL, with("AccountSid", "AC"+strings.Repeat("9", 32))), 403},
		{"a number that is not ours", "POST", l.WebhookURL, form(with("To", "+15550109999")), drive.Signature(l.AuthToken, l.WebhookURL, with("To", "+15550109999")), 404},
		{"an account that is not there", "POST", strings.Replace(l.WebhookURL, l.Account, "0190aaaa-0000-7000-8000-000000000001", 1), form(good), "x", 404},
		{"wrong method", "PUT", l.WebhookURL, form(good), "x", 405},
		{"oversize", "POST", l.WebhookURL, "Body=" + strings.Repeat("x", 2<<20), "x", 413},
		{"not a form", "POST", l.WebhookURL, "%zz=%", drive.Signature(l.AuthToken, l.WebhookURL, nil), 400},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			if got := hookStatus(t, tt.method, tt.url, tt.body, tt.signature); got != tt.want {
				t.Errorf("answer %d, want %d", got, tt.want)
			}
		})
	}
	if got := d.texts(); len(got) != 0 {
		t.Errorf("refused texts left %d messages", len(got))
	}
	// A number may be configured for GET.
	q := l.WebhookURL + "?" + form(with("Body", "by GET"))
	if got := hookStatus(t, "GET", q, "", drive.Signature(l.AuthToken, q, nil)); got != 200 {
		t.Errorf("GET webhook: answer %d, want 200", got)
	}
	if got := d.texts()["by GET"]; len(got) != 1 {
		t.Errorf("the GET's text is there %d times, want once", len(got))
	}
	metrics := d.metrics()
	for _, want := range []string{`result="refused"`, `result="method"`, `result="too_large"`, `result="unknown_account"`} {
		if !strings.Contains(metrics, "parley_hook_requests_total{"+want+"}") {
			t.Errorf("metrics lack parley_hook_requests_total{%s}", want)
		}
	}
	for _, secret := range []string{"canary of a refused text", l.AuthToken, "+12125550007"} {
		if strings.Contains(metrics, secret) || strings.Contains(d.log.String(), secret) {
			t.Errorf("%q is in metrics or logs", secret)
		}
	}
}

func hookStatus(t *testing.T, method, url, body, signature string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	if signature != "" {
		req.Header.Set("X-Twilio-Signature", signature)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func (d *demo) metrics() string {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.info.OpsURL+"/metrics", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}
