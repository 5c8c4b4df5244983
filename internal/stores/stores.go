package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
	"github.com/parley-gateway/parley/core/vault"
)

// Stores are log, keys and records, opened for writing.
type Stores struct {
	Log       eventlog.Log
	Vault     *vault.Vault
	Directory *directory.Directory
}

// Open opens data folder and store for writing; no other process may have them open. Folder and
// master key are made if there is nothing yet. now is the installation's time; nil: the system's.
func Open(ctx context.Context, cfg config.Config, now func() time.Time, logger *slog.Logger) (_ *Stores, err error) {
	s := &Stores{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.MkdirAll(filepath.Dir(cfg.Keys()), 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	// A database in the folder is made after its key, so that there is never a database without a
	// key. The database of a server may contain data although the folder is new: whether a key may
	// be made is known only after the log was asked which keys it names.
	server := cfg.DSN() != ""
	master, err := MasterKey(cfg, !server)
	if err != nil && (!server || !errors.Is(err, os.ErrNotExist)) {
		return nil, err
	}
	log, records, err := openLog(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	s.Log = log
	floor, err := s.Log.MaxKeyID(ctx)
	switch {
	case err != nil:
		return nil, err
	case master == nil && floor > 0:
		return nil, fmt.Errorf("%s: %w", cfg.MasterKeyFile(), ErrNoMaster)
	case master == nil:
		if master, err = MasterKey(cfg, true); err != nil {
			return nil, err
		}
	}
	if s.Vault, err = openKeys(ctx, cfg, master, floor, logger); err != nil {
		return nil, err
	}
	records.Vault, records.Now = s.Vault, now
	s.Directory, err = directory.Open(ctx, records)
	return s, err
}

// ConversationKey is the id of the data key that seals a conversation; its
// attachments are sealed with the same one.
func (s *Stores) ConversationKey(ctx context.Context, id conversation.ConversationID) (int64, error) {
	row, err := s.Log.Conversation(ctx, eventlog.StreamID(id))
	return row.KeyID, err
}

// Close closes what is open, also if the stores were only partly opened.
func (s *Stores) Close() error {
	var errs []error
	if s.Directory != nil {
		errs = append(errs, s.Directory.Close())
	}
	if s.Log != nil {
		errs = append(errs, s.Log.Close())
	}
	if s.Vault != nil {
		errs = append(errs, s.Vault.Close())
	}
	return errors.Join(errs...)
}

// openLog opens the configured log for writing, and returns the options with which the directory
// opens the same database.
func openLog(ctx context.Context, cfg config.Config, logger *slog.Logger) (eventlog.Log, directory.Options, error) {
	if dsn := cfg.DSN(); dsn != "" {
		l, err := postgres.Open(ctx, postgres.Options{DSN: dsn, Logger: logger})
		if err != nil {
			return nil, directory.Options{}, fmt.Errorf("store %s: %w", cfg.Store, err)
		}
		return l, directory.Options{Dialect: directory.Postgres, DSN: dsn, Logger: logger}, nil
	}
	// Log and directory write to one file and take turns by this lock: with SQLite's own lock one
	// of them can wait for ever while the other is busy.
	var gate sync.Mutex
	l, err := sqlite.Open(ctx, sqlite.Options{Dir: cfg.Data, Logger: logger, Gate: &gate})
	if err != nil {
		return nil, directory.Options{}, err
	}
	return l, directory.Options{Dialect: directory.SQLite, DSN: l.Path(), Gate: &gate, Logger: logger}, nil
}

// OpenLogReadOnly opens the configured log for reading, beside the process that writes it.
func OpenLogReadOnly(ctx context.Context, cfg config.Config) (eventlog.Log, error) {
	if dsn := cfg.DSN(); dsn != "" {
		l, err := postgres.OpenReadOnly(ctx, postgres.Options{DSN: dsn})
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", cfg.Store, err)
		}
		return l, nil
	}
	l, err := sqlite.OpenReadOnly(ctx, sqlite.Options{Dir: cfg.Data})
	if err != nil {
		return nil, err
	}
	return l, nil
}
