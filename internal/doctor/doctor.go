package doctor

import (
	"context"
	"fmt"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/control"
)

// Finding is the result of one check.
type Finding struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn or fail
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"` // what to do about it
}

// Advice returns the fragment that a number's webhook URL should have at the plugin's carrier, and
// whether url has it; fragment "" = the carrier needs none.
type Advice func(plugin, url string) (fragment string, there bool)

// Examine checks everything that a start needs, as the user who runs it, and the gateway if one is
// running.
func Examine(ctx context.Context, cfg config.Config, advice Advice) []Finding {
	gateway := control.Client{RunDir: cfg.RunDir()}
	plugins, err := gateway.Plugins(ctx)
	running := err == nil
	out := []Finding{
		{Name: "configuration", Status: "ok", Detail: "every key is understood"},
		Folder(cfg.Data), checkRunDir(cfg), MasterKey(cfg), Clock(0),
	}
	out = append(out, DataKeys(ctx, cfg)...)
	out = append(out, Database(ctx, cfg)...)
	if running {
		out = append(out, Finding{Name: "gateway", Status: "ok", Detail: "is running on this data folder"})
		out = append(out, checkPlugins(plugins)...)
		return append(out, checkWebhooks(ctx, gateway, advice)...)
	}
	out = append(out, Finding{Name: "gateway", Status: "warn", Detail: "is not running on this data folder", Fix: "start it with: parley serve"})
	for _, addr := range []string{cfg.Listen.Public, cfg.Listen.Ops} {
		out = append(out, checkPort(ctx, addr))
	}
	if cfg.TLS.Cert != "" {
		out = append(out, checkFile("tls.cert", cfg.TLS.Cert), checkFile("tls.key", cfg.TLS.Key))
	}
	return out
}

func checkPlugins(plugins []pluginhost.Status) (out []Finding) {
	for _, p := range plugins {
		f := Finding{Name: "plugin", Status: "ok", Detail: fmt.Sprintf("%s %s: %s", p.ID, p.Version, p.State)}
		if p.State != pluginhost.StateReady {
			f.Status, f.Detail = "warn", f.Detail+" ("+p.Reason+")"
		}
		out = append(out, f)
	}
	return out
}

// checkWebhooks says how each number's webhook should be configured at its carrier. Doctor cannot
// look there, so it knows only what the account's settings say (PR2).
func checkWebhooks(ctx context.Context, gateway control.Client, advice Advice) (out []Finding) {
	hooks, err := gateway.Webhooks(ctx)
	if err != nil {
		return nil
	}
	for _, h := range hooks {
		fragment, there := advice(h.Plugin, h.URL)
		f := Finding{Name: "webhook", Status: "ok", Detail: h.Account + ": " + h.URL}
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
