package system_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// host is where the public listener is.
func (d *demo) host() string {
	d.t.Helper()
	u, err := url.Parse(d.info.PublicURL)
	if err != nil {
		d.t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", u.Port())
}

// connect opens a bare connection to the public listener.
func (d *demo) connect(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", d.host(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// hold opens up to n connections that say nothing.
func (d *demo) hold(t *testing.T, n int) (held []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.DialTimeout("tcp", d.host(), 5*time.Second)
		if err != nil {
			break // the kernel's queue is full, too
		}
		t.Cleanup(func() { _ = c.Close() })
		held = append(held, c)
	}
	return held
}

// cpuTicks is the processor time of a process in clock ticks of 10 ms.
func cpuTicks(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatalf("the gateway is gone: %v", err)
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

// rss is the memory of a process in bytes.
func rss(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatalf("the gateway is gone: %v", err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize()
}

// head is the start of a request to a host name of the demo.
func (d *demo) head(line string, headers ...string) string {
	_, port, _ := net.SplitHostPort(d.host())
	return line + " HTTP/1.1\r\nHost: localhost:" + port + "\r\n" + strings.Join(append(headers, ""), "\r\n")
}

// answer reads the status of the next response and its body; 0: the connection
// was closed without one.
func answer(t *testing.T, c net.Conn, within time.Duration) (status int) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(within))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			t.Errorf("no answer and no end within %v", within)
		}
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// FT21: headers and bodies that trickle and answers that are not read cost their
// sender the connection, on requests and upgrades alike, and nobody else anything.
func TestSlowClients(t *testing.T) {
	d := startDemo(t, "")
	good, err := drive.DialCustomer(bounded(t, 30*time.Second), drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	if _, err := good.Start(bounded(t, 30*time.Second), "start", map[string]string{"first_name": "G", "message": "hello"}); err != nil {
		t.Fatal(err)
	}
	many := 20
	if os.Getenv("PARLEY_SOAK") != "" {
		many = 1000
	}
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}
	kinds := map[string]struct{ start, more string }{
		"header":                    {d.head("GET /api/v1/me", "X-Slow: "), "x"},
		"header, no byte":           {"", ""},
		"header of an upgrade":      {d.head("GET /p/webchat/ws", append(upgrade, "X-Slow: ")...), "x"},
		"body":                      {d.head("POST /api/v1/login", "Content-Type: application/json", "Content-Length: 4000", ""), " "},
		"chunked body":              {d.head("POST /api/v1/login", "Content-Type: application/json", "Transfer-Encoding: chunked", ""), "1\r\n \r\n"},
		"body of a webhook":         {d.head("POST /hooks/"+d.textLine().Account, "Content-Type: application/x-www-form-urlencoded", "Content-Length: 4000", ""), "a"},
		"answers that nobody reads": {strings.Repeat(d.head("GET /api/v1/openapi.json", ""), 2000), ""},
	}
	var wg sync.WaitGroup
	for name, k := range kinds {
		for range many {
			c := d.connect(t)
			if k.more == "" && k.start != "" {
				_ = c.(*net.TCPConn).SetReadBuffer(4096)
			}
			wg.Go(func() {
				_ = c.SetWriteDeadline(time.Now().Add(90 * time.Second))
				_, err := io.WriteString(c, k.start)
				ended := make(chan struct{})
				if k.more != "" || k.start == "" {
					go func() { _, _ = io.Copy(io.Discard, c); close(ended) }()
				}
				for end := time.Now().Add(90 * time.Second); err == nil; {
					select {
					case <-ended:
						return
					case <-time.After(500 * time.Millisecond): // as slowly as one byte in half a second
					}
					more := k.more
					if more == "" && k.start != "" {
						more = "G" // a write finds out that the server has closed
					}
					if more != "" {
						_, err = io.WriteString(c, more)
					}
					if time.Now().After(end) {
						t.Errorf("%s: the connection is open after 90 s", name)
						return
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for n := 0; ; n++ {
		if _, err := good.Say(bounded(t, 30*time.Second), id("m", n), "still here"); err != nil {
			t.Fatalf("somebody else's chat: %v", err)
		}
		select {
		case <-done:
			return
		case <-time.After(time.Second):
		}
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// FT22, FT23: what is too large is refused before it is read, what is malformed is
// refused as such, and neither takes memory or the process.
func TestLargeAndMalformed(t *testing.T) {
	d := startDemo(t, "")
	gateway, token := d.child("serve"), d.token("ana")
	bearer, hook := "Authorization: Bearer "+token, "POST /hooks/"+d.textLine().Account
	const jsonType, form = "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 64<<20); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	length := func(b string) string { return "Content-Length: " + strconv.Itoa(len(b)) }
	full := func(line, body string, headers ...string) string {
		return d.head(line, append(headers, length(body), "", body)...)
	}
	upload := "POST /api/v1/conversations/0198f3c5-0000-7000-8000-000000000001/files"
	before := rss(t, gateway)
	for name, c := range map[string]struct {
		request string
		endless bool // a chunked body follows for as long as it is read
		want    []int
	}{
		"header of 64 KiB":            {d.head("GET /api/v1/me", "X-Large: "+strings.Repeat("x", 64<<10), ""), false, []int{431}},
		"64 KiB in many headers":      {d.head("GET /api/v1/me", strings.Repeat("X-Many: 0123456789\r\n", 4000)+"", ""), false, []int{431}},
		"URL of 64 KiB":               {d.head("GET /api/v1/me?"+strings.Repeat("x", 64<<10), ""), false, []int{414, 431}},
		"body of 10 GB, announced":    {d.head("POST /api/v1/login", jsonType, "Content-Length: 10000000000", ""), false, []int{413}},
		"webhook of 10 GB, announced": {d.head(hook, form, "Content-Length: 10000000000", ""), false, []int{413}},
		"upload of 10 GB, announced":  {d.head(upload, bearer, "Content-Type: multipart/form-data; boundary=b", "Content-Length: 10000000000", ""), false, []int{413}},
		"body without end":            {d.head("POST /api/v1/login", jsonType, "Transfer-Encoding: chunked", ""), true, []int{413, 400}},
		"webhook without end":         {d.head(hook, form, "Transfer-Encoding: chunked", ""), true, []int{413}},
		"gzip bomb":                   {full("POST /api/v1/login", bomb.String(), jsonType, "Content-Encoding: gzip"), false, []int{400, 413, 415, 422}},
		"gzip bomb as a webhook":      {full(hook, bomb.String(), form, "Content-Encoding: gzip"), false, []int{400, 403, 413, 415}},
		"webhook of 50,000 fields":    {full(hook, strings.Repeat("a=b&", 50_000), form), false, []int{400, 403, 413}},
		"JSON cut short":              {full("POST /api/v1/login", `{"login":"ana"`, jsonType), false, []int{400, 422}},
		"JSON nested deep":            {full("POST /api/v1/login", strings.Repeat("[", 2000), jsonType), false, []int{400, 422}},
		"JSON that is not UTF-8":      {full("POST /api/v1/login", "{\"login\":\"\xff\xfe\",\"password\":\"x\"}", jsonType), false, []int{400, 401, 422}},
		"no JSON at all":              {full("POST /api/v1/login", "login=ana", form), false, []int{400, 415, 422}},
		"two lengths":                 {d.head("POST /api/v1/login", jsonType, "Content-Length: 2", "Content-Length: 40", "", "{}"), false, []int{400}},
		"length with a sign":          {d.head("POST /api/v1/login", jsonType, "Content-Length: +2", "", "{}"), false, []int{400}},
		"unknown coding":              {d.head("POST /api/v1/login", jsonType, "Transfer-Encoding: xchunked", "", "0\r\n\r\n"), false, []int{400, 501}},
		"two codings":                 {d.head("POST /p/webchat/upload", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "", "0\r\n\r\n"), false, []int{400, 501}},
		"chunk of no number":          {d.head("POST /api/v1/login", jsonType, "Transfer-Encoding: chunked", "", "zz\r\nxx\r\n0\r\n\r\n"), false, []int{400}},
		"space before the colon":      {d.head("GET /api/v1/me", "Content-Length : 2", "", "{}"), false, []int{400}},
		"NUL in a header":             {d.head("GET /api/v1/me", "X-Nul: a\x00b", ""), false, []int{400}},
		"no host":                     {"GET /api/v1/me HTTP/1.1\r\n\r\n", false, []int{400}},
		"no request":                  {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not TLS here\r\n\r\n", false, []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := d.connect(t)
			_ = conn.SetWriteDeadline(time.Now().Add(60 * time.Second))
			sent := make(chan struct{})
			go func() { // the answer may come before all is sent
				defer close(sent)
				_, err := io.WriteString(conn, c.request)
				for chunk := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"; c.endless && err == nil; {
					_, err = io.WriteString(conn, chunk)
				}
			}()
			got := answer(t, conn, 60*time.Second)
			_ = conn.Close()
			<-sent
			for _, want := range c.want {
				if got == want {
					return
				}
			}
			t.Errorf("got status %d, want one of %d", got, c.want)
		})
	}
	if grown := rss(t, gateway) - before; grown > 96<<20 {
		t.Errorf("the gateway has grown by %d MiB", grown>>20)
	}
	if now := d.child("serve"); now != gateway {
		t.Error("the gateway was started anew")
	}
	if n := metric(d.metrics(), "parley_http_panics_total"); n != 0 {
		t.Errorf("%d handlers panicked", n)
	}
	if status := d.me(token); status != http.StatusOK {
		t.Errorf("a request afterwards: %d, want 200", status)
	}
}
