package router

import (
	"context"
	"slices"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// prepareCustomerPost completes a customer's message with what depends on the state: the endpoint,
// what is known of its attachments and of the messages that it names, and whether the owner of a
// parked exchange is away.
func (r *Router) prepareCustomerPost(t *task, s *conversation.State) error {
	post, ok := t.cmd.(*conversation.Post)
	if !ok {
		return nil
	}
	if t.wrote != nil {
		id := post.ID
		var err error
		post, err = r.messages.Resolve(r.ctx, *t.wrote, s, func(ctx context.Context, provider string) (eventlog.StreamID, uint64, error) {
			return r.ingest.Find(ctx, t.account, provider)
		})
		if err != nil {
			return err
		}
		post.ID, t.cmd = id, post
	}
	post.OwnerAway, post.Request = false, conversation.RequestID{} // set in an earlier attempt
	post.Endpoint = endpointOf(s, t.account)
	if s.Parking != nil {
		post.OwnerAway = !r.agents.State(s.Parking.Owner).LoggedIn
		post.Request = conversation.NewID[conversation.RequestID]()
	}
	if err := r.messages.LookUpCustomers(r.ctx, post, s); err != nil {
		return err
	}
	return r.attach(t, post, s.ID)
}

// endpointOf is the conversation's endpoint on an account; 0 if it has none there.
func endpointOf(s *conversation.State, account conversation.AccountID) int {
	return max(0, slices.IndexFunc(s.Endpoints, func(e conversation.Endpoint) bool { return e.Account == account }))
}

// prepareWindow says to which endpoint a reply window belongs.
func prepareWindow(t *task, s *conversation.State) error {
	w := t.cmd.(conversation.SetReplyWindow)
	w.Endpoint = endpointOf(s, t.account)
	t.cmd = w
	return nil
}

// prepareStart completes the first message of a Start with what is known of its attachments. A message
// that the channel cannot carry is refused if it is for the customer.
func (r *Router) prepareStart(t *task, s *conversation.State) error {
	start := t.cmd.(conversation.Start)
	if start.First == nil {
		return nil
	}
	if len(start.First.Blobs) > 0 {
		first := *start.First
		if err := r.attach(t, &first, s.ID); err != nil {
			return err
		}
		start.First = &first
		t.cmd = start
	}
	if start.First.Author.Kind == conversation.Customer {
		return nil
	}
	return r.messages.Fits(start.First, &start.Capabilities)
}

// attach looks up a message's attachments, and lets the append of t bind those that no message has
// named before.
func (r *Router) attach(t *task, p *conversation.Post, conv conversation.ConversationID) (err error) {
	by := blob.Sender{Conversation: conv}
	switch p.Author.Kind {
	case conversation.Customer:
		by.Account, by.Thread = t.account, t.cameOn
	case conversation.Bot:
		by.Account = p.Author.Bot
	default:
	}
	t.blobs, err = r.messages.Attach(r.ctx, p, by)
	return err
}
