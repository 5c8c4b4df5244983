package messages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Find returns the event to which a provider's id is bound. It fails with eventlog.ErrNotFound when
// the id is bound to none.
type Find func(ctx context.Context, providerID string) (stream eventlog.StreamID, seq uint64, err error)

// NamesByProvider reports whether w names another message by the provider's id only.
func NamesByProvider(w *Written) bool {
	if w.ReplyTo.IsZero() && w.ReplyToProviderID != "" {
		return true
	}
	for i := range w.Parts {
		if named, provider := target(&w.Parts[i]); named != nil && named.IsZero() && provider != "" {
			return true
		}
	}
	return false
}

// target returns where a part keeps the message that it changes or reacts to, and the provider's id
// of that message; nil for other parts.
func target(p *conversation.Part) (named *conversation.MessageID, provider string) {
	if named, id, _ := p.Names(); named != nil {
		return named, *id
	}
	return nil, ""
}

// Resolve makes a customer's message anew for the conversation of s, with our ids in place of the
// provider's. Nobody could ask the customer to write again, so a message whose id is not one of this
// conversation is kept: a reply as a plain message, a reaction, an edit or a revocation as a part
// of kind "unsupported". Without find (nil) no id is known, as in a conversation that only begins.
// w is not changed. Errors are those of the log.
func (m *Maker) Resolve(ctx context.Context, w Written, s *conversation.State, find Find) (*conversation.Post, error) {
	var err error
	if w.ReplyTo.IsZero() && w.ReplyToProviderID != "" {
		if w.ReplyTo, err = m.named(ctx, w.ReplyToProviderID, s, find); err != nil {
			return nil, err
		}
		if w.ReplyTo.IsZero() {
			m.unresolved.WithLabelValues(s.Channel).Inc()
		}
	}
	w.Parts = slices.Clone(w.Parts)
	for i := range w.Parts {
		if w.Parts[i], err = m.resolvePart(ctx, w.Parts[i], s, find); err != nil {
			return nil, err
		}
	}
	return m.FromCustomer(w)
}

func (m *Maker) resolvePart(ctx context.Context, p conversation.Part, s *conversation.State, find Find) (conversation.Part, error) {
	named, provider := target(&p)
	if named == nil || !named.IsZero() || provider == "" {
		return p, nil
	}
	id, err := m.named(ctx, provider, s, find)
	if err != nil {
		return p, err
	}
	if id.IsZero() {
		m.unresolvedParts.WithLabelValues(s.Channel, string(p.Kind)).Inc()
		return keepRaw(&p)
	}
	switch { // the event's own parts stay as they came
	case p.Reaction != nil:
		c := *p.Reaction
		c.Message, p.Reaction = id, &c
	case p.Edit != nil:
		c := *p.Edit
		c.Message, p.Edit = id, &c
	case p.Revoke != nil:
		c := *p.Revoke
		c.Message, p.Revoke = id, &c
	}
	return p, nil
}

// keepRaw makes a part that keeps all of p, whose message is not known.
func keepRaw(p *conversation.Part) (conversation.Part, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return *p, fmt.Errorf("messages: encode %s: %w", p.Kind, err)
	}
	return conversation.Part{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: string(p.Kind), Data: data}}, nil
}

// named returns the message of s's conversation that has a provider's id; zero: there is none, or it
// lies further back than LookUp would find it. A message that only changes another one cannot be
// named.
func (m *Maker) named(ctx context.Context, provider string, s *conversation.State, find Find) (none conversation.MessageID, _ error) {
	if find == nil {
		return none, nil
	}
	stream, seq, err := find(ctx, provider)
	switch {
	case errors.Is(err, eventlog.ErrNotFound):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("messages: look up a provider's id: %w", err)
	case stream != eventlog.StreamID(s.ID) || seq == 0 || seq+maxLookback <= s.Seq:
		return none, nil
	}
	recs, err := m.log.Read(ctx, stream, seq-1, 1)
	if err != nil {
		return none, fmt.Errorf("messages: look up a message of %s: %w", s.ID, err)
	}
	if len(recs) == 0 || recs[0].Type != string(conversation.TypeMessage) {
		return none, nil
	}
	head, err := conversation.DecodeHead(conversation.TypeMessage, recs[0].Head)
	if err != nil {
		return none, fmt.Errorf("messages: look up a message of %s: %w", s.ID, err)
	}
	h := head.(*conversation.MessagePosted)
	if Changes(h.Kinds) {
		return none, nil
	}
	return h.ID, nil
}

// Changes reports whether a message with parts of these kinds only changes another message.
func Changes(kinds []conversation.PartKind) bool {
	return slices.ContainsFunc(kinds, func(k conversation.PartKind) bool {
		return k == conversation.PartEdit || k == conversation.PartRevoke || k == conversation.PartReaction
	})
}
