package hook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/limit"
	"github.com/parley-gateway/parley/gateway/ops"
)

// Host is what this package needs of the plugin host.
type Host interface {
	// HookLimits returns the limits that the account's plugin sets for webhooks. known is false
	// when no such account is configured.
	HookLimits(account conversation.AccountID) (limits pluginhost.HookLimits, known bool)
	// Hook returns the plugin's answer when all events in it are durable, within the time that the
	// account has; see pluginhost for its errors.
	Hook(ctx context.Context, account conversation.AccountID, req pluginhost.HookRequest) (pluginhost.HookResponse, error)
}

// Options configure a Handler.
type Options struct {
	Host Host
	// Recorded reports whether the records have an enabled account that Host does not know: it may have been added
	// a moment ago, at another node or at this one, or this node lacks its plugin. Such a webhook gets a 503, since
	// carriers do not send again what got a 404. True also when the records cannot be read; it answers within a
	// second or so. Nil: Host knows every account.
	Recorded func(context.Context, conversation.AccountID) bool
	// PublicURL is the origin to which carriers send webhooks, "https://chat.example.com".
	PublicURL string
	// PerSecond and Burst limit the webhooks of one account, so that a flood on one leaves room for
	// the others. A webhook over the limit gets a 503: carriers send it again then, whereas after a
	// 4xx the text would be lost (PR2). Default 20000 and 20000.
	PerSecond float64
	Burst     int
	// BadPerSecond and BadBurst limit what one address may send to accounts that do not exist.
	// Default 5 and 50. Other errors do not count against an address, because carriers send the
	// webhooks of many accounts from few addresses.
	BadPerSecond float64
	BadBurst     int

	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Handler serves /hooks/{account}. Safe for concurrent use.
type Handler struct {
	opts     Options
	accounts *limit.Rates[conversation.AccountID]
	bad      *limit.Rates[netip.Addr]
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
}

// Results of a webhook, used as the label of its counter.
const (
	resultOK          = "ok"
	resultRefused     = "refused"         // the plugin answered 4xx: signature, malformed ...
	resultFailed      = "failed"          // the plugin answered 5xx
	resultUnknown     = "unknown_account" // answered with 404
	resultMethod      = "method"          // answered with 405
	resultTooLarge    = "too_large"       // answered with 413
	resultBroken      = "broken_body"     // 400, or the carrier went away
	resultRate        = "rate"            // 503 for a known account, 429 for unknown ones
	resultUnavailable = "unavailable"     // 503: not durable in time
)

// New makes a Handler.
func New(opts Options) *Handler {
	if opts.PerSecond == 0 {
		opts.PerSecond, opts.Burst = 20_000, 20_000
	}
	if opts.BadPerSecond == 0 {
		opts.BadPerSecond, opts.BadBurst = 5, 50
	}
	h := &Handler{
		opts:     opts,
		accounts: limit.NewRates[conversation.AccountID](opts.PerSecond, opts.Burst, 10_000),
		bad:      limit.NewRates[netip.Addr](opts.BadPerSecond, opts.BadBurst, 10_000),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_hook_requests_total", Help: "Webhooks answered, by result.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(ops.LatencyOpts("parley_hook_duration_seconds",
			"Time from a webhook's header to its answer, everything durable.")),
	}
	for _, r := range []string{resultOK, resultRefused, resultFailed, resultUnknown, resultMethod, resultTooLarge, resultBroken, resultRate, resultUnavailable} {
		h.requests.WithLabelValues(r)
	}
	opts.Registry.MustRegister(h.requests, h.seconds)
	return h
}

// ServeHTTP answers one webhook.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	result := h.serve(w, r, start)
	h.requests.WithLabelValues(result).Inc()
	h.seconds.Observe(time.Since(start).Seconds())
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, start time.Time) (result string) {
	account, isID := parseAccount(r.URL.Path)
	var limits pluginhost.HookLimits
	known := false
	if isID {
		limits, known = h.opts.Host.HookLimits(account)
	}
	if !known {
		if !h.bad.Allow(limit.Client(r), start) {
			return refuse(w, http.StatusTooManyRequests, resultRate)
		}
		if isID && h.opts.Recorded != nil && h.opts.Recorded(r.Context(), account) {
			w.Header().Set("Retry-After", "2")
			return refuse(w, http.StatusServiceUnavailable, resultUnavailable)
		}
		return refuse(w, http.StatusNotFound, resultUnknown)
	}
	if !h.accounts.Allow(account, start) {
		w.Header().Set("Retry-After", "1")
		return refuse(w, http.StatusServiceUnavailable, resultRate)
	}
	if len(limits.Methods) > 0 && !slices.Contains(limits.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(limits.Methods, ", "))
		return refuse(w, http.StatusMethodNotAllowed, resultMethod)
	}
	if r.ContentLength > limits.MaxBody {
		return refuse(w, http.StatusRequestEntityTooLarge, resultTooLarge)
	}
	body, err := readBody(w, r, limits.MaxBody)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return refuse(w, http.StatusRequestEntityTooLarge, resultTooLarge)
		}
		return refuse(w, http.StatusBadRequest, resultBroken)
	}
	res, err := h.opts.Host.Hook(r.Context(), account, pluginhost.HookRequest{
		Method:   r.Method,
		URL:      h.publicURL(r),
		Header:   inbound(r.Header),
		Body:     body,
		RemoteIP: limit.IP(r).String(),
		Received: start,
	})
	if err != nil {
		return h.refuse(w, account, err)
	}
	return answer(w, res)
}

