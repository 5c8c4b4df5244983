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

// bareServer is the least that an accepted webhook costs on a machine: a
// net/http handler whose bodies one writer appends to a file and flushes
// together. What a gateway needs beyond it is read as a ratio, which a busy or
// slow machine changes less than the figures themselves.
type bareServer struct {
	url    string
	srv    *http.Server
	file   *os.File
	bodies chan bareBody
	ended  chan error // one of the server, one of the writer
}

type bareBody struct {
	bytes []byte
	kept  chan error
}

// most that one flush of the bare server carries.
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

// write keeps what has come since the last flush by the next one, and gives
// the first fault of the file at the end.
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

// stop needs everyone who delivers to have stopped.
func (b *bareServer) stop() error {
	err := b.srv.Close()
	if served := <-b.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	close(b.bodies)
	return errors.Join(err, <-b.ended, b.file.Close(), os.Remove(b.file.Name()))
}
