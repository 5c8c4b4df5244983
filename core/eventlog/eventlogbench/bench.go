package eventlogbench

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	moderncsqlite "modernc.org/sqlite"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
)

// rounds is how often the log and the bare loop take turns.
const rounds = 4

// bodySize is the size of an event's body in bytes.
const bodySize = 300

// Result is what Run measured.
type Result struct {
	Store     string // sqlite or postgres
	Writers   int
	Events    uint64  // appended by the log
	PerSecond float64 // events per second that the log appended
	MeanBatch float64 // mean number of events in one flush
	// FlushMean is the mean time of a commit, fsync included.
	FlushMean time.Duration
	// P50 and P99 of one append, from call to return.
	P50, P99 time.Duration
	// Bare is the speed of the bare loop in events per second at MeanBatch.
	Bare float64
	// Ratio is the median over the turns of PerSecond / Bare.
	Ratio float64
}

// String is one line for a terminal.
func (r Result) String() string {
	return fmt.Sprintf("%-8s %d writers: %.0f events/s in batches of %.0f (flush %v), append p50 %v p99 %v; bare loop %.0f events/s; ratio %.2f",
		r.Store, r.Writers, r.PerSecond, r.MeanBatch, r.FlushMean.Round(10*time.Microsecond), r.P50.Round(10*time.Microsecond),
		r.P99.Round(10*time.Microsecond), r.Bare, r.Ratio)
}

// Run measures the log on SQLite in dir, which must be on the disk in
// question; it leaves two data folders there. The log runs for d in all, the
// bare loop for d as well.
func Run(ctx context.Context, dir string, writers int, d time.Duration) (_ Result, err error) {
	s, err := openSQLite(ctx, dir, writers)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := takeTurns(ctx, d, s); err != nil {
		return Result{}, err
	}
	return s.result(), nil
}

// Compare measures SQLite in dir and PostgreSQL at dsn in turns. In the
// database it uses a schema of its own, which it removes.
func Compare(ctx context.Context, dir, dsn string, writers int, d time.Duration) (_ []Result, err error) {
	lite, err := openSQLite(ctx, dir, writers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lite.close()) }()
	pg, err := openPostgres(ctx, dsn, writers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pg.close()) }()
	if err := takeTurns(ctx, d, lite, pg); err != nil {
		return nil, err
	}
	return []Result{lite.result(), pg.result()}, nil
}

// side is a store with its log, its load and its bare loop.
type side struct {
	store   string
	writers int
	log     eventlog.Log
	load    *load
	bare    bareWriter
	closers []func() error // called in reverse order

	ratios, bares, speeds []float64
}

// bareWriter writes batches of n rows for d and returns rows per second.
type bareWriter interface {
	run(ctx context.Context, d time.Duration, n int) (perSecond float64, err error)
}

func (s *side) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

func openSQLite(ctx context.Context, dir string, writers int) (*side, error) {
	l, err := sqlite.Open(ctx, sqlite.Options{Dir: filepath.Join(dir, "log")})
	if err != nil {
		return nil, err
	}
	bare, err := openBare(ctx, filepath.Join(dir, "bare"), writers)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &side{store: "sqlite", writers: writers, log: l, load: newLoad(l, writers), bare: bare, closers: []func() error{bare.conn.Close, l.Close}}, nil
}

