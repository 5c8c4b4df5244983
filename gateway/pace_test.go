package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/gateway"
)

// TestSlowBody (FT21): a body that comes too slowly ends its request; it does not occupy a
// goroutine for hours.
func TestSlowBody(t *testing.T) {
	got := make(chan error, 1)
	h := all()
	h.API = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	})
	s := start(t, gateway.Options{Limits: gateway.Limits{BodyGrace: 200 * time.Millisecond, BodyRate: 1 << 20}}, h)
	c := s.dial()
	_, _ = io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: desk.localhost\r\nContent-Length: 1000\r\n\r\na")
	select {
	case err := <-got:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading the body: %v, want a deadline", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still reading after 5 s")
	}
}

// TestSlowHandler: the body's deadline does not end a handler that has read the body and still
// works (a webhook that waits for its plugin).
func TestSlowHandler(t *testing.T) {
	got := make(chan error, 1)
	h := all()
	h.API = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 3000)) // reads the data and the body's end in one call
		select {
		case <-r.Context().Done():
		case <-time.After(600 * time.Millisecond):
		}
		got <- r.Context().Err()
	})
	s := start(t, gateway.Options{Limits: gateway.Limits{BodyGrace: 50 * time.Millisecond, BodyRate: 10_000}}, h)
	_, _ = io.WriteString(s.dial(), "POST /api/x HTTP/1.1\r\nHost: desk.localhost\r\nContent-Length: 3000\r\n\r\n"+strings.Repeat("x", 3000))
	if err := <-got; err != nil {
		t.Errorf("the request's context after 600 ms: %v", err)
	}
}

// TestFastEnoughBody: the average speed counts, so a large upload may take longer than the grace
// time.
func TestFastEnoughBody(t *testing.T) {
	got := make(chan int, 1)
	h := all()
	h.API = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- len(b)
	})
	s := start(t, gateway.Options{Limits: gateway.Limits{BodyGrace: 50 * time.Millisecond, BodyRate: 10_000}}, h)
	c := s.dial()
	_, _ = io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: desk.localhost\r\nContent-Length: 6000\r\n\r\n")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 6 {
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	if n := <-got; n != 6000 {
		t.Errorf("the handler got %d bytes, want 6000 over 300 ms with 50 ms of grace", n)
	}
}

// TestSlowReader (FT21): the request of a client that does not read its answer is ended.
func TestSlowReader(t *testing.T) {
	got := make(chan error, 1)
	h := all()
	h.API = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				got <- err
				return
			}
		}
	})
	s := start(t, gateway.Options{Limits: gateway.Limits{Stall: 200 * time.Millisecond}}, h)
	_, _ = io.WriteString(s.dial(), "GET /api/x HTTP/1.1\r\nHost: desk.localhost\r\n\r\n")
	select {
	case <-got:
	case <-time.After(10 * time.Second):
		t.Fatal("still writing after 10 s")
	}
}

// TestAnswerBeforeTheBody (FT22): a client that announces too large a body is told so before it has
// sent any of it.
func TestAnswerBeforeTheBody(t *testing.T) {
	h := all()
	h.API = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	s := start(t, gateway.Options{Limits: gateway.Limits{BodyGrace: time.Hour}}, h)
	for _, header := range []string{"Content-Length: 10000000000", "Expect: 100-continue\r\nContent-Length: 1000"} {
		c := s.dial()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: desk.localhost\r\n"+header+"\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %v, %v; want a 413 at once", header, res, err)
			continue
		}
		_ = res.Body.Close()
	}
}
