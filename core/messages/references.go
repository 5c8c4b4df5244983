package messages

import (
	"context"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	// maxLookback is how many events back a message may lie that is replied to, edited,
	// revoked or reacted to. It bounds what one message can make the log read.
	maxLookback = 4096
	lookPage    = 256 // events in one read
)

// refsOf lists the messages that parts and a reply name; nil for most messages.
func refsOf(parts []conversation.Part, replyTo conversation.MessageID) (refs []conversation.Ref) {
	add := func(id conversation.MessageID, k conversation.PartKind) {
		refs = append(refs, conversation.Ref{Message: id, Kind: k})
	}
	if !replyTo.IsZero() {
		add(replyTo, "")
	}
	for i := range parts {
		switch p := &parts[i]; {
		case p.Edit != nil:
			add(p.Edit.Message, conversation.PartEdit)
		case p.Revoke != nil:
			add(p.Revoke.Message, conversation.PartRevoke)
		case p.Reaction != nil:
			add(p.Reaction.Message, conversation.PartReaction)
		}
	}
	return refs
}

// LookUp completes a message's references with the authors of the messages that they name, from the
// conversation's log, newest events first. A reference whose message is not found stays without an
// author, and Decide refuses it.
func (m *Maker) LookUp(ctx context.Context, p *conversation.Post, s *conversation.State) error {
	if len(p.Refs) == 0 {
		return nil
	}
	for i := range p.Refs {
		p.Refs[i].Author = conversation.Author{} // found in an earlier attempt
	}
	left := len(p.Refs)
	for to := s.Seq; to > 0 && s.Seq-to < maxLookback; {
		after := to - min(to, lookPage)
		recs, err := m.log.Read(ctx, eventlog.StreamID(s.ID), after, int(to-after))
		if err != nil {
			return fmt.Errorf("messages: look up a message of %s: %w", s.ID, err)
		}
		for _, rec := range recs {
			if rec.Type != string(conversation.TypeMessage) {
				continue
			}
			h, err := conversation.DecodeHead(conversation.TypeMessage, rec.Head)
			if err != nil {
				return fmt.Errorf("messages: look up a message of %s: %w", s.ID, err)
			}
			if left -= found(p.Refs, h.(*conversation.MessagePosted)); left == 0 {
				return nil
			}
		}
		to = after
	}
	return nil
}

// found writes the author of message h into the references that name h, and returns how many there
// are. A message that only changes another one (edit, revocation, reaction) cannot be referred to.
func found(refs []conversation.Ref, h *conversation.MessagePosted) (n int) {
	if Changes(h.Kinds) {
		return 0
	}
	for i := range refs {
		if refs[i].Message == h.ID {
			refs[i].Author = h.Author
			n++
		}
	}
	return n
}

// LookUpCustomers is LookUp for a customer's message. A reply to a message that is not found in
// this conversation (it may be of an earlier one) is kept as a plain message, since nobody could
// ask the customer to write it again.
func (m *Maker) LookUpCustomers(ctx context.Context, p *conversation.Post, s *conversation.State) error {
	if err := m.LookUp(ctx, p, s); err != nil || p.ReplyTo.IsZero() || p.Refs[0].Author.Kind != "" {
		return err
	}
	m.unresolved.WithLabelValues(s.Channel).Inc()
	p.ReplyTo, p.Refs = conversation.MessageID{}, p.Refs[1:]
	return nil
}
