package sdk

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Bot answers customers before, or instead of, agents (minor 1). Set Manifest.Bot as well. The SDK
// reads every conversation in which an account of the plugin is the bot.
type Bot interface {
	// Answer is called for each record of a conversation that a bot may see, one after another; those
	// of different conversations side by side. After a restart it is called again for all of them,
	// from the beginning: what a turn posts has an id that is made from its record, so that the host
	// recognises it as the same message. Answer must therefore do the same for the same records, also
	// when the settings have changed meanwhile: if it asks a model, a clock or settings, store what it
	// decides (Host.KV) before the turn does it. What `parley plugin new --bot` writes shows how.
	//
	// An error is logged, so it must contain no message text. The host hands a conversation over to
	// people when its bot is silent for too long.
	Answer(ctx context.Context, t *BotTurn) error
}

// BotFunc adapts a function to Bot.
type BotFunc func(ctx context.Context, t *BotTurn) error

// Answer calls f.
func (f BotFunc) Answer(ctx context.Context, t *BotTurn) error { return f(ctx, t) }

// BotTurn is a record that a bot may answer. It is valid while Answer runs, in one goroutine.
type BotTurn struct {
	Account      AccountID
	Conversation ConversationID
	Record       Record
	Joined       uint64 // seq of the event by which the bot joined

	emit func(ctx context.Context, ev Event) (Ack, error)
	acts int // what was done in this turn, for ids
}

// NewBotTurn makes a turn for tests of a bot; emit takes what the bot does.
func NewBotTurn(account AccountID, r Record, joined uint64, emit func(ctx context.Context, ev Event) (Ack, error)) *BotTurn {
	return &BotTurn{Account: account, Conversation: r.Conversation, Record: r, Joined: joined, emit: emit}
}

// id derives an id from the record and from how many were made before in this turn: a turn that is
// repeated makes the same ones.
func (t *BotTurn) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Account))
	t.acts++
	return fmt.Sprintf("bot-%016x-%d-%d", h.Sum64(), t.Record.Seq, t.acts)
}

func (t *BotTurn) do(ctx context.Context, id string, body EventBody) error {
	_, err := t.emit(ctx, Event{Account: t.Account, DedupeKey: string(t.Conversation) + "/" + id, Body: body})
	return err
}

// Post sends a message to the customer and returns when it is durable. A *RefusedError says that the
// bot takes part no longer, or that the conversation has ended.
func (t *BotTurn) Post(ctx context.Context, parts ...Part) error {
	id := t.id()
	return t.do(ctx, id, BotPost{Conversation: t.Conversation, ClientID: id, Parts: parts})
}

// HandOver lets people take over, in another service or, with "", the conversation's own. The bot is
// told nothing more of the conversation.
func (t *BotTurn) HandOver(ctx context.Context, service, reason string) error {
	return t.do(ctx, t.id(), BotHandOver{Conversation: t.Conversation, Service: service, Reason: reason})
}

// End ends the conversation.
func (t *BotTurn) End(ctx context.Context, reason string) error {
	return t.do(ctx, t.id(), BotEnd{Conversation: t.Conversation, Reason: reason})
}

// Tell adds to what is known of the customer.
func (t *BotTurn) Tell(ctx context.Context, attributes ...Attribute) error {
	return t.do(ctx, t.id(), BotAttributes{Conversation: t.Conversation, Attributes: attributes})
}

// bots are the conversations that the plugin's Bot reads.
type bots struct {
	srv *Server

	mu   sync.Mutex
	open map[botKey]*botReader
}

type botKey struct {
	account      AccountID
	conversation ConversationID
}

// botReader reads one conversation.
type botReader struct {
	sub    *subscription
	cancel context.CancelFunc
}

// botNotice takes a notice from the session's reader.
func (s *Server) botNotice(wire *pluginv1.BotNotice) {
	n := botNoticeFromWire(wire)
	if s.abilities.Bot != nil {
		s.bots.notice(n)
	}
	if h := s.abilities.BotNoticeHandler; h != nil {
		s.botNotices.do(&s.work, func() { s.guard("bot notice", func() { h.BotNotice(s.ctx, n) }) })
	}
}

func (b *bots) notice(n BotNotice) {
	key := botKey{n.Account, n.Conversation}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.open[key]
	// A reader that the host has ended a moment ago may still be in the map.
	live := r != nil && b.srv.subs.find(r.sub.id) == r.sub
	switch {
	case n.Left:
		if r != nil {
			b.close(key, r)
		}
		return
	case live:
		return
	case r != nil:
		b.close(key, r)
	}
	ctx, cancel := context.WithCancel(b.srv.ctx)
	r = &botReader{cancel: cancel}
	r.sub = &subscription{
		owner: b.srv.subs, account: n.Account, opts: SubscribeOptions{Audience: "bot", Conversation: n.Conversation},
		handler: func(batch RecordBatch) { b.read(ctx, key, r, n.Seq, batch) },
	}
	b.open[key] = r
	b.srv.subs.subscribe(ctx, r.sub)
}

// close stops a reader; the caller holds mu.
func (b *bots) close(key botKey, r *botReader) {
	delete(b.open, key)
	r.cancel() // closes the subscription, too
}

func (b *bots) read(ctx context.Context, key botKey, r *botReader, joined uint64, batch RecordBatch) {
	for i := range batch.Records {
		if ctx.Err() != nil {
			return
		}
		t := &BotTurn{
			Account: key.account, Conversation: key.conversation, Record: batch.Records[i], Joined: joined,
			emit: (&host{srv: b.srv}).Emit,
		}
		var err error
		if b.srv.guard("bot", func() { err = b.srv.abilities.Bot.Answer(ctx, t) }) && err != nil && ctx.Err() == nil {
			b.srv.log.Warn("bot failed", "conversation_id", string(key.conversation), "account", string(key.account), "err", err)
		}
	}
	if batch.End != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.open[key] == r {
			b.close(key, r)
		}
	}
}
