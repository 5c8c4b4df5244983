package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-gateway/parley/config"
)

// Folder checks that the data folder exists and is private and writable.
func Folder(dir string) Finding {
	f := Finding{Name: "data folder", Status: "ok", Detail: dir}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.Status, f.Detail = "warn", dir+" is not there yet"
		f.Fix = "the first start makes it"
		return f
	case err != nil || !info.IsDir():
		f.Status, f.Detail, f.Fix = "fail", dir+" is not a folder", "set data to a folder"
		return f
	case info.Mode().Perm()&0o077 != 0:
		f.Status, f.Detail, f.Fix = "warn", dir+" can be read by other users", "chmod 700 "+dir
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		f.Status, f.Detail, f.Fix = "fail", dir+" cannot be written", "run as its owner, or free space"
		return f
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	return f
}

// maxRunDir is how long the run folder's path may be, in bytes: a unix socket's path can have 107,
// and the names of plugins' sockets need the rest.
const maxRunDir = 68

func checkRunDir(cfg config.Config) Finding {
	dir, err := filepath.Abs(cfg.RunDir())
	f := Finding{Name: "run folder", Status: "ok", Detail: dir}
	if err != nil || len(dir) > maxRunDir {
		f.Status, f.Detail, f.Fix = "fail", fmt.Sprintf("%s is longer than %d bytes", dir, maxRunDir), "set plugins.run to a short path such as /run/parley"
	}
	return f
}

// Clock checks the system's clock. offset is how far the clock is ahead of a running gateway's time
// (0: no gateway is running, or no difference).
func Clock(offset time.Duration) Finding {
	f := Finding{Name: "clock", Status: "ok", Detail: time.Now().UTC().Format(time.RFC3339)}
	if time.Now().Year() < 2025 {
		f.Status, f.Fix = "fail", "set the clock: times of messages and sessions come from it"
	} else if offset.Abs() > maxClockOffset {
		f.Status, f.Detail = "warn", fmt.Sprintf("has jumped: it is %v off the gateway's time, which follows slowly", offset.Round(time.Second))
		f.Fix = "keep the machine in time (NTP); to take the system's time up at once, restart"
	}
	return f
}

func checkPort(ctx context.Context, addr string) Finding {
	f := Finding{Name: "port", Status: "ok", Detail: addr + " is free"}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "stop what uses it, or set another address under listen"
		return f
	}
	_ = ln.Close()
	return f
}

func checkFile(name, path string) Finding {
	f := Finding{Name: name, Status: "ok", Detail: path}
	file, err := os.Open(path)
	if err != nil {
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "let the gateway's user read it"
		return f
	}
	_ = file.Close()
	return f
}
