package sms_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
)

const sheetURL = "https://gw.example.test/v1/in/twilio"

// sheetForm is the form in the worked examples of the vendor's documentation.
const sheetForm = "AccountSid=AC00000000000000000000000000000001&Body=H%C3%A9llo+%26+welcome+%3D+100%25&EmptyField=&From=%2B15550100001" +
	"&MessageSid=SM00000000000000000000000000000001&NumMedia=0&To=%2B15550100002&ToCountry=US"

// TestSignatureSheet checks the signatures that were computed for these examples (Y2).
func TestSignatureSheet(t *testing.T) {
	const jsonURL = sheetURL + "?bodySHA256=9239c422a41b555493841e492401a13c6081045f49bd7223f575c7e1f7d86f7f"
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for name, tc := range map[string]struct {
		req       sdk.HookRequest
		signature string
		status    int
		reason    string
	}{
		"form":             {sdk.HookRequest{URL: sheetURL + "?org=7", Header: form, Body: []byte(sheetForm)}, "YRJcA9dKkmqu3JabQcCoovdVsm0=", 200, ""},
		"signed with port": {sdk.HookRequest{URL: sheetURL + "?org=7", Header: form, Body: []byte(sheetForm)}, "HIzAD0Yx/tsq8vWOFzLAqpGThDA=", 200, ""},
		"signed without port": {
			sdk.HookRequest{URL: "https://gw.example.test:443/v1/in/twilio?org=7", Header: form, Body: []byte(sheetForm)}, "YRJcA9dKkmqu3JabQcCoovdVsm0=", 200, "",
		},
		// The signature is right, but the request contains no text message.
		"get":  {sdk.HookRequest{Method: http.MethodGet, URL: sheetURL + "?From=%2B15550100001&Body=hi"}, "RpWfugv6ye02vjrnbtSS9uGClfs=", 400, "malformed"},
		"json": {sdk.HookRequest{URL: jsonURL, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"event":"ping","n":1}`)}, "47e5lypryP3noBdt61MebSsjKVc=", 400, "malformed"},
		"json, another body": {
			sdk.HookRequest{URL: jsonURL, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"event":"ping","n":2}`)}, "47e5lypryP3noBdt61MebSsjKVc=", 403, "signature",
		},
		"get, another query": {sdk.HookRequest{Method: http.MethodGet, URL: sheetURL + "?From=%2B15550100001&Body=ho"}, "RpWfugv6ye02vjrnbtSS9uGClfs=", 403, "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			tc.req.Account = "a"
			tc.req.Header = tc.req.Header.Clone()
			if tc.req.Header == nil {
				tc.req.Header = http.Header{}
			}
			tc.req.Header.Set("X-Twilio-Signature", tc.signature)
			got := w.Hook(tc.req)
			if got.Status != tc.status || got.Reason != tc.reason {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Reason, tc.status, tc.reason)
			}
		})
	}
}

