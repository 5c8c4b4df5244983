package auth

import (
	"net/http"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/gateway/limit"
	"github.com/parley-gateway/parley/plugins/contract/identity"
)

// GrantHeader is the header with which a request to a plugin's route carries a grant.
const GrantHeader = "Parley-Grant"

// Proxy tells gateway/proxy who sends a request to a plugin.
type Proxy struct {
	Auth   *Auth
	Grants *Grants
}

// Agent identifies a logged-in user by the session that r carries. watch is Auth.WatchRights for
// that session, since the plugin is told the user's role.
func (p Proxy) Agent(r *http.Request) (who identity.Identity, watch func(func()) func(), err error) {
	id, err := p.Auth.Authenticate(r)
	if err != nil {
		return identity.Identity{}, nil, err
	}
	return identity.Identity{
		Subject: id.User.String(), Role: string(id.Role), Name: id.Name, RemoteIP: ipText(limit.IP(r)),
	}, func(fn func()) func() { return p.Auth.WatchRights(id, fn) }, nil
}

// Redeem uses up the grant that r carries for a plugin. A grant for another plugin is used up, too,
// and gives ErrGrant. watch is Auth.WatchRights for the session of an agent's grant, nil for a
// visitor's.
func (p Proxy) Redeem(r *http.Request, plugin string) (who identity.Identity, watch func(func()) func(), err error) {
	g, err := p.Grants.Redeem(r.Header.Get(GrantHeader), "")
	if err != nil {
		return identity.Identity{}, nil, err
	}
	if g.Plugin != plugin {
		return identity.Identity{}, nil, ErrGrant
	}
	if g.Role != RoleVisitor {
		session, alive := p.Auth.grantSession(g)
		if !alive {
			return identity.Identity{}, nil, ErrGrant
		}
		watch = func(fn func()) func() { return p.Auth.WatchRights(session, fn) }
	}
	return identity.Identity{
		Subject: g.Subject, Role: g.Role, Name: g.Name,
		Conversation: g.Conversation.String(), Account: g.Account.String(), Thread: g.Thread,
		Purpose: g.Purpose, Instance: g.Instance, GrantID: g.ID, RemoteIP: ipText(limit.IP(r)),
	}, watch, nil
}

// grantSession is the session of an agent's grant. alive is false if the session was ended or the
// user's role changed since the grant was minted, less than a minute ago.
func (a *Auth) grantSession(g Grant) (who Identity, alive bool) {
	id, ok := g.SessionID()
	if !ok {
		return who, false
	}
	user, err := conversation.ParseID[conversation.AgentID](g.Subject)
	u, known := a.dir.Snapshot().User(user)
	if err != nil || !known || u.Disabled || string(u.Role) != g.Role {
		return who, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, gone := a.revoked[id]
	who = Identity{User: u.ID, Role: u.Role, Privileges: u.Privileges, Session: id, Expires: a.opts.Now().Add(a.opts.AbsoluteTimeout)} // the session ends then at the latest
	if s, ok := a.live[a.byID[id]]; ok {
		who.Expires = s.ExpiresAt
	}
	return who, !gone
}
