package webchat

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

// pageTemplates are parsed once; html/template escapes the values.
var pageTemplates = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

func (p *Plugin) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", p.serveSocket)
	mux.HandleFunc("POST /upload", p.serveUpload)
	mux.HandleFunc("GET /widget.js", p.serveLauncher)
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		p.files.serve(w, r, "assets/"+r.PathValue("name"), true)
	})
	mux.HandleFunc("GET /panel/{site}", p.servePanel)
	mux.HandleFunc("GET /site/{site}", p.serveSite)
	p.demoRoutes(mux)
	return mux
}

// publicSite is the part of a site's settings that panels and apps may know.
type publicSite struct {
	V       int                          `json:"v"`
	Site    string                       `json:"site"`
	Title   string                       `json:"title,omitempty"`
	Theme   theme                        `json:"theme"`
	Form    formSettings                 `json:"form"`
	Texts   map[string]map[string]string `json:"texts,omitempty"`
	Tones   tones                        `json:"tones"`
	MaxFile int64                        `json:"max_file"` // largest file in bytes; 0 = no files
	MaxText int                          `json:"max_text"` // longest text in UTF-16 units
	Origins []string                     `json:"origins"`  // origins that may embed the panel
}

func (s *site) public() publicSite {
	return publicSite{
		V: protocolVersion, Site: s.Site, Title: s.Title, Theme: s.Theme, Form: s.Form, Texts: s.Texts,
		Tones: s.Tones, MaxFile: s.maxFile(), MaxText: maxText,
		Origins: append([]string{s.chatOrigin}, s.AllowedOrigins...),
	}
}

// serveSite gives an app the settings that the panel finds in its page.
func (p *Plugin) serveSite(w http.ResponseWriter, r *http.Request) {
	at := p.sites.Load().find(r.PathValue("site"))
	if at == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	writeJSON(w, http.StatusOK, "max-age=60", at.public())
}

// servePanel serves the page inside the iframe. Only the site's own pages may frame it, and scripts
// are allowed from this origin only.
func (p *Plugin) servePanel(w http.ResponseWriter, r *http.Request) {
	at := p.sites.Load().find(r.PathValue("site"))
	if at == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", at.panelPolicy(r.Header.Get(filesHeader)))
	if !p.files.built() {
		render(w, http.StatusServiceUnavailable, "unbuilt.html", nil)
		return
	}
	render(w, http.StatusOK, "panel.html", map[string]any{
		"Site": at.public(), "Title": at.Title,
		"Script": p.files.script, "Styles": p.files.styles, "Loads": p.files.loads,
	})
}

// filesHeader is the header in which the gateway names the origin of attachments.
const filesHeader = "Parley-Files-Origin"

// panelPolicy is the panel's Content-Security-Policy. It allows pictures from the files origin
// only; "" = none at all.
func (s *site) panelPolicy(files string) string {
	scheme, host, _ := strings.Cut(s.chatOrigin, "://")
	if files == "" {
		files = "'none'"
	}
	socket := "ws://" + host
	if scheme == "https" {
		socket = "wss://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' " + socket +
		"; img-src " + files + "; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors 'self' " +
		strings.Join(s.AllowedOrigins, " ")
}

// serveLauncher serves the script that the site's pages embed.
func (p *Plugin) serveLauncher(w http.ResponseWriter, r *http.Request) {
	if _, ok := p.files.files["widget.js"]; ok {
		p.files.serve(w, r, "widget.js", false)
		return
	}
	w.Header().Set("Content-Type", mimeOf("widget.js"))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(`console.error("Parley: this server was built without its chat widget");` + "\n"))
}

// render writes a page, with the headers that all pages have.
func render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, "page cannot be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}
