package router

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// Mark records how far an agent has received and read a conversation. If no agent had read so far, the
// providers of store-and-forward channels that take read marks are told in the same append.
func (r *Router) Mark(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, delivered, read uint64) error {
	t := &task{cmd: conversation.Mark{By: conversation.Author{Kind: conversation.Agent, Agent: id}, Delivered: delivered, Read: read}}
	var tell []readMark
	t.prepare = func(_ *task, s *conversation.State) (err error) {
		tell = nil
		if s.Participant(id) != nil || s.WaitsFor(id) { // the rules refuse the marks of others
			tell, err = r.readMarks(s, min(read, s.Seq))
		}
		return err
	}
	t.queue = func(s *conversation.State) (cmds []*outbox.Command, err error) {
		for i := range tell {
			tell[i].from.Seq = s.Seq
			c, err := r.outbox.MarkRead(tell[i].from, &tell[i].cmd)
			if err != nil {
				return nil, err
			}
			cmds = append(cmds, c)
		}
		return cmds, nil
	}
	_, err := r.live(conv).do(ctx, t)
	return err
}

// readMark is what a provider is to be told.
type readMark struct {
	from outbox.Origin
	cmd  plugin.MarkReadCommand
}

// readMarks returns what providers are to be told of the customer's messages up to the event read that no
// agent had read before. It reads the log if there is a provider to tell.
func (r *Router) readMarks(s *conversation.State, read uint64) ([]readMark, error) {
	before := uint64(0)
	for i := range s.Marks {
		if m := &s.Marks[i]; m.By.Kind == conversation.Agent {
			before = max(before, m.Read)
		}
	}
	if read <= before {
		return nil, nil
	}
	var marks []readMark
	for i := range s.Endpoints {
		account := s.Endpoints[i].Account
		acc, _ := r.dir.Snapshot().Account(account)
		if info, ok := r.pluginInfo(acc.Plugin); !ok || !info.MarkRead || !r.tells(s, i, directory.FeatureRead) {
			continue
		}
		m, err := r.customersLast(r.ctx, s.ID, i, before, read)
		if err != nil {
			return nil, err
		}
		if len(m.providerIDs) == 0 {
			continue // nothing new, or the provider has no name for it
		}
		to, err := r.readers.Address(r.ctx, s.ID, i)
		if errors.Is(err, readers.ErrUnreadable) {
			continue // the mark itself is kept
		}
		if err != nil {
			return nil, fmt.Errorf("router: thread of a read mark: %w", notFound(err))
		}
		marks = append(marks, readMark{outbox.Origin{Conversation: s.ID, Account: account, Thread: to.Thread},
			plugin.MarkReadCommand{Message: m.id, ProviderIDs: m.providerIDs}})
	}
	return marks, nil
}

// named is a message with the ids under which its provider knows it.
type named struct {
	id          conversation.MessageID
	providerIDs []string
}

// maxMarkBack is how many events back the customer's newest message may lie that a provider is told of.
const maxMarkBack = 1024

// customersLast finds the customer's newest message over an endpoint among the events after one
// sequence and up to another. What only changes another message is none. Zero: there is none, it lies
// more than maxMarkBack events back, or its body cannot be read.
func (r *Router) customersLast(ctx context.Context, conv conversation.ConversationID, endpoint int, after, upTo uint64) (named, error) {
	const page = 128
	if upTo > maxMarkBack {
		after = max(after, upTo-maxMarkBack)
	}
	for upTo > after {
		from := upTo - min(page, upTo-after)
		recs, err := r.log.Read(ctx, eventlog.StreamID(conv), from, int(upTo-from))
		if err != nil {
			return named{}, fmt.Errorf("router: customer's last message of %s: %w", conv, err)
		}
		for i := len(recs) - 1; i >= 0; i-- {
			if recs[i].Type != string(conversation.TypeMessage) {
				continue
			}
			h, err := conversation.DecodeHead(conversation.TypeMessage, recs[i].Head)
			if err != nil {
				return named{}, fmt.Errorf("router: customer's last message of %s: %w", conv, err)
			}
			if m := h.(*conversation.MessagePosted); m.Author.Kind != conversation.Customer || m.Endpoint != endpoint || messages.Changes(m.Kinds) {
				continue
			}
			m, body, err := r.readers.Message(ctx, conv, recs[i].Seq)
			if errors.Is(err, readers.ErrUnreadable) {
				return named{}, nil
			}
			if err != nil {
				return named{}, notFound(err)
			}
			return named{m.ID, body.ProviderIDs}, nil
		}
		upTo = from
	}
	return named{}, nil
}
