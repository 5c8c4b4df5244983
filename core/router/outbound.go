package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
)

// AddressPhone is the kind of addresses that are E.164 numbers.
const AddressPhone = "phone"

// Sender is an account from which an agent may begin an exchange (N1, N2).
type Sender struct {
	Account      conversation.AccountID
	Name         string                 // name of the account
	Service      conversation.ServiceID // service of the account; zero: the account is the agent's own number
	Channel      string                 // id of the plugin
	Capabilities conversation.Capabilities
}

// Senders lists the accounts from which an agent may begin exchanges: enabled accounts of the
// services that the agent serves, and the agent's own direct numbers, on channels that let agents
// begin. They are ordered by account name; nil: none. The caller must check the agent's privilege.
func (r *Router) Senders(agent conversation.AgentID) []Sender {
	snap := r.dir.Snapshot()
	if u, ok := snap.User(agent); !ok || u.Disabled {
		return nil
	}
	var out []Sender
	for _, a := range snap.Accounts() {
		if s, ok := r.sender(a); ok && mayBegin(snap, agent, a) {
			out = append(out, s)
		}
	}
	return out
}

// sender describes an account from which agents can begin exchanges. It reports false when the
// account is not one: the channel must let agents begin with a text, and the address must tell the thread.
func (r *Router) sender(a directory.Account) (Sender, bool) {
	info, ok := r.pluginInfo(a.Plugin)
	caps := info.CapabilitiesOf(a.ID)
	if !ok || !a.Enabled || !caps.OutboundFirst || !caps.Text || caps.AddressKind != AddressPhone {
		return Sender{}, false
	}
	return Sender{Account: a.ID, Name: a.Name, Service: a.Service, Channel: a.Plugin, Capabilities: caps}, true
}

func mayBegin(snap *directory.Snapshot, agent conversation.AgentID, a directory.Account) bool {
	return a.User == agent || !a.Service.IsZero() && slices.Contains(snap.ServicesOf(agent), a.Service)
}

// pickSender finds the account that a request asks for: the named one, else the first one of the
// named service, else the agent's own direct number.
func (r *Router) pickSender(req OutboundRequest) (Sender, error) {
	snap := r.dir.Snapshot()
	if req.Account.IsZero() {
		if !req.Service.IsZero() && !slices.Contains(snap.ServicesOf(req.Agent), req.Service) {
			return Sender{}, ErrDenied
		}
		for _, s := range r.Senders(req.Agent) {
			if s.Service == req.Service {
				return s, nil
			}
		}
		return Sender{}, ErrNoSender
	}
	a, ok := snap.Account(req.Account)
	switch {
	case !ok:
		return Sender{}, ErrNoSender
	case !mayBegin(snap, req.Agent, a):
		return Sender{}, ErrDenied
	case !req.Service.IsZero() && a.Service != req.Service:
		return Sender{}, fmt.Errorf("the account is not the service's: %w", ErrInvalid)
	}
	s, ok := r.sender(a)
	if !ok {
		return s, ErrNoSender
	}
	return s, nil
}

