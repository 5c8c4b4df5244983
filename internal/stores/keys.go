package stores

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/vault"
)

// ErrNoMaster: there is data, but the master key that it was sealed with is missing.
var ErrNoMaster = errors.New("the master key is missing beside existing data. Put it back from where it is kept, or name it as vault.master_key_file; " +
	"a new one is not made, because nothing that is there could be read with it")

// MasterKey reads the master key: from the configuration, else from the data folder, where it is
// made if make is set and the folder is new. A folder counts as new while it has neither key store
// nor database, so call MasterKey before either is opened.
func MasterKey(cfg config.Config, make bool) ([]byte, error) {
	if cfg.Vault.MasterKey.IsSet() {
		return vault.LoadMaster(cfg.Vault.MasterKey.Reveal(), "")
	}
	file := cfg.MasterKeyFile()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return vault.LoadMaster("", file)
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

// OpenKeysReadOnly opens the keys for reading, beside the process that writes them.
func OpenKeysReadOnly(ctx context.Context, cfg config.Config) (*vault.Vault, error) {
	master, err := MasterKey(cfg, false)
	if err != nil {
		return nil, err
	}
	return vault.OpenReadOnly(ctx, vault.Options{Path: cfg.Keys(), Master: master})
}
