package webchat

import (
	"embed"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed demo
var demoFiles embed.FS

// demoPages are the made-up shop's pages: path below the site, template, title.
var demoPages = [...]struct{ path, file, title string }{
	{"", "home.html", "Fjellrev Outdoor"},
	{"tents", "tents.html", "Tents · Fjellrev Outdoor"},
	{"delivery", "delivery.html", "Delivery and returns · Fjellrev Outdoor"},
}

// demoRoutes serves a small shop whose pages embed a site's chat by its script tag, if the account
// sets demo_page.
func (p *Plugin) demoRoutes(mux *http.ServeMux) {
	static, err := fs.Sub(demoFiles, "demo/static")
	if err != nil {
		panic(err) // cannot happen: the path is valid
	}
	mux.Handle("GET /demo-static/", http.StripPrefix("/demo-static/", http.FileServerFS(static)))
	for _, one := range demoPages {
		page := template.Must(template.ParseFS(demoFiles, "demo/layout.html", "demo/"+one.file))
		patterns := []string{"GET /demo/{site}/" + one.path}
		if one.path == "" {
			patterns = []string{"GET /demo/{site}", "GET /demo/{site}/{$}"}
		}
		handler := func(w http.ResponseWriter, r *http.Request) {
			at := p.sites.Load().find(r.PathValue("site"))
			if at == nil || !at.DemoPage {
				http.NotFound(w, r)
				return
			}
			h := w.Header()
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Cache-Control", "no-cache")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
			_ = page.ExecuteTemplate(w, "layout.html", map[string]string{
				"Site": at.Site, "Title": one.title, "Page": one.path, "Base": "/p/" + ID,
			})
		}
		for _, pattern := range patterns {
			mux.HandleFunc(pattern, handler)
		}
	}
}