// phoneThread returns the thread of a phone number as people write it: the number in E.164.
func phoneThread(number string) (string, error) {
	if len(number) > 64 || !utf8.ValidString(number) {
		return "", ErrInvalidAddress
	}
	n, err := phonenumbers.Parse(strings.TrimSpace(number), "") // no default region: the number must have its country code
	if err != nil || !phonenumbers.IsPossibleNumber(n) || n.GetExtension() != "" {
		return "", ErrInvalidAddress
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// ThreadOpenError: an exchange with the address is open already (N17).
type ThreadOpenError struct {
	Conversation conversation.ConversationID
	Owner        conversation.AgentID // the agent who takes part, or for whom the exchange is parked; zero: nobody
	Joinable     bool                 // the asking agent may join (Join)
}

// Error contains neither the address nor other content.
func (e *ThreadOpenError) Error() string { return "router: an exchange with this address is open" }

// OutboundRequest asks to begin an exchange with an address.
type OutboundRequest struct {
	Agent    conversation.AgentID
	Service  conversation.ServiceID // service whose account sends; zero: Account's, or the agent's own number
	Account  conversation.AccountID // zero: the first account of Service by name
	To       string                 // as the agent wrote it
	Parts    []conversation.Part    // the first message; nil: none
	ClientID string                 // at most 64 bytes; a retry under the same id is the same exchange; "": none
}

// Outbound is an exchange that an agent began.
type Outbound struct {
	Conversation conversation.ConversationID
	Seq          uint64                 // sequence of its last event; on a retry, of its message
	Message      conversation.MessageID // zero: no message came with the request
}

// StartOutbound begins an exchange (N2). Its agent takes part at once, in whatever state the agent
// is. It returns after the commit. Errors: *ThreadOpenError, ErrDenied, ErrNoSender,
// ErrInvalidAddress, ErrInvalid, ErrTooLarge, acd.ErrLoggedOut, and those of conversation for the
// message.
func (r *Router) StartOutbound(ctx context.Context, req OutboundRequest) (Outbound, error) {
	if len(req.ClientID) > 64 {
		return Outbound{}, fmt.Errorf("router: begin: client id: %w", ErrInvalid)
	}
	u, err := r.user(req.Agent)
	if err != nil {
		return Outbound{}, err
	}
	out, err := r.startOutbound(ctx, u, req)
	if refusal(err) { // a retry may be refused: its exchange is open, or something else has changed since it began
		first, found, lookErr := r.known(ctx, conversation.AccountID(req.Agent), r.startKey(req))
		switch {
		case lookErr != nil:
			return Outbound{}, lookErr
		case found:
			return r.begunBefore(ctx, first.conversation, first.first)
		}
	}
	return out, err
}

func (r *Router) startOutbound(ctx context.Context, u directory.User, req OutboundRequest) (Outbound, error) {
	if !r.agents.State(req.Agent).LoggedIn {
		return Outbound{}, fmt.Errorf("router: begin: %w", acd.ErrLoggedOut)
	}
	from, err := r.pickSender(req)
	if err != nil {
		return Outbound{}, fmt.Errorf("router: begin: %w", err)
	}
	address, err := phoneThread(req.To)
	if err != nil {
		return Outbound{}, fmt.Errorf("router: begin: %w", err)
	}
	th := r.hold(from.Account, address)
	defer th.release()
	cmd, err := r.outboundCommand(u, from, th, req)
	if err != nil {
		return Outbound{}, err
	}
	for range startAttempts {
		open, err := th.resolve(ctx)
		if err != nil {
			return Outbound{}, err
		}
		if open != nil {
			if err := r.alreadyOpen(ctx, u, th, open); err != nil {
				return Outbound{}, err
			}
			continue
		}
		out, err := r.beginOutbound(ctx, th, cmd, req)
		var lost *eventlog.ThreadOpenError
		if !errors.As(err, &lost) && !errors.Is(err, errThreadTaken) {
			return out, err
		}
		cmd.ID = conversation.NewID[conversation.ConversationID]() // a text of the customer opened the thread first, so the conversation of the old id never begins
	}
	return Outbound{}, fmt.Errorf("router: begin: %w", eventlog.ErrConflict)
}

// startAttempts is how often an agent's start is tried when texts that the customer sends at the
// same moment, to this or another node, open the thread first.
const startAttempts = 8

// errThreadTaken: this node opened a conversation on the thread in the meantime.
var errThreadTaken = errors.New("router: thread taken")

func (r *Router) outboundCommand(u directory.User, from Sender, th *thread, req OutboundRequest) (conversation.Start, error) {
	now := r.now().UTC()
	cmd := conversation.Start{
		ID: conversation.NewID[conversation.ConversationID](), Kind: conversation.Outbound, Channel: from.Channel,
		Endpoint: conversation.Endpoint{Account: from.Account, Thread: th.hex}, Capabilities: from.Capabilities,
		Contact: r.contactOf(th.id.key), ReceivedAt: now, Owner: u.ID,
	}
	var err error
	encode := func(v any) json.RawMessage {
		b, e := json.Marshal(v)
		err = errors.Join(err, e)
		return b
	}
	cmd.Body = encode(conversation.StartedBody{Address: th.id.key, Thread: th.id.key})
	cmd.OwnerBody = encode(conversation.NameBody{Name: u.Name})
	if svc, ok := r.service(from.Service); ok {
		cmd.Service, cmd.Rules, cmd.AssignedBody = from.Service, svc.rules(&cmd.Capabilities), encode(conversation.AssignedBody{Name: svc.name})
	}
	if err == nil && len(req.Parts) > 0 {
		var parts []conversation.Part
		if parts, err = r.approved(from.Account, req.Parts); err == nil {
			cmd.First, err = r.FromAgent(u, req.ClientID, parts, conversation.MessageID{})
		}
	}
	if err != nil {
		return cmd, fmt.Errorf("router: begin: %w", err)
	}
	return cmd, nil
}

// startKey returns the external id of an agent's start. It is bound on the agent's own stream id,
// since other agents' client ids name other exchanges.
func (r *Router) startKey(req OutboundRequest) []eventlog.Key {
	if req.ClientID == "" {
		return nil
	}
	return []eventlog.Key{r.vault.MAC("client-start", req.Agent[:], []byte(req.ClientID))}
}

// beginOutbound opens the conversation. Texts that the customer sends meanwhile wait in its
// mailbox, and are routed anew if the conversation does not come to be.
func (r *Router) beginOutbound(ctx context.Context, th *thread, cmd conversation.Start, req OutboundRequest) (Outbound, error) {
	key, err := r.vault.Assign()
	if err != nil {
		return Outbound{}, fmt.Errorf("router: begin: no data key: %w", err)
	}
	type answer struct {
		out outcome
		err error
	}
	ch := make(chan answer, 1)
	l := r.live(cmd.ID)
	t := &task{cmd: cmd, prepare: r.prepareStart, key: key, thread: th, account: conversation.AccountID(req.Agent), external: r.startKey(req)}
	t.done = func(o outcome, err error) {
		if err != nil || o.duplicate {
			if !eventlog.InDoubt(err) { // an append in doubt may yet be written, and the conversation then uses this mailbox
				r.drop(l)
			}
			if !errors.Is(err, ErrStopped) {
				th.ended(l)
			}
		}
		ch <- answer{o, err}
	}
	th.mu.Lock()
	if th.open != nil {
		th.mu.Unlock()
		r.drop(l)
		return Outbound{}, errThreadTaken
	}
	l.submit(t)
	th.setOpen(l)
	th.mu.Unlock()
	select {
	case a := <-ch:
		if a.err != nil {
			return Outbound{}, a.err
		}
		if a.out.duplicate {
			return r.begunBefore(ctx, a.out.conversation, a.out.first)
		}
		out := Outbound{Conversation: a.out.conversation, Seq: a.out.seen}
		if cmd.First != nil {
			out.Message = cmd.First.ID
		}
		return out, nil
	case <-ctx.Done():
		return Outbound{}, fmt.Errorf("router: begin: %w", ctx.Err())
	}
}

// alreadyOpen answers a request for a thread on which a conversation is open: with a *ThreadOpenError,
// or with nil if the conversation has ended.
func (r *Router) alreadyOpen(ctx context.Context, u directory.User, th *thread, open *live) error {
	e := &ThreadOpenError{Conversation: open.id}
	over := false
	_, err := open.do(ctx, &task{read: func(s *conversation.State) {
		over = s.Phase != conversation.PhaseOpen
		e.Owner, e.Joinable = ownerOf(s), !s.JoinedAgent(u.ID) && r.MayJoin(u, s)
	}})
	switch { // after an error the task may still run and write over and e, so they must not be read
	case err != nil && !elsewhere(err):
		return err
	case err == nil && !over:
		return e
	}
	th.ended(open) // it has ended, or never began because another one was first
	return nil
}

// ownerOf returns the agent whose open exchange this is; zero: nobody's, it waits for a service.
func ownerOf(s *conversation.State) (owner conversation.AgentID) {
	for i := range s.Participants {
		if p := &s.Participants[i]; p.State == conversation.Joined && p.Who.Kind == conversation.Agent {
			return p.Who.Agent
		}
	}
	if s.Parking != nil {
		return s.Parking.Owner
	}
	if s.Unread != nil {
		return s.Unread.Owner
	}
	return owner
}

// begunBefore answers a retry with the exchange that the first request began.
func (r *Router) begunBefore(ctx context.Context, conv conversation.ConversationID, seq uint64) (Outbound, error) {
	out := Outbound{Conversation: conv, Seq: seq}
	h, err := r.readers.Head(ctx, conv, seq)
	if err != nil {
		return out, notFound(err)
	}
	if m, ok := h.(*conversation.MessagePosted); ok {
		out.Message = m.ID
	}
	return out, nil
}
