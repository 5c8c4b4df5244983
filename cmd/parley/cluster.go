package main

import (
	"context"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/nodes"
)

// join takes this node into the installation, if other processes may write the log as well. run
// ends when the node stops.
func (n *node) join(ctx, run context.Context) error {
	shared, ok := n.stores.Log.(eventlog.Shared)
	if !ok {
		return nil
	}
	v, _ := versionText()
	k, err := nodes.New(nodes.Options{Name: n.cfg.Node, Version: v, Address: n.cfg.Origins.Desk, Log: shared, Logger: n.logger, Now: n.clock.Now})
	if err != nil {
		return err
	}
	if err := k.Join(ctx); err != nil {
		return err
	}
	n.nodes = k
	n.leases = nodes.NewLeases(nodes.LeaseOptions{Node: n.cfg.Node, Log: shared, Owns: k.Owns, Logger: n.logger})
	n.background.Go(func() { k.Run(run) })
	n.background.Go(func() { n.leases.Run(run) })
	return nil
}

// leave takes this node out at once, once nothing of it works any more.
func (n *node) leave(ctx context.Context) {
	if n.nodes == nil {
		return
	}
	n.leases.Release(ctx)
	if err := n.nodes.Leave(ctx); err != nil {
		n.logger.Warn("other nodes notice only in a while that this one has left", "err", err)
	}
}

// nameTaken is closed when another process has this node's name; nil if that cannot be.
func (n *node) nameTaken() <-chan struct{} {
	if n.nodes == nil {
		return nil
	}
	return n.nodes.Taken()
}
