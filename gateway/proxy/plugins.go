package proxy

import (
	"context"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/pluginhost"
)

// Targets is what the plugin host knows of the HTTP servers of plugins.
type Targets interface {
	// Route returns the present generation of a plugin; false when none is ready. A plugin that
	// serves no HTTP has no routes, ready or not.
	Route(plugin string) (pluginhost.Target, bool)
	// Plugins lists all loaded plugins.
	Plugins() []pluginhost.Status
}

// Plugins makes a Host of the plugin host.
func Plugins(t Targets) Host { return plugins{t} }

type plugins struct{ targets Targets }

// restartWait is how long a request waits for a plugin that is restarting: a restart after a crash
// takes about 100 ms, and a page loaded meanwhile should not see it.
const restartWait = 2 * time.Second

// Route implements Host.
func (p plugins) Route(ctx context.Context, plugin, path string) (Route, error) {
	t, ok := p.targets.Route(plugin)
	if !ok {
		if !p.loaded(plugin) {
			return Route{}, ErrNoRoute
		}
		ctx, cancel := context.WithTimeout(ctx, restartWait)
		defer cancel()
		for pause := 5 * time.Millisecond; !ok; pause = min(2*pause, 200*time.Millisecond) {
			select {
			case <-ctx.Done():
				return Route{}, ErrUnavailable
			case <-time.After(pause):
			}
			t, ok = p.targets.Route(plugin)
		}
	}
	r, ok := match(t.Routes, path)
	if !ok {
		return Route{}, ErrNoRoute
	}
	out := Route{Upgrade: r.Upgrade, MaxBody: r.MaxBody, Instance: t.Instance, Socket: t.Socket, Key: t.IdentityKey, Foreign: t.Foreign, Gone: t.Gone}
	switch r.Access {
	case pluginhost.AccessPublic:
		out.Access = Public
	case pluginhost.AccessAgent:
		out.Access = Agent
	case pluginhost.AccessGrant:
		out.Access = Grant
	default:
		return Route{}, ErrNoRoute
	}
	return out, nil
}

func (p plugins) loaded(plugin string) bool {
	for _, s := range p.targets.Plugins() {
		if s.ID == plugin {
			return true
		}
	}
	return false
}

// match finds the longest route that is a prefix of path, as the SDK does.
func match(routes []pluginhost.Route, path string) (best pluginhost.Route, ok bool) {
	length := -1
	for _, r := range routes {
		prefix := strings.Trim(r.Path, "/")
		under := prefix == "" || path == prefix || strings.HasPrefix(path, prefix+"/")
		if under && len(prefix) > length {
			best, ok, length = r, true, len(prefix)
		}
	}
	return best, ok
}
