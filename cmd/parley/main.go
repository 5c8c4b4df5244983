// Command parley is all of Parley: the gateway, its built-in plugins (the same executable, started
// again), and the tools of operators and integrators. It parses the arguments, runs a command and
// returns its exit code: 0 ok, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/pluginhost"
)

func main() {
	// Processes that the gateway itself starts skip all else: every recovery waits for a plugin's
	// start, and a guard process must be small.
	if len(os.Args) == 4 && os.Args[1] == "plugin" {
		serve, ok := builtin()[os.Args[3]]
		switch {
		case os.Args[2] == "guard":
			pluginhost.Guard(os.Args[3])
			return
		case os.Args[2] == "serve" && ok:
			serve()
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// app holds what every command gets.
type app struct {
	ctx            context.Context //nolint:containedctx // a command's whole life
	stdout, stderr io.Writer
}

type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the gateway."`
	Demo    demoCmd    `cmd:"" help:"Run a gateway with sample records and a customer page, and restart it when it dies."`
	Apply   applyCmd   `cmd:"" help:"Bring users, teams, services and accounts to what a file says."`
	User    userCmd    `cmd:"" help:"Add users and set passwords."`
	Log     logCmd     `cmd:"" help:"Print events as JSON lines, also beside a running gateway."`
	Project projectCmd `cmd:"" help:"Show what follows the log: tables for reports and search; make them anew."`
	Keys    keysCmd    `cmd:"" help:"Make master keys, change to another, move the key store into a database."`
	Plugin  pluginCmd  `cmd:"" help:"List, pin, test and serve plugins."`
	Config  configCmd  `cmd:"" help:"Check and explain the configuration."`
	Doctor  doctorCmd  `cmd:"" help:"Check that this machine can run the gateway."`
	Sandbox sandboxCmd `cmd:"" help:"Play a vendor, for tests and demonstrations."`
	Bench   benchCmd   `cmd:"" help:"Measure the whole system on this machine."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// usageError wraps an error for which the exit code is 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	code := -1
	parser, err := kong.New(&c, kong.Name("parley"), kong.Description("Plugin-based telephony and messaging gateway for contact centres."),
		kong.UsageOnError(), kong.Writers(stdout, stderr), kong.Exit(func(n int) { code = n }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fail(stderr, err)
	}
	k, err := parser.Parse(args)
	if code >= 0 { // kong exits with a code after it has printed the help
		return code
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "parley: %v\nTry: parley --help\n", err)
		return 2
	}
	if err := k.Run(&app{ctx: ctx, stdout: stdout, stderr: stderr}); err != nil {
		return fail(stderr, err)
	}
	return 0
}

func fail(stderr io.Writer, err error) int {
	_, _ = fmt.Fprintf(stderr, "parley: %v\n", err)
	if errors.As(err, &usageError{}) {
		return 2
	}
	return 1
}

// configFlags are the flags of every command that reads the configuration.
type configFlags struct {
	Config string `short:"c" type:"path" env:"PARLEY_CONFIG" help:"Configuration file. Default: parley.yaml in this folder, if there is one."`
	Data   string `type:"path" help:"Data folder; goes before the file's."`
}

// load reads the configuration for a command.
func (f *configFlags) load() (config.Config, error) {
	path := f.Config
	if path == "" {
		if _, err := os.Stat("parley.yaml"); err == nil {
			path = "parley.yaml"
		}
	}
	env := os.Environ()
	if f.Data != "" {
		env = append(env, config.EnvName("data")+"="+f.Data)
	}
	c, err := config.Load(path, env)
	var faults config.Faults
	if errors.As(err, &faults) {
		return c, usageError{fmt.Errorf("the configuration has %d fault(s):\n%w", len(faults), faults)}
	}
	return c, err
}
