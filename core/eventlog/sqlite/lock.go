package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// lockFile is the file beside the database that keeps a second gateway out (flock) and records what
// the database must contain: the position of the last acknowledged event, written after each
// commit. This position is not flushed, so it may lag behind after a power cut but is never ahead
// of what is durable; it survives kill -9. A database that ends before this position has lost
// events: its write-ahead log was cut off or left behind when copying (FT13).
//
// The lock is never on the database file itself: closing any descriptor of that file would drop
// SQLite's own locks in this process.
type lockFile struct{ f *os.File }

// witness is the content of the lock file.
type witness struct {
	clean bool  // the last owner closed the log properly
	pos   int64 // last acknowledged position
	size  int64 // size of the database file when it was closed
	mtime int64 // modification time of the database file when it was closed, ns since 1970
}

// One line of fixed length, so that each write replaces the whole line before.
const witnessFormat = "parley-log %7s pos %019d size %019d mtime %019d\n"

func acquireLock(path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &lockFile{f: f}, nil
}

// read returns what the last owner wrote; ok is false if there is nothing readable.
func (l *lockFile) read() (w witness, ok bool) {
	b, err := io.ReadAll(io.NewSectionReader(l.f, 0, 1024))
	if err != nil {
		return witness{}, false
	}
	var state string
	if n, err := fmt.Sscanf(string(b), witnessFormat, &state, &w.pos, &w.size, &w.mtime); err != nil || n != 4 {
		return witness{}, false
	}
	w.clean = state == "clean"
	return w, true
}

func (l *lockFile) write(w witness) error {
	state := "running"
	if w.clean {
		state = "clean"
	}
	_, err := l.f.WriteAt(fmt.Appendf(nil, witnessFormat, state, w.pos, w.size, w.mtime), 0)
	return err
}

func (l *lockFile) sync() error { return l.f.Sync() }

// release gives the lock up. The file stays: removing it would race with the next owner, and its
// content is needed at the next start.
func (l *lockFile) release() error { return l.f.Close() }

// createPrivate makes an empty file that only its owner can read, and flushes its directory; SQLite
// gives its other files the same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
