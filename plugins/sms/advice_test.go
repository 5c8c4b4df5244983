package sms_test

import (
	"testing"

	"github.com/parley-gateway/parley/plugins/sms"
)

// PR2: without overrides a carrier does not send a webhook again that the gateway could not store.
func TestRepeatsWebhook(t *testing.T) {
	for url, want := range map[string]bool{
		"https://chat.example.com/hooks/a":                         false,
		"https://chat.example.com/hooks/a#" + sms.WebhookOverrides: true,
		"https://chat.example.com/hooks/a?x=1#rp=all":              true,
		"https://chat.example.com/hooks/a#rc=2&rp=ct,5xx":          true,
		"https://chat.example.com/hooks/a#rc=0&rp=5xx":             false,
		"https://chat.example.com/hooks/a#rc=many&rp=5xx":          false,
		"https://chat.example.com/hooks/a#rp=4xx,ct":               false,
		"https://chat.example.com/hooks/a#rc=5":                    false,
		"https://chat.example.com/hooks/a?rp=5xx":                  false,
		"https://chat.example.com/hooks/a#%zz":                     false,
	} {
		if got := sms.RepeatsWebhook(url); got != want {
			t.Errorf("RepeatsWebhook(%q) = %v, want %v", url, got, want)
		}
	}
}
