package main

import (
	"github.com/parley-gateway/parley/plugins/sms"
	"github.com/parley-gateway/parley/plugins/sms/sandbox"
	"github.com/parley-gateway/parley/plugins/webchat"
)

// builtin is the catalogue of built-in plugins, with one line for each plugin.
func builtin() map[string]func() {
	return map[string]func(){
		"sms":     sms.Serve,
		"webchat": webchat.Serve,
	}
}

// webhookFragment is the fragment that a number's webhook URL should have at the plugin's carrier,
// and whether url has it; "" = the carrier needs none.
func webhookFragment(plugin, url string) (fragment string, there bool) {
	if plugin == "sms" {
		return sms.WebhookOverrides, sms.RepeatsWebhook(url)
	}
	return "", false
}

// Types of the vendors' doubles that belong to the plugins.
type (
	twilioOptions = sandbox.Options
	twilioNumber  = sandbox.Number
	twilioSelf    = sandbox.Self
)

func newTwilioSandbox(o twilioOptions) (*sandbox.Sandbox, error) { return sandbox.New(o) }
