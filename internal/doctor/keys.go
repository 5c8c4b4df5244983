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

// DataKeys checks that every data key can be opened with the master key. Before the first start
// there are none.
func DataKeys(ctx context.Context, cfg config.Config) []Finding {
	f := Finding{Name: "data keys", Status: "fail"}
	const restore = "restore keys/keys.db from its newest backup"
	if _, err := os.Stat(cfg.Keys()); err != nil {
		if _, err := os.Stat(cfg.Database()); err != nil {
			return nil // the first start makes key store and database
		}
		f.Detail, f.Fix = cfg.Keys()+" is missing beside existing data", restore
		return []Finding{f}
	}
	v, err := stores.OpenKeysReadOnly(ctx, cfg)
	if err != nil {
		f.Detail, f.Fix = err.Error(), restore
		if errors.Is(err, stores.ErrNoMaster) || errors.Is(err, vault.ErrMaster) || errors.Is(err, vault.ErrMasterSyntax) {
			// The key store is intact: an older backup in its place would lose the keys made since.
			f.Fix = "put the right master key in place; leave keys/keys.db as it is"
		}
		return []Finding{f}
	}
	defer func() { _ = v.Close() }()
	keys, bad, err := v.Check(ctx)
	switch {
	case err != nil:
		f.Detail, f.Fix = err.Error(), restore
	case len(bad) > 0:
		f.Status, f.Detail = "warn", fmt.Sprintf("%d of %d cannot be read, the first is %d: what they sealed cannot be read either", len(bad), keys, bad[0])
		f.Fix = "a backup of keys/keys.db may still hold them; it lacks the keys made since, so keep the present file"
	default:
		f.Status, f.Detail = "ok", fmt.Sprintf("all %d can be read", keys)
	}
	return []Finding{f}
}
