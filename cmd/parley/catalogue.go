package main

import (
	"github.com/parley-gateway/parley/plugins/sms"
	"github.com/parley-gateway/parley/plugins/sms/sandbox"
	"github.com/parley-gateway/parley/plugins/webchat"
)

// builtin is the catalogue of built-in plugins: one line a plugin.
func builtin() map[string]func() {
	return map[string]func(){
		"sms":     sms.Serve,
		"webchat": webchat.Serve,
	}
}

// webhookFragment is what a number's webhook URL should have behind it at the
// plugin's carrier, and whether url has it; "" = nothing to say.
func webhookFragment(plugin, url string) (fragment string, there bool) {
	if plugin == "sms" {
		return sms.WebhookOverrides, sms.RepeatsWebhook(url)
	}
	return "", false
}

// The vendors' doubles that come with the plugins.
type (
	twilioOptions = sandbox.Options
	twilioNumber  = sandbox.Number
	twilioSelf    = sandbox.Self
)

func newTwilioSandbox(o twilioOptions) (*sandbox.Sandbox, error) { return sandbox.New(o) }
