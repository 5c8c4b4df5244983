package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/internal/stores"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// envReference finds the environment variables that a records file names.
var envReference = regexp.MustCompile(`env:\s*"?([A-Za-z_][A-Za-z0-9_]*)`)

type applyCmd struct {
	configFlags
	File   string `short:"f" required:"" type:"existingfile" help:"Records file (docs/records.example.yaml)."`
	DryRun bool   `help:"Say what would change."`
	JSON   bool   `help:"As JSON lines."`
}

func (c *applyCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	path, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	req := control.Apply{Path: path, Text: text, DryRun: c.DryRun, Env: map[string]string{}}
	for _, m := range envReference.FindAllSubmatch(text, -1) {
		if v, ok := os.LookupEnv(string(m[1])); ok {
			req.Env[string(m[1])] = v
		}
	}
	changes, err := change(a.ctx, cfg, req)
	if err != nil {
		return err
	}
	return printChanges(a.stdout, changes, c.JSON)
}

// change has the running gateway carry out the request; if none is running it opens the stores and
// carries it out itself.
func change(ctx context.Context, cfg config.Config, req control.Request) ([]directory.Change, error) {
	changes, err := control.Client{RunDir: cfg.RunDir()}.Do(ctx, req)
	if !errors.Is(err, control.ErrNotRunning) {
		return changes, err
	}
	s, err := stores.Open(ctx, cfg, nil, discard())
	if err != nil {
		return nil, err
	}
	changes, err = req.CarryOut(ctx, s.Directory)
	return changes, errors.Join(err, s.Close())
}

func printChanges(w io.Writer, changes []directory.Change, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		for _, ch := range changes {
			if err := enc.Encode(ch); err != nil {
				return err
			}
		}
		return nil
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "nothing to change")
		return err
	}
	for _, ch := range changes {
		if _, err := fmt.Fprintln(w, ch); err != nil {
			return err
		}
	}
	return nil
}

type userCmd struct {
	Add      userAddCmd      `cmd:"" help:"Add a user, or change role and name. The password is read from standard input."`
	Password userPasswordCmd `cmd:"" help:"Set a user's password, read from standard input; open sessions end."`
	Disable  userDisableCmd  `cmd:"" help:"Disable a user; open sessions end within seconds."`
}

type userAddCmd struct {
	configFlags
	Login string          `arg:"" help:"Login name."`
	Name  string          `help:"Display name. Default: the present one; of a new user the login."`
	Role  *directory.Role `enum:"agent,supervisor,admin" help:"agent, supervisor or admin. Default: the present one; of a new user agent."`
}

func (c *userAddCmd) Run(a *app) error {
	pw, err := readPassword(a)
	if err != nil {
		return err
	}
	req := control.User{Login: c.Login, Name: c.Name, Password: pw, Add: true}
	if c.Role != nil {
		req.Role = *c.Role
	}
	return c.change(a, req)
}

type userPasswordCmd struct {
	configFlags
	Login string `arg:"" help:"Login name."`
}

func (c *userPasswordCmd) Run(a *app) error {
	pw, err := readPassword(a)
	if err != nil {
		return err
	}
	return c.change(a, control.User{Login: c.Login, Password: pw})
}

type userDisableCmd struct {
	configFlags
	Login string `arg:"" help:"Login name."`
}

func (c *userDisableCmd) Run(a *app) error {
	return c.change(a, control.User{Login: c.Login, Disable: true})
}

func (f *configFlags) change(a *app, req control.User) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	changes, err := change(a.ctx, cfg, req)
	if err != nil {
		return err
	}
	return printChanges(a.stdout, changes, false)
}

// readPassword reads a password from standard input. It is never an argument, because other users
// of the machine can read those.
func readPassword(a *app) (string, error) {
	_, _ = fmt.Fprint(a.stderr, "Password: ")
	b, err := io.ReadAll(io.LimitReader(os.Stdin, 4096))
	if err != nil {
		return "", err
	}
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b = b[:i]
			break
		}
	}
	if len(b) == 0 {
		return "", usageError{fmt.Errorf("no password on standard input")}
	}
	return string(b), nil
}
