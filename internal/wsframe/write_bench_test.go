package wsframe_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lxzan/gws"

	"github.com/parley-gateway/parley/internal/wsframe"
)

// link is a server's end of a connection whose client reads and discards everything. It counts
// writes, each of which is one system call.
type link struct {
	net.Conn
	writes *atomic.Int64
	done   *sync.WaitGroup // one Done per write; nil: nobody waits
}

func (l *link) Write(b []byte) (int, error) {
	l.writes.Add(1)
	if l.done != nil {
		defer l.done.Done()
	}
	return l.Conn.Write(b)
}

// gathering collects the library's frames until flush, so that many of them leave in one system
// call. The library itself writes each frame at once.
type gathering struct {
	net.Conn
	buf []byte
}

func (g *gathering) Write(b []byte) (int, error) {
	g.buf = append(g.buf, b...)
	return len(b), nil
}

func (g *gathering) flush() error {
	_, err := g.Conn.Write(g.buf)
	g.buf = g.buf[:0]
	return err
}

// dial opens n connections over loopback TCP. They are closed, and their readers
// waited for, at the end of the benchmark.
func dial(b *testing.B, n int, done *sync.WaitGroup) ([]*link, *atomic.Int64) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var readers sync.WaitGroup
	writes := &atomic.Int64{}
	out := make([]*link, 0, n)
	for range n {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		readers.Go(func() { _, _ = io.Copy(io.Discard, client) })
		b.Cleanup(func() { _ = client.Close(); _ = server.Close() })
		out = append(out, &link{server, writes, done})
	}
	b.Cleanup(func() {
		for _, c := range out {
			_ = c.Close()
		}
		readers.Wait()
	})
	return out, writes
}

// upgrade makes the library's connection over one of dial's.
func upgrade(b *testing.B, c net.Conn, checked bool) *gws.Conn {
	b.Helper()
	r := &http.Request{Method: http.MethodGet, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}}
	up := gws.NewUpgrader(gws.BuiltinEventHandler{}, &gws.ServerOption{CheckUtf8Enabled: checked})
	ws, err := up.UpgradeFromConn(c, bufio.NewReaderSize(c, 512), r)
	if err != nil {
		b.Fatal(err)
	}
	return ws
}

// nowhere discards what is written at no cost, so that a benchmark measures the framing alone.
type nowhere struct{ net.Conn }

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) SetDeadline(time.Time) error { return nil }

// BenchmarkBatch writes 16 frames that wait for one socket, the case that docs/decisions/0020
// compares. wire=none leaves the system calls out.
func BenchmarkBatch(b *testing.B) {
	const frames = 16
	for _, size := range []int{120, 600} {
		payload := []byte(strings.Repeat("a word ", size/7+1))[:size]
		for _, wire := range []string{"none", "tcp"} {
			open := func(b *testing.B) (*link, *atomic.Int64) {
				b.Helper()
				if wire == "none" {
					n := &atomic.Int64{}
					return &link{nowhere{}, n, nil}, n
				}
				links, n := dial(b, 1, nil)
				return links[0], n
			}
			run := func(b *testing.B, writes *atomic.Int64, write func() error) {
				b.Helper()
				b.ReportAllocs()
				writes.Store(0)
				for b.Loop() {
					if err := write(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(writes.Load())/float64(b.N), "writes/op")
			}
			name := "bytes=" + strconv.Itoa(size) + "/wire=" + wire + "/"
			b.Run(name+"append", func(b *testing.B) {
				c, writes := open(b)
				var buf []byte
				run(b, writes, func() error {
					buf = buf[:0]
					for range frames {
						buf = wsframe.Append(buf, wsframe.Text, payload)
					}
					_, err := c.Write(buf)
					return err
				})
			})
			b.Run(name+"library", func(b *testing.B) {
				c, writes := open(b)
				ws := upgrade(b, c, true)
				run(b, writes, func() error {
					for range frames {
						if err := ws.WriteMessage(gws.OpcodeText, payload); err != nil {
							return err
						}
					}
					return nil
				})
			})
			for _, checked := range []bool{true, false} { // whether the library checks that our own text is UTF-8
				b.Run(name+"library_gathered_utf8="+strconv.FormatBool(checked), func(b *testing.B) {
					c, writes := open(b)
					g := &gathering{Conn: c}
					ws := upgrade(b, g, checked)
					if err := g.flush(); err != nil {
						b.Fatal(err)
					}
					run(b, writes, func() error {
						for range frames {
							if err := ws.WriteMessage(gws.OpcodeText, payload); err != nil {
								return err
							}
						}
						return g.flush()
					})
				})
			}
		}
	}
}

// BenchmarkBroadcast writes one event to 256 sockets, each on its own.
func BenchmarkBroadcast(b *testing.B) {
	const sockets = 256
	payload := []byte(strings.Repeat("a word ", 86))[:600]
	b.Run("append", func(b *testing.B) {
		links, writes := dial(b, sockets, nil)
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			for _, c := range links {
				buf = wsframe.Append(buf[:0], wsframe.Text, payload)
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(writes.Load())/float64(b.N), "writes/op")
	})
	upgraded := func(b *testing.B, done *sync.WaitGroup) ([]*gws.Conn, *atomic.Int64) {
		b.Helper()
		links, writes := dial(b, sockets, done)
		if done != nil {
			done.Add(len(links)) // upgrading writes one answer to each link
		}
		conns := make([]*gws.Conn, len(links))
		for i, c := range links {
			conns[i] = upgrade(b, c, true)
		}
		writes.Store(0)
		return conns, writes
	}
	b.Run("library", func(b *testing.B) {
		conns, writes := upgraded(b, nil)
		b.ReportAllocs()
		for b.Loop() {
			for _, c := range conns {
				if err := c.WriteMessage(gws.OpcodeText, payload); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(writes.Load())/float64(b.N), "writes/op")
	})
	b.Run("library_broadcaster", func(b *testing.B) {
		var done sync.WaitGroup
		conns, writes := upgraded(b, &done)
		b.ReportAllocs()
		for b.Loop() {
			done.Add(len(conns))
			one := gws.NewBroadcaster(gws.OpcodeText, payload)
			for _, c := range conns {
				if err := one.Broadcast(c); err != nil {
					b.Fatal(err)
				}
			}
			_ = one.Close()
			done.Wait()
		}
		b.ReportMetric(float64(writes.Load())/float64(b.N), "writes/op")
	})
}
