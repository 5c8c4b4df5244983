package stores

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/vault"
)

// ErrNotMoved: the configuration names a key database, but the data folder has keys of its own that
// were not moved there.
var ErrNotMoved = errors.New("the folder has keys of its own that are not in vault.store: bring them there with `parley keys move`, " +
	"or remove the file if they belong to nothing that is still there")

// errNeedMaster: a key database is used by several nodes, so no node makes a master key for itself.
var errNeedMaster = errors.New("there is no master key, and with vault.store every node needs the same one: make it with `parley keys master FILE` " +
	"and name it as vault.master_key_file on every node")

// ErrNoMaster: there is data, but the master key that it was sealed with is missing.
var ErrNoMaster = errors.New("the master key is missing beside existing data. Put it back from where it is kept, or name it as vault.master_key_file; " +
	"a new one is not made, because nothing that is there could be read with it")

// MasterKey reads the master key: from the configuration, else from the data folder, where it is
// made if make is set, the folder is new and the key store is not a database. A folder counts as new while it has neither key store
// nor database, so call MasterKey before either is opened.
func MasterKey(cfg config.Config, make bool) ([]byte, error) {
	if cfg.Vault.MasterKey.IsSet() {
		return vault.LoadMaster(cfg.Vault.MasterKey.Reveal(), "")
	}
	file := cfg.MasterKeyFile()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return vault.LoadMaster("", file)
	}
	if cfg.KeysDSN() != "" {
		return nil, fmt.Errorf("%s: %w", file, errNeedMaster)
	}
	for _, data := range []string{cfg.Keys(), cfg.Database()} {
		if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", file, errors.Join(ErrNoMaster, err))
		}
	}
	if make {
		key, err := vault.CreateMaster(file)
		if !errors.Is(err, fs.ErrExist) {
			return key, err
		}
		// Another process has just made a key, so that one is used.
	}
	return vault.LoadMaster("", file)
}

// KeyOptions say how to open the configured key store. The master key must exist.
func KeyOptions(cfg config.Config) (vault.Options, error) {
	master, err := MasterKey(cfg, false)
	if err != nil {
		return vault.Options{}, err
	}
	return keyOptions(cfg, master)
}

func keyOptions(cfg config.Config, master []byte) (o vault.Options, err error) {
	o = vault.Options{DSN: cfg.KeysDSN(), Path: cfg.Keys(), Master: master}
	if p := cfg.Vault.MasterKeyPrevious; p.IsSet() {
		if o.Previous, err = vault.LoadMaster(p.Reveal(), ""); err != nil {
			return o, fmt.Errorf("vault.master_key_previous: %w", err)
		}
	}
	return o, nil
}

// openKeys opens the configured key store for writing. floor is the largest key id of the log.
func openKeys(ctx context.Context, cfg config.Config, master []byte, floor int64, logger *slog.Logger) (*vault.Vault, error) {
	o, err := keyOptions(cfg, master)
	if err != nil {
		return nil, err
	}
	if o.DSN != "" {
		if _, err := os.Stat(o.Path); err == nil && !vault.IsMoved(ctx, o.Path) {
			return nil, fmt.Errorf("%s: %w", o.Path, ErrNotMoved)
		}
	}
	o.Floor, o.Logger = floor, logger
	return vault.Open(ctx, o)
}

// OpenKeysReadOnly opens the keys for reading, beside the process that writes them.
func OpenKeysReadOnly(ctx context.Context, cfg config.Config) (*vault.Vault, error) {
	o, err := KeyOptions(cfg)
	if err != nil {
		return nil, err
	}
	return vault.OpenReadOnly(ctx, o)
}
