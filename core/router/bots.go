package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/bots"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// botOf returns the bot that answers first in a service, and its name as customers see it. None: the
// service has no bot, or the bot's plugin is not there, so that people are asked at once.
func (r *Router) botOf(id conversation.ServiceID) (bot conversation.AccountID, name string) {
	svc, _ := r.dir.Snapshot().Service(id)
	acc, ok := r.dir.Snapshot().Account(svc.Bot)
	if !ok || !acc.Enabled {
		return bot, ""
	}
	if info, ok := r.pluginInfo(acc.Plugin); !ok || !info.Bot || !r.bots.Here(acc.Plugin) {
		return bot, ""
	}
	return acc.ID, r.botName(acc)
}

// botName is a bot's name as customers see it.
func (r *Router) botName(acc directory.Account) string {
	if info, _ := r.pluginInfo(acc.Plugin); info.BotName != "" {
		return info.BotName
	}
	return acc.Name
}

// Bot implements ingest.Conversations.
func (f forIngest) Bot(acc directory.Account, in plugin.Inbound, done func(plugin.Ack)) {
	r, b := f.r, in.Bot
	t := &task{
		account: in.Account, external: r.ingest.Keys(in),
		from: r.order.Arrived(order.Item{Author: order.Author{In: in.Account, Of: b.Conversation.String()}, ID: in.DedupeKey, Repeats: in.Repeats}),
	}
	if err := r.botTask(t, acc, &in); err != nil {
		r.note(&t.from, err)
		done(r.ingest.Refuse(in, Code(err)))
		return
	}
	answer := func(o outcome, err error) {
		switch code := refusalCode(err); {
		case errors.Is(err, ErrNotFound):
			done(r.ingest.Refuse(in, "not_found"))
		case code != "":
			done(r.ingest.Refuse(in, code))
		default:
			done(r.ack(b.Conversation, o, err))
		}
	}
	t.done = func(o outcome, err error) {
		if refusalCode(err) == "" || len(t.external) == 0 {
			answer(o, err)
			return
		}
		// The rules may refuse a repeat, since the bot has left by what it repeats. The conversation's worker
		// does not wait for the log, which knows.
		if !r.spawn(func() {
			if first, found, failed := r.known(r.ctx, acc.ID, t.external); found || failed != nil {
				o, err = first, failed
			}
			answer(o, err)
		}) {
			answer(o, ErrStopped)
		}
	}
	r.live(b.Conversation).submit(t)
}

// botTask completes the task that carries out what a bot does. An error is a refusal.
func (r *Router) botTask(t *task, acc directory.Account, in *plugin.Inbound) error {
	b := in.Bot
	switch {
	case b.Post != nil:
		anew := func(parts []conversation.Part) (*conversation.Post, error) {
			return r.messages.FromBot(acc.ID, messages.Written{
				Parts: parts, ClientID: b.Post.ClientID, Name: r.botName(acc), ReplyTo: b.Post.ReplyTo, ProviderAt: in.ProviderAt, ReceivedAt: in.ReceivedAt})
		}
		post, err := anew(b.Post.Parts)
		if err != nil {
			return err
		}
		if b.Post.ClientID != "" { // other bots' client ids name other messages
			t.external = append(t.external, r.vault.MAC("client", acc.ID[:], b.Conversation[:], []byte(b.Post.ClientID)))
		}
		t.cmd = post
		t.prepare = func(t *task, s *conversation.State) error {
			if s.Bot() != acc.ID {
				return nil // the rules refuse the message; a bot that takes no part must not learn which messages and files there are
			}
			if err := r.fillTemplates(post, b.Post.Parts, s, anew); err != nil {
				return err
			}
			if err := r.messages.LookUp(r.ctx, post, s); err != nil {
				return err
			}
			if err := r.attach(t, post, s.ID); err != nil {
				return err
			}
			caps := s.EndpointCapabilities(post.Endpoint)
			return r.messages.Fits(post, &caps)
		}
	case b.Attributes != nil:
		body, err := json.Marshal(conversation.CustomerBody{Attributes: b.Attributes})
		if err != nil {
			return fmt.Errorf("router: encode attributes: %w", err)
		}
		t.cmd = conversation.UpdateCustomer{Body: body}
		t.prepare = func(_ *task, s *conversation.State) error {
			if s.Bot() != acc.ID {
				return conversation.ErrNotJoined
			}
			return nil
		}
	default:
		leave := conversation.BotLeave{Bot: acc.ID, End: b.End != nil, Request: conversation.NewID[conversation.RequestID]()}
		var reason string
		if b.End != nil {
			reason = b.End.Reason
		} else {
			reason = b.HandOver.Reason
			if b.HandOver.Service != "" {
				svc, ok := r.serviceNamed(b.HandOver.Service)
				if !ok {
					return ErrNoService
				}
				leave.Service = svc.ID
				t.prepare = func(t *task, s *conversation.State) error {
					leave, rules := t.cmd.(conversation.BotLeave), svc.RulesFor(s.Capabilities.MediumOf())
					leave.Rules = &rules
					t.cmd = leave
					return nil
				}
			}
		}
		if reason != "" {
			body, err := json.Marshal(conversation.MessageBody{Name: r.botName(acc), Parts: []conversation.Part{{Kind: conversation.PartText, Text: reason}}})
			if err != nil {
				return fmt.Errorf("router: encode reason: %w", err)
			}
			leave.Note, leave.NoteID = body, conversation.NewID[conversation.MessageID]()
		}
		t.cmd = leave
	}
	return nil
}

