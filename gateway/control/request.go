package control

import (
	"cmp"
	"context"
	"fmt"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/directory"
)

// Request is a change of the records. The running gateway carries it out, which gets it through
// Client.Do, or else a command that has opened the stores itself.
type Request interface {
	// CarryOut makes the change and returns which records have changed.
	CarryOut(ctx context.Context, d *directory.Directory) ([]directory.Change, error)

	path() string
}

// Apply makes the records what a file says. Env holds the caller's environment variables, since the
// file may name them as sources of secrets.
type Apply struct {
	Path   string            `json:"path"` // absolute; relative paths in the file are relative to its folder
	Text   []byte            `json:"text"`
	Env    map[string]string `json:"env"`
	DryRun bool              `json:"dry_run"`
}

func (Apply) path() string { return "/apply" }

// CarryOut implements Request.
func (a Apply) CarryOut(ctx context.Context, d *directory.Directory) ([]directory.Change, error) {
	records, err := directory.ParseRecordsEnv(a.Text, a.Path, func(name string) (string, bool) { v, ok := a.Env[name]; return v, ok })
	if err != nil {
		return nil, err
	}
	return d.Apply(ctx, records, a.DryRun)
}

// User changes one user. Name and role may be given with Add only, which creates the user if there
// is none; what is empty stays as it is. A new user without them gets the login as the name and the
// role agent.
type User struct {
	Login    string         `json:"login"`
	Name     string         `json:"name,omitempty"`
	Role     directory.Role `json:"role,omitempty"`
	Password string         `json:"password,omitempty"`
	Disable  bool           `json:"disable,omitempty"`
	Add      bool           `json:"add,omitempty"`
}

func (User) path() string { return "/user" }

// CarryOut implements Request.
func (r User) CarryOut(ctx context.Context, d *directory.Directory) ([]directory.Change, error) {
	return d.ChangeUser(ctx, r.Login, r.Password, func(u directory.User, known bool) (directory.User, error) {
		if !known && !r.Add {
			return u, fmt.Errorf("there is no user %q", r.Login)
		}
		if r.Add {
			u.Name = cmp.Or(r.Name, u.Name, r.Login)
			u.Role = cmp.Or(r.Role, u.Role, directory.RoleAgent)
		}
		u.Disabled = u.Disabled || r.Disable
		return u, nil
	})
}

// LogRead writes into the audit trail that a command reads the log without the gateway (SPEC Z5):
// the conversation of this id, or the whole log if empty.
type LogRead string

func (LogRead) path() string { return "/log-read" }

// CarryOut implements Request. It changes no record.
func (r LogRead) CarryOut(ctx context.Context, d *directory.Directory) ([]directory.Change, error) {
	e := audit.Entry{Actor: audit.Actor{Via: "cli"}, Action: audit.TranscriptRead, Object: "conversation", ObjectID: string(r)}
	if r == "" {
		e.Object = "log"
	}
	return nil, d.Trail().Append(ctx, e)
}
