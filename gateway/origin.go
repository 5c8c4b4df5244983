package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// surface says what a host serves.
type surface uint8

const (
	surfaceDesk surface = 1 << iota
	surfaceChat
	surfaceFiles
	surfaceHooks
	surfaceAll = surfaceDesk | surfaceChat | surfaceFiles | surfaceHooks
)

func (s surface) has(x surface) bool { return s&x != 0 }

// hosts maps host names, lower case and without port, to what they serve.
type hosts map[string]surface

// resolve completes the origins with the listener's port and maps their hosts.
func (o Origins) resolve(port int, tls bool) (Origins, hosts, error) {
	h := hosts{}
	if o.Hooks == "" {
		o.Hooks = o.Chat
	}
	for _, it := range []struct {
		name   string
		origin *string
		serves surface
	}{{"desk", &o.Desk, surfaceDesk}, {"chat", &o.Chat, surfaceChat}, {"files", &o.Files, surfaceFiles}, {"hooks", &o.Hooks, surfaceHooks}} {
		u, err := url.Parse(*it.origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			return o, nil, fmt.Errorf("%w: origin of %s %q: want scheme://host[:port]", ErrOptions, it.name, *it.origin)
		}
		if tls && u.Scheme != "https" {
			return o, nil, fmt.Errorf("%w: origin of %s %q: want https, since the listener has a certificate", ErrOptions, it.name, *it.origin)
		}
		if u.Port() == "0" {
			u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
		}
		*it.origin = strings.ToLower(u.Scheme + "://" + u.Host)
		h[strings.ToLower(u.Hostname())] |= it.serves
	}
	for _, a := range o.Aliases {
		h[hostname(a)] = surfaceAll
	}
	return o, h, nil
}

// serves tells what the request's host serves; 0 for an unknown host.
func (h hosts) serves(host string) surface { return h[hostname(host)] }

// hostname is a host without port and brackets, in lower case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && (host[0] == '[' || strings.Count(host, ":") == 1) {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// SameOrigin reports whether the request comes from a page of the very origin
// that it is addressed to: its Origin header names scheme, host and port of the
// request. Hosts that are not ours were refused before, so for the desk this is
// an exact allow-list, DNS rebinding included [ASVS 4.4.2].
func SameOrigin(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Origin"), scheme(r)+"://"+r.Host)
}
