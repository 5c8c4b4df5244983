package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/gateway/ops"
)

type serveCmd struct {
	configFlags
}

func (c *serveCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return serve(a.ctx, cfg, newLogger(cfg, a.stderr))
}

// errStoreFailed is the error with which the process ends when the log has failed for good (PR17).
var errStoreFailed = errors.New("the log has failed; nothing more can be made durable. Check the disk, then start again: what was acknowledged is safe")

// errKeysFailed is the error with which the process ends when the key store has failed for good (PR17).
var errKeysFailed = errors.New("the key store has failed: it reported an I/O error, or a database has lost what it had confirmed. " +
	"Check disk or server, then start again: what was acknowledged is safe")

// errNameTaken is the error with which the process ends when another one has its name.
var errNameTaken = errors.New("another process of the installation has this node's name; give each node a name of its own (node in the configuration, PARLEY_NODE)")

// serve runs a gateway until ctx ends, or until something fails without which it cannot go on.
func serve(ctx context.Context, cfg config.Config, logger *slog.Logger) error {
	n, err := startNode(ctx, cfg, logger)
	if err != nil {
		return err
	}
	var cause error
	select {
	case <-ctx.Done():
		logger.Info("stopping")
	case <-n.stores.Log.Failed():
		// No orderly stop when the log has failed: work that is under way must not be acknowledged
		// (PR17).
		return errStoreFailed
	case <-n.stores.Vault.Failed():
		return errKeysFailed
	case <-n.nameTaken():
		cause = errNameTaken
	case cause = <-n.server.Failed():
		logger.Error("a listener failed", "err", cause)
	}
	if err := errors.Join(cause, n.shutdown(cfg.Drain.Duration())); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	logger.Info("stopped")
	return nil
}

// newLogger makes the only logger, which is passed to everything else.
func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(cfg.Log.Level))); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	var lines slog.Handler = slog.NewJSONHandler(w, opts)
	if cfg.Log.Format == "text" {
		lines = slog.NewTextHandler(w, opts)
	}
	return slog.New(ops.Quiet(lines)).With("node", cfg.Node)
}
