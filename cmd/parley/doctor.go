package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/internal/stores"
)

type doctorCmd struct {
	configFlags
	JSON bool `help:"As JSON."`
}

// finding is the outcome of one check. Status is ok, warn or fail.
type finding = api.DoctorCheck

func (c *doctorCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	findings := examine(a.ctx, cfg)
	failed := 0
	for _, f := range findings {
		if f.Status == "fail" {
			failed++
		}
		if c.JSON {
			continue
		}
		line := fmt.Sprintf("%-5s %-14s %s", f.Status, f.Name, f.Detail)
		if f.Fix != "" {
			line += "\n      " + f.Fix
		}
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := json.NewEncoder(a.stdout).Encode(findings); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d check(s) failed", failed)
	}
	return nil
}

// examine looks at everything that a start needs, as the user who runs it.
func examine(ctx context.Context, cfg config.Config) []finding {
	plugins, err := control.Client{RunDir: cfg.RunDir()}.Plugins(ctx)
	running := err == nil
	out := []finding{
		{Name: "configuration", Status: "ok", Detail: "every key is understood"},
		checkFolder(cfg.Data), checkRunDir(cfg), checkKey(cfg), checkClock(0),
	}
	out = append(out, checkKeys(ctx, cfg)...)
	out = append(out, checkDatabase(ctx, cfg)...)
	if running {
		out = append(out, finding{Name: "gateway", Status: "ok", Detail: "is running on this data folder"})
		for _, p := range plugins {
			f := finding{Name: "plugin", Status: "ok", Detail: fmt.Sprintf("%s %s: %s", p.ID, p.Version, p.State)}
			if p.State != pluginhost.StateReady {
				f.Status, f.Detail = "warn", f.Detail+" ("+p.Reason+")"
			}
			out = append(out, f)
		}
		return append(out, checkWebhooks(ctx, cfg)...)
	}
	out = append(out, finding{Name: "gateway", Status: "warn", Detail: "is not running on this data folder", Fix: "start it with: parley serve"})
	for _, addr := range []string{cfg.Listen.Public, cfg.Listen.Ops} {
		out = append(out, checkPort(ctx, addr))
	}
	if cfg.TLS.Cert != "" {
		out = append(out, checkFile("tls.cert", cfg.TLS.Cert), checkFile("tls.key", cfg.TLS.Key))
	}
	return out
}

func checkFolder(dir string) finding {
	f := finding{Name: "data folder", Status: "ok", Detail: dir}
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

// maxRunDir is what a unix socket's path leaves for the folder.
const maxRunDir = 68

func checkRunDir(cfg config.Config) finding {
	dir, err := filepath.Abs(cfg.RunDir())
	f := finding{Name: "run folder", Status: "ok", Detail: dir}
	if err != nil || len(dir) > maxRunDir {
		f.Status, f.Detail, f.Fix = "fail", fmt.Sprintf("%s is longer than %d bytes", dir, maxRunDir), "set plugins.run to a short path such as /run/parley"
	}
	return f
}

func checkKey(cfg config.Config) finding {
	f := finding{Name: "master key", Status: "ok", Detail: "is readable"}
	_, err := stores.MasterKey(cfg, false)
	switch {
	case errors.Is(err, stores.ErrNoMaster):
		f.Status, f.Detail, f.Fix = "fail", cfg.MasterKeyFile()+" is missing beside existing data", "put it back from where it is kept, or set vault.master_key_file"
	case errors.Is(err, os.ErrNotExist):
		f.Status, f.Detail, f.Fix = "warn", "is not there yet", "the first start makes "+cfg.MasterKeyFile()+"; keep a copy apart from backups of the data"
	case err != nil:
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "set vault.master_key_file to the key that the data was made with"
	}
	return f
}

// checkClock looks at the system's clock, and how far it is ahead of a running
// gateway's time.
func checkClock(offset time.Duration) finding {
	f := finding{Name: "clock", Status: "ok", Detail: time.Now().UTC().Format(time.RFC3339)}
	if time.Now().Year() < 2025 {
		f.Status, f.Fix = "fail", "set the clock: times of messages and sessions come from it"
	} else if offset.Abs() > maxClockOffset {
		f.Status, f.Detail = "warn", fmt.Sprintf("has jumped: it is %v off the gateway's time, which follows slowly", offset.Round(time.Second))
		f.Fix = "keep the machine in time (NTP); to take the system's time up at once, restart"
	}
	return f
}

// checkKeys tries every data key.
func checkKeys(ctx context.Context, cfg config.Config) []finding {
	f := finding{Name: "data keys", Status: "fail"}
	const restore = "restore keys/keys.db from its newest backup"
	if _, err := os.Stat(cfg.Keys()); err != nil {
		if _, err := os.Stat(cfg.Database()); err != nil {
			return nil // the first start makes both
		}
		f.Detail, f.Fix = cfg.Keys()+" is missing beside existing data", restore
		return []finding{f}
	}
	v, err := stores.OpenKeysReadOnly(ctx, cfg)
	if err != nil {
		f.Detail, f.Fix = err.Error(), restore
		if errors.Is(err, stores.ErrNoMaster) || errors.Is(err, vault.ErrMaster) || errors.Is(err, vault.ErrMasterSyntax) {
			// An older backup in its place would lose the keys made since.
			f.Fix = "put the right master key in place; leave keys/keys.db as it is"
		}
		return []finding{f}
	}
	defer func() { _ = v.Close() }()
	keys, bad, err := v.Check(ctx)
	switch {
	case err != nil:
		f.Detail, f.Fix = err.Error(), restore
	case len(bad) > 0:
		f.Status, f.Detail = "warn", fmt.Sprintf("%d of %d cannot be read, the first is %d: what they sealed cannot be read either", len(bad), keys, bad[0])
		f.Fix = "a backup of keys/keys.db may still hold them; it lacks the keys made since, so keep the present file"
	default:
		f.Status, f.Detail = "ok", fmt.Sprintf("all %d can be read", keys)
	}
	return []finding{f}
}

func checkPort(ctx context.Context, addr string) finding {
	f := finding{Name: "port", Status: "ok", Detail: addr + " is free"}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "stop what uses it, or set another address under listen"
		return f
	}
	_ = ln.Close()
	return f
}

func checkFile(name, path string) finding {
	f := finding{Name: name, Status: "ok", Detail: path}
	file, err := os.Open(path)
	if err != nil {
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "let the gateway's user read it"
		return f
	}
	_ = file.Close()
	return f
}
