package sms_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// TestCanary sends texts, numbers and tokens through all parts of the plugin and checks that none
// of them appears in logs, metrics or results.
func TestCanary(t *testing.T) {
	w := newWorld(t, map[string]any{"signature": "observe"})
	canaries := []string{"canary text", "15550100001", "15550100002", token, "canary-media"}
	var seen strings.Builder
	look := func(r sdk.Result) {
		seen.WriteString(r.Code + " " + r.Text + "\n")
	}
	for i, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 400, `{"code":21211,"message":"`+strings.Join(canaries, " and ")+`","status":400}`)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 201, `{"sid":"SM1","status":"failed","error_message":"canary text to +15550100001"}`)
		},
		func(w http.ResponseWriter, _ *http.Request) { answer(w, 500, "canary text +15550100001") },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		w.carrier.on(h)
		cmd := send("canary text")
		cmd.ID = sdk.CommandID("0190c1c0-0000-7000-8000-00000000010" + string(rune('0'+i)))
		look(w.Send(cmd))
	}
	unsigned := post(hookURL, inbound(map[string]string{"Body": "canary text"}))
	unsigned.Header.Del("X-Twilio-Signature")
	_ = w.Hook(unsigned)
	opaque := w.Hook(post(hookURL, inbound(map[string]string{
		"MessageSid": "MM9", "Body": "canary text", "NumMedia": "1", "MediaUrl0": w.carrier.URL + "/canary-media",
	}))).Events[0].Body.(sdk.Deferred).Opaque
	look(process(w.Host, opaque, 1))
	w.carrier.on(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "canary text")
		panic(http.ErrAbortHandler)
	})
	look(process(w.Host, opaque, 9))

	seen.WriteString(w.log.String())
	seen.WriteString(w.Metrics())
	for _, c := range canaries {
		// The media canary may appear in a text of the carrier that quotes it, because it says
		// nothing about a customer.
		if c != "canary-media" && strings.Contains(seen.String(), c) || strings.Contains(w.log.String()+w.Metrics(), c) {
			t.Errorf("%q shows up in\n%s", c, &seen)
		}
	}
}

// FuzzHook: no webhook makes the plugin panic, and each gets an answer and a reason.
func FuzzHook(f *testing.F) {
	f.Add("POST", hookURL, inbound(nil).Encode(), "sig")
	f.Add("POST", hookURL+"?status="+commandID, "MessageStatus=sent&MessageSid=SM1&AccountSid="+accountSid, "")
	f.Add("GET", hookURL+"?Body=%2", "", "x")
	f.Add("POST", "https://[::1]:443/x?bodySHA256=zz", "a=%zz&&=&b", "x")
	f.Add("POST", "", "NumMedia=-1&MediaUrl0=x", "x")
	p := fuzzed(f)
	f.Fuzz(func(t *testing.T, method, address, body, signature string) {
		req := sdk.HookRequest{Account: "a", Method: method, URL: address, Body: []byte(body), Header: http.Header{}}
		req.Header.Set("X-Twilio-Signature", signature)
		got := p.Hook(t.Context(), &req)
		switch {
		case got.Status == 0 || got.Status == 200:
		case got.Status < 400 || got.Status > 499 || got.Reason == "":
			t.Errorf("answer %+v", got)
		case len(got.Events) > 0:
			t.Errorf("refused, with %d events", len(got.Events))
		}
		again := p.Hook(t.Context(), &req)
		if again.Status != got.Status || len(again.Events) != len(got.Events) {
			t.Errorf("%+v, and the next time %+v", got, again)
		}
	})
}
