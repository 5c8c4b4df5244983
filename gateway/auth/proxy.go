package auth

import (
	"net/http"

	"github.com/parley-gateway/parley/gateway/limit"
	"github.com/parley-gateway/parley/plugins/contract/identity"
)

// GrantHeader carries a grant to a plugin's route.
const GrantHeader = "Parley-Grant"

// Proxy tells gateway/proxy who sends a request to a plugin.
type Proxy struct {
	Auth   *Auth
	Grants *Grants
}

// Agent identifies a logged-in user by the session that r carries.
func (p Proxy) Agent(r *http.Request) (identity.Identity, error) {
	id, err := p.Auth.Authenticate(r)
	if err != nil {
		return identity.Identity{}, err
	}
	return identity.Identity{
		Subject: id.User.String(), Role: string(id.Role), Name: id.Name, RemoteIP: ipText(limit.IP(r)),
	}, nil
}

// Redeem uses up the grant that r carries for a plugin. A grant for another
// plugin is ErrGrant, and used up all the same.
func (p Proxy) Redeem(r *http.Request, plugin string) (identity.Identity, error) {
	g, err := p.Grants.Redeem(r.Header.Get(GrantHeader), "")
	if err != nil {
		return identity.Identity{}, err
	}
	if g.Plugin != plugin {
		return identity.Identity{}, ErrGrant
	}
	if g.Role != RoleVisitor && !p.Auth.sessionAlive(g) {
		return identity.Identity{}, ErrGrant
	}
	return identity.Identity{
		Subject: g.Subject, Role: g.Role, Name: g.Name,
		Conversation: g.Conversation.String(), Account: g.Account.String(), Thread: g.Thread,
		Purpose: g.Purpose, Instance: g.Instance, GrantID: g.ID, RemoteIP: ipText(limit.IP(r)),
	}, nil
}

// sessionAlive reports whether the session of an agent's grant was not ended
// since the grant was minted, less than a minute ago.
func (a *Auth) sessionAlive(g Grant) bool {
	id, ok := g.SessionID()
	if !ok {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, gone := a.revoked[id]
	return !gone
}
