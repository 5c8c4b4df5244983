package router_test

import (
	"testing"
	"testing/synctest"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
)

// stage is a chat in which everybody has another part: ana has joined, ben is invited,
// dora has after-call work for it, emil has left, cem serves the same service and
// takes no part, otto serves none, sue is a supervisor.
type stage struct {
	*bubble
	conv    conversation.ConversationID
	offer   conversation.OfferID
	request conversation.RequestID
}

var stagePeople = []string{"ana", "ben", "dora", "emil", "cem", "otto", "sue"}

func newStage(t *testing.T, b *bubble) *stage {
	t.Helper()
	ctx := t.Context()
	ana, conv := b.accepted("ana")
	must(t, b.r.NotReady(ctx, ana, ""))
	s := &stage{bubble: b, conv: conv}
	for _, login := range stagePeople[1:] {
		must(t, b.r.AgentConnected(ctx, b.agents[login]))
	}
	invite := func(login string) conversation.OfferID {
		target := conversation.Target{Kind: conversation.TargetAgent, Agent: b.agents[login]}
		var err error
		s.request, err = b.r.Invite(ctx, ana, conv, target, false)
		must(t, err)
		synctest.Wait()
		return agentOf(t, b.r, b.agents[login]).Offer.Offer
	}
	for _, login := range []string{"dora", "emil"} {
		_, _, err := b.r.Accept(ctx, b.agents[login], invite(login))
		must(t, err)
		_, err = b.r.Leave(ctx, b.agents[login], conv, false)
		must(t, err)
	}
	_, err := b.r.FinishWrapup(ctx, b.agents["emil"], conv, "", "")
	must(t, err)
	s.offer = invite("ben")
	return s
}

// Every command that an agent can give about a conversation, with who may: anybody
// else is refused with the code that stands there. Whoever is not named gets "else".
func TestWhoMay(t *testing.T) {
	known := conversation.NewID[conversation.ContactID]()
	for _, c := range []struct {
		name string
		give func(s *stage, id conversation.AgentID) error
		may  map[string]string // by login; "" = may
	}{
		{"accept", func(s *stage, id conversation.AgentID) error {
			_, _, err := s.r.Accept(s.t.Context(), id, s.offer)
			return err
		}, map[string]string{"ben": "", "else": "offer_gone"}},
		{"reject", func(s *stage, id conversation.AgentID) error {
			return s.r.Reject(s.t.Context(), id, s.offer)
		}, map[string]string{"ben": "", "else": "offer_gone"}},
		{"send", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.Send(s.t.Context(), router.SendRequest{Conversation: s.conv, Agent: id, ClientID: "x", Parts: textParts("hi")})
			return err
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"mark", func(s *stage, id conversation.AgentID) error {
			return s.r.Mark(s.t.Context(), id, s.conv, 1, 1)
		}, map[string]string{"ana": "", "dora": "", "emil": "", "else": "not_joined"}},
		{"end", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.Leave(s.t.Context(), id, s.conv, true)
			return err
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"wrapup", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.FinishWrapup(s.t.Context(), id, s.conv, "sold", "")
			return err
		}, map[string]string{"dora": "", "else": "no_wrapup"}},
		{"invite", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.Invite(s.t.Context(), id, s.conv, conversation.Target{Kind: conversation.TargetService, Service: s.service.ID}, false)
			return err
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"cancel_invite", func(s *stage, id conversation.AgentID) error {
			return s.r.CancelInvite(s.t.Context(), id, s.conv, s.request)
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"flag", func(s *stage, id conversation.AgentID) error {
			return s.r.SetFlag(s.t.Context(), id, s.conv, true)
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"link_contact", func(s *stage, id conversation.AgentID) error {
			return s.r.LinkContact(s.t.Context(), id, s.conv, known)
		}, map[string]string{"ana": "", "dora": "", "sue": "", "else": "denied"}},
		{"link_contact that does not exist", func(s *stage, id conversation.AgentID) error {
			return s.r.LinkContact(s.t.Context(), id, s.conv, conversation.ContactID{})
		}, map[string]string{"else": "not_found"}},
		{"join", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.Join(s.t.Context(), id, s.conv)
			return err
		}, map[string]string{"ana": "already_joined", "sue": "", "else": "denied"}},
		{"settle", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.SettleMessage(s.t.Context(), id, s.conv, conversation.NewID[conversation.MessageID](), conversation.OutcomeSent)
			return err
		}, map[string]string{ // whether there is such a message is not everybody's to know
			"ana": "no_such_message", "dora": "no_such_message", "emil": "no_such_message", "sue": "no_such_message", "else": "denied",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			for _, login := range []string{"dora", "emil", "otto", "sue"} {
				role := directory.RoleAgent
				if login == "sue" {
					role = directory.RoleSupervisor
				}
				u, err := w.dir.PutUser(t.Context(), directory.User{Login: login, Name: login, Role: role})
				must(t, err)
				w.agents[login] = u.ID
			}
			for _, login := range append([]string{"nobody"}, stagePeople...) {
				w.inBubble(t, func(t *testing.T, b *bubble) {
					s := newStage(t, b)
					want, named := c.may[login]
					if !named {
						want = c.may["else"]
					}
					id := b.agents[login]
					if login == "nobody" { // an id that is no user's
						id = conversation.NewID[conversation.AgentID]()
						if want == "denied" || want == "not_found" || want == "already_joined" {
							want = "unknown_agent"
						}
					}
					got := router.Code(c.give(s, id))
					if login == "nobody" && got == "unknown_agent" {
						want = got // refused before anything else is looked at
					}
					if got != want {
						t.Errorf("%s by %s: got %q, want %q", c.name, login, got, want)
					}
				})
			}
		})
	}
}
