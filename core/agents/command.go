package agents

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// maxRetries bounds how often a command is decided again after a conflict.
const maxRetries = 8

// retryPause is how long a command that the store refused waits for its next attempt.
const retryPause = time.Second

// Command decides an agent's own command and commits it. If ctx ends before the commit is known,
// Command returns and the caller does not know the outcome.
func (k *Keeper) Command(ctx context.Context, id conversation.AgentID, cmd acd.Command) error {
	done := make(chan error, 1)
	if !k.runner.Go(func() { done <- k.commandNow(id, cmd) }) {
		return ErrStopped
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("agents: %s: %w", id, ctx.Err())
	}
}

func (k *Keeper) commandNow(id conversation.AgentID, cmd acd.Command) error {
	for attempt := 0; ; attempt++ {
		err := k.tryCommand(id, cmd)
		if attempt == 0 && acd.Code(err) != "" && k.overtaken(id) {
			continue
		}
		if !errors.Is(err, eventlog.ErrConflict) || attempt == maxRetries {
			return err
		}
		k.conflicts.Inc()
	}
}

// overtaken reports whether another node has written to an agent's stream. If so, a refusal may
// rest on an old state: the command must be decided again with the other node's events.
func (k *Keeper) overtaken(id conversation.AgentID) bool {
	a := k.agent(id)
	recs, err := k.log.Read(k.runner.Running(), eventlog.StreamID(id), a.view.Load().Seq, 1)
	if err != nil || len(recs) == 0 {
		return false
	}
	a.mark(recs[0].Seq)
	return true
}

func (k *Keeper) tryCommand(id conversation.AgentID, cmd acd.Command) error {
	p := Part{k: k}
	if err := p.hold(id); err != nil {
		return err
	}
	defer p.Release()
	if _, err := p.apply(id, cmd, k.now()); err != nil {
		return err
	}
	var b eventlog.Batch
	if err := p.Fill(&b); err != nil {
		return err
	}
	if len(b.Streams) == 0 {
		return nil
	}
	if _, err := k.log.Append(k.runner.Commits(), &b); err != nil {
		p.Failed(err)
		return fmt.Errorf("agents: %s: %w", id, err)
	}
	p.Committed()
	return nil
}

// Connected counts one more socket of an agent. The first one logs the agent in or ends a lost
// connection (A20). Each successful call must be paired with one of Disconnected.
func (k *Keeper) Connected(ctx context.Context, id conversation.AgentID) error {
	a := k.agent(id)
	a.mu.Lock()
	a.sockets++
	a.mu.Unlock()
	if err := k.Command(ctx, id, acd.Login{Node: k.node}); err != nil {
		k.Disconnected(id)
		return err
	}
	return nil
}

// Disconnected counts one socket less. After the last one the agent's grace period begins.
func (k *Keeper) Disconnected(id conversation.AgentID) {
	a := k.agent(id)
	a.mu.Lock()
	a.sockets--
	last := a.sockets == 0
	a.mu.Unlock()
	if last {
		k.runner.Go(func() { k.disconnect(a) })
	}
}

// Lost begins the grace period of agents whose sockets ended with the process that held them (A20).
// It makes one append for each agent.
func (k *Keeper) Lost(ids []conversation.AgentID) {
	for _, id := range ids {
		k.disconnect(k.agent(id))
	}
}

func (a *agent) here() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sockets > 0
}

func (k *Keeper) disconnect(a *agent) {
	if a.here() { // the agent has connected again
		return
	}
	if err := k.commandNow(a.id, acd.Disconnect{Node: k.node}); err != nil && !errors.Is(err, ErrStopped) {
		k.logger.Warn("agent's lost connection not recorded", "agent_id", a.id, "err", err)
		k.runner.After(retryPause, func() { k.disconnect(a) })
		return
	}
	k.stillHere(a) // a socket that opened in between saw the agent as connected and recorded nothing
}

// NodesGone records that agents have no sockets any more at nodes that are gone, of those agents
// whom this node owns (A20). It makes one append for each agent and node, of several agents at once, so
// that one of them that is slow does not delay the others.
func (k *Keeper) NodesGone(gone func(node string) bool, owns func(id conversation.AgentID) bool) {
	k.mu.Lock()
	all := make([]*agent, 0, len(k.byID))
	for _, a := range k.byID {
		all = append(all, a)
	}
	k.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, goneAtOnce)
	for _, a := range all {
		nodes := slices.DeleteFunc(slices.Clone(a.view.Load().Nodes), func(node string) bool { return !gone(node) })
		if len(nodes) == 0 || !owns(a.id) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for _, node := range nodes {
				if err := k.commandNow(a.id, acd.Disconnect{Node: node}); err != nil && !errors.Is(err, ErrStopped) {
					k.logger.Warn("agent's lost connection not recorded", "agent_id", a.id, "err", err) // the next call tries again
				}
			}
		})
	}
}

// goneAtOnce is of how many agents NodesGone makes the appends at once.
const goneAtOnce = 32

// stillHere records the agent as connected to this node, if the agent has a socket here while
// another node, or a late goroutine of this one, has recorded a lost connection.
func (k *Keeper) stillHere(a *agent) {
	here := a.here()
	if s := a.view.Load(); here && s.LoggedIn && (s.Disconnected || !slices.Contains(s.Nodes, k.node)) {
		if err := k.commandNow(a.id, acd.Connect{Node: k.node}); err != nil && !errors.Is(err, ErrStopped) {
			k.logger.Warn("agent's connection not recorded", "agent_id", a.id, "err", err)
			if !errors.Is(err, ErrNewer) {
				k.runner.After(retryPause, func() { k.follow(a) })
			}
		}
	}
}
