package dispatch

import (
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// offerPause is how long a failed offer waits, so that it is not tried again at once.
const offerPause = 250 * time.Millisecond

// assign makes offers for as long as the dispatcher has assignments.
func (a *Assigner) assign() {
	for {
		a.mu.Lock()
		if !a.leads || !time.Now().Before(a.until) {
			a.mu.Unlock()
			return
		}
		next, ok := a.dispatcher.Next(a.now())
		epoch := a.epoch
		a.mu.Unlock()
		if !ok {
			return
		}
		a.convs.Offer(next.Conversation,
			conversation.Offer{Request: next.Request, Offer: conversation.NewID[conversation.OfferID](), Agent: next.Agent, Epoch: epoch},
			eventlog.LeaseRef{Name: leaseName, Epoch: epoch},
			func(err error) { a.offered(next, epoch, err) })
	}
}

// offered takes the outcome of an offer made under an epoch of the lease, and frees its request and
// agent for other offers. After a failure it first waits a moment and makes sure that the
// dispatcher has the true states: whatever refused the offer would refuse it again at once.
func (a *Assigner) offered(made acd.Assignment, epoch int64, err error) {
	if err == nil {
		a.free(made)
		return
	}
	if errors.Is(err, eventlog.ErrFenced) { // another node leads: make no offers until this node has the lease again
		a.mu.Lock()
		if a.epoch == epoch {
			a.leads = false
		}
		a.mu.Unlock()
	}
	a.runner.Go(func() { // if the router is stopping, no offers are made any more
		a.logger.Debug("offer not made", "conversation_id", made.Conversation, "agent_id", made.Agent, "err", err)
		a.convs.Retell(made)
		select {
		case <-time.After(offerPause):
		case <-a.runner.Running().Done():
		}
		a.free(made)
	})
}

// free ends the reservation of an assignment's request and agent.
func (a *Assigner) free(made acd.Assignment) {
	a.mu.Lock()
	a.dispatcher.Release(made)
	a.mu.Unlock()
	a.poke()
}
