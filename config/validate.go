package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Validate reports everything that is wrong with c, as Faults, or nil.
func (c *Config) Validate() error {
	if f := c.validate(nil); len(f) > 0 {
		return f
	}
	return nil
}

func (c *Config) validate(lines map[string]string) Faults {
	var faults Faults
	check := func(ok bool, path, format string, args ...any) {
		if !ok {
			faults = append(faults, Fault{Where: lines[path], Path: path, Text: fmt.Sprintf(format, args...)})
		}
	}
	check(c.Node != "" && len(c.Node) <= 64 && !strings.ContainsAny(c.Node, " \t\n/"), "node", "want a name of 1 to 64 characters without spaces")
	check(c.Data != "", "data", "want a folder")
	path, text := c.storeFault()
	check(path == "", path, "%s", text)
	path, text = c.keysFault()
	check(path == "", path, "%s", text)
	for path, addr := range map[string]string{"listen.public": c.Listen.Public, "listen.ops": c.Listen.Ops} {
		_, port, err := net.SplitHostPort(addr)
		_, portErr := net.LookupPort("tcp", port) //nolint:noctx // names come from a file, not from a server
		check(err == nil && portErr == nil, path, "want host:port such as 127.0.0.1:8080, got %q", addr)
	}
	check((c.TLS.Cert == "") == (c.TLS.Key == ""), "tls", "needs both cert and key, or neither")
	hosts := map[string]string{}
	for _, o := range []struct{ path, value string }{{"origins.desk", c.Origins.Desk}, {"origins.chat", c.Origins.Chat}, {"origins.files", c.Origins.Files}} {
		u, err := url.Parse(o.value)
		ok := err == nil && isOrigin(u)
		check(ok, o.path, "want an origin such as https://desk.example.com, without a path, got %q", o.value)
		if ok {
			other, taken := hosts[u.Host]
			check(!taken, o.path, "is the same host as %s; browsers keep them apart only when they differ", other)
			hosts[u.Host] = o.path
		}
	}
	if h := c.Origins.Hooks; h != "" { // may share a host with another origin, since webhooks run nothing in a browser
		u, err := url.Parse(h)
		check(err == nil && isOrigin(u), "origins.hooks", "want an origin such as https://hooks.example.com, without a path, got %q", h)
	}
	if p := c.Origins.Plugins; p != "" {
		u, err := url.Parse(p)
		ok := err == nil && isOrigin(u)
		check(ok, "origins.plugins", "want an origin such as https://plugins.example.com, without a path, got %q", p)
		if ok {
			_, notAddress := netip.ParseAddr(u.Hostname())
			check(notAddress != nil, "origins.plugins", "needs a host name, since plugins get names beneath it, got %q", p)
			for _, o := range []struct{ path, value string }{
				{"origins.desk", c.Origins.Desk}, {"origins.chat", c.Origins.Chat}, {"origins.files", c.Origins.Files}, {"origins.hooks", c.Origins.Hooks},
			} {
				other, err := url.Parse(o.value)
				check(err != nil || !within(other.Hostname(), u.Hostname()), "origins.plugins",
					"is the host of %s, or has it beneath it; a plugin of that name would share it", o.path)
			}
		}
	}
	for _, n := range c.HTTP.TrustedProxies {
		_, err := netip.ParsePrefix(n)
		check(err == nil, "http.trusted_proxies", "want networks such as 10.0.0.0/8, got %q", n)
	}
	check(c.HTTP.MaxConns >= 0, "http.max_conns", "want 0 or more")
	check(c.HTTP.MaxConnsPerIP >= 0, "http.max_conns_per_ip", "want 0 or more")
	check(c.Uploads.AgentFilesPerHour >= 0, "uploads.agent_files_per_hour", "want 0 or more")
	check(c.Uploads.AgentMBPerHour >= 0, "uploads.agent_mb_per_hour", "want 0 or more")
	check(c.Login.PerAccountBurst > 0, "login.per_account_burst", "want 1 or more")
	check(c.Login.PerIPBurst > 0, "login.per_ip_burst", "want 1 or more")
	check(c.Login.IdleTimeout > 0, "login.idle_timeout", "want more than 0")
	check(c.Login.AbsoluteTimeout >= c.Login.IdleTimeout, "login.absolute_timeout", "want at least idle_timeout")
	check(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", "want debug, info, warn or error, got %q", c.Log.Level)
	check(slices.Contains([]string{"json", "text"}, c.Log.Format), "log.format", "want json or text, got %q", c.Log.Format)
	check(c.Drain > 0, "drain", "want more than 0")
	check(c.Plugins.Drain > 0 && c.Plugins.Drain.Duration() <= time.Hour, "plugins.drain", "want more than 0 and at most 1h")
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Path, b.Path) })
	return faults
}

// within reports whether a host name equals parent or is a subdomain of it.
func within(host, parent string) bool {
	host, parent = strings.ToLower(host), strings.ToLower(parent)
	return host == parent || strings.HasSuffix(host, "."+parent)
}

// isOrigin reports whether u is scheme://host[:port] and nothing more.
func isOrigin(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.User == nil
}
