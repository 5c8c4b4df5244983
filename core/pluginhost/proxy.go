package pluginhost

import (
	"path/filepath"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Access says who may use a route of a plugin's HTTP server.
type Access int

// Who may use a route. Routes that the plugin did not declare are not served.
const (
	AccessPublic Access = iota + 1 // anybody; the plugin must authenticate callers itself
	AccessAgent                    // a logged-in agent
	AccessGrant                    // the bearer of a single-use grant
)

// defaultRouteBody bounds request bodies if the plugin declared no limit.
const defaultRouteBody = 64 << 10

// Route is a declared prefix of a plugin's HTTP server.
type Route struct {
	Path    string // prefix below /p/<id>/, without the leading slash; "" = all paths
	Access  Access
	Upgrade bool  // WebSocket upgrades are allowed
	MaxBody int64 // bytes
}

// Target is where the gateway sends a request for /p/<id>/.
type Target struct {
	Socket      string // unix socket of the plugin's HTTP server
	Instance    string // the generation; the next one has another socket
	Routes      []Route
	IdentityKey []byte // HMAC-SHA-256 key of the Parley-Identity header
	Foreign     bool   // the plugin is a program of its own, not the gateway's own program started again
	// Gone is closed when this generation is over, so that upgraded
	// connections can be closed with 1012.
	Gone <-chan struct{}
}

// Route returns where the present generation of a plugin serves HTTP; ok is false if there is no
// such plugin or no generation is ready. A plugin that declared no routes when it was last
// described gets an answer without routes even when it is not ready.
func (h *Host) Route(plugin string) (t Target, ok bool) {
	p := h.plugin(plugin)
	if p == nil {
		return Target{}, false
	}
	p.mu.Lock()
	g, d := p.cur, p.desc
	p.mu.Unlock()
	if d != nil && len(d.GetRoutes()) == 0 {
		return Target{}, true
	}
	if g == nil {
		return Target{}, false
	}
	return Target{
		Socket: g.httpSocket(), Instance: g.instance, Routes: routes(g.describe),
		IdentityKey: p.identityKey, Foreign: g.launch.spec.foreign(), Gone: g.gone,
	}, true
}

// httpSocket is the socket on which the plugin listens for proxied HTTP.
func (g *generation) httpSocket() string { return filepath.Join(g.dir, httpSocket) }

func routes(d *pluginv1.DescribeResponse) []Route {
	var out []Route
	for _, r := range d.GetRoutes() {
		one := Route{Path: r.GetPath(), Upgrade: r.GetUpgrade(), MaxBody: int64(min(r.GetMaxBody(), 1<<32))}
		if one.MaxBody == 0 {
			one.MaxBody = defaultRouteBody
		}
		switch r.GetAccess() {
		case pluginv1.Access_ACCESS_PUBLIC:
			one.Access = AccessPublic
		case pluginv1.Access_ACCESS_AGENT:
			one.Access = AccessAgent
		case pluginv1.Access_ACCESS_GRANT:
			one.Access = AccessGrant
		default: // an access that this version does not know: nobody may use the route
			continue
		}
		out = append(out, one)
	}
	return out
}
