package sms_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
	"github.com/parley-gateway/parley/plugins/sms"
)

func TestSend(t *testing.T) {
	for name, tc := range map[string]struct {
		settings map[string]any
		text     string
		want     url.Values
	}{
		"number": {nil, "Good morning", url.Values{
			"To": {customer}, "From": {number}, "Body": {"Good morning"}, "StatusCallback": {hookURL + "?status=" + commandID},
		}},
		"service": {map[string]any{"number": "", "messaging_service_sid": serviceSid}, "Good morning", url.Values{
			"To": {customer}, "MessagingServiceSid": {serviceSid}, "Body": {"Good morning"}, "StatusCallback": {hookURL + "?status=" + commandID},
		}},
		"both, own webhook": {map[string]any{"messaging_service_sid": serviceSid, "webhook_url": "https://public.example/in?k=1#rc=3&rp=5xx", "smart_encoding": true}, "Grüße \U0001F600", url.Values{
			"To": {customer}, "MessagingServiceSid": {serviceSid}, "From": {number}, "Body": {"Grüße \U0001F600"}, "SmartEncoded": {"true"},
			"StatusCallback": {"https://public.example/in?k=1&status=" + commandID + "#rc=3&rp=5xx"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.settings)
			if diff := cmp.Diff(sdk.Sent("SM00000000000000000000000000000001"), w.Send(send(tc.text))); diff != "" {
				t.Errorf("result (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff([]url.Values{tc.want}, w.carrier.sent()); diff != "" {
				t.Errorf("the carrier got (-want +got)\n%s", diff)
			}
			if !w.Begun(commandID) {
				t.Error("sent without the barrier")
			}
		})
	}
}

// TestSendRefusedHere: a message that the carrier would refuse is not sent.
func TestSendRefusedHere(t *testing.T) {
	for name, tc := range map[string]struct {
		settings map[string]any
		cmd      sdk.SendCommand
		want     sdk.ErrorKind
		code     string
	}{
		"too long":      {nil, send(strings.Repeat("a", 1601)), sdk.KindContent, "21617"},
		"empty":         {nil, send(""), sdk.KindContent, "empty"},
		"no address":    {nil, sdk.SendCommand{CommandInfo: sdk.CommandInfo{Account: "a"}, Parts: []sdk.Part{sdk.Text{Text: "x"}}}, sdk.KindAddress, "no_address"},
		"other part":    {nil, send("", sdk.Location{}), sdk.KindContent, "unsupported_part"},
		"files off":     {map[string]any{"media": false}, send("x", sdk.File{Blob: "b"}), sdk.KindContent, "media_off"},
		"file is gone":  {nil, send("x", sdk.File{Blob: "none"}), sdk.KindContent, "blob"},
		"many files":    {nil, send("", make11()...), sdk.KindContent, "21623"},
		"other account": {nil, sdk.SendCommand{CommandInfo: sdk.CommandInfo{Account: "b"}, To: customer}, sdk.KindInternal, "unknown_account"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.settings)
			got := w.Send(tc.cmd)
			if got.Outcome != sdk.OutcomeFailed || got.ErrorKind != tc.want || got.Code != tc.code {
				t.Errorf("got %+v, want a failure of kind %d, code %s", got, tc.want, tc.code)
			}
			if n := len(w.carrier.sent()); n != 0 || w.Begun(tc.cmd.ID) {
				t.Errorf("%d requests left", n)
			}
		})
	}
}

func make11() []sdk.Part {
	parts := make([]sdk.Part, 11)
	for i := range parts {
		parts[i] = sdk.File{Blob: "b"}
	}
	return parts
}

func TestSendBeginRefused(t *testing.T) {
	d := newDouble(t)
	h := sdktest.Start(t, sms.New(), sdktest.Options{Config: config(d.URL, nil), RefuseBegin: true})
	if got := h.Send(send("x")); !got.Retryable || got.Code != "not_begun" || len(d.sent()) != 0 {
		t.Errorf("got %+v and %d requests, want another try and none", got, len(d.sent()))
	}
}

