package router_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// stage is a chat in which everybody has another part: ana has joined, ben is invited, dora has
// after-call work for it, emil has left, cem serves the same service and takes no part, otto serves
// none, sue is a supervisor.
type stage struct {
	*bubble
	conv    conversation.ConversationID
	offer   conversation.OfferID
	request conversation.RequestID
}

var stagePeople = []string{"ana", "ben", "dora", "emil", "cem", "otto", "sue"}

// staff adds those of stagePeople whom newWorld does not create.
func (w *world) staff() {
	w.t.Helper()
	for _, login := range []string{"dora", "emil", "otto", "sue"} {
		role := directory.RoleAgent
		if login == "sue" {
			role = directory.RoleSupervisor
		}
		u, err := w.dir.PutUser(context.Background(), directory.User{Login: login, Name: login, Role: role})
		must(w.t, err)
		w.agents[login] = u.ID
	}
}

func newStage(t *testing.T, b *bubble) *stage {
	t.Helper()
	ana, conv := b.accepted("ana")
	return stageAround(t, b, ana, conv)
}

// stageAround gives every agent of stagePeople but ana a part in the conversation that ana has
// joined.
func stageAround(t *testing.T, b *bubble, ana conversation.AgentID, conv conversation.ConversationID) *stage {
	t.Helper()
	ctx := t.Context()
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

// types returns nil when readers are shown that the agent types, else conversation.ErrNotJoined.
func (s *stage) types(id conversation.AgentID) error {
	s.t.Helper()
	feed := s.r.NewFeed(conversation.NewID[conversation.AgentID](), conversation.AudienceSupervisor, func() {})
	defer feed.Close()
	feed.Add(s.conv, 0)
	s.r.Typing(id, s.conv, true)
	synctest.Wait()
	for {
		items, err := feed.Poll(s.t.Context(), 100)
		must(s.t, err)
		if len(items) == 0 {
			return conversation.ErrNotJoined
		}
		for _, i := range items {
			if i.Signal != nil && i.Signal.Who.Agent == id {
				return nil
			}
		}
	}
}

// Every command that an agent can give about a conversation, with the agents who may give it. All
// others are refused with the code that the row names. An agent who is not named in a row gets the
// row's "else".
func TestWhoMay(t *testing.T) {
	known := conversation.NewID[conversation.ContactID]()
	for _, c := range []struct {
		name string
		give func(s *stage, id conversation.AgentID) error
		may  map[string]string // expected code by login; "" = allowed
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
		{"send a file that it has not", func(s *stage, id conversation.AgentID) error {
			file := conversation.Part{Kind: conversation.PartFile, File: &conversation.File{Blob: conversation.NewID[conversation.BlobID]()}}
			_, err := s.r.Send(s.t.Context(), router.SendRequest{Conversation: s.conv, Agent: id, ClientID: "x", Parts: []conversation.Part{file}})
			return err
		}, map[string]string{"ana": "invalid", "else": "not_joined"}},
		{"typing", func(s *stage, id conversation.AgentID) error {
			return s.types(id)
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
		{"wrapup with what its service has not", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.FinishWrapup(s.t.Context(), id, s.conv, "lost", "")
			return err
		}, map[string]string{"dora": "invalid", "else": "no_wrapup"}},
		{"invite", func(s *stage, id conversation.AgentID) error {
			_, err := s.r.Invite(s.t.Context(), id, s.conv, conversation.Target{Kind: conversation.TargetService, Service: s.service.ID}, false)
			return err
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"cancel_invite", func(s *stage, id conversation.AgentID) error {
			return s.r.CancelInvite(s.t.Context(), id, s.conv, s.request)
		}, map[string]string{"ana": "", "else": "not_joined"}},
		{"cancel_invite of none", func(s *stage, id conversation.AgentID) error {
			return s.r.CancelInvite(s.t.Context(), id, s.conv, conversation.NewID[conversation.RequestID]())
		}, map[string]string{"ana": "no_such_request", "else": "not_joined"}},
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
		}, map[string]string{ // not everybody may know whether there is such a message
			"ana": "no_such_message", "dora": "no_such_message", "emil": "no_such_message", "sue": "no_such_message", "else": "denied",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.staff()
			for _, login := range append([]string{"nobody"}, stagePeople...) {
				w.inBubble(t, func(t *testing.T, b *bubble) {
					s := newStage(t, b)
					want, named := c.may[login]
					if !named {
						want = c.may["else"]
					}
					id := b.agents[login]
					if login == "nobody" { // an id that belongs to no user
						id = conversation.NewID[conversation.AgentID]()
						if want == "denied" || want == "not_found" || want == "already_joined" {
							want = "unknown_agent"
						}
					}
					got := router.Code(c.give(s, id))
					if login == "nobody" && got == "unknown_agent" {
						want = got // an unknown agent is refused before anything else is looked at
					}
					if got != want {
						t.Errorf("%s by %s: got %q, want %q", c.name, login, got, want)
					}
				})
			}
		})
	}
}

// An agent who took part in a conversation that has ended is told that it has ended; all others get
// the same answers as while it was open.
func TestWhoMayAfterTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.staff()
	w.inBubble(t, func(t *testing.T, b *bubble) {
		s := newStage(t, b)
		ctx := t.Context()
		ingest(b.r, plugin.Inbound{Plugin: "chat", Account: b.chat.ID, Thread: "v", DedupeKey: "v/end", Action: &plugin.CustomerAction{End: true}})
		service := conversation.Target{Kind: conversation.TargetService, Service: b.service.ID}
		for _, login := range stagePeople {
			id, want := b.agents[login], "not_joined"
			if login == "ana" || login == "dora" || login == "emil" {
				want = "ended"
			}
			_, sent := b.r.Send(ctx, router.SendRequest{Conversation: s.conv, Agent: id, ClientID: "x", Parts: textParts("hi")})
			_, left := b.r.Leave(ctx, id, s.conv, true)
			_, invited := b.r.Invite(ctx, id, s.conv, service, false)
			for what, err := range map[string]error{
				"send": sent, "end": left, "invite": invited, "flag": b.r.SetFlag(ctx, id, s.conv, true),
				"cancel_invite": b.r.CancelInvite(ctx, id, s.conv, s.request),
			} {
				if got := router.Code(err); got != want {
					t.Errorf("%s by %s: got %q, want %q", what, login, got, want)
				}
			}
			if s.types(id) == nil {
				t.Errorf("%s is heard typing after the end", login)
			}
		}
	})
}

