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

// errRevoked: the session or grant that allowed the request has ended.
var errRevoked = errors.New("proxy: revoked")

func of(ctx context.Context) *request { return ctx.Value(requestKey{}).(*request) }

// newTransport connects to the unix socket of the plugin generation that the request belongs to. It
// does not reuse connections: if a reused one had died, Go would send an idempotent request a
// second time.
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

// pass passes on a request that asks for no upgrade.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, q *request) {
	if r.ContentLength > q.route.MaxBody {
		p.metrics.count(q.plugin, http.StatusRequestEntityTooLarge)
		http.Error(w, http.StatusText(http.StatusRequestEntityTooLarge), http.StatusRequestEntityTooLarge)
		return
	}
	ctx := context.WithValue(r.Context(), requestKey{}, q)
	if q.watch != nil {
		// A request whose body or answer goes on for long must be cut off when the session ends, as
		// a tunnel is (PR23).
		revocable, cut := context.WithCancelCause(ctx)
		defer cut(nil)
		defer q.watch(func() { cut(errRevoked) })()
		ctx = revocable
	}
	r = r.WithContext(ctx)
	q.body.ReadCloser = http.MaxBytesReader(w, r.Body, q.route.MaxBody)
	r.Body = &q.body
	// Which content policy holds is decided when the plugin's own is known.
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
			// This host name only keeps http.Transport from mixing connections of different
			// generations.
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

// address fills in the request that the plugin sees: the plugin's own path, the public host, who
// sends it, and nothing that the sender uses to authenticate to the gateway.
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
		// Without the identity header the plugin refuses every request that is not public.
		p.opts.Log.Error("proxy: identity not signed", "plugin", q.plugin, "err", err)
	}
}

// foreignPage is the content policy for pages of a third-party plugin that are not served from an
// origin of the plugin's own. It gives such a page an origin that equals no other, not even the
// same page loaded again: the page may run scripts, but can read neither the chat origin's storage
// nor another plugin's (DESIGN.md 7).
const foreignPage = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"

// cleanAnswer removes headers that a plugin must not set for the gateway's origins.
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
		h.Add("Content-Security-Policy", foreignPage) // added to the plugin's own policy: browsers apply both
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
	gone := r.Context().Err() != nil // may be true although the client is there: net/http ends the context at every error of reading
	switch cause := q.body.broken(gone); {
	case errors.Is(cause, os.ErrDeadlineExceeded):
		p.brokenOff(w, q, http.StatusRequestTimeout)
		return
	case cause != nil && (!gone || errors.Is(cause, io.ErrUnexpectedEOF)): // a client that has ended its side may still read an answer
		p.brokenOff(w, q, http.StatusBadRequest)
		return
	case gone:
		panic(http.ErrAbortHandler) // returning from the handler would answer 200
	}
	p.opts.Log.Warn("proxy: plugin did not answer", "plugin", q.plugin, "err", scrub(err))
	p.metrics.count(q.plugin, http.StatusServiceUnavailable)
	unavailable(w)
}

// brokenOff answers a request whose body did not come to its end. That is the client's fault, not
// the plugin's.
func (p *Proxy) brokenOff(w http.ResponseWriter, q *request, status int) {
	p.metrics.count(q.plugin, status)
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":{"code":"broken_off"}}`+"\n") // the client may have gone
}

// clientBody remembers the error with which reading the client's body failed.
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

// broken returns why the body could not be read; nil: reading has not failed. When the request is
// over it waits for a read under way, which is about to fail: net/http ends the request just before
// it returns the error that made it do so.
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

// scrub removes from an error the URL that url.Error repeats, because its query may contain
// confidential values, and keeps the cause.
func scrub(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: %w", ue.Op, ue.Err)
	}
	return err
}
