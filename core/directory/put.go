package directory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/sessions"
)

// PutUser creates a user (zero ID) or replaces the record of an existing one,
// and returns it as stored. Disabling revokes all sessions of the user (PR23).
// Errors: *InvalidError, *TakenError, ErrNotFound.
func (d *Directory) PutUser(ctx context.Context, u User) (User, error) {
	_, err := d.edit(ctx, func(e *editor) (err error) {
		u, err = e.putUser(u)
		return err
	})
	return u, err
}

// ChangeUser changes the stored user with a login and, when password is not "", sets the password
// and ends all sessions: all of it, or nothing. It returns what it changed. change gets the user as
// stored, or one with only the login and known false, and returns the user as it should be; an
// error of change ends the call and changes nothing. Further errors: those of PutUser, ErrPassword.
func (d *Directory) ChangeUser(ctx context.Context, login, password string, change func(u User, known bool) (User, error)) ([]Change, error) {
	hash := ""
	if password != "" {
		var err error
		if hash, err = HashPassword(password); err != nil { // hashing is slow on purpose, so it is done before other writers have to wait
			return nil, err
		}
	}
	return d.edit(ctx, func(e *editor) error {
		u, known := e.snap.UserByLogin(login)
		if !known {
			u = User{Login: login}
		}
		u, err := change(u, known)
		if err != nil {
			return err
		}
		if u, err = e.putUser(u); err != nil || hash == "" {
			return err
		}
		return e.setHash(u.ID, hash, sessions.ID{})
	})
}

// PutTeam creates (zero ID) or replaces a team.
func (d *Directory) PutTeam(ctx context.Context, t Team) (Team, error) {
	_, err := d.edit(ctx, func(e *editor) (err error) {
		t, err = e.putTeam(t)
		return err
	})
	return t, err
}

// PutSkill creates a skill or replaces the one of the same name.
func (d *Directory) PutSkill(ctx context.Context, k Skill) (Skill, error) {
	_, err := d.edit(ctx, func(e *editor) (err error) {
		k, err = e.putSkill(k)
		return err
	})
	return k, err
}

// PutService creates (zero ID) or replaces a service.
func (d *Directory) PutService(ctx context.Context, s Service) (Service, error) {
	_, err := d.edit(ctx, func(e *editor) (err error) {
		s, err = e.putService(s)
		return err
	})
	return s, err
}

// PutAccount creates (zero ID) or replaces an account. secrets replaces all
// secrets of the account; nil leaves them as they are.
func (d *Directory) PutAccount(ctx context.Context, a Account, secrets map[string]string) (Account, error) {
	_, err := d.edit(ctx, func(e *editor) (err error) {
		a, err = e.putAccount(a, secrets)
		return err
	})
	return a, err
}

// Secrets opens the secrets of an account; the map is empty when there are none. They must not
// reach a log.
func (d *Directory) Secrets(ctx context.Context, id conversation.AccountID) (map[string]string, error) {
	out, _, err := d.secrets(ctx, d.db.Reader(), id)
	if err != nil {
		return nil, fmt.Errorf("directory: secrets of an account: %w", err)
	}
	return out, nil
}

func (d *Directory) secrets(ctx context.Context, q querier, id conversation.AccountID) (secrets map[string]string, keyID int64, err error) {
	var sealed []byte
	err = q.QueryRowContext(ctx, `SELECT key_id, secrets FROM accounts WHERE id = $1`, id).Scan(&keyID, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, d.db.Note(err)
	}
	secrets = map[string]string{}
	if keyID == 0 {
		return secrets, 0, nil
	}
	plain, err := d.vault.Open(keyID, secretsAAD(id), sealed)
	if err != nil {
		return nil, keyID, err
	}
	return secrets, keyID, json.Unmarshal(plain, &secrets)
}

func secretsAAD(id conversation.AccountID) []byte {
	return append([]byte("account-secrets/"), id[:]...)
}

func (e *editor) putUser(u User) (User, error) {
	old, err := check(e, "user", &u, u.ID, &e.snap.users)
	if err != nil {
		return u, err
	}
	if u.ID.IsZero() {
		u.ID = conversation.NewID[conversation.AgentID]()
	}
	err = putRecord(e, kindOps[conversation.AgentID, User]{
		kind: "user", field: "login", index: &e.snap.users, key: userKey,
		label: func(u User) string { return u.Login }, arg: func(u User) any { return u.ID },
		save: `INSERT INTO users (id, name, record) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record`,
	}, u)
	if err != nil {
		return u, err
	}
	// Also when the user is enabled again: a login that met the disabling has left a session.
	if u.Disabled != old.Disabled {
		return u, e.revokeSessions(u.ID, sessions.ID{})
	}
	return u, nil
}

