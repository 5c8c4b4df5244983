package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// Agent returns a copy of an agent's committed state. For an agent who never logged in it is the
// zero state with the id.
func (r *Router) Agent(_ context.Context, id conversation.AgentID) (acd.AgentState, error) {
	return *r.agents.State(id).Clone(), nil
}

// Ready makes the agent take interactions (A1).
func (r *Router) Ready(ctx context.Context, id conversation.AgentID) error {
	return r.agents.Command(ctx, id, acd.BeReady{})
}

// NotReady makes the agent take no more interactions, at once or after the present work (A12).
// reason is one of acd's reasons or a short code of the contact centre's own; "" = manual.
func (r *Router) NotReady(ctx context.Context, id conversation.AgentID, reason string) error {
	if len(reason) > 64 || !utf8.ValidString(reason) {
		return fmt.Errorf("router: not ready: reason: %w", ErrInvalid)
	}
	return r.agents.Command(ctx, id, acd.BeNotReady{Reason: acd.Reason(reason)})
}

// offered returns the conversation of an offer, if the agent holds that offer.
func (r *Router) offered(id conversation.AgentID, offer conversation.OfferID) (conversation.ConversationID, error) {
	s := r.agents.State(id)
	if s.Offer == nil || s.Offer.Offer != offer {
		return conversation.ConversationID{}, fmt.Errorf("router: offer %s: %w", offer, conversation.ErrOfferGone)
	}
	return s.Offer.Conversation, nil
}

// Accept takes an offer (A5); the conversation is the agent's when it returns.
func (r *Router) Accept(ctx context.Context, id conversation.AgentID, offer conversation.OfferID) (conversation.ConversationID, uint64, error) {
	conv, err := r.offered(id, offer)
	if err != nil {
		return conv, 0, err
	}
	u, err := r.user(id)
	if err != nil {
		return conv, 0, err
	}
	body, err := json.Marshal(conversation.NameBody{Name: u.Name})
	if err != nil {
		return conv, 0, fmt.Errorf("router: encode name: %w", err)
	}
	out, err := r.live(conv).do(ctx, &task{cmd: conversation.Accept{Offer: offer, Agent: id, Body: body}})
	return conv, out.seen, err
}

// Reject declines an offer (A9, A10).
func (r *Router) Reject(ctx context.Context, id conversation.AgentID, offer conversation.OfferID) error {
	conv, err := r.offered(id, offer)
	if err != nil {
		return err
	}
	_, err = r.live(conv).do(ctx, &task{cmd: conversation.Decline{Offer: offer, Agent: id, Cause: conversation.CauseRejected}})
	return err
}

// Send adds a message to a conversation: an agent's who takes part, or a supervisor's in barge (H2). A
// retry under the same client id is the same message. Errors: conversation.ErrNotJoined, ErrEnded, ErrNoSuchMessage, ErrNotAuthor, ErrInvalid,
// ErrTooLarge.
func (r *Router) Send(ctx context.Context, req SendRequest) (Sent, error) {
	if len(req.ClientID) > 64 {
		return Sent{}, fmt.Errorf("router: send: %w", ErrInvalid)
	}
	u, err := r.user(req.Agent)
	if err != nil {
		return Sent{}, err
	}
	from := order.Item{}
	if req.ClientID != "" {
		from = r.order.Arrived(order.Item{Author: agentIn(req.Agent, req.Conversation), ID: req.ClientID, Repeats: true})
	}
	post, err := r.agentPost(u, req.ClientID, req.Parts, req.ReplyTo)
	if err != nil {
		r.note(&from, err)
		return Sent{}, fmt.Errorf("router: send: %w", err)
	}
	id, t := post.ID, &task{from: from, cmd: post}
	t.prepare = func(t *task, s *conversation.State) error {
		var speaks bool
		if post.Author, speaks = speaker(u, s, conversation.ModeBarge); !speaks {
			return nil // the rules refuse the message; an agent who takes no part must not learn which messages and files there are
		}
		if err := r.messages.LookUp(r.ctx, post, s); err != nil {
			return err
		}
		return r.attach(t, post, s.ID)
	}
	if req.ClientID != "" {
		// The client id is bound on the agent's own stream id, since other agents' client ids name
		// other messages.
		t.account = conversation.AccountID(req.Agent)
		t.external = []eventlog.Key{r.vault.MAC("client", req.Agent[:], req.Conversation[:], []byte(req.ClientID))}
	}
	out, err := r.live(req.Conversation).do(ctx, t)
	if err != nil {
		return Sent{}, err
	}
	if out.duplicate {
		if id, err = r.messageAt(ctx, out.conversation, out.message); err != nil {
			return Sent{}, err
		}
	}
	return Sent{Message: id, Seq: out.message}, nil
}

