package desk

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
func (d *Desk) Agent(_ context.Context, id conversation.AgentID) (acd.AgentState, error) {
	return *d.o.Agents.State(id).Clone(), nil
}

// Ready makes the agent take interactions (A1).
func (d *Desk) Ready(ctx context.Context, id conversation.AgentID) error {
	return d.o.Agents.Command(ctx, id, acd.BeReady{})
}

// NotReady makes the agent take no more interactions, at once or after the present work (A12).
// reason is one of acd's reasons or a short code of the contact centre's own; "" = manual.
func (d *Desk) NotReady(ctx context.Context, id conversation.AgentID, reason string) error {
	if len(reason) > 64 || !utf8.ValidString(reason) {
		return fmt.Errorf("desk: not ready: reason: %w", ErrInvalid)
	}
	return d.o.Agents.Command(ctx, id, acd.BeNotReady{Reason: acd.Reason(reason)})
}

// offered returns the conversation of an offer, if the agent holds that offer.
func (d *Desk) offered(id conversation.AgentID, offer conversation.OfferID) (conversation.ConversationID, error) {
	s := d.o.Agents.State(id)
	if s.Offer == nil || s.Offer.Offer != offer {
		return conversation.ConversationID{}, fmt.Errorf("desk: offer %s: %w", offer, conversation.ErrOfferGone)
	}
	return s.Offer.Conversation, nil
}

// Accept takes an offer (A5); the conversation is the agent's when it returns.
func (d *Desk) Accept(ctx context.Context, id conversation.AgentID, offer conversation.OfferID) (conversation.ConversationID, uint64, error) {
	conv, err := d.offered(id, offer)
	if err != nil {
		return conv, 0, err
	}
	u, err := d.user(id)
	if err != nil {
		return conv, 0, err
	}
	body, err := json.Marshal(conversation.NameBody{Name: u.Name})
	if err != nil {
		return conv, 0, fmt.Errorf("desk: encode name: %w", err)
	}
	out, err := d.o.Conversations.Do(ctx, conv, Step{Command: conversation.Accept{Offer: offer, Agent: id, Body: body}})
	return conv, out.Seen, err
}

// Reject declines an offer (A9, A10).
func (d *Desk) Reject(ctx context.Context, id conversation.AgentID, offer conversation.OfferID) error {
	conv, err := d.offered(id, offer)
	if err != nil {
		return err
	}
	_, err = d.o.Conversations.Do(ctx, conv, Step{Command: conversation.Decline{Offer: offer, Agent: id, Cause: conversation.CauseRejected}})
	return err
}

// Send adds a message to a conversation: an agent's who takes part, or a supervisor's in barge (H2). A
// retry under the same client id is the same message. Errors: conversation.ErrNotJoined, ErrEnded, ErrNoSuchMessage, ErrNotAuthor, ErrInvalid,
// ErrTooLarge.
func (d *Desk) Send(ctx context.Context, req SendRequest) (Sent, error) {
	if len(req.ClientID) > 64 {
		return Sent{}, fmt.Errorf("desk: send: %w", ErrInvalid)
	}
	u, err := d.user(req.Agent)
	if err != nil {
		return Sent{}, err
	}
	from := order.Item{}
	if req.ClientID != "" {
		from = d.o.Order.Arrived(order.Item{Author: agentIn(req.Agent, req.Conversation), ID: req.ClientID, Repeats: true})
	}
	post, err := d.FromAgent(u, req.ClientID, req.Parts, req.ReplyTo)
	if err != nil {
		d.o.Conversations.Refused(&from, err)
		return Sent{}, fmt.Errorf("desk: send: %w", err)
	}
	id, t := post.ID, Step{From: from}
	t.Decide = func(s *conversation.State) (Plan, error) {
		var speaks bool
		if post.Author, speaks = speaker(u, s, conversation.ModeBarge); !speaks {
			return Plan{Command: post}, nil // the rules refuse the message; an agent who takes no part must not learn which messages and files there are
		}
		err := d.o.Conversations.FillTemplates(post, req.Parts, s, func(parts []conversation.Part) (*conversation.Post, error) {
			return d.FromAgent(u, req.ClientID, parts, req.ReplyTo)
		})
		if err != nil {
			return Plan{}, err
		}
		if err := d.o.Messages.LookUp(d.o.Running, post, s); err != nil {
			return Plan{}, err
		}
		blobs, err := d.o.Conversations.Attach(post, s.ID)
		if err != nil {
			return Plan{}, err
		}
		caps := s.EndpointCapabilities(post.Endpoint)
		return Plan{post, blobs}, d.o.Messages.Fits(post, &caps)
	}
	if req.ClientID != "" {
		// The client id is bound on the agent's own stream id, since other agents' client ids name
		// other messages.
		t.Author, t.Keys = req.Agent, []eventlog.Key{d.o.Vault.MAC("client", req.Agent[:], req.Conversation[:], []byte(req.ClientID))}
	}
	out, err := d.o.Conversations.Do(ctx, req.Conversation, t)
	if err != nil {
		return Sent{}, err
	}
	if out.Duplicate {
		if id, err = d.messageAt(ctx, out.Conversation, out.Message); err != nil {
			return Sent{}, err
		}
	}
	return Sent{Message: id, Seq: out.Message}, nil
}

