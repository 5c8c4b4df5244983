package fakehost

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// clientIP is the sender's address, as the real gateway's proxy puts it into the identity of every
// request. A test that stands in for a reverse proxy sets X-Forwarded-For.
func (h *Host) clientIP(r *http.Request) string {
	if ip := r.Header.Get("X-Forwarded-For"); ip != "" {
		return ip
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return ap.Addr().String()
}

// Gateway serves the plugin below /p/webchat/ as the real gateway's proxy does: an upload needs a
// grant, and the plugin finds the grant's owner in the request's context. It also serves the files
// below /files/.
func (h *Host) Gateway(plugin http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/p/webchat/", http.StripPrefix("/p/webchat", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Parley-Files-Origin", h.baseURL)
		if r.URL.Path == "/upload" {
			g, ok := h.UseGrant(r.Header.Get("Parley-Grant"))
			if !ok {
				http.Error(w, "no grant", http.StatusUnauthorized)
				return
			}
			r = r.WithContext(sdk.WithIdentity(r.Context(), sdk.Identity{
				Role: "visitor", Subject: string(g.Thread), Account: string(g.Account), Thread: string(g.Thread), Purpose: g.Purpose, RemoteIP: h.clientIP(r),
			}))
		}
		if _, ok := sdk.IdentityOf(r.Context()); !ok {
			r = r.WithContext(sdk.WithIdentity(r.Context(), sdk.Identity{RemoteIP: h.clientIP(r)}))
		}
		plugin.ServeHTTP(w, r)
	})))
	mux.HandleFunc("GET /files/{id}", func(w http.ResponseWriter, r *http.Request) {
		b, ok := h.Blob(sdk.BlobID(r.PathValue("id")))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", b.MIME)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		if !strings.HasPrefix(b.MIME, "image/") {
			w.Header().Set("Content-Disposition", "attachment")
		}
		_, _ = w.Write(b.Data)
	})
	return mux
}
