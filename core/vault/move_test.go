package vault_test

import (
	"bytes"
	"database/sql"
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/vault"
)

// moving makes a file with keys of every kind, and the options to move it.
func moving(t *testing.T) (o vault.Options, kept int64, sealed []byte, gone, damaged int64) {
	t.Helper()
	server := serverOptions(t)
	o = fileOptions(t)
	o.BlockSize = 1500 // more than a page
	v := openVault(t, o)
	kept, sealed = seal(t, v, "kept")
	gone, damaged = assign(t, v), assign(t, v)
	if err := errors.Join(v.Destroy(t.Context(), gone), v.Close()); err != nil {
		t.Fatal(err)
	}
	flip(t, o, damaged)
	o.DSN = server.DSN
	return o, kept, sealed, gone, damaged
}

func statements(t *testing.T, db *sql.DB, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestMove(t *testing.T) {
	o, kept, sealed, gone, damaged := moving(t)
	file := o
	file.DSN = ""
	v := openReadOnly(t, file)
	mac, sub := v.MAC("thread", []byte("a")), v.Subkey("visitor")
	keys, _, err := v.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = v.Close()
	want := vault.Moved{Keys: keys - 1, Destroyed: 1, Damaged: 1}
	for round := range 2 { // the second compares only
		if done, err := vault.Move(t.Context(), o); err != nil || done != want {
			t.Fatalf("Move %d: %+v, %v; want %+v", round, done, err, want)
		}
	}
	if _, err := vault.Open(t.Context(), file); !errors.Is(err, vault.ErrMoved) {
		t.Errorf("Open of the file: %v, want ErrMoved", err)
	}
	if !vault.IsMoved(t.Context(), o.Path) {
		t.Error("IsMoved says no")
	}
	v = openVault(t, o)
	if got, err := v.Open(kept, nil, sealed); err != nil || string(got) != "kept" {
		t.Errorf("Open: %q, %v", got, err)
	}
	if v.MAC("thread", []byte("a")) != mac || !bytes.Equal(v.Subkey("visitor"), sub) {
		t.Error("keyed hashes changed with the move")
	}
	for id, want := range map[int64]error{gone: vault.ErrDestroyed, damaged: vault.ErrDamaged} {
		if _, err := v.Seal(id, nil, nil); !errors.Is(err, want) {
			t.Errorf("Seal under %d: %v, want %v", id, err, want)
		}
	}
	if id := assign(t, v); id <= int64(keys) {
		t.Errorf("assigned %d, want an id above the file's", id)
	}
	if _, err := vault.Open(t.Context(), o); !errors.Is(err, vault.ErrLocked) {
		t.Errorf("a second process with the same folder: %v, want ErrLocked", err)
	}
	_ = v.Close()
	if _, err := vault.Move(t.Context(), o); err == nil {
		t.Error("Move into a database that nodes have used: no error")
	}
}

// However far a move came before it was interrupted, no node may use a part of the keys, and the next
// Move goes on.
func TestMoveInterrupted(t *testing.T) {
	const half = `DELETE FROM vault_keys WHERE id > 1000`
	const begun = `INSERT INTO vault_meta (name, value) VALUES ('moving', '1')`
	for name, c := range map[string]struct{ server, file []string }{
		"copied in part":    {[]string{half, begun}, []string{`DELETE FROM vault_meta WHERE name = 'moved_to'`}},
		"not yet marked":    {[]string{begun}, []string{`DELETE FROM vault_meta WHERE name = 'moved_to'`}},
		"file marked alone": {[]string{begun}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o, kept, sealed, _, _ := moving(t)
			whole, err := vault.Move(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			server, file := o, o
			server.Path, file.DSN = "", ""
			statements(t, raw(t, server), c.server...)
			statements(t, raw(t, file), c.file...)
			if _, err := vault.Open(t.Context(), server); !errors.Is(err, vault.ErrMoving) {
				t.Errorf("Open meanwhile: %v, want ErrMoving", err)
			}
			if done, err := vault.Move(t.Context(), o); err != nil || done != whole {
				t.Fatalf("Move: %+v, %v; want %+v", done, err, whole)
			}
			if got, err := openVault(t, server).Open(kept, nil, sealed); err != nil || string(got) != "kept" {
				t.Errorf("Open: %q, %v", got, err)
			}
			if !vault.IsMoved(t.Context(), o.Path) {
				t.Error("the file is not marked")
			}
		})
	}
}

func TestMoveRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *vault.Options){
		"wrong master key": func(_ *testing.T, o *vault.Options) { o.Master = other },
		"database with other keys": func(t *testing.T, o *vault.Options) {
			server := *o
			server.Path = ""
			_ = openVault(t, server).Close()
		},
		"file in use": func(t *testing.T, o *vault.Options) {
			file := *o
			file.DSN = ""
			openVault(t, file)
		},
		"no file": func(_ *testing.T, o *vault.Options) { o.Path += ".missing" },
		"row differs": func(t *testing.T, o *vault.Options) {
			if _, err := vault.Move(t.Context(), *o); err != nil {
				t.Fatal(err)
			}
			statements(t, raw(t, *o), `UPDATE vault_keys SET wrapped = wrapped || '\x00' WHERE id = 7`)
		},
		"row is missing": func(t *testing.T, o *vault.Options) {
			if _, err := vault.Move(t.Context(), *o); err != nil {
				t.Fatal(err)
			}
			statements(t, raw(t, *o), `DELETE FROM vault_keys WHERE id = 7`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, _, _, _, _ := moving(t)
			spoil(t, &o)
			if done, err := vault.Move(t.Context(), o); err == nil {
				t.Errorf("Move: %+v, want an error", done)
			}
		})
	}
}
