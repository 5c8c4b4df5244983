package vault

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// fileLock is an flock on a file of its own, never on the database file: closing any descriptor of
// the database file would drop SQLite's own locks.
type fileLock struct{ f *os.File }

func acquireLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("vault: lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("vault: lock %s: %w", path, err), f.Close())
	}
	return &fileLock{f: f}, nil
}

// release gives the lock up, nil: none. The lock file stays, since removing it would race with the
// next owner.
func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}
