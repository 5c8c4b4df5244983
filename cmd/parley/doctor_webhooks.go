package main

import (
	"context"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/gateway/control"
)

// checkWebhooks tells how each number's webhook should be configured at its
// carrier, which nobody here can look at (PR2).
func checkWebhooks(ctx context.Context, cfg config.Config) (out []finding) {
	hooks, err := control.Client{RunDir: cfg.RunDir()}.Webhooks(ctx)
	if err != nil {
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