// serviceNamed finds the service to which a bot hands over, by its name or its id.
func (r *Router) serviceNamed(name string) (directory.Service, bool) {
	snap := r.dir.Snapshot()
	svc, ok := snap.ServiceByName(name)
	if id := (conversation.ServiceID{}); !ok && id.UnmarshalText([]byte(name)) == nil {
		svc, ok = snap.Service(id)
	}
	return svc, ok
}

// subscribeBot opens a reader of one conversation for the bot that takes part in it (plugin.Core).
func (r *Router) subscribeBot(ctx context.Context, spec plugin.SubscriptionSpec, sink plugin.Sink) (plugin.Reader, error) {
	if spec.Audience != conversation.AudienceBot {
		return nil, refusedSubscription(ErrInvalid)
	}
	th := &botThread{bots: r.bots, conv: spec.Bot}
	s := r.readers.NewSubscription(th, spec.Audience, spec.Credit, sink)
	l, takes := r.live(spec.Bot), false
	// Asked on the conversation's worker, so that the bot cannot leave between the question and the
	// registration.
	_, err := l.do(ctx, &task{read: func(*conversation.State) { takes = ctx.Err() == nil && r.bots.Read(spec.Bot, spec.Account, s) }})
	if err != nil {
		r.bots.Closed(spec.Bot, s) // the plugin may be gone since the registration
		return nil, notFoundSubscription(err)
	}
	if !takes {
		return nil, refusedSubscription(conversation.ErrNotJoined)
	}
	s.Attach(l.tail, spec.AfterSeq)
	s.Start()
	return s, nil
}

func notFoundSubscription(err error) error {
	if errors.Is(err, ErrNotFound) {
		return refusedSubscription(ErrNotFound)
	}
	return err
}

// botNow tells bots who takes part in a conversation, as its state in the log says.
func (r *Router) botNow(s *conversation.State) {
	bot, seq := s.Bot(), s.Seq
	if !bot.IsZero() {
		seq = s.BotSince()
	}
	r.bots.Now(s.ID, bot, seq, s.Phase != conversation.PhaseOpen)
}

// botThread is what a bot's subscription reads: readers.Thread.
type botThread struct {
	bots *bots.Keeper
	conv conversation.ConversationID
}

// Left implements readers.Thread.
func (th *botThread) Left(s *readers.Subscription) { th.bots.Closed(th.conv, s) }

// signalOfBot passes a bot's typing on, as Router.Typing does an agent's.
func (r *Router) signalOfBot(s plugin.CustomerSignal) {
	acc, ok := r.dir.Snapshot().Account(s.Account)
	if !ok || s.Kind != plugin.SignalTyping || !r.bots.Takes(s.Bot, s.Account) {
		return // a bot that may not write there is not shown as typing
	}
	l := r.live(s.Bot)
	l.tail.Signal(readers.Signal{Conversation: s.Bot, Kind: s.Kind, On: s.On, Who: conversation.Author{Kind: conversation.Bot, Bot: s.Account}, Name: r.botName(acc)})
	r.tellTyping(l, s.On)
}
