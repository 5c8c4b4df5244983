package main

import (
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/internal/stores"
)

type keysCmd struct {
	Master keysMasterCmd `cmd:"" help:"Make a new master key and write it into a file."`
	Move   keysMoveCmd   `cmd:"" help:"Move the data folder's key store into the database that vault.store names."`
	Rotate keysRotateCmd `cmd:"" help:"Wrap every key by vault.master_key, which before were wrapped by vault.master_key_previous."`
}

type keysMasterCmd struct {
	File string `arg:"" type:"path" help:"New file, mode 0600. One that exists is not changed."`
}

func (c *keysMasterCmd) Run(a *app) error {
	if _, err := vault.CreateMaster(c.File); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%s: keep a copy apart from every backup of data and keys\n", c.File)
	return err
}

type keysMoveCmd struct {
	configFlags
}

func (c *keysMoveCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if cfg.KeysDSN() == "" {
		return usageError{errors.New("vault.store names no database: set it to postgres://user@host/database, one of its own, apart from the log's")}
	}
	o, err := stores.KeyOptions(cfg)
	if err != nil {
		return err
	}
	done, err := vault.Move(a.ctx, o)
	if err != nil {
		return fmt.Errorf("%w. The file still has all its keys: mend the cause and give the same command again, which goes on where this one stopped", err)
	}
	_, err = fmt.Fprintf(a.stdout, "%d keys are in %s, compared and opened; %d destroyed ones are marked there, %d were damaged before and still are.\n"+
		"%s is marked as moved and refuses to be used. Make a backup of the key database, then remove that file with its -wal and -shm:\n"+
		"until then it keeps copies of keys that are destroyed later.\n",
		done.Keys, cfg.Vault.Store, done.Destroyed, done.Damaged, o.Path)
	return err
}

type keysRotateCmd struct {
	configFlags
}

func (c *keysRotateCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if !cfg.Vault.MasterKey.IsSet() || !cfg.Vault.MasterKeyPrevious.IsSet() {
		return usageError{errors.New("set vault.master_key (or _file) to the new master key and vault.master_key_previous (or _file) to the one before, on every node, " +
			"and restart them; then run this")}
	}
	o, err := stores.KeyOptions(cfg)
	if err != nil {
		return err
	}
	done, err := vault.Rotate(a.ctx, o)
	if err != nil {
		return fmt.Errorf("%w. Keep both master keys in the configuration; the same command goes on where it stopped", err)
	}
	if done == (vault.Rotated{}) {
		_, err = fmt.Fprintln(a.stdout, "every key was wrapped by the new master key already.")
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%d keys are wrapped by the new master key; %d were damaged before and still are.\n"+
		"Remove vault.master_key_previous on every node. Old backups of the key store open with the former master key alone: destroy it when they may not be used again.\n",
		done.Keys, done.Damaged)
	return err
}