// smallBody is the largest announced length for which memory is allocated before the body arrives.
const smallBody = 64 << 10

func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if n := r.ContentLength; n >= 0 && n <= min(most, smallBody) {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, most))
}

func parseAccount(path string) (id conversation.AccountID, ok bool) {
	text, ok := strings.CutPrefix(path, "/hooks/")
	if !ok || id.UnmarshalText([]byte(text)) != nil || id.IsZero() {
		return id, false
	}
	return id, true
}

// refuse answers a webhook that the plugin never answered. It answers 4xx only for the sender's own
// faults; all else is a 503, which asks for a retry (PR2).
func (h *Handler) refuse(w http.ResponseWriter, account conversation.AccountID, err error) string {
	switch {
	case errors.Is(err, pluginhost.ErrUnknownAccount), errors.Is(err, pluginhost.ErrNoHook):
		return refuse(w, http.StatusNotFound, resultUnknown)
	case errors.Is(err, pluginhost.ErrMethod):
		return refuse(w, http.StatusMethodNotAllowed, resultMethod)
	case errors.Is(err, plugin.ErrTooLarge):
		return refuse(w, http.StatusRequestEntityTooLarge, resultTooLarge)
	}
	h.opts.Log.Warn("hook: not durable, the carrier was asked to retry", "account_id", account, "err", err)
	w.Header().Set("Retry-After", "2")
	return refuse(w, http.StatusServiceUnavailable, resultUnavailable)
}

func refuse(w http.ResponseWriter, status int, result string) string {
	http.Error(w, http.StatusText(status), status)
	return result
}

// answer passes the plugin's answer on.
func answer(w http.ResponseWriter, res pluginhost.HookResponse) string {
	for name, values := range res.Header {
		if !outbound[textproto.CanonicalMIMEHeaderKey(name)] {
			continue
		}
		for _, v := range values {
			w.Header().Add(name, v)
		}
	}
	if len(res.Body) > 0 && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(res.Status)
	_, _ = w.Write(res.Body) // a carrier that has gone sends the webhook again
	switch {
	case res.Status >= 500:
		return resultFailed
	case res.Status >= 400:
		return resultRefused
	default:
		return resultOK
	}
}

// publicURL is the URL that the carrier was given and has signed: the configured origin with the
// request's path and query.
func (h *Handler) publicURL(r *http.Request) string {
	u := h.opts.PublicURL + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		u += "?" + r.URL.RawQuery
	}
	return u
}

// outbound are the headers that a plugin may set in an answer to a carrier.
var outbound = map[string]bool{
	"Content-Type": true, "Content-Language": true, "Cache-Control": true, "Retry-After": true,
	"Www-Authenticate": true, "Location": true,
}

// inbound copies the request's headers without those that concern the connection or belong to the
// gateway.
func inbound(h http.Header) http.Header {
	out := h.Clone()
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Cookie", "Parley-Identity", "Parley-Grant"} {
		out.Del(name)
	}
	return out
}
