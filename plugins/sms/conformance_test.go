package sms_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk/kit"
)

// TestConformance runs the SDK's kit against the plugin as a process.
func TestConformance(t *testing.T) {
	const address = "https://chat.kit.invalid/hooks/line"
	d := newDouble(t)
	d.on(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			answer(w, http.StatusCreated, `{"sid":"SM00000000000000000000000000000001","status":"queued"}`)
			return
		}
		if strings.HasSuffix(r.URL.Path, "Messages.json") {
			answer(w, http.StatusOK, `{"messages":[]}`)
			return
		}
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write([]byte("GIF89a"))
	})
	hook := func(name, target string, form url.Values, status uint32, events ...kit.HookEvent) kit.Hook {
		return kit.Hook{
			Name: name, Account: "line", URL: target, Body: form.Encode(), Status: status, Events: events,
			Headers: map[string]string{
				"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": sign(target, form, token),
			},
		}
	}
	const sid = "SM00000000000000000000000000000001"
	picture := inbound(map[string]string{"MessageSid": "MM2", "NumMedia": "1", "MediaUrl0": d.URL + mediaPath, "MediaContentType0": "image/gif"})
	delivered := inbound(map[string]string{"MessageStatus": "delivered", "SmsStatus": "delivered", "From": number, "To": customer})
	unsigned := hook("unsigned", address, inbound(nil), 400)
	delete(unsigned.Headers, "X-Twilio-Signature")
	report, err := kit.Run(t.Context(), kit.Options{
		Exec: os.Args[0], // A binary built for the race detector would sleep a second before it exits.
		Env:  []string{serveEnv + "=1", "GORACE=atexit_sleep_ms=0"},
		Fixtures: kit.Fixtures{
			Accounts: []kit.Account{{ID: "line", Settings: settings(d.URL, nil), Secrets: map[string]string{"auth_token": token}}},
			Invalid: []kit.Invalid{
				{Name: "number", Account: settings(d.URL, map[string]any{"number": "0800"})},
				{Name: "no sender", Account: settings(d.URL, map[string]any{"number": ""})},
				{Name: "mode", Account: settings(d.URL, map[string]any{"signature": "off"})},
				{Name: "plain http", Account: settings("http://api.example.com", nil)},
			},
			Hooks: []kit.Hook{
				hook("text", address, inbound(nil), 200, kit.HookEvent{Kind: "message", Thread: customer, DedupeKey: sid}),
				hook("picture", address, picture, 200, kit.HookEvent{Kind: "deferred", Thread: customer, DedupeKey: "MM2:media"}),
				hook("stop", address, inbound(map[string]string{"Body": "STOP"}), 200, kit.HookEvent{Kind: "action", Thread: customer, DedupeKey: sid}),
				hook("delivered", address+"?status="+commandID, delivered, 200, kit.HookEvent{Kind: "status", Thread: customer, DedupeKey: sid + ":delivered"}),
				unsigned,
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteText(&table); err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the kit found faults:\n%s", &table)
	}
}
