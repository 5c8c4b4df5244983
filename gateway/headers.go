package gateway

import (
	"net/http"
	"strings"
)

// policies are the security headers of the origins [ASVS 3.4].
type policies struct {
	desk, api, plugin, chat, files string
}

func newPolicies(o Origins, scriptHashes []string) policies {
	scripts := strings.Join(append([]string{"'self'"}, scriptHashes...), " ")
	files, socket := "", "ws"+strings.TrimPrefix(o.Desk, "http")
	if o.Files != o.Desk {
		files = " " + o.Files
	}
	return policies{
		// 'unsafe-inline' is for styles only, since the component library sets styles from script.
		// data: is for the tab's icon with its badge, blob: for a file before it is sent.
		desk: "default-src 'none'; script-src " + scripts + "; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:" + files +
			"; font-src 'self'; connect-src 'self' " + socket +
			"; form-action 'none'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
		api: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		// What a plugin serves on the desk's origin must not be able to act as the desktop.
		plugin: "sandbox; default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
		chat:   "default-src 'self'; img-src 'self' data: blob:" + files + "; base-uri 'none'; object-src 'none'; frame-ancestors 'self'",
		files:  "sandbox; default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
	}
}

// permissions are the device features that pages may use: none, as long as there are no calls.
const permissions = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()"

// secure sets the security headers for the origin that the request's host belongs to. A handler may
// replace the content policy (the widget's page names the sites that may embed it).
func (s *Server) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if scheme(r) == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		serves, where := s.hosts.serves(r.Host), area(r.URL.Path)
		if where != areaHooks { // a webhook's answer is no document, and there may be thousands a second
			h.Set("Permissions-Policy", permissions)
		}
		switch where {
		case areaFiles:
			h.Set("Content-Security-Policy", s.policies.files)
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cross-Origin-Resource-Policy", "cross-origin") // desk and chat pages show pictures from here
		case areaPlugins:
			h.Set("Content-Security-Policy", s.policies.chat)
			h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
			if !serves.has(surfaceChat | surfacePlugin) {
				h.Set("Content-Security-Policy", s.policies.plugin)
			}
			if serves == surfacePlugin {
				h.Set("Origin-Agent-Cluster", "?1") // forbids document.domain, by which pages of neighbouring hosts could reach each other
			}
		case areaHooks:
			h.Set("Content-Security-Policy", s.policies.plugin)
			h.Set("Referrer-Policy", "no-referrer")
		case areaAPI:
			h.Set("Content-Security-Policy", s.policies.api)
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
		default:
			h.Set("Content-Security-Policy", s.policies.desk)
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
		}
		next.ServeHTTP(w, r)
	})
}
