package sandbox_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

type answer map[string]any

func TestCreateFetchDelete(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	var made answer
	if code := d.call("POST", "/Messages.json", sms("Body", strings.Repeat("é", 161)), &made); code != http.StatusCreated {
		t.Fatalf("create: %d %v", code, made)
	}
	sid := made["sid"].(string)
	for name, want := range map[string]any{
		"status": "queued", "num_segments": "2", "num_media": "0", "direction": "outbound-api", "account_sid": account,
		"error_code": nil, "price": nil, "messaging_service_sid": nil, "date_sent": nil, "from": number, "to": customer,
	} {
		if got, ok := made[name]; !ok || got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if _, err := time.Parse(time.RFC1123Z, made["date_created"].(string)); err != nil {
		t.Errorf("date_created: %v", err)
	}
	d.outbound(sid)
	var got answer
	if code := d.call("GET", "/Messages/"+sid+".json", nil, &got); code != 200 || got["status"] != "delivered" || got["date_sent"] == nil {
		t.Errorf("fetch: %d %v, want delivered with a date", code, got)
	}
	if code := d.call("POST", "/Messages/"+sid+".json", form("Body", ""), &got); code != 200 || got["body"] != "" {
		t.Errorf("redact: %d body %v", code, got["body"])
	}
	if code := d.call("DELETE", "/Messages/"+sid+".json", nil, nil); code != http.StatusNoContent {
		t.Errorf("delete: %d", code)
	}
	if code := d.call("GET", "/Messages/"+sid+".json", nil, &got); code != http.StatusNotFound || got["code"] != 20404.0 {
		t.Errorf("after delete: %d %v", code, got)
	}
	if code := d.call("GET", ".json", nil, &got); code != 200 || got["sid"] != account || got["status"] != "active" {
		t.Errorf("account: %d %v", code, got)
	}
}

func TestCreateRefuses(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	media := sms()
	for i := range 11 {
		media.Add("MediaUrl", fmt.Sprintf("https://files.example.test/%d", i))
	}
	for _, tt := range []struct {
		name string
		form url.Values
		code float64
	}{
		{"no To", sms("To", ""), 21604},
		{"no From", sms("From", ""), 21603},
		{"nothing to say", sms("Body", ""), 21602},
		{"bad To", sms("To", "call me"), 21211},
		{"To without plus", sms("To", "15550100199"), 21211},
		{"bad From", sms("From", "+1-555"), 21212},
		{"From of somebody else", sms("From", "+15550100777"), 21606},
		{"To is From", sms("To", number), 21266},
		{"too long", sms("Body", strings.Repeat("x", 1601)), 21617},
		{"eleven pictures", media, 21623},
		{"bad picture", sms("MediaUrl", "picture.png"), 21620},
		{"no MMS", sms("From", pooled, "MediaUrl", "https://files.example.test/a"), 21621},
		{"bad callback", sms("StatusCallback", "/cb"), 21609},
		{"callback host with underscore", sms("StatusCallback", "https://my_host.example.test/cb"), 21609},
		{"bad validity", sms("ValidityPeriod", "36001"), 21624},
		{"unknown service", sms("From", "", "MessagingServiceSid", "MG00000000000000000000000000000009"), 21701},
		{"scheduled without service", sms("ScheduleType", "fixed", "SendAt", "2099-01-01T00:00:00Z"), 35118},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got answer
			code := d.call("POST", "/Messages.json", tt.form, &got)
			if code != 400 || got["code"] != tt.code || got["status"] != 400.0 || got["message"] == "" || !strings.Contains(got["more_info"].(string), fmt.Sprint(tt.code)) {
				t.Errorf("%d %v, want 400 with code %v", code, got, tt.code)
			}
		})
	}
	if n := len(d.Ledger().Outbound); n != 0 {
		t.Errorf("%d messages were taken, want 0", n)
	}
}