// TestSendAnswers tests PR4 and FT33: what each answer of the carrier means.
func TestSendAnswers(t *testing.T) {
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, body) }
	}
	fails := func(kind sdk.ErrorKind, code, text string) sdk.Result { return sdk.Failed(kind, code, text) }
	again := func(kind sdk.ErrorKind, code, text string, after time.Duration) sdk.Result {
		return sdk.Retry(kind, code, text, after)
	}
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		want   sdk.Result
	}{
		"queued":               {text(201, `{"sid":"SM1","status":"queued","error_code":null}`), sdk.Sent("SM1")},
		"200 is as good":       {text(200, `{"sid":"SM1","status":"accepted"}`), sdk.Sent("SM1")},
		"failed at once":       {text(201, `{"sid":"SM1","status":"failed","error_code":30006}`), sdk.Result{Outcome: sdk.OutcomeFailed, ErrorKind: sdk.KindAddress, Code: "30006", Text: "a landline, or a network that cannot be reached", ProviderIDs: []string{"SM1"}}},
		"200, error document":  {text(200, `{"code":21211,"message":"Invalid 'To' +15550100001","status":400}`), fails(sdk.KindAddress, "21211", "Invalid 'To' …")},
		"odd field":            {text(201, `{"sid":"SM1","num_segments":1}`), sdk.Sent("SM1")},
		"no sid":               {text(201, `{}`), sdk.Unknown("no_sid", "the carrier's answer names no message")},
		"no JSON":              {text(201, `<html>`), sdk.Unknown("bad_answer", "the carrier's answer is not understood")},
		"other type":           {text(201, `{"sid":7}`), sdk.Unknown("bad_answer", "the carrier's answer is not understood")},
		"address":              {text(400, `{"code":21614,"message":"","status":400}`), fails(sdk.KindAddress, "21614", "the number is no mobile number")},
		"content":              {text(400, `{"code":21617,"message":"The concatenated message body exceeds the 1600 character limit","status":400}`), fails(sdk.KindContent, "21617", "The concatenated message body exceeds the 1600 character limit")},
		"unknown 4xx":          {text(400, `{"code":29999,"message":"Not today: hello +15550100001 hello","status":400}`), fails(sdk.KindContent, "29999", "Not today: … … …")},
		"no document":          {text(400, `nope`), fails(sdk.KindContent, "http_400", "the carrier refuses the message")},
		"credentials":          {text(401, `{"code":20003,"message":"Authenticate","status":401}`), fails(sdk.KindAuth, "20003", "Authenticate")},
		"credentials, no text": {text(401, ``), fails(sdk.KindAuth, "http_401", "the carrier refuses the credentials")},
		"forbidden":            {text(403, ``), fails(sdk.KindAuth, "http_403", "the carrier refuses the credentials")},
		"not found":            {text(404, ``), fails(sdk.KindInternal, "http_404", "the carrier does not know the account or resource")},
		"throttled":            {text(429, `{"code":20429,"message":"Too Many Requests","status":429}`), again(sdk.KindThrottled, "20429", "Too Many Requests", 0)},
		"throttled, when": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		}, again(sdk.KindThrottled, "http_429", "too many requests", 7*time.Second)},
		"queue full":        {text(400, `{"code":21611}`), again(sdk.KindThrottled, "21611", "the queue of the sender's number is full", 0)},
		"500":               {text(500, `{"code":20500,"message":"Internal","status":500}`), sdk.Unknown("http_500", "the carrier failed")},
		"502, no document":  {text(502, `<html>`), sdk.Unknown("http_502", "the carrier failed")},
		"503 that says not": {text(503, `{"code":20429,"message":"","status":429}`), again(sdk.KindThrottled, "20429", "too many requests", 0)},
		"408":               {text(408, ``), sdk.Unknown("http_408", "the carrier failed")},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, again(sdk.KindTemporary, "http_307", "the carrier's address answers with a redirect", 0)},
		"cut after reading": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, sdk.Unknown("no_answer", "the carrier did not answer")},
		"cut in the answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"sid":"SM1"`)
			panic(http.ErrAbortHandler)
		}, sdk.Unknown("no_answer", "the carrier did not answer")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.carrier.on(tc.handle)
			if diff := cmp.Diff(tc.want, w.Send(send("hello"))); diff != "" {
				t.Errorf("result (-want +got)\n%s", diff)
			}
			if n := len(w.carrier.sent()); n != 1 {
				t.Errorf("%d requests, want 1: retries are the gateway's", n)
			}
		})
	}
}

