package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/gateway/proxy"
)

// A body that breaks off is answered, as long as the client may still read the answer, with an
// error and never with the 200 that net/http sends for a handler that writes nothing: an uploader
// would take that for a file that has arrived.
func TestBodyBreaksOff(t *testing.T) {
	const head = "POST /p/toy/big/x HTTP/1.1\r\nHost: x\r\n"
	for _, c := range []struct {
		name, text string
		cut        bool // the client ends its side; else it stalls
		status     int
	}{
		{"stalls", head + "Content-Length: 500\r\n\r\nab", false, 408},
		{"stalls before the first byte", head + "Content-Length: 500\r\n\r\n", false, 408},
		{"stalls in a large body", head + "Content-Length: 700000\r\n\r\nab", false, 408},
		{"stalls in a chunk", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", false, 408},
		{"is cut", head + "Content-Length: 500\r\n\r\nab", true, 400},
		{"is cut in a large body", head + "Content-Length: 700000\r\n\r\nab", true, 400},
		{"is cut in a chunk", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", true, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t, proxy.Options{})
			f.host.routes["big"] = proxy.Route{Access: proxy.Public, MaxBody: 1 << 20}
			f.plugin.mux.HandleFunc("/big/x", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !c.cut { // the way in which the gateway limits a slow body
					_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				}
				f.ServeHTTP(w, r)
			}))
			defer web.Close()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", web.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(conn, c.text)
			if c.cut {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != c.status || strings.TrimSpace(string(body)) != `{"error":{"code":"broken_off"}}` || !res.Close {
				t.Errorf("got status %d, close %v, %q, want %d and the end of the connection", res.StatusCode, res.Close, body, c.status)
			}
		})
	}
}

// A request that ends because its client has gone gets no answer.
func TestNoAnswerToNobody(t *testing.T) {
	for _, at := range []string{"the plugin works", "the plugin restarts"} {
		t.Run(at, func(t *testing.T) {
			f := setup(t, proxy.Options{})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			f.plugin.mux.HandleFunc("/open/x", func(_ http.ResponseWriter, r *http.Request) {
				leave()
				<-r.Context().Done()
			})
			if at == "the plugin restarts" {
				leave()
				f.host.err = context.Canceled
			}
			w := httptest.NewRecorder()
			defer func() {
				if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
					t.Errorf("the handler ended with %v, want http.ErrAbortHandler: net/http would answer 200", p)
				}
				if w.Body.Len() > 0 {
					t.Errorf("answered %q", w.Body)
				}
			}()
			f.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/p/toy/open/x", nil))
		})
	}
}

// A request whose connection is reset while its body is sent gets no answer, either.
func TestResetInBody(t *testing.T) {
	f := setup(t, proxy.Options{})
	got := make(chan any, 1)
	reading := make(chan struct{})
	f.plugin.mux.HandleFunc("/open/x", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 2))
		close(reading)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			got <- p
			if p != nil {
				panic(p)
			}
		}()
		f.ServeHTTP(w, r)
	}))
	defer web.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST /p/toy/open/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nab")
	<-reading
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
	if p, _ := (<-got).(error); !errors.Is(p, http.ErrAbortHandler) {
		t.Errorf("the handler ended with %v, want http.ErrAbortHandler", p)
	}
}