// agentIn is the author of what an agent sends in a conversation, for core/order.
func agentIn(id conversation.AgentID, conv conversation.ConversationID) order.Author {
	return order.Author{In: conv, Of: string(id[:])}
}

// FromAgent makes the command for an agent's message.
func (d *Desk) FromAgent(u directory.User, clientID string, parts []conversation.Part, replyTo conversation.MessageID) (*conversation.Post, error) {
	return d.o.Messages.FromAgent(u.ID, messages.Written{Parts: parts, ClientID: clientID, Name: u.Name, ReplyTo: replyTo, ReceivedAt: d.o.Now().UTC()})
}

// messageAt reads the id of the message or note that is event seq of a conversation.
func (d *Desk) messageAt(ctx context.Context, conv conversation.ConversationID, seq uint64) (conversation.MessageID, error) {
	h, err := d.o.Readers.Head(ctx, conv, seq)
	if err != nil {
		return conversation.MessageID{}, notFound(err)
	}
	switch m := h.(type) {
	case *conversation.MessagePosted:
		return m.ID, nil
	case *conversation.Note:
		return m.ID, nil
	}
	return conversation.MessageID{}, fmt.Errorf("desk: event %d of %s is no message", seq, conv)
}

// notFound turns readers.ErrNotFound into the router's ErrNotFound; other errors stay as they are.
func notFound(err error) error {
	if errors.Is(err, readers.ErrNotFound) {
		return fmt.Errorf("desk: %w: %w", ErrNotFound, err)
	}
	return err
}

// Typing passes an agent's typing on to a conversation's readers and, on a store-and-forward channel
// whose plugin takes typing, to the provider. It never blocks, and the signal may be lost.
func (d *Desk) Typing(id conversation.AgentID, conv conversation.ConversationID, on bool) {
	u, err := d.user(id)
	if err != nil {
		return
	}
	if w := d.o.Agents.State(id).Holds(conv); w == nil || w.Wrapup {
		return // an agent who may not write there is not shown as typing
	}
	d.o.Conversations.Signal(readers.Signal{Conversation: conv, Kind: plugin.SignalTyping, On: on, Who: conversation.Author{Kind: conversation.Agent, Agent: id}, Name: u.Name})
}

// Leave is what End Chat does (R2): the agent leaves the conversation. While an invited agent has
// not answered, it fails with conversation.ErrInvitePending unless queue is set (T5).
func (d *Desk) Leave(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, queue bool) (uint64, error) {
	out, err := d.o.Conversations.Do(ctx, conv, Step{
		From:    d.o.Order.Arrived(order.Item{Author: agentIn(id, conv), Repeats: true}), // the agent's messages that have to be sent again come before the leave
		Command: conversation.Leave{Agent: id, Queue: queue, Request: conversation.NewID[conversation.RequestID]()},
	})
	return out.Seen, err
}

// maxNotes bounds an agent's wrap-up notes, in bytes.
const maxNotes = 16 << 10

