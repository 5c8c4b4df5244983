package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/parley-gateway/parley/gateway/limit"
	"github.com/parley-gateway/parley/internal/wsframe"
)

// handshake is how long the plugin may take to answer a request to upgrade.
const handshake = 10 * time.Second

// upgrade opens a tunnel. The handler returns when the tunnel runs: neither the request nor its
// goroutine and buffers are kept while the tunnel is open.
func (p *Proxy) upgrade(w http.ResponseWriter, r *http.Request, q *request) {
	status := p.mayUpgrade(r, q)
	if status == 0 {
		status = p.open(w, r, q)
	}
	p.metrics.count(q.plugin, status)
}

// mayUpgrade checks what can be checked before the plugin is asked; 0 = the upgrade may go on, else
// the status that was answered.
func (p *Proxy) mayUpgrade(r *http.Request, q *request) int {
	switch {
	case !q.route.Upgrade, r.Method != http.MethodGet,
		!httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade"),
		!strings.EqualFold(r.Header.Get("Upgrade"), "websocket"), r.ContentLength != 0:
		http.Error(q.w, "no such upgrade here", http.StatusBadRequest)
		return http.StatusBadRequest
	}
	return 0
}

func (p *Proxy) open(w http.ResponseWriter, r *http.Request, q *request) int {
	key := limit.Client(r)
	if p.sockets.Acquire(key, limit.Contains(p.opts.Exempt, limit.IP(r))) != limit.OK {
		http.Error(w, "too many sockets from this address", http.StatusTooManyRequests)
		return http.StatusTooManyRequests
	}
	ok := false
	defer func() {
		if !ok {
			p.sockets.Release(key)
		}
	}()
	conn, res, br, err := p.ask(r, q) //nolint:bodyclose // its body is conn, closed below or by the tunnel
	if err != nil {
		p.opts.Log.Warn("proxy: plugin did not answer an upgrade", "plugin", q.plugin, "err", scrub(err))
		unavailable(w)
		return http.StatusServiceUnavailable
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer func() { _ = conn.Close() }()
		q.policy, q.sealed = w.Header().Get("Content-Security-Policy"), true
		q.cleanAnswer(res.Header)
		return refuse(w, res)
	}
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = conn.Close()
		p.opts.Log.Error("proxy: cannot take the connection over", "plugin", q.plugin, "err", err)
		http.Error(w, "cannot upgrade", http.StatusInternalServerError)
		return http.StatusInternalServerError
	}
	t := &tunnel{client: client, plugin: conn, pool: p.pool, instance: q.route.Instance, stall: p.opts.Stall}
	ended := p.metrics.ended.MustCurryWith(map[string]string{"plugin": q.plugin})
	gauge := p.metrics.open.WithLabelValues(q.plugin)
	t.onEnd = func(reason string) {
		p.mu.Lock()
		delete(p.tunnels, t)
		p.mu.Unlock()
		p.sockets.Release(key)
		gauge.Dec()
		ended.WithLabelValues(reason).Inc()
	}
	if err := t.answer(res.Header); err != nil {
		t.close()
		return http.StatusSwitchingProtocols
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining {
		_ = t.send(client, wsframe.AppendClose(nil, atDrain.code, atDrain.text))
		t.close()
		return http.StatusSwitchingProtocols
	}
	p.tunnels[t] = struct{}{}
	gauge.Inc()
	ok = true
	p.watch(q.route)
	if q.watch != nil {
		t.unwatch = q.watch(func() { t.end(atRevoke) })
	}
	t.start(buffered(rw.Reader), buffered(br), &p.work)
	return http.StatusSwitchingProtocols
}

// ask sends the upgrade request to the plugin and reads its answer.
func (p *Proxy) ask(r *http.Request, q *request) (net.Conn, *http.Response, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(r.Context(), handshake)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", q.route.Socket)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("dial: %w", err)
	}
	out := &http.Request{
		Method: http.MethodGet, URL: &url.URL{RawQuery: r.URL.RawQuery}, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	for name, values := range r.Header {
		if passUpgrade(name) {
			out.Header[name] = values
		}
	}
	p.address(out, r, q)
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", "websocket")
	_ = conn.SetDeadline(time.Now().Add(handshake)) // fails only when the connection is closed, and then Write fails, too
	br := bufio.NewReader(conn)
	err = out.Write(conn)
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(br, out)
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, nil, fmt.Errorf("handshake: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, res, br, nil
}

// passUpgrade reports whether a header is passed on: not hop-by-hop headers and extensions. Without
// compression an idle socket needs no memory for a window, and no compression bomb can arrive.
func passUpgrade(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Sec-Websocket-Extensions":
		return false
	}
	return true
}

// refuse passes the plugin's refusal of an upgrade to the client.
func refuse(w http.ResponseWriter, res *http.Response) int {
	defer func() { _ = res.Body.Close() }()
	w.Header().Del("Content-Security-Policy")
	for name, values := range res.Header {
		if passUpgrade(name) {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, io.LimitReader(res.Body, 4<<10)) // a client that has gone needs no reason
	return res.StatusCode
}

// answer writes the 101 with the protocol that the plugin has chosen.
func (t *tunnel) answer(from http.Header) error {
	h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	for _, name := range []string{"Sec-Websocket-Accept", "Sec-Websocket-Protocol"} {
		if v := from.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	return t.send(t.client, []byte(b.String()))
}

// buffered returns the bytes that were read beyond the handshake.
func buffered(br *bufio.Reader) []byte {
	b, err := br.Peek(br.Buffered())
	if err != nil || len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}
