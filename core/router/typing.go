package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
)

// typingEvery is the least time between two commands that tell a conversation's provider that somebody
// writes. Agents' sockets say so again every 4 s.
const typingEvery = 3 * time.Second

// maxTyping bounds the conversations whose providers are being told of typing at one moment. What comes
// when there are so many is dropped.
const maxTyping = 16

// typist holds how far a conversation's provider has been told that somebody writes. The zero value is
// ready to use: nobody writes.
type typist struct {
	mu      sync.Mutex
	on      bool      // what readers were told last
	told    bool      // what the provider was told last
	at      time.Time // when the provider was last told that somebody writes
	telling bool      // a goroutine tells the provider
}

// wants reports whether the provider is to be told something now. It needs y.mu.
func (y *typist) wants(now time.Time) bool {
	if !y.on {
		return y.told
	}
	return y.at.IsZero() || now.Sub(y.at) >= typingEvery
}

// tellTyping tells the provider of a conversation on a store-and-forward channel that somebody on our
// side writes, or has stopped. It never blocks. The command is not in the log: it is dropped when the
// plugin is behind or too much of it is under way, and what is said while it is under way is told as one.
func (r *Router) tellTyping(l *live, on bool) {
	if !r.someTakeTyping() {
		return
	}
	y := &l.typist
	y.mu.Lock()
	y.on = on
	begin := !y.telling && y.wants(r.now())
	y.telling = y.telling || begin
	y.mu.Unlock()
	if !begin {
		return
	}
	free := func() {
		y.mu.Lock()
		y.telling = false
		y.mu.Unlock()
	}
	select {
	case r.typists <- struct{}{}:
	default:
		free()
		return
	}
	if !r.spawn(func() { defer func() { <-r.typists }(); r.tellAllTyping(l) }) {
		<-r.typists
		free()
	}
}

// someTakeTyping reports whether there is a plugin that takes typing commands.
func (r *Router) someTakeTyping() bool {
	m := r.infos.Load()
	if m == nil {
		return false
	}
	for id := range *m {
		if (*m)[id].Typing {
			return true
		}
	}
	return false
}

// tellAllTyping tells a conversation's provider what it is to be told until there is nothing more.
func (r *Router) tellAllTyping(l *live) {
	y := &l.typist
	for {
		y.mu.Lock()
		on, now := y.on, r.now()
		if !y.wants(now) {
			y.telling = false
			y.mu.Unlock()
			return
		}
		y.told = on
		if on {
			y.at = now
		}
		y.mu.Unlock()
		if err := r.sendTyping(l, on); err != nil && !errors.Is(err, ErrStopped) {
			r.logger.Debug("typing not passed on", "conversation_id", l.id, "err", err)
		}
	}
}

// sendTyping gives a typing command to the plugin of the channel over which agents answer, if that takes
// it.
func (r *Router) sendTyping(l *live, on bool) error {
	ctx, cancel := context.WithTimeout(r.ctx, typingEvery) // after that the news is old
	defer cancel()
	var account conversation.AccountID
	var seq uint64
	_, err := l.do(ctx, &task{read: func(s *conversation.State) {
		account, seq = conversation.AccountID{}, s.Seq
		if s.Phase == conversation.PhaseOpen && !s.OptedOut && r.tells(s, 0, directory.FeatureTyping) {
			account = s.Endpoints[0].Account
		}
	}})
	if err != nil { // after an error the task may still run and write account and seq, so they must not be read
		return err
	}
	if account.IsZero() {
		return nil
	}
	acc, _ := r.dir.Snapshot().Account(account)
	if info, ok := r.pluginInfo(acc.Plugin); !ok || !info.Typing {
		return nil
	}
	to, err := r.readers.Address(ctx, l.id, 0)
	if err != nil {
		return notFound(err)
	}
	last, err := r.customersLast(ctx, l.id, 0, 0, seq)
	if err != nil {
		return err
	}
	cmd := plugin.Outbound{
		Command: [16]byte(conversation.NewID[conversation.MessageID]()), Account: account, Thread: to.Thread, Conversation: l.id, Attempt: 1,
		Typing: &plugin.TypingCommand{On: on},
	}
	if len(last.providerIDs) > 0 {
		cmd.Typing.ProviderID = last.providerIDs[0]
	}
	outcome := "sent"
	if !r.outbox.Pass(acc.Plugin, cmd) {
		outcome = "dropped"
	}
	r.metrics.typing.WithLabelValues(acc.Plugin, outcome).Inc()
	return nil
}

// tells reports whether an endpoint's channel is store-and-forward and the conversation's service lets
// the customer know of a feature. A conversation without service has all features.
func (r *Router) tells(s *conversation.State, endpoint int, feature string) bool {
	if endpoint >= len(s.Endpoints) || s.EndpointCapabilities(endpoint).Connected {
		return false
	}
	svc, ok := r.service(s.Service)
	return !ok || svc.record.Has(feature)
}