// FinishWrapup ends an agent's after-call work (R4). The disposition must be
// one of the service's; "" = none.
func (d *Desk) FinishWrapup(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, disposition, notes string) (uint64, error) {
	if len(notes) > maxNotes || !utf8.ValidString(notes) {
		return 0, fmt.Errorf("desk: notes: %w", ErrTooLarge)
	}
	var body json.RawMessage
	if notes != "" {
		b, err := json.Marshal(conversation.WrapupBody{Notes: notes})
		if err != nil {
			return 0, fmt.Errorf("desk: encode notes: %w", err)
		}
		body = b
	}
	out, err := d.o.Conversations.Do(ctx, conv, Step{
		Command: conversation.FinishWrapup{Agent: id, Disposition: disposition, Cause: conversation.CauseFinished, Body: body},
		Check: func(s *conversation.State) error {
			p := s.Participant(id)
			if p == nil || p.State != conversation.Wrapup {
				return nil // the rules refuse the command; an agent without after-call work must not learn the service's dispositions
			}
			if disposition != "" && !d.hasDisposition(s.Service, disposition) {
				return fmt.Errorf("desk: disposition: %w", ErrInvalid)
			}
			return nil
		},
	})
	return out.Seen, err
}

func (d *Desk) hasDisposition(id conversation.ServiceID, code string) bool {
	s, _ := d.o.Directory.Snapshot().Service(id)
	for _, d := range s.Dispositions {
		if d.Code == code {
			return true
		}
	}
	return false
}

// Invite asks another agent, or a service's queue, to join (T1-T3).
func (d *Desk) Invite(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, target conversation.Target, transfer bool) (conversation.RequestID, error) {
	cmd, t := conversation.Invite{Request: conversation.NewID[conversation.RequestID](), By: id, Target: target, Transfer: transfer}, Step{}
	switch target.Kind {
	case conversation.TargetAgent:
		if _, err := d.user(target.Agent); err != nil {
			return cmd.Request, err
		}
		if !d.o.Agents.State(target.Agent).LoggedIn {
			return cmd.Request, fmt.Errorf("desk: invite: %w", acd.ErrLoggedOut)
		}
	case conversation.TargetService, conversation.TargetDirectory:
		svc, ok := d.o.Directory.Snapshot().Service(target.Service)
		if !ok {
			return cmd.Request, fmt.Errorf("desk: invite: %w", ErrNoService)
		}
		t.Decide = func(s *conversation.State) (Plan, error) {
			c, rules := cmd, svc.RulesFor(s.Capabilities.MediumOf())
			c.Rules = &rules
			return Plan{Command: c}, nil
		}
	default:
		return cmd.Request, fmt.Errorf("desk: invite: %w", ErrInvalid)
	}
	t.Command = cmd
	_, err := d.o.Conversations.Do(ctx, conv, t)
	return cmd.Request, err
}

// CancelInvite takes a pending invitation back.
func (d *Desk) CancelInvite(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, request conversation.RequestID) error {
	_, err := d.o.Conversations.Do(ctx, conv, Step{Command: conversation.CancelInvite{Request: request, By: id}})
	return err
}

// SetFlag marks a conversation for supervisors, or takes the mark away (H1).
func (d *Desk) SetFlag(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, on bool) error {
	_, err := d.o.Conversations.Do(ctx, conv, Step{Command: conversation.Flag{By: id, On: on}})
	return err
}

// LinkContact ties a conversation to a known customer. It is allowed to agents who take part or
// have after-call work for it, to the owner for whom it waits, and to supervisors. Errors:
// ErrDenied, ErrNotFound (also: no such contact), conversation.ErrEnded.
func (d *Desk) LinkContact(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, contact conversation.ContactID) error {
	u, err := d.user(id)
	if err != nil {
		return err
	}
	_, err = d.o.Directory.Contact(ctx, contact)
	if errors.Is(err, directory.ErrNotFound) {
		return fmt.Errorf("desk: link contact: %w", ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("desk: link contact: %w", err)
	}
	_, err = d.o.Conversations.Do(ctx, conv, Step{
		Command: conversation.LinkContact{Contact: contact, By: conversation.Author{Kind: conversation.Agent, Agent: id}},
		Check: func(s *conversation.State) error {
			if p := s.Participant(id); (p == nil || p.State == conversation.Left) && !s.WaitsFor(id) && !u.Role.Includes(directory.RoleSupervisor) {
				return fmt.Errorf("desk: link contact: %w", ErrDenied)
			}
			return nil
		},
	})
	return err
}
