package postgres_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// fault is what a relay does with a COMMIT.
type fault int

const (
	pass      fault = iota
	cutBefore       // the link breaks before the COMMIT reaches the server
	cutAfter        // the server commits, but its answer is lost
)

// relay stands between a log and its server, and loses COMMITs or their answers when a test asks
// for it (FT15).
type relay struct {
	ln     net.Listener
	server string // address
	wg     sync.WaitGroup

	mu     sync.Mutex
	faults []fault // faults for the next COMMITs
	shut   bool    // new connections are refused
	cuts   int
	conns  map[net.Conn]bool
}

func newRelay(t testing.TB, server string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, server: server, conns: map[net.Conn]bool{}}
	r.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		r.breakAll()
		r.wg.Wait()
	})
	return r
}

// plan sets the faults of the next COMMITs, and whether connections are refused from the first cut
// on.
func (r *relay) plan(faults ...fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = faults
}

func (r *relay) refuse(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = yes
}

func (r *relay) cutCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cuts
}

// breakAll resets every connection.
func (r *relay) breakAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		reset(c)
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// next returns the fault for a COMMIT. After a cut it also decides whether the log may connect
// again.
func (r *relay) next() fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) == 0 {
		return pass
	}
	f := r.faults[0]
	r.faults = r.faults[1:]
	if f != pass {
		r.cuts++
	}
	return f
}

func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = true
	return !r.shut
}

func (r *relay) forget(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *relay) serve(client *net.TCPConn) {
	defer reset(client)
	defer r.forget(client)
	if !r.keep(client) {
		return
	}
	server, err := net.Dial("tcp", r.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	// lose is closed when the server's answers must be dropped from now on.
	lose, answered := make(chan struct{}), make(chan struct{}, 1)
	r.wg.Go(func() {
		defer reset(client)
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			select {
			case <-lose:
				answered <- struct{}{}
				return
			default:
			}
			if n > 0 {
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			f := pass
			if bytes.Contains(buf[:n], []byte("COMMIT\x00")) {
				f = r.next()
			}
			if f == cutBefore {
				return
			}
			if f == cutAfter {
				close(lose)
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
			if f == cutAfter {
				<-answered // the server has committed, and its answer is dropped
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return
			}
			return
		}
	}
}