func TestAuth(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	for _, tt := range []struct {
		name, user, password, account string
		want                          int
	}{
		{"token", account, token, account, 200},
		{"key", "SK01", "key-secret", account, 200},
		{"wrong token", account, "x", account, 401},
		{"wrong key", "SK01", token, account, 401},
		{"nobody", "", "", account, 401},
		{"other account", account, token, "AC00000000000000000000000000000002", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, _ := http.NewRequest("GET", d.url+"/2010-04-01/Accounts/"+tt.account+"/Messages.json", nil)
			req.SetBasicAuth(tt.user, tt.password)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.want || tt.want == 401 && !strings.Contains(string(body), `"code":20003`) {
				t.Errorf("%d %s, want %d", resp.StatusCode, body, tt.want)
			}
		})
	}
	if code := d.control("PUT", "/_sandbox/account", map[string]string{"auth_token": "rotated"}, nil); code != 200 {
		t.Fatalf("rotate: %d", code)
	}
	if code := d.call("GET", "/Messages.json", nil, nil); code != 401 {
		t.Errorf("old token after rotation: %d, want 401", code)
	}
}

func TestList(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	for i := range 5 {
		d.call("POST", "/Messages.json", sms("To", fmt.Sprintf("+1555010020%d", i)), nil)
	}
	type list struct {
		Messages []struct {
			To string `json:"to"`
		} `json:"messages"`
		Next *string `json:"next_page_uri"`
	}
	for _, tt := range []struct {
		name, query string
		want        int
	}{
		{"all", "", 5},
		{"to", "To=%2B15550100203", 1},
		{"from nobody", "From=%2B15550100001", 0},
		{"today", "DateSent=" + time.Now().UTC().Format(time.DateOnly), 5},
		{"long ago", "DateSent=2001-01-01", 0},
		{"since", "DateSent%3E=2001-01-01T00:00:00Z", 5},
		{"until", "DateSent%3C=2001-01-01", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got list
			if code := d.call("GET", "/Messages.json?"+tt.query, nil, &got); code != 200 || len(got.Messages) != tt.want {
				t.Errorf("%d with %d messages, want %d", code, len(got.Messages), tt.want)
			}
		})
	}
	var bad answer
	if code := d.call("GET", "/Messages.json?DateSent=yesterday", nil, &bad); code != 400 {
		t.Errorf("bad date: %d", code)
	}
	var all []string
	for path := "/Messages.json?PageSize=2"; path != ""; {
		var got list
		d.call("GET", path, nil, &got)
		for _, m := range got.Messages {
			all = append(all, m.To)
		}
		path = ""
		if got.Next != nil {
			path = strings.TrimPrefix(*got.Next, "/2010-04-01/Accounts/"+account)
		}
	}
	want := []string{"+15550100204", "+15550100203", "+15550100202", "+15550100201", "+15550100200"}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("pages, newest first (-want +got):\n%s", diff)
	}
}

func TestService(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{}, "")
	var made answer
	d.call("POST", "/Messages.json", sms("From", "", "MessagingServiceSid", service, "StatusCallback", g.URL+"/cb?status=1#rc=0"), &made)
	if made["status"] != "accepted" || made["num_segments"] != "0" || made["messaging_service_sid"] != service || made["from"] != pooled {
		t.Errorf("answer %v", made)
	}
	m := d.outbound(made["sid"].(string))
	if diff := cmp.Diff([]string{"queued", "sending", "sent", "delivered"}, statuses(m)); diff != "" {
		t.Errorf("callbacks (-want +got):\n%s", diff)
	}
	if h := g.hits()[0]; h.uri != "/cb?status=1" || h.form.Get("MessagingServiceSid") != service {
		t.Errorf("callback %s %v", h.uri, h.form)
	}
	var later answer
	d.call("POST", "/Messages.json", sms("From", "", "MessagingServiceSid", service, "ScheduleType", "fixed", "SendAt", "2099-01-01T00:00:00Z"), &later)
	sid, _ := later["sid"].(string)
	if later["status"] != "scheduled" {
		t.Fatalf("scheduled: %v", later)
	}
	if code := d.call("POST", "/Messages/"+sid+".json", form("Status", "canceled"), &later); code != 200 || later["status"] != "canceled" {
		t.Errorf("cancel: %d %v", code, later)
	}
	if code := d.call("POST", "/Messages/"+sid+".json", form("Status", "canceled"), &later); code != 409 {
		t.Errorf("cancel again: %d", code)
	}
}

