package router_test

import (
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
)

// Which agent may do what with a text exchange that its owner, ana, has set aside: ben serves its
// service, otto serves none, sue is a supervisor [ASVS 8.2.2]. An agent who is not named in a row
// gets the row's "else".
func TestWhoMayWithAParkedExchange(t *testing.T) {
	known := conversation.NewID[conversation.ContactID]()
	for _, c := range []struct {
		name string
		give func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error
		may  map[string]string // expected code by login; "" = allowed
	}{
		{"send", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			_, err := b.r.Send(b.t.Context(), router.SendRequest{Conversation: conv, Agent: id, ClientID: "x", Parts: textParts("hi")})
			return err
		}, map[string]string{"else": "not_joined"}},
		{"typing", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			return (&stage{bubble: b, conv: conv}).types(id)
		}, map[string]string{"else": "not_joined"}},
		{"mark", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			return b.r.Mark(b.t.Context(), id, conv, 1, 1)
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"end", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			_, err := b.r.Leave(b.t.Context(), id, conv, true)
			return err
		}, map[string]string{"else": "not_joined"}},
		{"wrapup", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			_, err := b.r.FinishWrapup(b.t.Context(), id, conv, "sold", "")
			return err
		}, map[string]string{"else": "no_wrapup"}},
		{"invite", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			_, err := b.r.Invite(b.t.Context(), id, conv, conversation.Target{Kind: conversation.TargetService, Service: b.service.ID}, false)
			return err
		}, map[string]string{"else": "not_joined"}},
		{"flag", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			return b.r.SetFlag(b.t.Context(), id, conv, true)
		}, map[string]string{"else": "not_joined"}},
		{"link_contact", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			return b.r.LinkContact(b.t.Context(), id, conv, known)
		}, map[string]string{"ana": "", "sue": "", "else": "denied"}},
		{"join", func(b *bubble, id conversation.AgentID, conv conversation.ConversationID) error {
			_, err := b.r.Join(b.t.Context(), id, conv)
			return err
		}, map[string]string{"otto": "denied"}},
		{"text to its number", func(b *bubble, id conversation.AgentID, _ conversation.ConversationID) error {
			_, err := b.r.StartOutbound(b.t.Context(), router.OutboundRequest{Agent: id, Service: b.service.ID, To: "+15005550006", ClientID: "y"})
			return err
		}, map[string]string{"ana": "thread_open", "ben": "thread_open", "sue": "denied", "otto": "denied"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			for login, role := range map[string]directory.Role{"otto": directory.RoleAgent, "sue": directory.RoleSupervisor} {
				u, err := w.dir.PutUser(t.Context(), directory.User{Login: login, Name: login, Role: role})
				must(t, err)
				w.agents[login] = u.ID
			}
			for _, login := range []string{"ana", "ben", "otto", "sue"} {
				w.inBubble(t, func(t *testing.T, b *bubble) {
					b.world.texting(b.r)
					out, err := b.begin(b.r, "ana", "+15005550006", "hello", "")
					must(t, err)
					must(t, b.r.Logout(t.Context(), b.agents["ana"]))
					must(t, b.r.AgentConnected(t.Context(), b.agents[login]))
					want, named := c.may[login]
					if !named {
						want = c.may["else"]
					}
					if got := router.Code(c.give(b, b.agents[login], out.Conversation)); got != want {
						t.Errorf("%s by %s: got %q, want %q", c.name, login, got, want)
					}
				})
			}
		})
	}
}
