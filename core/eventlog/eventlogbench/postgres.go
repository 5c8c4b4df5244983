package eventlogbench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog/postgres"
)

// openPostgres makes a schema for the measurement in the database of dsn.
func openPostgres(ctx context.Context, dsn string, writers int) (_ *side, err error) {
	s := &side{store: "postgres", writers: writers}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, errors.New("the database cannot be reached") // the driver's error may show the connection string
	}
	end := func(f func(context.Context) error) func() error {
		return func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the clean-up runs after Ctrl+C too
			defer cancel()
			return f(ctx)
		}
	}
	s.closers = append(s.closers, end(conn.Close))
	var mark [4]byte
	_, _ = rand.Read(mark[:]) // never fails (crypto/rand)
	schema := "parley_bench_" + hex.EncodeToString(mark[:])
	if _, err := conn.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, end(func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
		return err
	}))
	if _, err := conn.Exec(ctx, "SET search_path = "+schema); err != nil {
		return nil, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("want a connection string such as postgres://user@host/database")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	l, err := postgres.Open(ctx, postgres.Options{DSN: u.String()})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, l.Close)
	if _, err := conn.Exec(ctx, "CREATE TABLE bare (LIKE events INCLUDING ALL)"); err != nil {
		return nil, err
	}
	s.log, s.load, s.bare = l, newLoad(l, writers), newBarePostgres(conn, writers)
	return s, nil
}

// barePostgres writes the rows of events with one statement per transaction and nothing else: no
// queue, no checks, no waiters.
type barePostgres struct {
	conn    *pgx.Conn
	streams [][16]byte
	heads   []int64
	pos     int64
}

func newBarePostgres(conn *pgx.Conn, writers int) *barePostgres {
	b := &barePostgres{conn: conn, heads: make([]int64, writers)}
	for _, id := range streamIDs(writers) {
		b.streams = append(b.streams, id)
	}
	return b
}

func (b *barePostgres) run(ctx context.Context, d time.Duration, n int) (perSecond float64, err error) {
	e := sample()
	pos, seqs, ats, keys := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	streams, kinds := make([][16]byte, n), make([]string, n)
	headers, bodies := make([][]byte, n), make([][]byte, n)
	rows := 0
	start := time.Now()
	for time.Since(start) < d && ctx.Err() == nil {
		for i := range n {
			w := int(b.pos) % len(b.streams)
			b.pos++
			b.heads[w]++
			pos[i], seqs[i], ats[i], keys[i] = b.pos, b.heads[w], time.Now().UnixNano(), e.KeyID
			streams[i], kinds[i], headers[i], bodies[i] = b.streams[w], e.Type, e.Head, e.Body
		}
		err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO bare (pos, xid, stream, seq, at, key_id, type, head, body)
SELECT pos, pg_current_xact_id(), stream, seq, at, key_id, type, head, body
FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bytea[], $8::bytea[])
  e (pos, stream, seq, at, key_id, type, head, body)`, pos, streams, seqs, ats, keys, kinds, headers, bodies)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("bare loop: %w", err)
		}
		rows += n
	}
	return float64(rows) / time.Since(start).Seconds(), ctx.Err()
}
