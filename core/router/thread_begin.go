package router

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// begin handles an arrival on a thread without an open conversation: it starts one when channel and
// account allow that, and refuses the arrival otherwise.
func (th *thread) begin(a arrival) {
	r, in := th.r, a.in
	var body conversation.StartedBody
	if !r.order.Admits(&a.from) {
		r.metrics.behind.Inc()
		a.done(r.ack(conversation.ConversationID{}, outcome{}, errBehind))
		return
	}
	// An event that was committed before its answer was lost is answered as a repeat, whatever
	// became of its conversation. If it began a conversation anew, later events of the thread would
	// go there, too.
	if th.repeated(a) {
		return
	}
	var then []conversation.Command
	switch {
	case in.Call != nil && in.Call.Incoming != nil:
		var err error
		if then, err = r.sessions.Incoming(&in); err != nil {
			th.refuse(a, "invalid")
			return
		}
		body = *sessionwork.Begins(&in)
	case in.Call != nil:
		st, _, _ := r.sessions.Arrival(&in)
		st.Account, st.Keys = in.Account, r.ingest.Keys(in)
		r.sessions.BySession(in, in.Call.Session, st, func(ack plugin.Ack) { th.ackLogged(a, ack) })
		return
	case in.Action != nil && in.Action.Start != nil:
		body = in.Action.Start.Body
	case in.Action != nil && in.Action.OptOut != nil:
		th.ackLogged(a, r.ingest.Consent(in))
		return
	case in.Message != nil:
		info, ok := r.pluginInfo(in.Plugin)
		if !ok || info.CapabilitiesOf(in.Account).Connected {
			th.refuse(a, "ended") // on a live channel a chat begins with a start (the request form), not with a message
			return
		}
		if a.to.ignores {
			th.refuse(a, "no_entry") // N7: the account's messages begin no conversation
			return
		}
		body.Address, body.Name = in.Message.Address, in.Message.Name
	default:
		th.refuse(a, "ended")
		return
	}
	if body.Address == "" {
		body.Address = in.Thread
	}
	body.Thread = in.Thread
	cmd, err := r.startCommand(a.to, th, in, body)
	if err != nil {
		th.refuse(a, "no_service")
		return
	}
	key, err := r.vault.Assign()
	if err != nil {
		r.logger.Error("no data key for a new conversation", "err", err)
		r.order.Refused(&a.from)
		a.done(plugin.Ack{Status: plugin.Retry, Code: "unavailable"})
		return
	}
	l := r.live(cmd.ID)
	t := &task{from: a.from, cmd: cmd, prepare: r.prepareStart, key: key, account: in.Account, cameOn: th.key, external: r.ingest.Keys(in), thread: th}
	if len(then) > 0 {
		t.cmd, t.prepare, t.reported = append(conversation.Several{cmd}, then...), nil, true
	}
	t.done = func(o outcome, err error) {
		if err != nil || o.duplicate {
			if !eventlog.InDoubt(err) { // an append in doubt may yet be written, and the conversation then uses this mailbox
				r.drop(l)
			}
			if !errors.Is(err, ErrStopped) {
				th.ended(l)
			}
		}
		a.from = t.from
		th.answered(l, a, o, err)
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.open != nil { // a conversation was opened on the thread meanwhile
		r.drop(l)
		th.pass(th.open, a)
		return
	}
	l.submit(t) // before setOpen, so that no reader asks the mailbox for a conversation that is not there yet
	th.setOpen(l)
	th.out++
}

// repeated answers an arrival whose event was committed earlier as a repeat, and one that cannot be
// looked up with Retry. It reports whether it answered.
func (th *thread) repeated(a arrival) bool {
	first, found, err := th.r.known(th.r.ctx, a.in.Account, th.r.ingest.Keys(a.in))
	switch {
	case err != nil:
		th.r.note(&a.from, err)
		a.done(plugin.Ack{Status: plugin.Retry, Code: "unavailable"})
	case found:
		th.ackLogged(a, th.r.ingest.Repeat(a.in, eventlog.StreamID(first.conversation), first.first))
	}
	return found || err != nil
}

// refuse answers an arrival that no conversation takes.
func (th *thread) refuse(a arrival, code string) { th.ackLogged(a, th.r.ingest.Refuse(a.in, code)) }

// ackLogged answers an arrival that is, or should have been, recorded on the account's stream.
func (th *thread) ackLogged(a arrival, ack plugin.Ack) {
	if ack.Status == plugin.Retry {
		th.r.order.Refused(&a.from)
	}
	a.done(ack)
}

// startCommand makes the command that opens a conversation for the account's target.
func (r *Router) startCommand(to target, th *thread, in plugin.Inbound, body conversation.StartedBody) (conversation.Start, error) {
	info, _ := r.pluginInfo(in.Plugin)
	cmd := conversation.Start{
		ID: conversation.NewID[conversation.ConversationID](), Kind: conversation.Inbound, Channel: in.Plugin,
		Endpoint:     conversation.Endpoint{Account: in.Account, Thread: th.hex},
		Capabilities: info.CapabilitiesOf(in.Account), ProviderAt: in.ProviderAt, ReceivedAt: in.ReceivedAt,
	}
	cmd.Contact = r.contactOf(body.Address)
	page := body.Page
	body.Page = nil
	var err error
	if cmd.Body, err = json.Marshal(body); err != nil {
		return cmd, fmt.Errorf("router: encode start: %w", err)
	}
	if page != nil {
		if cmd.Page, err = json.Marshal(page); err != nil {
			return cmd, fmt.Errorf("router: encode page: %w", err)
		}
	}
	if !to.service.IsZero() {
		svc, ok := r.service(to.service)
		if !ok {
			return cmd, ErrNoService
		}
		cmd.Service, cmd.Rules, cmd.Request = to.service, svc.rules(&cmd.Capabilities), conversation.NewID[conversation.RequestID]()
		if cmd.AssignedBody, err = json.Marshal(conversation.AssignedBody{Name: svc.name}); err != nil {
			return cmd, fmt.Errorf("router: encode service: %w", err)
		}
		var name string
		if cmd.Bot, name = r.botOf(to.service); !cmd.Bot.IsZero() {
			if cmd.BotBody, err = json.Marshal(conversation.NameBody{Name: name}); err != nil {
				return cmd, fmt.Errorf("router: encode bot: %w", err)
			}
		}
	} else if !to.user.IsZero() {
		cmd.Owner = to.user
	} else {
		return cmd, ErrNoService
	}
	if first := ingest.Wrote(&in); len(first.Parts) > 0 {
		first.ReplyTo = conversation.MessageID{}                                                      // at the start it could only name a message of an earlier conversation
		post, err := r.messages.Resolve(r.ctx, first, &conversation.State{Channel: cmd.Channel}, nil) // nor has the conversation a message with a provider's id
		if err != nil {
			return cmd, err
		}
		cmd.First = post
	}
	return cmd, nil
}

// drop removes the mailbox of a conversation that never came to be.
func (r *Router) drop(l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lives[l.id] == l {
		delete(r.lives, l.id)
	}
}
