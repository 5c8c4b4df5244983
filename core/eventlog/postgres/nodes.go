package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

// takeWithin is how long the first Beat waits for a name. A process that was killed leaves its name
// as soon as the server notices that the connection is gone.
const (
	takeWithin  = 3 * time.Second
	retakeAfter = time.Second // for a process that had the name, and lost its connection
	takeEvery   = 50 * time.Millisecond
)

// membership is a node's place in the installation: a connection that holds an advisory lock on the
// node's name. The lock ends with the process, however it ends, so that a node which was killed can
// come back under its name at once. The node's row is what others see.
type membership struct {
	mu     sync.Mutex
	conn   *pgx.Conn
	locked bool // the connection holds the lock
	taken  bool // the row was written by this process
}

// nameLock is the key of the advisory lock on a node's name.
func nameLock(name string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return int32(h.Sum32())
}

const lockName = `SELECT pg_try_advisory_lock('nodes'::regclass::oid::int, $1)`

// A row of another instance is replaced only by whoever has just taken the name ($7).
const writeNode = `INSERT INTO nodes AS n (name, instance, version, address, started, until, draining)
VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 microsecond', $8)
ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, version = excluded.version, address = excluded.address,
  started = excluded.started, until = excluded.until, draining = excluded.draining WHERE $7 OR n.instance = excluded.instance`

const selectNodes = `SELECT name, instance, version, address, started, draining FROM nodes
WHERE until > clock_timestamp() OR name = $1 ORDER BY name`

// Beat implements eventlog.Shared. Rows of nodes that are long gone are removed on the way.
func (l *Log) Beat(ctx context.Context, n eventlog.Node, ttl time.Duration) (nodes []eventlog.Node, err error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	l.member.mu.Lock()
	defer l.member.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.o.Patience)
	defer cancel()
	nodes, err = l.member.beat(ctx, l.pc.ConnConfig, n, ttl)
	if err != nil {
		if !errors.Is(err, eventlog.ErrNameTaken) {
			err = named(ctx, err)
		}
		l.member.close()
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return nodes, nil
}

func (m *membership) beat(ctx context.Context, c *pgx.ConnConfig, n eventlog.Node, ttl time.Duration) ([]eventlog.Node, error) {
	if m.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, c)
		if err != nil {
			return nil, err
		}
		m.conn = conn
	}
	if !m.locked {
		if err := m.lock(ctx, n.Name); err != nil {
			return nil, err
		}
	}
	tag, err := m.conn.Exec(ctx, writeNode, n.Name, n.Instance, n.Version, n.Address, n.Started, ttl.Microseconds(), !m.taken, n.Draining)
	if err != nil {
		return nil, err
	}
	if tag.RowsAffected() == 0 {
		return nil, fmt.Errorf("%w: it was taken while this one was away from the database", eventlog.ErrNameTaken)
	}
	if !m.taken {
		m.taken = true
		if _, err := m.conn.Exec(ctx, `DELETE FROM nodes WHERE until < clock_timestamp() - interval '1 day'`); err != nil {
			return nil, err
		}
	}
	rows, err := m.conn.Query(ctx, selectNodes, n.Name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (n eventlog.Node, err error) {
		err = row.Scan(&n.Name, &n.Instance, &n.Version, &n.Address, &n.Started, &n.Draining)
		n.Started = n.Started.UTC()
		return n, err
	})
}

// lock takes the name. A process that had it before goes on without the lock if it does not get it:
// the row tells who has the name, and the next beat tries again.
func (m *membership) lock(ctx context.Context, name string) error {
	within := takeWithin
	if m.taken {
		within = retakeAfter // the server may not have noticed yet that the connection before is gone
	}
	for began := time.Now(); ; {
		if err := m.conn.QueryRow(ctx, lockName, nameLock(name)).Scan(&m.locked); err != nil || m.locked {
			return err
		}
		if time.Since(began) > within {
			break
		}
		t := time.NewTimer(takeEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
	if m.taken {
		return nil
	}
	return m.holder(ctx, name)
}

// holder says who has a name.
func (m *membership) holder(ctx context.Context, name string) error {
	var address string
	var started time.Time
	err := m.conn.QueryRow(ctx, `SELECT address, started FROM nodes WHERE name = $1`, name).Scan(&address, &started)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if address == "" {
		return eventlog.ErrNameTaken
	}
	return fmt.Errorf("%w: one at %s, since %s", eventlog.ErrNameTaken, address, started.UTC().Format(time.RFC3339))
}

func (m *membership) close() {
	if m.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the time to say goodbye to the server is bounded
	defer cancel()
	_ = m.conn.Close(ctx)
	m.conn, m.locked = nil, false
}

// Leave implements eventlog.Shared.
func (l *Log) Leave(ctx context.Context, n eventlog.Node) error {
	l.member.mu.Lock()
	defer l.member.mu.Unlock()
	defer l.member.close()
	if !l.member.taken {
		return nil
	}
	l.member.taken = false
	var name string
	err := l.change(ctx, `DELETE FROM nodes WHERE name = $1 AND instance = $2 RETURNING name`, []any{&name}, n.Name, n.Instance)
	if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
		return fmt.Errorf("node %s leaves: %w", n.Name, err)
	}
	return nil
}
