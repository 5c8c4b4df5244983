package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"github.com/parley-gateway/parley/core/directory"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// envReference finds the variables that a records file names.
var envReference = regexp.MustCompile(`env:\s*"?([A-Za-z_][A-Za-z0-9_]*)`)

type applyCmd struct {
	configFlags
	File   string `short:"f" required:"" type:"existingfile" help:"Records file (docs/records.example.yaml)."`
	DryRun bool   `help:"Say what would change."`
	JSON   bool   `help:"As JSON lines."`
}

// applyRequest travels to a running gateway. Env are the variables that the
// caller has, since the file may name them as sources of secrets.
type applyRequest struct {
	Path   string            `json:"path"` // absolute; relative paths in the file start there
	Text   []byte            `json:"text"`
	Env    map[string]string `json:"env"`
	DryRun bool              `json:"dry_run"`
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
	req := applyRequest{Path: path, Text: text, DryRun: c.DryRun, Env: map[string]string{}}
	for _, m := range envReference.FindAllSubmatch(text, -1) {
		if v, ok := os.LookupEnv(string(m[1])); ok {
			req.Env[string(m[1])] = v
		}
	}
	changes, err := change(a.ctx, cfg, "/apply", req, func(d *directory.Directory) ([]directory.Change, error) {
		return applyRecords(a.ctx, d, req)
	})
	if err != nil {
		return err
	}
	return printChanges(a.stdout, changes, c.JSON)
}

func applyRecords(ctx context.Context, d *directory.Directory, req applyRequest) ([]directory.Change, error) {
	records, err := directory.ParseRecordsEnv(req.Text, req.Path, func(name string) (string, bool) { v, ok := req.Env[name]; return v, ok })
	if err != nil {
		return nil, err
	}
	return d.Apply(ctx, records, req.DryRun)
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

// userRequest changes one user.
type userRequest struct {
	Login    string         `json:"login"`
	Name     string         `json:"name,omitempty"`
	Role     directory.Role `json:"role,omitempty"`
	Password string         `json:"password,omitempty"`
	Disable  bool           `json:"disable,omitempty"`
	Add      bool           `json:"add,omitempty"`
}

type userAddCmd struct {
	configFlags
	Login string `arg:"" help:"Login name."`
	Name  string `help:"Display name. Default: the login."`
	Role  string `enum:"agent,supervisor,admin" default:"agent" help:"agent, supervisor or admin."`
}

func (c *userAddCmd) Run(a *app) error {
	pw, err := readPassword(a)
	if err != nil {
		return err
	}
	name := c.Name
	if name == "" {
		name = c.Login
	}
	return c.change(a, userRequest{Login: c.Login, Name: name, Role: directory.Role(c.Role), Password: pw, Add: true})
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
	return c.change(a, userRequest{Login: c.Login, Password: pw})
}

type userDisableCmd struct {
	configFlags
	Login string `arg:"" help:"Login name."`
}

func (c *userDisableCmd) Run(a *app) error {
	return c.change(a, userRequest{Login: c.Login, Disable: true})
}

func (f *configFlags) change(a *app, req userRequest) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	changes, err := change(a.ctx, cfg, "/user", req, func(d *directory.Directory) ([]directory.Change, error) { return putUser(a.ctx, d, req) })
	if err != nil {
		return err
	}
	return printChanges(a.stdout, changes, false)
}

// readPassword takes one line; a password never comes as an argument, where
// other users of the machine could read it.
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

func putUser(ctx context.Context, d *directory.Directory, req userRequest) ([]directory.Change, error) {
	u, known := d.Snapshot().UserByLogin(req.Login)
	if !known && !req.Add {
		return nil, fmt.Errorf("there is no user %q", req.Login)
	}
	ch := directory.Change{Kind: "user", Name: req.Login, Action: directory.Updated}
	if !known {
		u, ch.Action = directory.User{Login: req.Login}, directory.Created
	}
	if req.Add {
		u.Name, u.Role = req.Name, req.Role
	}
	if req.Disable {
		u.Disabled = true
		ch.Fields = append(ch.Fields, "disabled")
	}
	u, err := d.PutUser(ctx, u)
	if err != nil {
		return nil, err
	}
	ch.ID = u.ID.String()
	if req.Password != "" {
		if err := d.SetPassword(ctx, u.ID, req.Password, directory.SessionID{}); err != nil {
			return nil, err
		}
		ch.Fields = append(ch.Fields, "password")
	}
	return []directory.Change{ch}, nil
}
