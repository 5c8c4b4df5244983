package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-gateway/parley/gateway/limit"
)

type schemeKey struct{}

// scheme is what the client used to reach the gateway: "https" or "http".
func scheme(r *http.Request) string {
	if s, ok := r.Context().Value(schemeKey{}).(string); ok {
		return s
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// forwarded are the headers in which a proxy names the client. Handlers behind this middleware
// never see them (FT31).
var forwarded = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-Ip", "Forwarded", "True-Client-Ip", "Cf-Connecting-Ip"}

// clients finds the client's address before any handler runs: RemoteAddr becomes the address of the
// outermost hop that is not a trusted proxy, and the forwarding headers are removed.
type clients struct {
	trusted []netip.Prefix
	log     *slog.Logger
}

func (c clients) middleware(next http.Handler) http.Handler {
	said := rate.Sometimes{Interval: 10 * time.Minute}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := limit.IP(r)
		switch {
		case limit.Contains(c.trusted, peer):
			if ip, ok := c.client(r.Header.Values("X-Forwarded-For")); ok {
				r.RemoteAddr = netip.AddrPortFrom(ip, 0).String()
			}
			if p := r.Header.Get("X-Forwarded-Proto"); p == "https" || p == "http" {
				r = r.WithContext(context.WithValue(r.Context(), schemeKey{}, p))
			}
		case r.Header.Get("X-Forwarded-For") != "" && (peer.IsLoopback() || peer.IsPrivate()):
			// From other addresses anybody may send the header; from these it comes from a proxy
			// that is missing in the configuration. Loopback is exempt from the limits, so behind
			// such a proxy no client is limited.
			said.Do(func() {
				c.log.Warn("requests come through a proxy that is not in http.trusted_proxies: all clients have its address, and limits by address do not work", "proxy", peer)
			})
		}
		for _, h := range forwarded {
			r.Header.Del(h)
		}
		next.ServeHTTP(w, r)
	})
}

// client walks through X-Forwarded-For from its right end, where trusted proxies add to it, to the
// first address that is not a trusted proxy's.
func (c clients) client(values []string) (netip.Addr, bool) {
	hops := strings.Split(strings.Join(values, ","), ",")
	var last netip.Addr
	for i := len(hops) - 1; i >= 0; i-- {
		ip, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		last = ip.Unmap()
		if !limit.Contains(c.trusted, last) {
			break
		}
	}
	return last, last.IsValid()
}