// TestSendHang: if no answer comes within the command's time, the outcome is unknown.
func TestSendHang(t *testing.T) {
	w := newWorld(t, nil)
	gone := make(chan struct{})
	w.carrier.on(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // ends when the plugin gives up
		close(gone)
	})
	cmd := send("hello")
	cmd.Deadline = time.Now().Add(1300 * time.Millisecond)
	if diff := cmp.Diff(sdk.Unknown("no_answer", "the carrier did not answer"), w.Send(cmd)); diff != "" {
		t.Errorf("result (-want +got)\n%s", diff)
	}
	<-gone
}

// TestSendUnreachable: nothing was sent, so another attempt does no harm.
func TestSendUnreachable(t *testing.T) {
	d := newDouble(t)
	d.Close()
	h := sdktest.Start(t, sms.New(), sdktest.Options{Config: config(d.URL, nil)})
	h.WaitStatus(func(s sdk.AccountStatus) bool { return s.Account == "a" && !s.OK && s.Code == "unreachable" })
	got := h.Send(send("hello"))
	if diff := cmp.Diff(sdk.Retry(sdk.KindTemporary, "unreachable", "the carrier cannot be reached", 0), got); diff != "" {
		t.Errorf("result (-want +got)\n%s", diff)
	}
}

// TestSendTLS: with a certificate that cannot be verified the request is not sent (FT33).
func TestSendTLS(t *testing.T) {
	var asked bool
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.StartTLS()
	t.Cleanup(server.Close)
	h := sdktest.Start(t, sms.New(), sdktest.Options{Config: config(server.URL, nil)})
	if got := h.Send(send("hello")); !got.Retryable || got.Code != "unreachable" || asked {
		t.Errorf("got %+v (request read: %v), want another try", got, asked)
	}
}

// TestSendOptedOut: the carrier's refusal is final, and the gateway is told of the opt-out.
func TestSendOptedOut(t *testing.T) {
	w := newWorld(t, nil)
	w.carrier.on(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 400, `{"code":21610,"message":"Attempt to send to unsubscribed recipient","status":400}`)
	})
	if got := w.Send(send("hello")); got.ErrorKind != sdk.KindAddress || got.Retryable || got.Code != "21610" {
		t.Errorf("got %+v, want a final failure of the address", got)
	}
	ev := w.WaitEvent(func(ev sdk.Event) bool { _, ok := ev.Body.(sdk.OptOut); return ok })
	if ev.Thread != customer || !ev.Body.(sdk.OptOut).Out {
		t.Errorf("event %+v, want the opt-out of the thread", ev)
	}
}

// spy is a plugin that keeps its host, so that a test can use the gateway's blobs.
type spy struct {
	*sms.Plugin
	host sdk.Host
}

func (s *spy) Attach(ctx context.Context, host sdk.Host) error {
	s.host = host
	return s.Plugin.Attach(ctx, host)
}

func TestSendFiles(t *testing.T) {
	d := newDouble(t)
	p := &spy{Plugin: sms.New()}
	h := sdktest.Start(t, p, sdktest.Options{Config: config(d.URL, nil)})
	var parts []sdk.Part
	for range 2 {
		f, err := p.host.Blobs().Put(t.Context(), sdk.BlobMeta{Account: "a", Name: "a.png", MIME: "image/png"}, strings.NewReader("png"))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, f)
	}
	if got := h.Send(send("two pictures", parts...)); got.Outcome != sdk.OutcomeSent {
		t.Fatalf("got %+v, want sent", got)
	}
	if got := d.sent()[0]["MediaUrl"]; len(got) != 2 || got[0] == "" {
		t.Errorf("MediaUrl %q, want two addresses", got)
	}
}