// TestHookRefusals: each kind of bad input has its own answer and gives no event (Y5, FT31).
func TestHookRefusals(t *testing.T) {
	good := post(hookURL, inbound(nil))
	change := func(f func(*sdk.HookRequest)) sdk.HookRequest {
		r := good
		r.Header = good.Header.Clone()
		f(&r)
		return r
	}
	for name, tc := range map[string]struct {
		req    sdk.HookRequest
		status int
		reason string
	}{
		"no signature":      {change(func(r *sdk.HookRequest) { r.Header.Del("X-Twilio-Signature") }), 400, "signature_missing"},
		"another signature": {change(func(r *sdk.HookRequest) { r.Header.Set("X-Twilio-Signature", strings.Repeat("A", 27)+"=") }), 403, "signature"},
		"no base64":         {change(func(r *sdk.HookRequest) { r.Header.Set("X-Twilio-Signature", "…") }), 403, "signature"},
		"another token":     {change(func(r *sdk.HookRequest) { r.Header.Set("X-Twilio-Signature", sign(hookURL, inbound(nil), "other")) }), 403, "signature"},
		"another host":      {change(func(r *sdk.HookRequest) { r.URL = "https://evil.example/hooks/a" }), 403, "signature"},
		"another port":      {change(func(r *sdk.HookRequest) { r.URL = "https://gw.example.test:8443/hooks/b" }), 403, "signature"},
		"another path":      {change(func(r *sdk.HookRequest) { r.URL = hookURL + "/" }), 403, "signature"},
		"another query":     {change(func(r *sdk.HookRequest) { r.URL = hookURL + "?status=1" }), 403, "signature"},
		"another scheme":    {change(func(r *sdk.HookRequest) { r.URL = "http://gw.example.test/hooks/a" }), 403, "signature"},
		"a field more":      {change(func(r *sdk.HookRequest) { r.Body = append([]byte("Extra=&"), r.Body...) }), 403, "signature"},
		"a field repeated":  {change(func(r *sdk.HookRequest) { r.Body = append([]byte("Body=x&"), r.Body...) }), 403, "signature"},
		"another text":      {change(func(r *sdk.HookRequest) { r.Body = []byte(strings.Replace(string(r.Body), "waterproof", "free", 1)) }), 403, "signature"},
		"forwarded host": {change(func(r *sdk.HookRequest) {
			r.URL = "https://evil.example/hooks/a"
			r.Header.Set("X-Forwarded-Host", "gw.example.test")
		}), 403, "signature"},
		"broken escape":      {change(func(r *sdk.HookRequest) { r.Body = []byte("Body=%zz") }), 400, "malformed"},
		"too many fields":    {change(func(r *sdk.HookRequest) { r.Body = []byte(strings.Repeat("a=b&", 1001)) }), 400, "malformed"},
		"no message":         {post(hookURL, url.Values{"AccountSid": {accountSid}}), 400, "malformed"},
		"no sender":          {post(hookURL, inbound(map[string]string{"From": ""})), 400, "malformed"},
		"callback, no state": {post(hookURL+"?status="+commandID, inbound(nil)), 400, "malformed"},
		"another account":    {post(hookURL, inbound(map[string]string{"AccountSid": "AC00000000000000000000000000000002"})), 403, "account"},
		"another number":     {post(hookURL, inbound(map[string]string{"To": "+15550100009"})), 404, "address"},
		"whatsapp":           {post(hookURL, inbound(map[string]string{"To": "whatsapp:" + number})), 404, "address"},
		"unknown account":    {change(func(r *sdk.HookRequest) { r.Account = "b" }), 404, "unknown_account"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			got := w.Hook(tc.req)
			if got.Status != tc.status || got.Reason != tc.reason {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Reason, tc.status, tc.reason)
			}
			if n := len(w.Events()); n != 0 {
				t.Errorf("%d events", n)
			}
			if got := series(t, w.Metrics(), `webhooks_total{kind="unknown",result="`+tc.reason+`"}`); got != "1" {
				t.Errorf("counted %s, want 1", got)
			}
		})
	}
}

// TestHookObserve: observe mode accepts what enforce mode refuses, and counts and logs it (Y2).
func TestHookObserve(t *testing.T) {
	for reason, strip := range map[string]func(http.Header){
		"signature_missing": func(h http.Header) { h.Del("X-Twilio-Signature") },
		"signature":         func(h http.Header) { h.Set("X-Twilio-Signature", "wrong") },
	} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t, map[string]any{"signature": "observe"})
			req := post(hookURL, inbound(nil))
			strip(req.Header)
			if got := w.Hook(req); got.Status != 200 || len(w.Events()) != 1 {
				t.Errorf("got %d with %d events, want 200 with 1", got.Status, len(w.Events()))
			}
			if got := series(t, w.Metrics(), `signature_failures_total{mode="observe",reason="`+reason+`"}`); got != "1" {
				t.Errorf("counted %s, want 1", got)
			}
			if !strings.Contains(w.log.String(), `"reason":"`+reason+`"`) {
				t.Errorf("the log does not name the reason: %s", &w.log.b)
			}
			wrong := post(hookURL, inbound(map[string]string{"AccountSid": "AC00000000000000000000000000000002"}))
			strip(wrong.Header)
			if got := w.Hook(wrong); got.Status != 403 || got.Reason != "account" {
				t.Errorf("another account's webhook: got %d %q, want 403 account", got.Status, got.Reason)
			}
		})
	}
}

