package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/auth"
)

type userInput struct {
	Login      string                `json:"login" minLength:"1" maxLength:"64"`
	Name       string                `json:"name"`
	FirstName  string                `json:"first_name,omitempty"`
	LastName   string                `json:"last_name,omitempty"`
	Email      string                `json:"email,omitempty"`
	Role       directory.Role        `json:"role" enum:"agent,supervisor,admin"`
	Privileges []string              `json:"privileges,omitempty" maxItems:"100"`
	Teams      []conversation.TeamID `json:"teams,omitempty" maxItems:"1000"`
	Skills     []string              `json:"skills,omitempty" maxItems:"1000"`
	Capacity   directory.Capacity    `json:"capacity,omitempty"`
	Disabled   bool                  `json:"disabled,omitempty" doc:"Ends all sessions of the user"`
}

type setPasswordInput struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Password string `json:"password" maxLength:"256"`
	}
}

func (a *API) userRoutes() {
	recordRoutes(a, kind[directory.User, userInput]{
		name: "user", plural: "users", read: directory.RoleSupervisor,
		list: (*directory.Snapshot).Users,
		get: func(s *directory.Snapshot, id string) (directory.User, bool) {
			return s.User(conversation.AgentID(stream(id)))
		},
		put: func(ctx context.Context, id string, b userInput) (directory.User, error) {
			u := directory.User{
				ID: conversation.AgentID(stream(id)), Login: b.Login, Name: b.Name, FirstName: b.FirstName, LastName: b.LastName,
				Email: b.Email, Role: b.Role, Privileges: b.Privileges, Teams: b.Teams, Skills: b.Skills, Capacity: b.Capacity, Disabled: b.Disabled,
			}
			if old, ok := a.opts.Directory.Snapshot().User(u.ID); ok {
				u.Photo = old.Photo
			}
			return a.opts.Directory.PutUser(ctx, u)
		},
	})
	o := op("set-password", http.MethodPut, "/users/{id}/password", "users", "Give a user a new password; all sessions of the user end", directory.RoleAdmin)
	o.DefaultStatus, o.MaxBodyBytes = http.StatusNoContent, 4<<10
	register(a, o, directory.RoleAdmin, func(ctx context.Context, _ auth.Identity, in *setPasswordInput) (*empty, error) {
		return nil, a.opts.Directory.SetPassword(ctx, conversation.AgentID(stream(in.ID)), in.Body.Password, sessions.ID{})
	})
}
