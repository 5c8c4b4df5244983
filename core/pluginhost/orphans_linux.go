package pluginhost

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// orphanRounds bounds the looking for what the orphans started meanwhile.
	orphanRounds = 5
	// orphanWait is how long the killed orphans of a round may take to be gone.
	orphanWait = 2 * time.Second
)

// killOrphans ends what plugins of an earlier gateway started and left behind,
// should that gateway's guard have been gone too (PR12). They are known by the
// socket directory in their environment, which is this run directory's; whoever
// holds its lock has no other plugins. It tells how many there were, and returns
// when they are gone. A child that was given another environment is not found.
func killOrphans(runDir string) (killed int) {
	return killMarked("PLUGIN_UNIX_SOCKET_DIR=" + filepath.Join(runDir, dirPrefix))
}

// killMarked kills every other process that has a variable beginning with mark in
// its environment, and then waits until they are gone.
func killMarked(mark string) (killed int) {
	for range orphanRounds {
		var dying []unix.PollFd
		procs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
		for _, dir := range procs {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil || pid == os.Getpid() {
				continue
			}
			if fd := killIfMarked(pid, []byte("\x00"+mark)); fd >= 0 {
				dying = append(dying, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}) //nolint:gosec // a descriptor
			}
		}
		if len(dying) == 0 {
			break
		}
		killed += len(dying)
		awaitEnds(dying)
	}
	return killed
}

// killIfMarked kills a process with the mark in its environment and returns a
// descriptor that tells of its end; -1: it was not killed. The descriptor is taken
// before the environment is read, so that no later process of the same number is
// meant.
func killIfMarked(pid int, mark []byte) (fd int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(append([]byte{0}, env...), mark) || unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		_ = unix.Close(fd)
		return -1
	}
	return fd
}

// awaitEnds waits for killed processes and closes their descriptors.
func awaitEnds(dying []unix.PollFd) {
	deadline := time.Now().Add(orphanWait)
	for _, p := range dying {
		for left := time.Until(deadline); left > 0; left = time.Until(deadline) {
			n, err := unix.Poll([]unix.PollFd{p}, int(left.Milliseconds())+1)
			if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
				break
			}
		}
		_ = unix.Close(int(p.Fd))
	}
}
