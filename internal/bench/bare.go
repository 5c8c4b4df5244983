package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// bareServer costs the least that an accepted webhook can cost on a machine: a net/http handler
// whose bodies one goroutine appends to a file and flushes together. What the gateway needs is
// compared with it as a ratio, which a busy or slow machine changes less than the figures
// themselves.
type bareServer struct {
	url    string
	srv    *http.Server
	file   *os.File
	bodies chan bareBody
	ended  chan error // receives one error of the server and one of the goroutine that writes
}

type bareBody struct {
	bytes []byte
	kept  chan error
}

// bareBatch is the most bodies that the bare server flushes at once.
const bareBatch = 512

func startBare(ctx context.Context, dir string) (*bareServer, error) {
	file, err := os.CreateTemp(dir, ".bare-*")
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	b := &bareServer{
		url: "http://" + ln.Addr().String() + "/", file: file,
		bodies: make(chan bareBody, bareBatch), ended: make(chan error, 2),
	}
	b.srv = &http.Server{Handler: http.HandlerFunc(b.serve), ReadHeaderTimeout: time.Minute}
	go func() { b.ended <- b.srv.Serve(ln) }()
	go func() { b.ended <- b.write() }()
	return b, nil
}

func (b *bareServer) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		kept := make(chan error, 1)
		b.bodies <- bareBody{body, kept}
		err = <-kept
	}
	if err != nil {
		http.Error(w, "not kept", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// write appends and flushes what has come since the last flush, until bodies is closed. It returns
// the first error of the file.
func (b *bareServer) write() (failed error) {
	var buf []byte
	var waiting []chan error
	for body := range b.bodies {
		buf, waiting = append(buf[:0], body.bytes...), append(waiting[:0], body.kept)
		for len(waiting) < bareBatch && len(b.bodies) > 0 {
			body := <-b.bodies
			buf, waiting = append(buf, body.bytes...), append(waiting, body.kept)
		}
		_, err := b.file.Write(buf)
		err = errors.Join(err, fdatasync(b.file))
		for _, kept := range waiting {
			kept <- err
		}
		if failed == nil {
			failed = err
		}
	}
	return failed
}

// stop must be called after everybody has stopped delivering.
func (b *bareServer) stop() error {
	err := b.srv.Close()
	if served := <-b.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	close(b.bodies)
	return errors.Join(err, <-b.ended, b.file.Close(), os.Remove(b.file.Name()))
}
