package proxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/gateway/proxy"
)

// wire is the plugin's end of the unix socket, which records every byte.
type wire struct {
	t    *testing.T
	ln   net.Listener
	work sync.WaitGroup

	mu   sync.Mutex
	came []string // what came on each connection
}

func newWire(t *testing.T) *wire {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "http.sock"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, ln: ln}
	w.work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w.work.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); w.work.Wait() })
	return w
}

// serve answers one request as it understands it and records all bytes until the gateway closes:
// whatever comes after that request would have been smuggled in.
func (w *wire) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	var all bytes.Buffer
	r := bufio.NewReader(io.TeeReader(c, &all))
	if req, err := http.ReadRequest(r); err == nil {
		_, err = io.Copy(io.Discard, req.Body)
		if err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
	}
	_, _ = io.Copy(io.Discard, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.came = append(w.came, all.String())
}

// requests returns what came, each as "METHOD path body" if it can be understood in one way only
// (RFC 9112 sections 2.2, 5.2, 6.3), else what is wrong with it.
func (w *wire) requests() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.came {
		out = append(out, unambiguous(text))
	}
	slices.Sort(out)
	return out
}

var bareBreak = regexp.MustCompile(`(^|[^\r])\n|\r([^\n]|$)`)

func unambiguous(text string) string {
	head, _, ok := strings.Cut(text, "\r\n\r\n")
	switch {
	case !ok:
		return fmt.Sprintf("no end of the head: %q", text)
	case bareBreak.MatchString(head):
		return fmt.Sprintf("a bare line break in the head: %q", head)
	case strings.Contains(head, "\r\n ") || strings.Contains(head, "\r\n\t"):
		return fmt.Sprintf("a folded header: %q", head)
	}
	lengths, codings := 0, 0
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "content-length":
			lengths++
		case "transfer-encoding":
			codings++
			if value != " chunked" {
				return fmt.Sprintf("the transfer coding %q", value)
			}
		}
	}
	if lengths+codings > 1 {
		return fmt.Sprintf("%d lengths and %d transfer codings: %q", lengths, codings, head)
	}
	r := bufio.NewReader(strings.NewReader(text))
	req, err := http.ReadRequest(r)
	if err != nil {
		return fmt.Sprintf("%v: %q", err, text)
	}
	body, err := io.ReadAll(req.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "cut off" // no reader takes it for a complete request
	}
	if err != nil {
		return fmt.Sprintf("%v: %q", err, text)
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		return fmt.Sprintf("something behind the request: %q", rest)
	}
	return fmt.Sprintf("%s %s %s", req.Method, req.URL.Path, body)
}

// FT23: a request whose length could be understood in two ways is refused, or it reaches the plugin
// in a form that allows only the way in which the gateway understood it.
func TestGatewayAndPluginAgreeOnLengths(t *testing.T) {
	const (
		post    = "POST /p/toy/open HTTP/1.1\r\nHost: x\r\n"
		hidden  = "GET /p/toy/secret HTTP/1.1\r\nHost: x\r\n\r\n" // a path that no route allows
		socket  = "GET /p/toy/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		chunked = "Transfer-Encoding: chunked\r\n"
		abcd    = "POST /open abcd"
	)
	for _, c := range []struct {
		name, text string
		answers    string   // the answers' statuses, in order
		seen       []string // the requests that the plugin saw
	}{
		{"one length", post + "Content-Length: 4\r\n\r\nabcd", "200", []string{abcd}},
		{"chunks", post + chunked + "\r\n4\r\nabcd\r\n0\r\n\r\n", "200", []string{abcd}},
		{"the same length twice", post + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", "200", []string{abcd}},
		{"two lengths", post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", "400", nil},
		{"two lengths, one of them 0", post + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + hidden, "400", nil},
		{"two lengths in one line", post + "Content-Length: 4, 4\r\n\r\nabcd", "400", nil},
		{"signed length", post + "Content-Length: +4\r\n\r\nabcd", "400", nil},
		{"negative length", post + "Content-Length: -4\r\n\r\n", "400", nil},
		{"hexadecimal length", post + "Content-Length: 0x4\r\n\r\nabcd", "400", nil},
		{"blank before the colon", post + "Content-Length : 4\r\n\r\nabcd", "400", nil},
		{"length and chunks", post + "Content-Length: 4\r\n" + chunked + "\r\n0\r\n\r\n" + hidden, "200 404", []string{"POST /open "}},
		{"chunks and length", post + chunked + "Content-Length: 4\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", "200", []string{abcd}},
		{"chunked twice", post + chunked + chunked + "\r\n0\r\n\r\n" + hidden, "501", nil},
		{"another coding besides", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501", nil},
		{"identity behind chunked", post + "Transfer-Encoding: chunked, identity\r\nContent-Length: 4\r\n\r\nabcd", "501", nil},
		{"a coding like chunked", post + "Transfer-Encoding: \x0bchunked\r\nContent-Length: 4\r\n\r\nabcd", "400", nil},
		{"chunks in HTTP/1.0", "POST /p/toy/open HTTP/1.0\r\nHost: x\r\nContent-Length: 4\r\n" + chunked + "\r\nabcd", "200", []string{abcd}},
		{"folded length", post + "Content-Length:\r\n 4\r\n\r\nabcd", "200", []string{abcd}},
		{"folded coding", post + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + hidden, "200 404", []string{"POST /open "}},
		{"folded header", post + "X-A: a\r\n Content-Length: 40\r\nContent-Length: 4\r\n\r\nabcd", "200", []string{abcd}},
		{"bare line feeds in the head", strings.ReplaceAll(post, "\r", "") + "Content-Length: 4\n\nabcd", "200", []string{abcd}},
		{"bare carriage return in a header", post + "X-A: a\rContent-Length: 40\r\nContent-Length: 4\r\n\r\nabcd", "400", nil},
		{"bare line feed behind a chunk's length", post + chunked + "\r\n4\nabcd\r\n0\r\n\r\n", "400", []string{"cut off"}},
		{"an upgrade with a length", socket + "Content-Length: 4\r\n\r\nabcd", "400", nil},
		{"an upgrade with chunks", socket + chunked + "\r\n0\r\n\r\n" + hidden, "400 404", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, w := setup(t, proxy.Options{}), newWire(t)
			f.plugin.socket = w.ln.Addr().String()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.web.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(conn, c.text)
			var answers []string
			for r := bufio.NewReader(conn); ; {
				if len(answers) == len(strings.Fields(c.answers)) {
					_ = conn.(*net.TCPConn).CloseWrite() // if the client closed its side sooner, it would look as if it had gone
				}
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				answers = append(answers, fmt.Sprint(res.StatusCode))
			}
			f.web.Close() // afterwards no connection to the plugin is open
			_ = w.ln.Close()
			w.work.Wait()
			if got := strings.Join(answers, " "); got != c.answers {
				t.Errorf("answered %q, want %q", got, c.answers)
			}
			if got := w.requests(); !slices.Equal(got, c.seen) {
				t.Errorf("the plugin saw %q, want %q", got, c.seen)
			}
		})
	}
}
