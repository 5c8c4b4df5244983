package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// surface is the set of things that a host serves.
type surface uint8

const (
	surfaceDesk surface = 1 << iota
	surfaceChat
	surfaceFiles
	surfaceHooks
	surfacePlugin // the pages of the one third-party plugin whose id is in the host's name
	surfaceAll    = surfaceDesk | surfaceChat | surfaceFiles | surfaceHooks
)

func (s surface) has(x surface) bool { return s&x != 0 }

// hosts maps host names, in lower case and without port, to what they serve.
type hosts struct {
	named map[string]surface
	// plugins is what follows a plugin's id in the name of its own host: ".plugins.example.com". ""
	// = plugins have no hosts of their own.
	plugins string
}

// resolve returns the origins with the listener's port filled in, and the hosts that they name.
func (o Origins) resolve(port int, tls bool) (Origins, hosts, error) {
	h := hosts{named: map[string]surface{}}
	if o.Hooks == "" {
		o.Hooks = o.Chat
	}
	for _, it := range []struct {
		name   string
		origin *string
		serves surface
	}{
		{"desk", &o.Desk, surfaceDesk}, {"chat", &o.Chat, surfaceChat}, {"files", &o.Files, surfaceFiles}, {"hooks", &o.Hooks, surfaceHooks},
		{"plugins", &o.Plugins, surfacePlugin},
	} {
		if it.serves == surfacePlugin && o.Plugins == "" {
			continue
		}
		u, err := url.Parse(*it.origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			return o, h, fmt.Errorf("%w: origin of %s %q: want scheme://host[:port]", ErrOptions, it.name, *it.origin)
		}
		if tls && u.Scheme != "https" {
			return o, h, fmt.Errorf("%w: origin of %s %q: want https, since the listener has a certificate", ErrOptions, it.name, *it.origin)
		}
		if u.Port() == "0" {
			u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
		}
		*it.origin = strings.ToLower(u.Scheme + "://" + u.Host)
		if it.serves == surfacePlugin {
			h.plugins = "." + strings.ToLower(u.Hostname())
			continue
		}
		h.named[strings.ToLower(u.Hostname())] |= it.serves
	}
	for _, a := range o.Aliases {
		h.named[hostname(a)] = surfaceAll
	}
	return o, h, nil
}

// serves returns what the request's host serves; 0 for an unknown host.
func (h hosts) serves(host string) surface {
	name := hostname(host)
	if s, ok := h.named[name]; ok {
		return s
	}
	if h.plugin(name) != "" {
		return surfacePlugin
	}
	return 0
}

// plugin is the plugin's id in the name of its own host; "" for any other name.
func (h hosts) plugin(name string) string {
	id, ok := strings.CutSuffix(name, h.plugins)
	if h.plugins == "" || !ok || !isLabel(id) {
		return ""
	}
	return id
}

// Plugin is the origin of a third-party plugin's own pages, "https://<id>.plugins.example.com". ""
// = it has none: Plugins is not set, or id cannot be a label of a host's name (RFC 1123 2.1), for
// example because of an underscore.
func (o Origins) Plugin(id string) string {
	scheme, host, ok := strings.Cut(o.Plugins, "://")
	if !ok || !isLabel(id) {
		return ""
	}
	return scheme + "://" + id + "." + host
}

// isLabel reports whether a plugin's id can be a label of a host's name that browsers use
// unchanged: hyphens in the third and fourth place mark names in other encodings (RFC 5891
// 4.2.3.1).
func isLabel(id string) bool {
	if id == "" || len(id) > 63 || id[0] == '-' || id[len(id)-1] == '-' || len(id) > 3 && id[2:4] == "--" {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// hostname is a Host header without port and brackets, in lower case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && (host[0] == '[' || strings.Count(host, ":") == 1) {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// SameOrigin reports whether the request comes from a page of the origin that it is addressed to:
// its Origin header names the scheme, host and port of the request. Requests for unknown hosts were
// refused before, so for the desk this is an exact allow-list, which also stops DNS rebinding [ASVS
// 4.4.2].
func SameOrigin(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Origin"), scheme(r)+"://"+r.Host)
}
