package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

type loginInput struct {
	Cookie string `cookie:"__Host-parley" doc:"The session that ends with this login"`
	Device string `cookie:"__Host-parley-device" doc:"Whom this browser has logged in before: they do not wait for the failures of others"`
	Body   struct {
		Login    string `json:"login" maxLength:"64"`
		Password string `json:"password" maxLength:"256"`
		Bearer   bool   `json:"bearer,omitempty" doc:"For programs: the answer holds a token instead of a cookie"`
	}
}

type loginOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      loginView
}

type loginView struct {
	User    UserSummary `json:"user"`
	Expires time.Time   `json:"expires" doc:"When the session ends at the latest"`
	Token   string      `json:"token,omitempty" doc:"Of a bearer session: send it as Authorization: Bearer TOKEN"`
}

type cookieOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

type meOutput struct{ Body UserSummary }

type passwordInput struct {
	Body struct {
		Old string `json:"old" maxLength:"256"`
		New string `json:"new" maxLength:"256"`
	}
}

func (a *API) sessionRoutes() {
	o := op("login", http.MethodPost, "/login", "session", "Log in with a password", anybody)
	o.MaxBodyBytes = 4 << 10
	register(a, o, anybody, a.login)
	o = op("logout", http.MethodPost, "/logout", "session", "End the session; its sockets are closed", anybody)
	o.DefaultStatus = http.StatusNoContent
	register(a, o, anybody, a.logout)
	register(a, op("me", http.MethodGet, "/me", "session", "Who is logged in", directory.RoleAgent), directory.RoleAgent,
		func(_ context.Context, id auth.Identity, _ *struct{}) (*meOutput, error) {
			return &meOutput{SummaryOf(id)}, nil
		})
	o = op("change-password", http.MethodPost, "/me/password", "session", "Change one's own password; all other sessions end", directory.RoleAgent)
	o.DefaultStatus, o.MaxBodyBytes = http.StatusNoContent, 4<<10
	register(a, o, directory.RoleAgent, func(ctx context.Context, id auth.Identity, in *passwordInput) (*empty, error) {
		return nil, a.opts.Auth.ChangePassword(ctx, id, in.Body.Old, in.Body.New)
	})
}

func (a *API) login(ctx context.Context, _ auth.Identity, in *loginInput) (*loginOutput, error) {
	res, err := a.opts.Auth.Login(ctx, auth.LoginRequest{
		Login: in.Body.Login, Password: in.Body.Password, Bearer: in.Body.Bearer, IP: client(ctx), Previous: in.Cookie, Device: in.Device,
	})
	if err != nil {
		return nil, err
	}
	out := &loginOutput{Body: loginView{User: SummaryOf(res.Identity), Expires: res.Expires.UTC()}}
	if in.Body.Bearer {
		out.Body.Token = res.Token
	} else {
		out.SetCookie = []http.Cookie{*auth.Cookie(res), *auth.DeviceSetCookie(res)}
	}
	return out, nil
}

// logout answers a user who is not logged in without error, too, and deletes the cookie.
func (a *API) logout(ctx context.Context, id auth.Identity, _ *struct{}) (*cookieOutput, error) {
	if !id.User.IsZero() {
		if err := a.opts.Auth.Logout(ctx, id); err != nil {
			return nil, err
		}
	}
	return &cookieOutput{*auth.NoCookie()}, nil
}