func takeTurns(ctx context.Context, d time.Duration, sides ...*side) error {
	for range rounds {
		for _, s := range sides {
			if err := s.turn(ctx, d/rounds); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *side) turn(ctx context.Context, d time.Duration) error {
	before := s.log.Stats()
	start := time.Now()
	if err := s.load.run(ctx, d); err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	after := s.log.Stats()
	events, batches := float64(after.Events-before.Events), float64(after.Batches-before.Batches)
	if batches == 0 {
		return fmt.Errorf("nothing was appended in %v", d)
	}
	loop, err := s.bare.run(ctx, d, max(1, int(events/batches+0.5)))
	if err != nil {
		return err
	}
	s.speeds = append(s.speeds, events/took)
	s.bares = append(s.bares, loop)
	s.ratios = append(s.ratios, events/took/loop)
	return nil
}

func (s *side) result() Result {
	st := s.log.Stats()
	r := Result{
		Store: s.store, Writers: s.writers, Events: st.Events, MeanBatch: float64(st.Events) / float64(st.Batches),
		FlushMean: time.Duration(st.FlushSeconds / float64(st.Batches) * float64(time.Second)),
		PerSecond: mean(s.speeds), Bare: mean(s.bares), Ratio: median(s.ratios),
	}
	r.P50, r.P99 = s.load.percentiles()
	return r
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// load is a number of writers that each append to a stream of their own.
type load struct {
	log     eventlog.Log
	streams []eventlog.StreamID
	heads   []uint64
	took    [][]time.Duration
}

func newLoad(l eventlog.Log, writers int) *load {
	return &load{log: l, streams: streamIDs(writers), heads: make([]uint64, writers), took: make([][]time.Duration, writers)}
}

// streamIDs are ids (UUIDv7) with times as close together as those of conversations that began at
// the same time.
func streamIDs(n int) []eventlog.StreamID {
	ids := make([]eventlog.StreamID, n)
	for i := range ids {
		_, _ = rand.Read(ids[i][:]) // never fails (crypto/rand)
		binary.BigEndian.PutUint64(ids[i][:], uint64(time.Now().UnixMilli()+int64(i))<<16|0x7000)
	}
	return ids
}

// sample is an event with a head as long as a message's, and a sealed body.
func sample() eventlog.Event {
	body := make([]byte, bodySize)
	_, _ = rand.Read(body) // never fails (crypto/rand)
	return eventlog.Event{
		Type:  "message/1",
		Head:  []byte(`{"id":"0196a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b","author":"customer","parts":["text"]}`),
		Body:  body,
		KeyID: 1,
	}
}

func (l *load) run(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	errs := make([]error, len(l.streams))
	var wg sync.WaitGroup
	for w := range l.streams {
		wg.Go(func() {
			e := sample()
			b := &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: l.streams[w], Events: []eventlog.Event{e}}}}
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
				b.Streams[0].Expect = l.heads[w]
				b.Streams[0].Events[0].At = now
				if _, err := l.log.Append(ctx, b); err != nil {
					errs[w] = err
					return
				}
				l.heads[w]++
				done := time.Now()
				l.took[w] = append(l.took[w], done.Sub(now))
				now = done
			}
		})
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), ctx.Err())
}

func (l *load) percentiles() (p50, p99 time.Duration) {
	all := slices.Concat(l.took...)
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// bareLoop writes the rows of events and nothing else: no queue, no checks, no
// waiters. It copies the write-ahead log back as often as the log does.
type bareLoop struct {
	conn    driver.Conn
	streams []eventlog.StreamID
	heads   []int64
	pos     int64
}

func openBare(ctx context.Context, dir string, writers int) (*bareLoop, error) {
	l, err := sqlite.Open(ctx, sqlite.Options{Dir: dir}) // opened to make the tables
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	c, err := new(moderncsqlite.Driver).Open(sqlite.DSN(l.Path()) + "&_pragma=wal_autocheckpoint(4096)")
	if err != nil {
		return nil, err
	}
	return &bareLoop{conn: c, streams: streamIDs(writers), heads: make([]int64, writers)}, nil
}

// run writes batches of n rows for d and returns rows per second.
func (l *bareLoop) run(ctx context.Context, d time.Duration, n int) (perSecond float64, err error) {
	var stmts [3]driver.StmtExecContext
	for i, text := range []string{
		`BEGIN IMMEDIATE`, `COMMIT`,
		`INSERT INTO events (pos, stream, seq, at, type, head, body, key_id, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	} {
		s, err := l.conn.Prepare(text)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		stmts[i] = s.(driver.StmtExecContext)
	}
	e := sample()
	args := make([]driver.NamedValue, 9)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	rows := 0
	start := time.Now()
	for time.Since(start) < d && ctx.Err() == nil {
		if _, err := stmts[0].ExecContext(context.Background(), nil); err != nil {
			return 0, err
		}
		for range n {
			w := int(l.pos) % len(l.streams)
			l.pos++
			l.heads[w]++
			for i, v := range []driver.Value{l.pos, l.streams[w][:], l.heads[w], time.Now().UnixNano(), e.Type, e.Head, e.Body, e.KeyID, int64(1 << 31)} {
				args[i].Value = v
			}
			if _, err := stmts[2].ExecContext(context.Background(), args); err != nil {
				return 0, err
			}
		}
		if _, err := stmts[1].ExecContext(context.Background(), nil); err != nil {
			return 0, err
		}
		rows += n
	}
	return float64(rows) / time.Since(start).Seconds(), ctx.Err()
}
