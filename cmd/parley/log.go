package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/vault"
)

type logCmd struct {
	configFlags
	Conversation string `help:"Only this conversation (or agent, or account)."`
	Since        int64  `help:"Only events after this position."`
	Follow       bool   `short:"f" help:"Go on with what is committed later."`
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
	log, err := openLogReadOnly(a.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	keys, err := openKeysReadOnly(a.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()

	if err := noteLogRead(a, cfg, c.Conversation); err != nil {
		return err
	}
	out := bufio.NewWriter(a.stdout)
	defer func() { err = errors.Join(err, out.Flush()) }()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for pos := c.Since; ; {
		recs, err := log.Tail(a.ctx, pos, 1000)
		if err != nil {
			return done(a.ctx, err)
		}
		for _, rec := range recs {
			pos = rec.Pos
			if only != (eventlog.StreamID{}) && rec.Stream != only {
				continue
			}
			body, err := router.OpenBody(keys, rec)
			if err != nil {
				return err
			}
			line := logLine{Pos: rec.Pos, Stream: conversation.ConversationID(rec.Stream).String(), Seq: rec.Seq, At: rec.At.UTC(), Type: rec.Type, Head: rec.Head, Body: body}
			if err := enc.Encode(line); err != nil {
				return err
			}
		}
		if len(recs) > 0 {
			continue
		}
		if !c.Follow {
			return nil
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if err := log.Wait(a.ctx, pos); err != nil {
			return done(a.ctx, err)
		}
	}
}

// noteLogRead has the running gateway write into the audit trail that somebody
// reads the log (SPEC Z5). Without a gateway the log is a copy, or nobody may
// write beside it: the reader is told that no line is left.
func noteLogRead(a *app, cfg config.Config, stream string) error {
	var answer controlAnswer
	err := call(a.ctx, cfg, http.MethodPost, "/log-read", stream, &answer)
	switch {
	case errors.Is(err, errNotRunning):
		_, err := fmt.Fprintln(a.stderr, "parley: no gateway is running on this data folder: this reading is not in the audit trail")
		return err
	case err == nil && answer.Error != "":
		err = errors.New(answer.Error)
	}
	if err != nil {
		return fmt.Errorf("the reading cannot be noted in the audit trail: %w", err)
	}
	return nil
}

// logRead is the audit entry of `parley log`; stream "" is the whole log.
func logRead(stream string) directory.AuditEntry {
	e := directory.AuditEntry{Actor: directory.Actor{Via: "cli"}, Action: directory.AuditTranscript, Object: "conversation", ObjectID: stream}
	if stream == "" {
		e.Object = "log"
	}
	return e
}

// done turns the end that the user asked for into success.
func done(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl+C ends --follow
	}
	return err
}

// masterKey reads the master key: from the configuration, else from the data
// folder, where it is made when make is set.
func masterKey(cfg config.Config, make bool) ([]byte, error) {
	if cfg.Vault.MasterKey.IsSet() {
		return vault.LoadMaster(cfg.Vault.MasterKey.Reveal(), "")
	}
	file := cfg.MasterKeyFile()
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && make {
		return vault.CreateMaster(file)
	}
	return vault.LoadMaster("", file)
}

func openKeysReadOnly(ctx context.Context, cfg config.Config) (*vault.Vault, error) {
	master, err := masterKey(cfg, false)
	if err != nil {
		return nil, err
	}
	return vault.OpenReadOnly(ctx, vault.Options{Path: cfg.Keys(), Master: master})
}
