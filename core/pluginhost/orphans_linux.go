package pluginhost

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
)

// dirMark is the start of the variable that holds a generation's socket directory.
const dirMark = goplugin.EnvUnixSocketDir + "="

const (
	// orphanLooks is how many looks in a row must find no process: a process that is just replacing
	// itself by another one may be missed by a single look.
	orphanLooks = 3
	// orphanGap is the time between two such looks.
	orphanGap = 4 * time.Millisecond
	// orphanWait is how long the orphans killed in one look may take to end.
	orphanWait = 500 * time.Millisecond
	// orphanTime bounds all looks together.
	orphanTime = 2 * time.Second
)

// killOrphans kills the processes that plugins of an earlier gateway started and left behind, in
// case that gateway's guard was gone as well (PR12). They have a socket directory below this run
// directory in their environment; the gateway that holds the directory's lock has no other plugins.
// It returns how many there were, when they have ended. A child that was given another environment
// is not found. Without a directory it kills nothing.
func killOrphans(runDir string) (killed int) {
	if runDir == "" {
		return 0
	}
	return killMarked(dirMark + filepath.Join(runDir, dirPrefix))
}

// killStrays kills the processes that an ended plugin had started and that left its group. Each
// generation has a socket directory of its own, and no other process has this directory in its
// environment. Without a directory it kills nothing: what sets the variable to nothing is not ours.
func killStrays(dir string) {
	if dir != "" {
		killMarked(dirMark + dir + "\x00")
	}
}

// killMarked kills every other process that has a variable beginning with mark in its environment,
// and the processes that these start meanwhile, and waits until they have ended.
func killMarked(mark string) (killed int) {
	deadline := time.Now().Add(orphanTime)
	for looks := 0; looks < orphanLooks && time.Now().Before(deadline); looks++ {
		if looks > 0 {
			time.Sleep(orphanGap)
		}
		dying := killSeen([]byte("\x00" + mark))
		if len(dying) > 0 {
			looks = -1
			killed += len(dying)
			awaitEnds(dying)
		}
	}
	return killed
}

// killSeen looks at all processes, and then at those started meanwhile, until there are no more;
// this works because the kernel lists processes by number. It returns descriptors of the processes
// that it has killed.
func killSeen(mark []byte) (dying []unix.PollFd) {
	procs, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = procs.Close() }()
	for {
		names, err := procs.Readdirnames(64)
		if err != nil {
			return dying // the list ends here
		}
		for _, name := range names {
			pid, err := strconv.Atoi(name)
			if err != nil || pid == os.Getpid() {
				continue
			}
			if fd := killIfMarked(pid, mark); fd >= 0 {
				dying = append(dying, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
			}
		}
	}
}

// killIfMarked kills a process with the mark in its environment and returns a descriptor that
// becomes ready at its end; -1: it was not killed. The descriptor is opened before the environment
// is read, so that it cannot refer to a later process with the same number.
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
