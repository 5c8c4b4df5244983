package pluginhost

import (
	"bytes"
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
	// orphanWait is how long a killed orphan may take to be gone.
	orphanWait = 2 * time.Second
)

// killOrphans ends what plugins of an earlier gateway started and left behind. The
// kernel kills a plugin with its gateway, but not the plugin's own children, which
// may hold a port that the next generation wants (PR12). They are known by the
// socket directory in their environment, which is this run directory's; whoever
// holds its lock has no other plugins. It tells how many there were, and returns
// when they are gone. A child that was given another environment is not found.
func killOrphans(runDir string) (killed int) {
	mark := []byte("\x00PLUGIN_UNIX_SOCKET_DIR=" + filepath.Join(runDir, dirPrefix))
	for range orphanRounds {
		procs, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return killed
		}
		found := 0
		for _, dir := range procs {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err == nil && pid != os.Getpid() && killIfMarked(pid, mark) {
				found++
			}
		}
		if found == 0 {
			break
		}
		killed += found
	}
	return killed
}

// killIfMarked kills a process with the mark in its environment. The descriptor
// is taken before the environment is read, so that no later process of the same
// number is meant.
func killIfMarked(pid int, mark []byte) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(append([]byte{0}, env...), mark) || unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		return false
	}
	deadline := time.Now().Add(orphanWait)
	for left := orphanWait; left > 0; left = time.Until(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 || err != nil && err != unix.EINTR {
			break
		}
	}
	return true
}