func (e *editor) putTeam(t Team) (Team, error) {
	if _, err := check(e, "team", &t, t.ID, &e.snap.teams); err != nil {
		return t, err
	}
	if t.ID.IsZero() {
		t.ID = conversation.NewID[conversation.TeamID]()
	}
	return t, putRecord(e, kindOps[conversation.TeamID, Team]{
		kind: "team", field: "name", index: &e.snap.teams, key: teamKey,
		label: func(t Team) string { return t.Name }, arg: func(t Team) any { return t.ID },
		save: `INSERT INTO teams (id, name, record) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record`,
	}, t)
}

func (e *editor) putSkill(k Skill) (Skill, error) {
	k.normalise()
	if err := k.validate(e.snap); err != nil {
		return k, fail("skill", err)
	}
	return k, putRecord(e, kindOps[string, Skill]{
		kind: "skill", field: "name", index: &e.snap.skills, key: skillKey,
		label: func(k Skill) string { return k.Name }, arg: func(k Skill) any { return k.Name },
		// The name is the id; $2 repeats it.
		save: `INSERT INTO skills (name, record) SELECT $1, $3 WHERE $2 = $1
ON CONFLICT (name) DO UPDATE SET record = excluded.record`,
	}, k)
}

func (e *editor) putService(s Service) (Service, error) {
	if _, err := check(e, "service", &s, s.ID, &e.snap.services); err != nil {
		return s, err
	}
	if s.ID.IsZero() {
		s.ID = conversation.NewID[conversation.ServiceID]()
	}
	return s, putRecord(e, kindOps[conversation.ServiceID, Service]{
		kind: "service", field: "name", index: &e.snap.services, key: serviceKey,
		label: func(s Service) string { return s.Name }, arg: func(s Service) any { return s.ID },
		save: `INSERT INTO services (id, name, record) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record`,
	}, s)
}

func (e *editor) putAccount(a Account, secrets map[string]string) (Account, error) {
	if _, err := check(e, "account", &a, a.ID, &e.snap.accounts); err != nil {
		return a, err
	}
	if a.ID.IsZero() {
		a.ID = conversation.NewID[conversation.AccountID]()
	}
	err := putRecord(e, kindOps[conversation.AccountID, Account]{
		kind: "account", field: "name", index: &e.snap.accounts, key: accountKey,
		label: func(a Account) string { return a.Name }, arg: func(a Account) any { return a.ID },
		save: `INSERT INTO accounts (id, name, record) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record`,
	}, a)
	if err != nil || secrets == nil {
		return a, err
	}
	return a, e.putSecrets(a, secrets)
}

func (e *editor) putSecrets(a Account, secrets map[string]string) error {
	if err := validateSecrets(secrets); err != nil {
		return fail("account", err)
	}
	// Secrets that cannot be opened any more (a lost key store) are replaced.
	old, oldKey, err := e.d.secrets(e.ctx, e.tx, a.ID)
	if err == nil && maps.Equal(old, secrets) {
		return nil
	}
	// New secrets get a new data key each time, and the old key is destroyed once the change is
	// durable: replaced secrets must not be readable in an old page or backup.
	var keyID int64
	var sealed []byte
	if len(secrets) > 0 {
		if keyID, err = e.d.vault.Assign(); err != nil {
			return fail("account", err)
		}
		plain, err := json.Marshal(secrets)
		if err != nil {
			return fail("account", err)
		}
		if sealed, err = e.d.vault.Seal(keyID, secretsAAD(a.ID), plain); err != nil {
			return fail("account", err)
		}
	}
	_, err = e.tx.ExecContext(e.ctx, `UPDATE accounts SET key_id = $1, secrets = $2 WHERE id = $3`, keyID, sealed, a.ID)
	if err != nil {
		return fail("account", err)
	}
	e.spent(oldKey)
	var names []string
	for n := range secrets {
		if secrets[n] != old[n] {
			names = append(names, "secrets."+n)
		}
	}
	for n := range old {
		if _, ok := secrets[n]; !ok {
			names = append(names, "secrets."+n)
		}
	}
	slices.Sort(names)
	e.note(Change{Kind: "account", ID: a.ID.String(), Name: a.Name, Action: Updated, Fields: names})
	return nil
}

// record is what the records of every kind can do.
type record[T any] interface {
	*T
	normalise()
	validate(*Snapshot) error
}

// check normalises and validates a record; a non-zero id must exist.
func check[K, T any, P record[T]](e *editor, kind string, rec P, id conversation.ID[K], x *index[conversation.ID[K], T]) (old T, err error) {
	rec.normalise()
	if err := rec.validate(e.snap); err != nil {
		return old, fail(kind, err)
	}
	if id.IsZero() {
		return old, nil
	}
	old, ok := x.get(id)
	if !ok {
		return old, fmt.Errorf("directory: put %s: %w", kind, ErrNotFound)
	}
	return old, nil
}
