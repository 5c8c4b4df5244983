package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// chunk is how many bytes are moved at once. Chunks are pooled, and borrowed only while there is
// something to move.
const chunk = 16 << 10

type chunks struct{ pool sync.Pool }

func newChunks() *chunks {
	return &chunks{pool: sync.Pool{New: func() any { return new([chunk]byte) }}}
}

func (c *chunks) get() *[chunk]byte  { return c.pool.Get().(*[chunk]byte) }
func (c *chunks) put(b *[chunk]byte) { c.pool.Put(b) }

// source reads from one end of a tunnel. The slice that next returns is valid until done is called.
type source interface {
	next() ([]byte, error)
	done()
}

// newSource makes a source that waits in the poller for a bare connection, and one that calls Read
// for any other (TLS).
func newSource(c net.Conn, pool *chunks) source {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s := &bareSource{raw: raw, pool: pool}
			s.step = s.read
			return s
		}
	}
	return &readSource{conn: c, pool: pool}
}

// bareSource waits in the poller until the connection is readable and only then borrows a chunk: an
// idle connection holds no buffer.
type bareSource struct {
	raw  syscall.RawConn
	pool *chunks
	buf  *[chunk]byte
	n    int
	err  error
	step func(fd uintptr) bool // s.read; kept, because each method value would allocate
}

func (s *bareSource) next() ([]byte, error) {
	s.n, s.err = 0, nil
	if err := s.raw.Read(s.step); err != nil {
		return nil, err // a deadline has passed, or this side has closed
	}
	if s.err != nil {
		return nil, s.err
	}
	if s.n == 0 {
		return nil, io.EOF
	}
	return s.buf[:s.n], nil
}

func (s *bareSource) read(fd uintptr) bool {
	if s.buf == nil {
		s.buf = s.pool.get()
	}
	for {
		s.n, s.err = syscall.Read(int(fd), s.buf[:])
		switch {
		case errors.Is(s.err, syscall.EINTR):
			continue
		case errors.Is(s.err, syscall.EAGAIN):
			s.done()
			return false
		}
		return true
	}
}

func (s *bareSource) done() {
	if s.buf != nil {
		s.pool.put(s.buf)
		s.buf = nil
	}
}

// readSource waits in Read with a small buffer of its own, and borrows a chunk only while more data
// comes than fits it.
type readSource struct {
	conn  net.Conn
	pool  *chunks
	small [512]byte
	buf   *[chunk]byte
	full  bool // the last read filled its buffer, so more may come
}

func (s *readSource) next() ([]byte, error) {
	b := s.small[:]
	if s.full {
		s.buf = s.pool.get()
		b = s.buf[:]
	}
	n, err := s.conn.Read(b)
	s.full = n == len(b)
	if n > 0 {
		return b[:n], nil // the next read returns the error again
	}
	return nil, err
}

func (s *readSource) done() {
	if s.buf != nil {
		s.pool.put(s.buf)
		s.buf = nil
	}
}
