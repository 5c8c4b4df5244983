package conversation_test

import (
	"testing"

	. "github.com/parley-gateway/parley/core/conversation"
)

// A message may refer only to messages of its own conversation, and may edit or revoke only its own
// author's messages (DESIGN.md 3: message references).
func TestMessageReferences(t *testing.T) {
	ana, ben := agentAuthor(1), agentAuthor(2)
	caps := Capabilities{Text: true, Connected: true, Edit: true, Revoke: true, Reaction: true}
	known := func(k PartKind, by Author) []Ref { return []Ref{{Message: message(9), Kind: k, Author: by}} }
	for _, tc := range []struct {
		name  string
		by    Author
		kinds []PartKind
		reply MessageID
		refs  []Ref
		want  error
	}{
		{"reply to the other side", customer, []PartKind{PartText}, message(9), known("", ana), nil},
		{"reply to what is not here", customer, []PartKind{PartText}, message(9), known("", Author{}), ErrNoSuchMessage},
		{"reply that nobody looked up", ana, []PartKind{PartText}, message(9), nil, ErrNoSuchMessage},
		{"edit of one's own", customer, []PartKind{PartEdit}, MessageID{}, known(PartEdit, customer), nil},
		{"edit of the agent's by the customer", customer, []PartKind{PartEdit}, MessageID{}, known(PartEdit, ana), ErrNotAuthor},
		{"edit of the customer's by the agent", ana, []PartKind{PartEdit}, MessageID{}, known(PartEdit, customer), ErrNotAuthor},
		{"edit of another agent's", ana, []PartKind{PartEdit}, MessageID{}, known(PartEdit, ben), ErrNotAuthor},
		{"edit of what is not here", customer, []PartKind{PartEdit}, MessageID{}, known(PartEdit, Author{}), ErrNoSuchMessage},
		{"edit that nobody looked up", customer, []PartKind{PartEdit}, MessageID{}, nil, ErrNoSuchMessage},
		{"revocation of one's own", ana, []PartKind{PartRevoke}, MessageID{}, known(PartRevoke, ana), nil},
		{"revocation of the agent's by the customer", customer, []PartKind{PartRevoke}, MessageID{}, known(PartRevoke, ana), ErrNotAuthor},
		{"revocation that nobody looked up", customer, []PartKind{PartRevoke}, MessageID{}, known(PartEdit, customer), ErrNoSuchMessage},
		{"reaction to the other side's", customer, []PartKind{PartReaction}, MessageID{}, known(PartReaction, ana), nil},
		{"reaction to one's own", ana, []PartKind{PartReaction}, MessageID{}, known(PartReaction, ana), nil},
		{"reaction to what is not here", customer, []PartKind{PartReaction}, MessageID{}, known(PartReaction, Author{}), ErrNoSuchMessage},
		{"one of two foreign", customer, []PartKind{PartEdit, PartEdit}, MessageID{},
			append(known(PartEdit, customer), known(PartEdit, ana)...), ErrNotAuthor},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newScene(t)
			start := startWeb()
			start.Capabilities = caps
			c.do(start)
			c.do(Offer{Request: request(1), Offer: offer(1), Agent: agent(1)})
			c.do(Accept{Offer: offer(1), Agent: agent(1)})
			p := post(10, tc.by)
			p.Kinds, p.ReplyTo, p.Refs = tc.kinds, tc.reply, tc.refs
			if tc.want != nil {
				c.refuses(p, tc.want)
				return
			}
			c.gives(p, TypeMessage)
		})
	}
	// The first message has no earlier message to react to.
	start := startWeb()
	start.First.Kinds = []PartKind{PartReaction}
	newScene(t).refuses(start, ErrNoSuchMessage)
}