func TestHookTokens(t *testing.T) {
	w := newWorld(t, nil)
	cfg := config(w.carrier.URL, map[string]any{"webhook_url": "https://public.example:8443/in?key=1#rc=3&rp=5xx"})
	cfg.Accounts[0].Secrets["auth_token_previous"] = sdk.NewSecret("former")
	if err := w.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		signed, token string
		status        int
	}{
		{"https://public.example:8443/in?key=1", token, 200},
		{"https://public.example:8443/in?key=1", "former", 200},
		{"https://public.example/in?key=1", token, 200}, // the URL without the port
		{"https://public.example:8443/in?key=1", "neither", 403},
		{hookURL + "?key=1", token, 403}, // the carrier was given another URL
	} {
		form := inbound(nil)
		req := post(hookURL+"?key=1", form)
		req.Header.Set("X-Twilio-Signature", sign(tc.signed, form, tc.token))
		if got := w.Hook(req); got.Status != tc.status {
			t.Errorf("case %d: got %d, want %d", i, got.Status, tc.status)
		}
	}
}

func TestHookMessage(t *testing.T) {
	message := func(m sdk.Message, key string) []sdk.Event {
		m.From.Address = customer
		if m.ProviderIDs == nil {
			m.ProviderIDs = []string{"SM00000000000000000000000000000001"}
		}
		return []sdk.Event{{Thread: customer, DedupeKey: key, Body: m}}
	}
	const sid = "SM00000000000000000000000000000001"
	text := func(s string) []sdk.Part { return []sdk.Part{sdk.Text{Text: s}} }
	consent := func(out bool, word string) []sdk.Event {
		return []sdk.Event{{Thread: customer, DedupeKey: sid, Body: sdk.OptOut{Out: out, Keyword: word}}}
	}
	for name, tc := range map[string]struct {
		settings map[string]any
		form     map[string]string
		want     []sdk.Event
	}{
		"text":             {nil, nil, message(sdk.Message{Parts: text("Is it waterproof?")}, sid)},
		"spaces stay":      {nil, map[string]string{"Body": "  a + b\r\n "}, message(sdk.Message{Parts: text("  a + b\r\n ")}, sid)},
		"emoji":            {nil, map[string]string{"Body": "я😀"}, message(sdk.Message{Parts: text("я😀")}, sid)},
		"bad UTF-8":        {nil, map[string]string{"Body": "a\xffb"}, message(sdk.Message{Parts: text("a\uFFFDb")}, sid)},
		"empty":            {nil, map[string]string{"Body": ""}, message(sdk.Message{Parts: []sdk.Part{sdk.Unsupported{Kind: "empty"}}}, sid)},
		"odd media count":  {nil, map[string]string{"NumMedia": "many"}, message(sdk.Message{Parts: text("Is it waterproof?")}, sid)},
		"other copy of id": {nil, map[string]string{"SmsSid": "SM2", "SmsMessageSid": ""}, message(sdk.Message{Parts: text("Is it waterproof?"), ProviderIDs: []string{sid, "SM2"}}, sid)},
		"name":             {nil, map[string]string{"ProfileName": "Cleo"}, message(sdk.Message{From: sdk.Address{Name: "Cleo"}, Parts: text("Is it waterproof?")}, sid)},
		"service": {
			map[string]any{"messaging_service_sid": serviceSid}, map[string]string{"To": "+15550100009", "MessagingServiceSid": serviceSid},
			message(sdk.Message{Parts: text("Is it waterproof?")}, sid),
		},
		"media off": {
			map[string]any{"media": false}, map[string]string{"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x", "MediaContentType0": "image/png"},
			message(sdk.Message{Parts: append(text("Is it waterproof?"), sdk.Unsupported{Kind: "media", Raw: []byte(`{"mime":"image/png","reason":"off"}`)})}, sid),
		},
		"stop":                 {nil, map[string]string{"Body": " stop\n"}, consent(true, "stop")},
		"unsubscribe":          {nil, map[string]string{"Body": "UnSubscribe"}, consent(true, "UnSubscribe")},
		"start":                {nil, map[string]string{"Body": "Start"}, consent(false, "Start")},
		"advanced stop":        {nil, map[string]string{"Body": "Basta", "OptOutType": "STOP"}, consent(true, "Basta")},
		"advanced start":       {nil, map[string]string{"Body": "YES", "OptOutType": "START"}, consent(false, "YES")},
		"help is a message":    {nil, map[string]string{"Body": "HELP", "OptOutType": "HELP"}, message(sdk.Message{Parts: text("HELP")}, sid)},
		"stop in a sentence":   {nil, map[string]string{"Body": "stop it"}, message(sdk.Message{Parts: text("stop it")}, sid)},
		"yes is not a keyword": {nil, map[string]string{"Body": "YES"}, message(sdk.Message{Parts: text("YES")}, sid)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.settings)
			req := post(hookURL, inbound(tc.form))
			for range 2 { // PR3: a repeat gets the same answer and adds nothing
				got := w.Hook(req)
				if got.Status != 200 || got.Header.Get("Content-Type") != "text/xml" || !strings.Contains(string(got.Body), "<Response/>") {
					t.Errorf("got %d %q %s, want 200 and empty TwiML", got.Status, got.Reason, got.Body)
				}
			}
			for i := range tc.want {
				tc.want[i].Account, tc.want[i].ReceivedTime = "a", req.ReceivedTime.UTC()
			}
			if diff := cmp.Diff(tc.want, w.Events()); diff != "" {
				t.Errorf("events (-want +got)\n%s", diff)
			}
		})
	}
}

