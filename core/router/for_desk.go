package router

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/desk"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// forDesk is the router as the desk sees it: desk.Conversations.
type forDesk struct{ r *Router }

// Do implements desk.Conversations.
func (f forDesk) Do(ctx context.Context, conv conversation.ConversationID, s desk.Step) (desk.Outcome, error) {
	t := &task{from: s.From, cmd: s.Command, account: conversation.AccountID(s.Author), external: s.Keys, outbox: s.Outbox}
	switch {
	case s.Decide != nil:
		t.prepare = func(t *task, state *conversation.State) error {
			p, err := s.Decide(state)
			t.cmd, t.blobs = p.Command, p.Blobs
			return err
		}
	case s.Check != nil:
		t.prepare = func(_ *task, state *conversation.State) error { return s.Check(state) }
	}
	out, err := f.r.live(conv).doOnce(ctx, t)
	return desk.Outcome{Conversation: out.conversation, Last: out.last, Seen: out.seen, Message: out.message, Duplicate: out.duplicate}, err
}

// Attach implements desk.Conversations.
func (f forDesk) Attach(p *conversation.Post, conv conversation.ConversationID) ([]conversation.BlobID, error) {
	t := &task{}
	err := f.r.attach(t, p, conv)
	return t.blobs, err
}

// FillTemplates implements desk.Conversations.
func (f forDesk) FillTemplates(p *conversation.Post, parts []conversation.Part, s *conversation.State, again func([]conversation.Part) (*conversation.Post, error)) error {
	return f.r.fillTemplates(p, parts, s, again)
}

// Refused implements desk.Conversations.
func (f forDesk) Refused(i *order.Item, err error) { f.r.note(i, err) }

// Signal implements desk.Conversations.
func (f forDesk) Signal(s readers.Signal) {
	l := f.r.live(s.Conversation)
	l.tail.Signal(s)
	if s.Kind == plugin.SignalTyping {
		f.r.tellTyping(l, s.On)
	}
}

// What the desk takes and gives, under the names by which others know them here.
type (
	// SendRequest asks to add a message or a note to a conversation.
	SendRequest = desk.SendRequest
	// Sent answers a SendRequest after the commit.
	Sent = desk.Sent
	// Board is the supervisors' view of agents and queues.
	Board = desk.Board
	// BoardAgent is an agent's line on the board.
	BoardAgent = desk.BoardAgent
	// BoardQueue is a service's line on the board.
	BoardQueue = desk.BoardQueue
)

// people is the desk, whose methods are the router's too.
type people = desk.Desk

// notFound turns readers.ErrNotFound into the router's ErrNotFound; other errors stay as they are.
func notFound(err error) error {
	if errors.Is(err, readers.ErrNotFound) {
		return fmt.Errorf("router: %w: %w", ErrNotFound, err)
	}
	return err
}
