package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/internal/stores"
)

// MasterKey checks that the master key exists, without making one.
func MasterKey(cfg config.Config) Finding {
	f := Finding{Name: "master key", Status: "ok", Detail: "is readable"}
	_, err := stores.MasterKey(cfg, false)
	switch {
	case errors.Is(err, stores.ErrNoMaster):
		f.Status, f.Detail, f.Fix = "fail", cfg.MasterKeyFile()+" is missing beside existing data", "put it back from where it is kept, or set vault.master_key_file"
	case errors.Is(err, os.ErrNotExist):
		f.Status, f.Detail, f.Fix = "warn", "is not there yet", "the first start makes "+cfg.MasterKeyFile()+"; keep a copy apart from backups of the data"
	case err != nil:
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "set vault.master_key_file to the key that the data was made with"
	}
	return f
}

// DataKeys checks that every data key can be opened with the master key, and for a key database
// whether its acknowledgements mean that keys are safe. Before the first start there are none.
func DataKeys(ctx context.Context, cfg config.Config) []Finding {
	if cfg.KeysDSN() == "" {
		if _, err := os.Stat(cfg.Keys()); err == nil {
			return []Finding{checkKeys(ctx, cfg)}
		}
		if _, err := os.Stat(cfg.Database()); err != nil {
			return nil // the first start makes key store and database
		}
		return []Finding{{Name: "data keys", Status: "fail", Detail: cfg.Keys() + " is missing beside existing data", Fix: restoreFile}}
	}
	out := checkServer(ctx, "key database", "vault.store", cfg.Vault.Store, cfg.KeysDSN())
	if out[0].Status != "fail" {
		out = append(out, checkKeys(ctx, cfg))
	}
	if _, err := os.Stat(cfg.Keys()); err == nil {
		f := Finding{Name: "old keys", Status: "fail", Detail: cfg.Keys() + " holds keys that are not in vault.store", Fix: "parley keys move"}
		if vault.IsMoved(ctx, cfg.Keys()) {
			f.Status, f.Detail = "warn", cfg.Keys()+" was moved into vault.store and still holds copies, also of keys that are destroyed there"
			f.Fix = "remove keys/keys.db and its -wal and -shm, once there is a backup of the key database"
		}
		out = append(out, f)
	}
	return out
}

const (
	restoreFile   = "restore keys/keys.db from its newest backup"
	restoreServer = "restore the key database from its newest backup"
)

func checkKeys(ctx context.Context, cfg config.Config) Finding {
	f := Finding{Name: "data keys", Status: "fail"}
	restore, store := restoreFile, "keys/keys.db"
	if cfg.KeysDSN() != "" {
		restore, store = restoreServer, "the key database"
	}
	v, err := stores.OpenKeysReadOnly(ctx, cfg)
	if err != nil {
		f.Detail, f.Fix = err.Error(), restore
		switch {
		case errors.Is(err, stores.ErrNoMaster), errors.Is(err, vault.ErrMaster), errors.Is(err, vault.ErrMasterSyntax), errors.Is(err, vault.ErrRotating):
			// The key store is intact: an older backup in its place would lose the keys made since.
			f.Fix = "put the right master key in place; leave " + store + " as it is"
		case errors.Is(err, vault.ErrMoving):
			f.Fix = "run parley keys move again"
		case errors.Is(err, vault.ErrMoved):
			f.Fix = "set vault.store to the database that has the keys now"
		case errors.Is(err, vault.ErrKeysLost) && cfg.KeysDSN() != "":
			f.Status, f.Detail, f.Fix = "warn", "there are none yet", "the first start makes them; "+restoreServer+" if there was one"
		}
		return f
	}
	defer func() { _ = v.Close() }()
	keys, bad, err := v.Check(ctx)
	switch {
	case err != nil:
		f.Detail, f.Fix = err.Error(), restore
	case len(bad) > 0:
		f.Status, f.Detail = "warn", fmt.Sprintf("%d of %d cannot be read, the first is %d: what they sealed cannot be read either", len(bad), keys, bad[0])
		f.Fix = "a backup of " + store + " may still hold them; it lacks the keys made since, so keep the present one"
	default:
		f.Status, f.Detail = "ok", fmt.Sprintf("all %d can be read", keys)
	}
	return f
}