// TestLookup: a command settles only if the message can come from no other attempt (PR4).
func TestLookup(t *testing.T) {
	const text = "Is it waterproof?"
	now := time.Now().UTC()
	entry := func(sid, body string, created time.Time, more map[string]any) map[string]any {
		m := map[string]any{
			"sid": sid, "body": body, "to": customer, "from": number, "direction": "outbound-api",
			"num_media": "0", "date_created": created.Format(time.RFC1123Z),
		}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	for name, tc := range map[string]struct {
		list []map[string]any
		want sdk.Result
	}{
		"found":       {[]map[string]any{entry("SM5", text, now, nil), entry("SM4", "other", now, nil)}, sdk.Sent("SM5")},
		"none":        {nil, sdk.Unknown("not_found", "the carrier's list does not tell")},
		"two":         {[]map[string]any{entry("SM5", text, now, nil), entry("SM6", text, now, nil)}, sdk.Unknown("ambiguous", "the carrier's list does not tell")},
		"older":       {[]map[string]any{entry("SM5", text, now.Add(-time.Hour), nil)}, sdk.Unknown("not_found", "the carrier's list does not tell")},
		"inbound":     {[]map[string]any{entry("SM5", text, now, map[string]any{"direction": "inbound"})}, sdk.Unknown("not_found", "the carrier's list does not tell")},
		"with media":  {[]map[string]any{entry("SM5", text, now, map[string]any{"num_media": "1"})}, sdk.Unknown("not_found", "the carrier's list does not tell")},
		"no time":     {[]map[string]any{entry("SM5", text, now, map[string]any{"date_created": "today"})}, sdk.Unknown("lookup", "the carrier cannot be reached")},
		"of the next": {[]map[string]any{entry("SM9", text, now, nil)}, sdk.Unknown("ambiguous", "the carrier's list does not tell")},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t)
			var query url.Values
			var posts atomic.Int32 // counts requests: when a connection is cut, the client does not know what happened before
			d.on(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					if posts.Add(1) > 1 {
						answer(w, 201, `{"sid":"SM9"}`)
						return
					}
					panic(http.ErrAbortHandler)
				}
				query = r.URL.Query()
				body, err := json.Marshal(map[string]any{"messages": tc.list})
				if err != nil {
					t.Error(err)
				}
				answer(w, 200, string(body))
			})
			p := sms.NewSince(now.Add(-time.Hour))
			h := sdktest.Start(t, p, sdktest.Options{Config: config(d.URL, nil)})
			if got := h.Send(send(text)); got.Outcome != sdk.OutcomeUnknown {
				t.Fatalf("send: %+v, want unknown", got)
			}
			if name == "of the next" { // an open attempt of another command looks the same
				posts.Store(0)
				again := send(text)
				again.ID = "0190c1c0-0000-7000-8000-000000000009"
				h.Send(again)
			}
			got := p.Lookup(t.Context(), &sdk.LookupCommand{CommandInfo: sdk.CommandInfo{ID: commandID, Account: "a", Thread: customer}})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result (-want +got)\n%s", diff)
			}
			if name == "found" && (query.Get("To") != customer || query.Get("From") != number) {
				t.Errorf("asked for %v", query)
			}
		})
	}
	t.Run("of another command", func(t *testing.T) {
		d := newDouble(t)
		var posts atomic.Int32
		d.on(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				if posts.Add(1) == 1 {
					panic(http.ErrAbortHandler)
				}
				answer(w, 201, `{"sid":"SM9"}`)
				return
			}
			body, err := json.Marshal(map[string]any{"messages": []any{entry("SM9", text, now, nil)}})
			if err != nil {
				t.Error(err)
			}
			answer(w, 200, string(body))
		})
		p := sms.NewSince(now.Add(-time.Hour))
		h := sdktest.Start(t, p, sdktest.Options{Config: config(d.URL, nil)})
		h.Send(send(text))
		second := send(text)
		second.ID = "0190c1c0-0000-7000-8000-000000000009"
		h.Send(second)
		got := p.Lookup(t.Context(), &sdk.LookupCommand{CommandInfo: sdk.CommandInfo{ID: commandID, Account: "a", Thread: customer}})
		if got.Outcome != sdk.OutcomeUnknown || got.Code != "not_found" {
			t.Errorf("got %+v: the message is that of the other command", got)
		}
	})
	t.Run("of an earlier process", func(t *testing.T) {
		w := newWorld(t, nil)
		got := w.Lookup(sdk.LookupCommand{CommandInfo: sdk.CommandInfo{ID: commandID, Account: "a", Thread: customer}})
		if got.Outcome != sdk.OutcomeUnknown || got.Code != "not_remembered" {
			t.Errorf("got %+v, want unknown", got)
		}
	})
}
