package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/parley-gateway/parley/config"
)

// webhook is where a carrier delivers for an account.
type webhook struct {
	Account string `json:"account"` // name
	Plugin  string `json:"plugin"`
	URL     string `json:"url"`
	Given   bool   `json:"given"` // the account's settings name it, overrides included
}

// webhooks are those of enabled accounts whose plugin takes any.
func (n *node) webhooks() []webhook {
	out := []webhook{}
	for _, a := range n.stores.Directory.Snapshot().Accounts() {
		if limits, known := n.host.HookLimits(a.ID); !a.Enabled || !known || len(limits.Methods) == 0 {
			continue
		}
		h := webhook{Account: a.Name, Plugin: a.Plugin, URL: n.server.Origins().Hooks + "/hooks/" + a.ID.String()}
		var settings struct {
			WebhookURL string `json:"webhook_url"`
		}
		if err := json.Unmarshal(a.Settings, &settings); err == nil && settings.WebhookURL != "" {
			h.URL, h.Given = settings.WebhookURL, true
		}
		out = append(out, h)
	}
	return out
}

// checkWebhooks tells how each number's webhook should be configured at its
// carrier, which nobody here can look at (PR2).
func checkWebhooks(ctx context.Context, cfg config.Config) (out []finding) {
	var hooks []webhook
	if call(ctx, cfg, http.MethodGet, "/webhooks", nil, &hooks) != nil {
		return nil
	}
	for _, h := range hooks {
		fragment, there := webhookFragment(h.Plugin, h.URL)
		f := finding{Name: "webhook", Status: "ok", Detail: h.Account + ": " + h.URL}
		if fragment != "" && !there {
			f.Fix = "give the carrier this URL with #" + fragment + " behind it: without, it repeats nothing that was answered 5xx"
			if h.Given {
				f.Status = "warn"
			}
		}
		out = append(out, f)
	}
	return out
}
