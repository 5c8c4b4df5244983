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

// dirMark begins the variable with a generation's socket directory.
const dirMark = goplugin.EnvUnixSocketDir + "="

const (
	// orphanLooks is how often in a row nobody must be found: a process that puts
	// another in its place just then is in none of a look's two halves.
	orphanLooks = 3
	// orphanGap is the time between two such looks.
	orphanGap = 4 * time.Millisecond
	// orphanWait is how long the killed orphans of a look may take to be gone.
	orphanWait = 500 * time.Millisecond
	// orphanTime bounds it all.
	orphanTime = 2 * time.Second
)

// killOrphans ends what plugins of an earlier gateway started and left behind,
// should that gateway's guard have been gone too (PR12). They are known by the
// socket directory in their environment, which is this run directory's; whoever
// holds its lock has no other plugins. It tells how many there were, and returns
// when they are gone. A child that was given another environment is not found.
func killOrphans(runDir string) (killed int) {
	return killMarked(dirMark + filepath.Join(runDir, dirPrefix))
}

// killStrays ends what a plugin that has ended had started and that left its
// group. Each generation has a socket directory of its own, and no other process
// has that in its environment.
func killStrays(dir string) { killMarked(dirMark + dir + "\x00") }

// killMarked kills every other process that has a variable beginning with mark in
// its environment, and what such processes start meanwhile, and waits until they
// are gone.
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

// killSeen looks at all processes once, and then at those that came meanwhile,
// until there are none, since the kernel lists them by their numbers. It returns
// descriptors of those that it has killed.
func killSeen(mark []byte) (dying []unix.PollFd) {
	procs, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = procs.Close() }()
	for {
		names, err := procs.Readdirnames(64)
		if err != nil {
			return dying // the end
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
