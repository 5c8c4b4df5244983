package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"

	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/plugins/sdk/kit"
)

type pluginCmd struct {
	List  pluginListCmd  `cmd:"" help:"List plugins with their state."`
	Add   pluginAddCmd   `cmd:"" help:"Pin a third-party plugin's folder by hash and load it."`
	Test  pluginTestCmd  `cmd:"" help:"Run the conformance kit against a plugin."`
	New   pluginNewCmd   `cmd:"" help:"Write a new plugin in Go, a channel, tool or bot: it builds and passes the conformance kit."`
	Serve pluginServeCmd `cmd:"" hidden:"" help:"Be a built-in plugin; the gateway starts this."`
}

type pluginListCmd struct {
	configFlags
	JSON bool `help:"As JSON."`
}

func (c *pluginListCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	running, err := control.Client{RunDir: cfg.RunDir()}.Plugins(a.ctx)
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	if errors.Is(err, control.ErrNotRunning) {
		for _, name := range cfg.Plugins.Builtin {
			running = append(running, pluginhost.Status{ID: name, State: pluginhost.StateStopped, Kind: "built-in"})
		}
	}
	known := map[string]bool{}
	for _, p := range running {
		known[p.Dir] = true
	}
	found, err := pluginhost.OpenPins(pinFile(cfg)).Discover(cfg.PluginDir())
	if err != nil {
		return err
	}
	for _, f := range found {
		if !known[f.Dir] {
			running = append(running, pluginhost.Status{ID: f.Manifest.ID, State: f.State, Reason: f.Reason, Kind: "folder", Dir: f.Dir})
		}
	}
	if c.JSON {
		return json.NewEncoder(a.stdout).Encode(running)
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "PLUGIN\tVERSION\tKIND\tSTATE\tPID\tRESTARTS\tREASON") // Flush returns the error
	for _, p := range running {
		pid := ""
		if p.PID != 0 {
			pid = fmt.Sprint(p.PID)
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", p.ID, p.Version, p.Kind, p.State, pid, p.Restarts, p.Reason)
	}
	for _, p := range running {
		for _, a := range p.OneNode {
			where := "this node"
			if !a.Here {
				where = "another node, or none"
			}
			_, _ = fmt.Fprintf(tw, "account %s of %s: served by %s\n", a.ID, p.ID, where)
		}
	}
	return tw.Flush()
}

type pluginAddCmd struct {
	configFlags
	Dir string `arg:"" type:"existingdir" help:"The plugin's folder, with plugin.yaml."`
}

func (c *pluginAddCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	pin, err := pluginhost.OpenPins(pinFile(cfg)).Add(dir)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "pinned %s at sha256:%s\n", pin.ID, pin.SHA256); err != nil {
		return err
	}
	err = control.Client{RunDir: cfg.RunDir()}.LoadPlugin(a.ctx, dir)
	if errors.Is(err, control.ErrNotRunning) {
		return nil
	}
	return err
}

type pluginTestCmd struct {
	Exec     string   `arg:"" help:"The plugin's executable: a path, or a name on the PATH."`
	Args     []string `arg:"" optional:"" help:"Its arguments; put -- before those with a dash."`
	Fixtures string   `type:"existingfile" help:"Configuration, webhooks and a send to try it with, in JSON."`
	Env      []string `placeholder:"NAME" help:"Variables of this environment that the plugin gets; it gets no others."`
	JUnit    string   `type:"path" help:"Also write the report as JUnit XML to this file."`
}

func (c *pluginTestCmd) options() (kit.Options, error) {
	opts := kit.Options{Args: c.Args}
	for _, name := range c.Env {
		value, ok := os.LookupEnv(name)
		if !ok {
			return opts, usageError{fmt.Errorf("--env: %s is not set", name)}
		}
		opts.Env = append(opts.Env, name+"="+value)
	}
	var err error
	if opts.Exec, err = exec.LookPath(c.Exec); err != nil {
		return opts, usageError{err}
	}
	if c.Fixtures != "" {
		if opts.Fixtures, err = kit.LoadFixtures(c.Fixtures); err != nil {
			return opts, usageError{err}
		}
	}
	return opts, nil
}

func (c *pluginTestCmd) Run(a *app) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	report, err := kit.Run(a.ctx, opts)
	if err != nil {
		return err
	}
	if err := report.WriteText(a.stdout); err != nil {
		return err
	}
	if c.JUnit != "" {
		if err := writeFile(c.JUnit, report.WriteJUnit); err != nil {
			return err
		}
	}
	if !report.OK() {
		return fmt.Errorf("%d check(s) failed", report.Count(kit.Failed))
	}
	return nil
}

type pluginServeCmd struct {
	Name string `arg:"" help:"Name in the catalogue."`
}

func (c *pluginServeCmd) Run(*app) error {
	serve, ok := builtin()[c.Name]
	if !ok {
		return usageError{fmt.Errorf("there is no built-in plugin %q", c.Name)}
	}
	serve()
	return nil
}