// TestHookGet: a number may be configured for GET; a plus in the query that was not escaped still
// means a plus.
func TestHookGet(t *testing.T) {
	w := newWorld(t, nil)
	query := strings.ReplaceAll(inbound(nil).Encode(), "%2B", "+")
	req := sdk.HookRequest{
		Account: "a", Method: http.MethodGet, URL: hookURL + "?" + query,
		Header: http.Header{"X-Twilio-Signature": {sign(hookURL+"?"+query, nil, token)}},
	}
	if got := w.Hook(req); got.Status != 200 {
		t.Fatalf("got %d %q, want 200", got.Status, got.Reason)
	}
	if ev := w.Events(); len(ev) != 1 || ev[0].Thread != customer {
		t.Errorf("events %+v, want one in thread %s", ev, customer)
	}
}

func TestHookStatus(t *testing.T) {
	const sid = "SM00000000000000000000000000000007"
	callback := func(more map[string]string) url.Values {
		form := url.Values{}
		for k, v := range map[string]string{
			"MessageSid": sid, "SmsSid": sid, "AccountSid": accountSid, "From": number, "To": customer, "ApiVersion": "2010-04-01",
		} {
			form.Set(k, v)
		}
		for k, v := range more {
			form.Set(k, v)
		}
		return form
	}
	type status = sdk.DeliveryStatus
	for name, tc := range map[string]struct {
		query string
		form  map[string]string
		want  *status
	}{
		"sent":           {"?status=" + commandID, map[string]string{"MessageStatus": "sent"}, &status{Status: sdk.StatusSent, Command: commandID}},
		"delivered":      {"?status=" + commandID, map[string]string{"MessageStatus": "delivered", "RawDlrDoneDate": "2611231200"}, &status{Status: sdk.StatusDelivered, Command: commandID}},
		"read":           {"?a=b&status=" + commandID, map[string]string{"MessageStatus": "read", "EventType": "READ"}, &status{Status: sdk.StatusRead, Command: commandID}},
		"of the service": {"", map[string]string{"MessageStatus": "delivered"}, &status{Status: sdk.StatusDelivered}},
		"odd command":    {"?status=7", map[string]string{"MessageStatus": "delivered"}, &status{Status: sdk.StatusDelivered}},
		"undelivered":    {"?status=" + commandID, map[string]string{"MessageStatus": "undelivered", "ErrorCode": "30005"}, &status{Status: sdk.StatusFailed, Command: commandID, Code: "30005", Text: "the number is not known"}},
		"failed, text":   {"?status=" + commandID, map[string]string{"MessageStatus": "failed", "ErrorCode": "30007", "ErrorMessage": "Carrier violation for +15550100001"}, &status{Status: sdk.StatusFailed, Command: commandID, Code: "30007", Text: "Carrier violation for +…"}},
		"failed, new":    {"?status=" + commandID, map[string]string{"MessageStatus": "failed", "ErrorCode": "39999"}, &status{Status: sdk.StatusFailed, Command: commandID, Code: "39999"}},
		"canceled":       {"?status=" + commandID, map[string]string{"MessageStatus": "canceled"}, &status{Status: sdk.StatusFailed, Command: commandID, Code: "canceled", Text: "canceled before it was sent"}},
		"queued":         {"?status=" + commandID, map[string]string{"MessageStatus": "queued"}, nil},
		"accepted":       {"?status=" + commandID, map[string]string{"MessageStatus": "accepted"}, nil},
		"sending":        {"?status=" + commandID, map[string]string{"MessageStatus": "sending"}, nil},
		"scheduled":      {"?status=" + commandID, map[string]string{"MessageStatus": "scheduled"}, nil},
		"to be":          {"?status=" + commandID, map[string]string{"MessageStatus": "quantum"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			req := post(hookURL+tc.query, callback(tc.form))
			for range 2 {
				if got := w.Hook(req); got.Status != 200 || len(got.Body) != 0 {
					t.Fatalf("got %d %q %s, want 200 without a body", got.Status, got.Reason, got.Body)
				}
			}
			var want []sdk.Event
			if tc.want != nil {
				tc.want.ProviderID = sid
				want = []sdk.Event{{Account: "a", Thread: customer, DedupeKey: sid + ":" + tc.form["MessageStatus"], ReceivedTime: req.ReceivedTime.UTC(), Body: *tc.want}}
			}
			if diff := cmp.Diff(want, w.Events()); diff != "" {
				t.Errorf("events (-want +got)\n%s", diff)
			}
		})
	}
	t.Run("opted out", func(t *testing.T) {
		w := newWorld(t, nil)
		w.Hook(post(hookURL+"?status="+commandID, callback(map[string]string{"MessageStatus": "failed", "ErrorCode": "21610"})))
		if ev := w.Events(); len(ev) != 2 || !cmp.Equal(ev[1].Body, sdk.EventBody(sdk.OptOut{Out: true})) {
			t.Errorf("events %+v, want the failure and the opt-out", ev)
		}
	})
	t.Run("another account", func(t *testing.T) {
		w := newWorld(t, nil)
		got := w.Hook(post(hookURL, callback(map[string]string{"MessageStatus": "sent", "AccountSid": "AC00000000000000000000000000000002"})))
		if got.Status != 403 || got.Reason != "account" {
			t.Errorf("got %d %q, want 403 account", got.Status, got.Reason)
		}
	})
}

