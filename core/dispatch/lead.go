package dispatch

import (
	"context"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// The ACD leads on one node at a time (DESIGN.md 4).
const (
	leaseName  = "acd"
	leaseTTL   = 10 * time.Second
	leaseRenew = 3 * time.Second
)

// lead takes or renews the lease.
func (a *Assigner) lead(ctx context.Context) {
	asked := time.Now()
	epoch, held, err := a.log.AcquireLease(ctx, leaseName, a.node, leaseTTL)
	if err != nil {
		if ctx.Err() == nil {
			a.logger.Warn("cannot renew the lease of the ACD", "err", err)
		}
		return
	}
	a.mu.Lock()
	begins := held && (!a.leads || a.epoch != epoch)
	a.leads, a.epoch = held, epoch
	if held {
		a.until = asked.Add(leaseTTL) // monotonic, so a step of the system's clock changes nothing (FT19)
	}
	a.mu.Unlock()
	if begins {
		a.logger.Info("leading the ACD", "epoch", epoch)
		a.takeOver(ctx)
	}
}

// takeOver learns what happened while another node led: this node did not follow the hints about
// conversations that nobody reads here.
func (a *Assigner) takeOver(ctx context.Context) {
	err := a.convs.Unfinished(ctx, func(rows []eventlog.ConversationRow) error {
		for i := range rows {
			id := conversation.ConversationID(rows[i].ID)
			a.mu.Lock()
			known := a.known[id].seq >= rows[i].Seq
			a.mu.Unlock()
			if !known {
				a.convs.Follow(id, rows[i].Seq)
			}
		}
		return nil
	})
	if err != nil {
		a.logger.Warn("cannot read what waits for agents", "err", err)
		a.mu.Lock()
		a.leads, a.epoch = false, -1 // repeat the takeover at the next renewal
		a.mu.Unlock()
	}
}

// Leads reports whether this node makes the offers. If so, it also follows conversations that
// nobody reads here.
func (a *Assigner) Leads() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leads
}

// Release gives the lease up, so that another node can lead at once, and makes no more offers under
// it. It takes a second at most.
func (a *Assigner) Release() {
	a.mu.Lock()
	leads, epoch := a.leads, a.epoch
	a.leads = false
	a.mu.Unlock()
	if !leads {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.runner.Running()), time.Second)
	defer cancel()
	if err := a.log.ReleaseLease(ctx, leaseName, a.node, epoch); err != nil {
		a.logger.Warn("cannot release the lease of the ACD", "err", err)
	}
}
