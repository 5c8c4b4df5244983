package directory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
)

const selectVersion = `SELECT version FROM directory_version WHERE one = 1`

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// loadSnapshot reads all records as of one moment.
func (d *Directory) loadSnapshot(ctx context.Context) (*Snapshot, error) {
	// One transaction lets several reads see the same moment. On SQLite a read-only transaction
	// must not ask for the write lock, as the pool's transactions do, so BEGIN is written out.
	conn, err := d.db.Reader().Conn(ctx)
	if err != nil {
		return nil, d.db.Note(err)
	}
	defer func() { _ = conn.Close() }()
	begin := `BEGIN`
	if d.db.Dialect() == Postgres {
		begin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return nil, d.db.Note(err)
	}
	// The transaction must be ended even when ctx has ended.
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) }()
	return readSnapshot(ctx, conn)
}

func readSnapshot(ctx context.Context, q querier) (*Snapshot, error) {
	s := &Snapshot{hashes: map[conversation.AgentID]string{}}
	if err := q.QueryRowContext(ctx, selectVersion).Scan(&s.version); err != nil {
		return nil, fmt.Errorf("version: %w", err)
	}
	var hash string
	err := errFirst(
		func() error {
			return load(ctx, q, `SELECT record, password FROM users`, func(u User) {
				s.users.put(u.ID, "", u.Login, u)
				if hash != "" {
					s.hashes[u.ID] = hash
				}
			}, &hash)
		},
		func() error {
			return load(ctx, q, `SELECT record FROM teams`, func(t Team) { s.teams.put(t.ID, "", fold(t.Name), t) })
		},
		func() error {
			return load(ctx, q, `SELECT record FROM skills`, func(k Skill) { s.skills.put(k.Name, "", k.Name, k) })
		},
		func() error {
			return load(ctx, q, `SELECT record FROM services`, func(v Service) {
				v.plain()
				s.services.put(v.ID, "", fold(v.Name), v)
			})
		},
		func() error {
			return load(ctx, q, `SELECT record FROM accounts`, func(a Account) { s.accounts.put(a.ID, "", fold(a.Name), a) })
		},
	)
	if err != nil {
		return nil, err
	}
	s.finish()
	return s, nil
}

func errFirst(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// load reads the rows of one kind. The columns after the record are scanned into more.
func load[T any](ctx context.Context, q querier, query string, add func(T), more ...any) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text []byte
		if err := rows.Scan(append([]any{&text}, more...)...); err != nil {
			return fmt.Errorf("%T: %w", *new(T), err)
		}
		var rec T
		if err := json.Unmarshal(text, &rec); err != nil {
			return fmt.Errorf("%T: %w", *new(T), err)
		}
		add(rec)
	}
	return rows.Err()
}
