package api

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/gateway/limit"
)

// Log is what the API needs of the event log: lists of conversations, and its statistics.
type Log interface {
	Conversations(ctx context.Context, q eventlog.ConversationQuery) ([]eventlog.ConversationRow, error)
	Stats() eventlog.Stats
}

// Blobs is what the API needs of the attachment store.
type Blobs interface {
	Put(ctx context.Context, o blob.Owner, name, mime string, r io.Reader) (conversation.File, error)
	Info(ctx context.Context, id conversation.BlobID) (conversation.File, blob.Row, error)
	SignURL(id conversation.BlobID, ttl time.Duration, thumbnail bool) string
}

// Host is what the API needs of the plugin host.
type Host interface {
	Plugins() []pluginhost.Status
	Schemas(plugin string) (settings, account string, ok bool)
	Validate(ctx context.Context, plugin string, settings json.RawMessage, accounts []pluginhost.AccountConfig) ([]pluginhost.Problem, error)
}

// Options configure an API. A field whose comment names no default is required.
type Options struct {
	Router    Router
	Tools     Tools
	Calls     Calls
	Log       Log
	Directory *directory.Directory
	Auth      *auth.Auth
	Grants    *auth.Grants
	Blobs     Blobs
	Host      Host
	// Doctor makes further checks for GET /doctor; nil: none.
	Doctor func(ctx context.Context) []DoctorCheck
	// FilesOrigin is put before the paths of attachments; "" = same origin.
	FilesOrigin string
	Version     string
	// Now is the installation's time (core/clock); nil: time.Now.
	Now func() time.Time

	// Stream serves the agents' WebSocket (gateway/stream), at Prefix + "/stream".
	Stream http.Handler
	// RequestsPerSecond and Burst limit one session. Default 50 and 200.
	RequestsPerSecond float64
	Burst             int
	// MaxUpload bounds the body of an upload, in bytes, whatever accounts allow. Default 100 MiB.
	MaxUpload int64

	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// API serves /api/v1/. Safe for concurrent use.
type API struct {
	opts     Options
	log      *slog.Logger
	handler  http.Handler
	sessions *limit.Rates[sessions.ID]
	huma     huma.API
	ops      []Operation
}

// Prefix is the path below which the API is served.
const Prefix = "/api/v1"

// New makes an API.
func New(opts Options) (*API, error) {
	opts.RequestsPerSecond = cmp.Or(opts.RequestsPerSecond, 50)
	opts.Burst = cmp.Or(opts.Burst, 200)
	opts.MaxUpload = cmp.Or(opts.MaxUpload, 100<<20)
	a := &API{
		opts: opts, log: opts.Logger,
		sessions: limit.NewRates[sessions.ID](opts.RequestsPerSecond, opts.Burst, 20_000),
	}
	mux := http.NewServeMux()
	a.huma = newHuma(mux, opts.Version)
	a.routes()
	if err := a.serveDescription(mux); err != nil {
		return nil, err
	}
	rest := opts.Auth.Middleware(a.limited(http.MaxBytesHandler(mux, opts.MaxUpload)))
	root := http.NewServeMux()
	root.Handle("GET "+Prefix+"/stream", opts.Stream)
	root.Handle("/", rest)
	a.handler = root
	return a, nil
}

// ServeHTTP serves everything below /api/.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	a.handler.ServeHTTP(w, r)
}

// limited refuses requests of a session that exceeds its rate, and bodies larger than the largest
// upload.
func (a *API) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := auth.FromContext(r.Context()); ok && !a.sessions.Allow(id.Session, time.Now()) {
			WriteFault(w, NewFault("rate_limited"))
			return
		}
		if r.ContentLength > a.opts.MaxUpload {
			WriteFault(w, NewFault("too_large"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveDescription serves the OpenAPI document, which is encoded once, and answers every unknown
// path below the prefix with a problem.
func (a *API) serveDescription(mux *http.ServeMux) error {
	for _, unused := range []string{"ErrorModel", "ErrorDetail", "Cookie"} { // types that huma registers and that no answer contains
		delete(a.huma.OpenAPI().Components.Schemas.Map(), unused)
	}
	doc, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		return err
	}
	mux.HandleFunc("GET "+Prefix+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(doc)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { WriteFault(w, NewFault("not_found")) })
	return nil
}

func newHuma(mux *http.ServeMux, version string) huma.API {
	config := huma.DefaultConfig("Parley", version)
	config.Info.Description = "The API of the Parley gateway. Agents' live traffic goes over the WebSocket at " + Prefix +
		"/stream (docs/protocol/agent-stream.md). Browsers send the session cookie and, with unsafe methods, the header " +
		auth.CSRFHeader + ": 1; programs send Authorization: Bearer."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // serveDescription serves these instead
	config.CreateHooks = nil                                             // no $schema links in answers
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{toProblem}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: auth.CookieName},
		"bearer":  {Type: "http", Scheme: "bearer"},
	}
	h := humago.New(mux, config)
	h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	return h
}

// client is the address of a request's sender, through its context.
func client(ctx context.Context) netip.Addr {
	ip, _ := ctx.Value(clientKey{}).(netip.Addr)
	return ip
}

type clientKey struct{}