func TestMedia(t *testing.T) {
	picture := []byte("\x89PNG picture")
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/a.png" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture)
	}))
	t.Cleanup(host.Close)
	d := newDouble(t, sandbox.Options{Dir: t.TempDir()}, "")
	var made answer
	d.call("POST", "/Messages.json", sms("Body", "", "MediaUrl", host.URL+"/a.png"), &made)
	if sid := made["sid"].(string); !strings.HasPrefix(sid, "MM") || made["num_media"] != "1" {
		t.Errorf("answer %v", made)
	}
	m := d.outbound(made["sid"].(string))
	if len(m.Media) != 1 || m.Media[0].ContentType != "image/png" || m.Status != "delivered" {
		t.Fatalf("message %+v", m)
	}
	path := "/Messages/" + m.SID + "/Media/" + m.Media[0].SID
	noFollow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, _ := http.NewRequest("GET", d.url+"/2010-04-01/Accounts/"+account+path, nil)
	resp, err := noFollow.Do(req)
	if err != nil || resp.StatusCode != 401 {
		t.Fatalf("without credentials: %v %v", resp, err)
	}
	resp.Body.Close()
	resp, err = d.try("GET", path, nil) // follows the redirect; it is to another host, so the client drops the credentials
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(got) != string(picture) || resp.Request.URL.Host == strings.TrimPrefix(d.url, "http://") || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("got %q from %s", got, resp.Request.URL)
	}
	req, _ = http.NewRequest("GET", d.url+"/_storage/"+m.Media[0].SID, nil)
	req.SetBasicAuth(account, token)
	resp, err = noFollow.Do(req)
	if err != nil || resp.StatusCode != 400 {
		t.Fatalf("credentials sent to the storage: %v %v, want 400", resp, err)
	}
	resp.Body.Close()
	if code := d.call("DELETE", path, nil, nil); code != 204 {
		t.Errorf("delete: %d", code)
	}
	if resp, err = d.try("GET", path, nil); err != nil || resp.StatusCode != 404 {
		t.Errorf("after delete: %v %v", resp, err)
	}
	resp.Body.Close()

	d.call("POST", "/Messages.json", sms("MediaUrl", host.URL+"/gone.png"), &made)
	if m := d.outbound(made["sid"].(string)); m.Status != "failed" || m.ErrorCode != 21620 {
		t.Errorf("picture that is not there: %s %d", m.Status, m.ErrorCode)
	}
	noFollow.CloseIdleConnections()
}

func TestPictureFromHandset(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{}, g.URL)
	body := map[string]any{"from": customer, "to": number, "files": []map[string]any{{"content_type": "image/png", "data": base64.StdEncoding.EncodeToString([]byte("png"))}}}
	var m sandbox.Message
	if code := d.control("POST", "/_sandbox/texts?wait=1", body, &m); code != 201 {
		t.Fatalf("text: %d", code)
	}
	f := g.hits()[0].form
	link, err := url.Parse(f.Get("MediaUrl0"))
	if err != nil || f.Get("NumMedia") != "1" || f.Get("MediaContentType0") != "image/png" || f.Get("Body") != "" || !strings.HasPrefix(f.Get("MessageSid"), "MM") {
		t.Fatalf("webhook %v %v", f, err)
	}
	resp, err := d.try("GET", strings.TrimPrefix(link.Path, "/2010-04-01/Accounts/"+account), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != "png" {
		t.Errorf("media = %q", got)
	}
	if !slices.Contains([]string{"answered"}, m.Deliveries[0].State) {
		t.Errorf("delivery %+v", m.Deliveries[0])
	}
}