// agentIn is the author of what an agent sends in a conversation, for core/order.
func agentIn(id conversation.AgentID, conv conversation.ConversationID) order.Author {
	return order.Author{In: conv, Of: string(id[:])}
}

// agentPost makes the command for an agent's message.
func (r *Router) agentPost(u directory.User, clientID string, parts []conversation.Part, replyTo conversation.MessageID) (*conversation.Post, error) {
	return r.messages.FromAgent(u.ID, messages.Written{Parts: parts, ClientID: clientID, Name: u.Name, ReplyTo: replyTo, ReceivedAt: r.now().UTC()})
}

// messageAt reads the id of the message or note that is event seq of a conversation.
func (r *Router) messageAt(ctx context.Context, conv conversation.ConversationID, seq uint64) (conversation.MessageID, error) {
	h, err := r.readers.Head(ctx, conv, seq)
	if err != nil {
		return conversation.MessageID{}, notFound(err)
	}
	switch m := h.(type) {
	case *conversation.MessagePosted:
		return m.ID, nil
	case *conversation.Note:
		return m.ID, nil
	}
	return conversation.MessageID{}, fmt.Errorf("router: event %d of %s is no message", seq, conv)
}

// notFound turns readers.ErrNotFound into the router's ErrNotFound; other errors stay as they are.
func notFound(err error) error {
	if errors.Is(err, readers.ErrNotFound) {
		return fmt.Errorf("router: %w: %w", ErrNotFound, err)
	}
	return err
}

// Mark records how far an agent has received and read a conversation.
func (r *Router) Mark(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, delivered, read uint64) error {
	_, err := r.live(conv).do(ctx, &task{cmd: conversation.Mark{By: conversation.Author{Kind: conversation.Agent, Agent: id}, Delivered: delivered, Read: read}})
	return err
}

// Typing passes an agent's typing on to a conversation's readers and, on a store-and-forward channel
// whose plugin takes typing, to the provider. It never blocks, and the signal may be lost.
func (r *Router) Typing(id conversation.AgentID, conv conversation.ConversationID, on bool) {
	u, err := r.user(id)
	if err != nil {
		return
	}
	if w := r.agents.State(id).Holds(conv); w == nil || w.Wrapup {
		return // an agent who may not write there is not shown as typing
	}
	l := r.live(conv)
	l.tail.Signal(readers.Signal{Conversation: conv, Kind: plugin.SignalTyping, On: on, Who: conversation.Author{Kind: conversation.Agent, Agent: id}, Name: u.Name})
	r.tellTyping(l, on)
}

// Leave is what End Chat does (R2): the agent leaves the conversation. While an invited agent has
// not answered, it fails with conversation.ErrInvitePending unless queue is set (T5).
func (r *Router) Leave(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, queue bool) (uint64, error) {
	out, err := r.live(conv).do(ctx, &task{
		from: r.order.Arrived(order.Item{Author: agentIn(id, conv), Repeats: true}), // the agent's messages that have to be sent again come before the leave
		cmd:  conversation.Leave{Agent: id, Queue: queue, Request: conversation.NewID[conversation.RequestID]()},
	})
	return out.seen, err
}

// maxNotes bounds an agent's wrap-up notes, in bytes.
const maxNotes = 16 << 10