// PR4: which agent may settle a message whose outcome is unknown. cem and ben serve the exchange's
// service, ben is invited.
func TestWhoMaySettle(t *testing.T) {
	w := newWorld(t, nil)
	w.staff()
	for _, login := range stagePeople {
		w.inBubble(t, func(t *testing.T, b *bubble) {
			ctx := t.Context()
			p := newPort(textInfo())
			b.r.PluginReady("text", "g1", p)
			ana := b.ready("ana")
			ingest(b.r, plugin.Inbound{Plugin: "text", Account: b.text.ID, Thread: "+49301234", DedupeKey: "in-1",
				Message: &plugin.InboundMessage{Address: "+49301234", Parts: textParts("hello")}})
			synctest.Wait()
			conv, _, err := b.r.Accept(ctx, ana, agentOf(t, b.r, ana).Offer.Offer)
			must(t, err)
			s := stageAround(t, b, ana, conv)
			b.say(b.r, conv, "m")
			synctest.Wait()
			cmd := p.next(t, 0)
			_, err = b.r.Begin(ctx, b.text.ID, cmd.Command, "g1")
			must(t, err)
			b.result(b.r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown, Code: "timeout"})
			want := map[string]string{"ben": "denied", "cem": "denied", "otto": "denied"}[login]
			_, err = b.r.SettleMessage(ctx, b.agents[login], s.conv, conversation.MessageID(cmd.Command), conversation.OutcomeSent)
			if got := router.Code(err); got != want {
				t.Errorf("settle by %s: got %q, want %q", login, got, want)
			}
			if row := b.rowState(cmd); (row == eventlog.OutboxSettled) != (want == "") {
				t.Errorf("settle by %s: the message's row is %s", login, row)
			}
		})
	}
}