// TestHookNotUTF8 (PR10, PR19): a signed value that is not UTF-8 loses neither a text nor a status;
// its bad bytes are replaced.
func TestHookNotUTF8(t *testing.T) {
	for name, tc := range map[string]struct {
		form   url.Values
		thread sdk.ThreadID
		key    string
	}{
		"Body":        {inbound(map[string]string{"Body": "caf\xe9"}), customer, "SM00000000000000000000000000000001"},
		"ProfileName": {inbound(map[string]string{"ProfileName": "\xff"}), customer, "SM00000000000000000000000000000001"},
		"MessageSid":  {inbound(map[string]string{"MessageSid": "SM\xff"}), customer, "SM\uFFFD"},
		"SmsSid":      {inbound(map[string]string{"SmsSid": "SM\xff"}), customer, "SM00000000000000000000000000000001"},
		"From":        {inbound(map[string]string{"From": "+1555\xff"}), "+1555\uFFFD", "SM00000000000000000000000000000001"},
		"ErrorCode": {
			url.Values{
				"AccountSid": {accountSid}, "MessageSid": {"SM9"}, "MessageStatus": {"failed"}, "ErrorCode": {"3000\xff"}, "To": {customer},
			}, customer, "SM9:failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if got := w.Hook(post(hookURL, tc.form)); got.Status != 200 {
				t.Fatalf("got %d %q, want 200", got.Status, got.Reason)
			}
			events := w.Events()
			if len(events) != 1 || events[0].Thread != tc.thread || events[0].DedupeKey != tc.key {
				t.Errorf("got %+v, want one event of %q under %q", events, tc.thread, tc.key)
			}
		})
	}
}
