package sms_test

import (
	"net/http"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sms"
)

// BenchmarkHook measures the plugin's own work for a signed webhook with 20 fields.
func BenchmarkHook(b *testing.B) {
	p := sms.New()
	cfg := config("http://127.0.0.1:1", nil)
	if err := p.Configure(b.Context(), &cfg); err != nil {
		b.Fatal(err)
	}
	text := post(hookURL, inbound(nil))
	media := post(hookURL, inbound(map[string]string{"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x", "MediaContentType0": "image/png"}))
	wrong := post(hookURL, inbound(nil))
	wrong.Header = http.Header{"X-Twilio-Signature": {"wrong"}}
	for name, req := range map[string]sdk.HookRequest{"text": text, "media": media, "wrong signature": wrong} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := p.Hook(b.Context(), &req); (got.Status == 403) != (name == "wrong signature") {
					b.Fatalf("got %d %q", got.Status, got.Reason)
				}
			}
		})
	}
}
