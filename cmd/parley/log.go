package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/internal/stores"
)

type logCmd struct {
	configFlags
	Conversation string `help:"Only this conversation (or agent, or account)."`
	Since        int64  `help:"Only events after this position."`
	Follow       bool   `short:"f" help:"Go on with what is committed later."`
	Heads        bool   `help:"Without bodies: no text, name or address is printed, and no keys are needed."`
}

// logLine is an event as `parley log` prints it.
type logLine struct {
	Pos    int64           `json:"pos"`
	Stream string          `json:"stream"`
	Seq    uint64          `json:"seq"`
	At     time.Time       `json:"at"`
	Type   string          `json:"type"`
	Head   json.RawMessage `json:"head"`
	Body   json.RawMessage `json:"body,omitempty"`
}

func (c *logCmd) Run(a *app) (err error) {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var only eventlog.StreamID
	if c.Conversation != "" {
		id, err := conversation.ParseID[conversation.ConversationID](c.Conversation)
		if err != nil {
			return usageError{fmt.Errorf("--conversation: %w", err)}
		}
		only = eventlog.StreamID(id)
	}
	log, err := stores.OpenLogReadOnly(a.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	p := logPrinter{log: log, since: c.Since, follow: c.Follow}
	if !c.Heads {
		var keys *vault.Vault
		if keys, err = stores.OpenKeysReadOnly(a.ctx, cfg); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, keys.Close()) }()
		p.keys = keys
	}
	if err := noteLogRead(a, cfg, c.Conversation); err != nil {
		return err
	}
	out := bufio.NewWriter(a.stdout)
	defer func() { err = errors.Join(err, out.Flush()) }()
	p.out = out
	if c.Conversation != "" {
		return done(a.ctx, p.stream(a.ctx, only))
	}
	return done(a.ctx, p.all(a.ctx))
}

// logReader is what `parley log` needs of a log. Each call is a short transaction of its own, so
// that a gateway that is running can compact its log meanwhile.
type logReader interface {
	Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error)
	Tail(ctx context.Context, after int64, limit int) ([]eventlog.Record, error)
	Wait(ctx context.Context, after int64) error
}

// How many records are read at once, and how often one stream is read again: Wait reports events of
// any stream.
const (
	logPage   = 1000
	lookAgain = 250 * time.Millisecond
)

type logPrinter struct {
	log    logReader
	keys   readers.Opener // nil: bodies are left out
	out    *bufio.Writer
	since  int64 // only events after this position
	follow bool
}

// stream prints one stream without reading any other.
func (p *logPrinter) stream(ctx context.Context, id eventlog.StreamID) error {
	for after := uint64(0); ; {
		recs, err := p.log.Read(ctx, id, after, logPage)
		if err != nil {
			return err
		}
		for _, rec := range recs {
			after = rec.Seq
			if rec.Pos <= p.since {
				continue
			}
			if err := p.print(rec); err != nil {
				return err
			}
		}
		if len(recs) == logPage {
			continue
		}
		if !p.follow {
			return nil
		}
		if err := p.out.Flush(); err != nil {
			return err
		}
		if err := wait(ctx, lookAgain); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// all prints all streams, in the order of commits.
func (p *logPrinter) all(ctx context.Context) error {
	for pos := p.since; ; {
		recs, err := p.log.Tail(ctx, pos, logPage)
		if err != nil {
			return err
		}
		for _, rec := range recs {
			pos = rec.Pos
			if err := p.print(rec); err != nil {
				return err
			}
		}
		if len(recs) > 0 {
			continue
		}
		if !p.follow {
			return nil
		}
		if err := p.out.Flush(); err != nil {
			return err
		}
		if err := p.log.Wait(ctx, pos); err != nil {
			return err
		}
	}
}

// noteLogRead has the running gateway write into the audit trail that somebody reads the log (SPEC
// Z5). If no gateway is running, the log is a copy or must not be written to: the reader is told
// that no entry is made.
func noteLogRead(a *app, cfg config.Config, stream string) error {
	_, err := control.Client{RunDir: cfg.RunDir()}.Do(a.ctx, control.LogRead(stream))
	if errors.Is(err, control.ErrNotRunning) {
		_, err := fmt.Fprintln(a.stderr, "parley: no gateway is running on this data folder: this reading is not in the audit trail")
		return err
	}
	if err != nil {
		return fmt.Errorf("the reading cannot be noted in the audit trail: %w", err)
	}
	return nil
}

func (p *logPrinter) print(rec eventlog.Record) error {
	var body json.RawMessage
	if p.keys != nil {
		var err error
		if body, err = readers.OpenBody(p.keys, rec); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(logLine{Pos: rec.Pos, Stream: conversation.ConversationID(rec.Stream).String(), Seq: rec.Seq, At: rec.At.UTC(), Type: rec.Type, Head: rec.Head, Body: body})
}

// done returns nil if the user has ended the command.
func done(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl+C ends --follow
	}
	return err
}
