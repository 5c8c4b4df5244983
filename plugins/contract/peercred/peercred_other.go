//go:build !linux && !darwin

package peercred

import (
	"errors"
	"runtime"
)

func read(int) (Peer, error) {
	return Peer{}, errors.New("not supported on " + runtime.GOOS)
}
