package proxy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/plugins/contract/identity"
)

type requestKey struct{}

// errRevoked: what let the sender in has ended.
var errRevoked = errors.New("proxy: revoked")

func of(ctx context.Context) *request { return ctx.Value(requestKey{}).(*request) }

// newTransport dials the socket of the request's generation. Connections are
// not kept: on a kept one that died Go would send an idempotent request again.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", of(ctx).route.Socket)
			if err != nil {
				return nil, err
			}
			return newPluginConn(c), nil
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
	}
}

// pass sends a request without upgrade on.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, q *request) {
	if r.ContentLength > q.route.MaxBody {
		p.metrics.count(q.plugin, http.StatusRequestEntityTooLarge)
		http.Error(w, http.StatusText(http.StatusRequestEntityTooLarge), http.StatusRequestEntityTooLarge)
		return
	}
	ctx := context.WithValue(r.Context(), requestKey{}, q)
	if q.watch != nil {
		// An answer, or a body, that goes on for longer must end as a tunnel does (PR23).
		revocable, cut := context.WithCancelCause(ctx)
		defer cut(nil)
		defer q.watch(func() { cut(errRevoked) })()
		ctx = revocable
	}
	r = r.WithContext(ctx)
	q.body.ReadCloser = http.MaxBytesReader(w, r.Body, q.route.MaxBody)
	r.Body = &q.body
	// The content policy is decided when the plugin's is known.
	q.policy = w.Header().Get("Content-Security-Policy")
	q.sealed = strings.HasPrefix(q.policy, "sandbox")
	w.Header().Del("Content-Security-Policy")
	p.reverse.ServeHTTP(&finalOnly{ResponseWriter: w, plugin: http.Header{}}, r)
}

func (p *Proxy) newReverse() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:     p.transport,
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			q := of(pr.In.Context())
			// The host only keeps connections of generations apart.
			pr.Out.URL = &url.URL{Scheme: "http", Host: hex.EncodeToString([]byte(q.route.Instance)) + ".plugin", RawQuery: pr.Out.URL.RawQuery}
			p.address(pr.Out, pr.In, q)
		},
		ModifyResponse: func(res *http.Response) error {
			q := of(res.Request.Context())
			p.metrics.count(q.plugin, res.StatusCode)
			q.cleanAnswer(res.Header)
			return nil
		},
		ErrorHandler: p.fail,
	}
}

// address makes out the request that the plugin sees: its own path, the public
// host, who sends it, and nothing by which the sender is known to the gateway.
func (p *Proxy) address(out, in *http.Request, q *request) {
	out.URL.Path = q.sub
	if raw := in.URL.EscapedPath(); raw != in.URL.Path {
		out.URL.RawPath = strings.TrimPrefix(raw, "/p/"+q.plugin)
	}
	out.Host = in.Host
	for _, h := range []string{"Cookie", "Authorization", "Proxy-Authorization", "Parley-Grant", identity.Header, FilesHeader} {
		out.Header.Del(h)
	}
	if p.opts.FilesOrigin != "" {
		out.Header.Set(FilesHeader, p.opts.FilesOrigin)
	}
	sig, err := identity.Sign(q.route.Key, q.who, out.Method, q.sub, time.Now())
	if err == nil {
		out.Header.Set(identity.Header, sig)
	} else if q.route.Access != Public {
		// Without identity the plugin refuses what is not public.
		p.opts.Log.Error("proxy: identity not signed", "plugin", q.plugin, "err", err)
	}
}

// foreignPage gives a page of a plugin that is no part of the gateway, and whose
// own host is not configured or not asked, an origin
// that is equal to no other, not even to itself: it runs its scripts, but reads
// neither the chat origin's storage nor that of another plugin (DESIGN.md 7).
const foreignPage = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"

// cleanAnswer takes out what a plugin must not set for the gateway's origins.
func (q *request) cleanAnswer(h http.Header) {
	for _, name := range []string{"Set-Cookie", "Clear-Site-Data", "Strict-Transport-Security", "Service-Worker-Allowed", "Alt-Svc", "Public-Key-Pins"} {
		h.Del(name)
	}
	for _, name := range []string{"X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy"} {
		if q.w.Header().Get(name) != "" {
			h.Del(name)
		}
	}
	if q.policy != "" && (q.sealed || h.Get("Content-Security-Policy") == "") {
		h.Set("Content-Security-Policy", q.policy)
	}
	if q.route.Foreign && !q.own && !strings.HasPrefix(q.policy, "sandbox") {
		h.Add("Content-Security-Policy", foreignPage) // beside the other: both hold
	}
}

func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	q := of(r.Context())
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		p.metrics.count(q.plugin, http.StatusRequestEntityTooLarge)
		http.Error(w, http.StatusText(http.StatusRequestEntityTooLarge), http.StatusRequestEntityTooLarge)
		return
	}
	if errors.Is(context.Cause(r.Context()), errRevoked) {
		p.metrics.count(q.plugin, http.StatusUnauthorized)
		http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		return
	}
	gone := r.Context().Err() != nil // or net/http takes it for gone: to it every error of reading is that
	switch cause := q.body.broken(gone); {
	case errors.Is(cause, os.ErrDeadlineExceeded):
		p.brokenOff(w, q, http.StatusRequestTimeout)
		return
	case cause != nil && (!gone || errors.Is(cause, io.ErrUnexpectedEOF)): // who sends no more may still read
		p.brokenOff(w, q, http.StatusBadRequest)
		return
	case gone:
		panic(http.ErrAbortHandler) // returning would answer 200
	}
	p.opts.Log.Warn("proxy: plugin did not answer", "plugin", q.plugin, "err", scrub(err))
	p.metrics.count(q.plugin, http.StatusServiceUnavailable)
	unavailable(w)
}

// brokenOff answers a request whose body did not come to its end: the client's
// fault, not the plugin's.
func (p *Proxy) brokenOff(w http.ResponseWriter, q *request, status int) {
	p.metrics.count(q.plugin, status)
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":{"code":"broken_off"}}`+"\n") // nobody may be there to read it
}

// clientBody remembers why the client's body could not be read to its end.
type clientBody struct {
	io.ReadCloser
	reading sync.Mutex
	cause   atomic.Pointer[error]
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.cause.CompareAndSwap(nil, &err)
	}
	return n, err
}

// broken is why the body could not be read; nil: it could, so far. When the request
// is over it waits for a read under way, which is then about to fail: net/http ends
// the request just before it returns the error that it does so for.
func (b *clientBody) broken(over bool) error {
	if over {
		b.reading.Lock()
		defer b.reading.Unlock()
	}
	if err := b.cause.Load(); err != nil {
		return *err
	}
	return nil
}

// scrub keeps the cause of an error without the URL that url.Error repeats:
// its query may hold anything.
func scrub(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: %w", ue.Op, ue.Err)
	}
	return err
}