// FinishWrapup ends an agent's after-call work (R4). The disposition must be
// one of the service's; "" = none.
func (r *Router) FinishWrapup(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, disposition, notes string) (uint64, error) {
	if len(notes) > maxNotes || !utf8.ValidString(notes) {
		return 0, fmt.Errorf("router: notes: %w", ErrTooLarge)
	}
	var body json.RawMessage
	if notes != "" {
		b, err := json.Marshal(conversation.WrapupBody{Notes: notes})
		if err != nil {
			return 0, fmt.Errorf("router: encode notes: %w", err)
		}
		body = b
	}
	out, err := r.live(conv).do(ctx, &task{
		cmd: conversation.FinishWrapup{Agent: id, Disposition: disposition, Cause: conversation.CauseFinished, Body: body},
		prepare: func(_ *task, s *conversation.State) error {
			p := s.Participant(id)
			if p == nil || p.State != conversation.Wrapup {
				return nil // the rules refuse the command; an agent without after-call work must not learn the service's dispositions
			}
			if disposition != "" && !r.hasDisposition(s.Service, disposition) {
				return fmt.Errorf("router: disposition: %w", ErrInvalid)
			}
			return nil
		},
	})
	return out.seen, err
}

func (r *Router) hasDisposition(id conversation.ServiceID, code string) bool {
	s, _ := r.dir.Snapshot().Service(id)
	for _, d := range s.Dispositions {
		if d.Code == code {
			return true
		}
	}
	return false
}

// Invite asks another agent, or a service's queue, to join (T1-T3).
func (r *Router) Invite(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, target conversation.Target, transfer bool) (conversation.RequestID, error) {
	cmd, t := conversation.Invite{Request: conversation.NewID[conversation.RequestID](), By: id, Target: target, Transfer: transfer}, &task{}
	switch target.Kind {
	case conversation.TargetAgent:
		if _, err := r.user(target.Agent); err != nil {
			return cmd.Request, err
		}
		if !r.agents.State(target.Agent).LoggedIn {
			return cmd.Request, fmt.Errorf("router: invite: %w", acd.ErrLoggedOut)
		}
	case conversation.TargetService, conversation.TargetDirectory:
		svc, ok := r.service(target.Service)
		if !ok {
			return cmd.Request, fmt.Errorf("router: invite: %w", ErrNoService)
		}
		t.prepare = func(t *task, s *conversation.State) error {
			c, rules := cmd, svc.rules(&s.Capabilities)
			c.Rules = &rules
			t.cmd = c
			return nil
		}
	default:
		return cmd.Request, fmt.Errorf("router: invite: %w", ErrInvalid)
	}
	t.cmd = cmd
	_, err := r.live(conv).do(ctx, t)
	return cmd.Request, err
}

// CancelInvite takes a pending invitation back.
func (r *Router) CancelInvite(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, request conversation.RequestID) error {
	_, err := r.live(conv).do(ctx, &task{cmd: conversation.CancelInvite{Request: request, By: id}})
	return err
}

// SetFlag marks a conversation for supervisors, or takes the mark away (H1).
func (r *Router) SetFlag(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, on bool) error {
	_, err := r.live(conv).do(ctx, &task{cmd: conversation.Flag{By: id, On: on}})
	return err
}

// LinkContact ties a conversation to a known customer. It is allowed to agents who take part or
// have after-call work for it, to the owner for whom it waits, and to supervisors. Errors:
// ErrDenied, ErrNotFound (also: no such contact), conversation.ErrEnded.
func (r *Router) LinkContact(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, contact conversation.ContactID) error {
	u, err := r.user(id)
	if err != nil {
		return err
	}
	_, err = r.dir.Contact(ctx, contact)
	if errors.Is(err, directory.ErrNotFound) {
		return fmt.Errorf("router: link contact: %w", ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("router: link contact: %w", err)
	}
	_, err = r.live(conv).do(ctx, &task{
		cmd: conversation.LinkContact{Contact: contact, By: conversation.Author{Kind: conversation.Agent, Agent: id}},
		prepare: func(_ *task, s *conversation.State) error {
			if p := s.Participant(id); (p == nil || p.State == conversation.Left) && !s.WaitsFor(id) && !u.Role.Includes(directory.RoleSupervisor) {
				return fmt.Errorf("router: link contact: %w", ErrDenied)
			}
			return nil
		},
	})
	return err
}
