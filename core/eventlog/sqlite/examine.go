package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// versionFloor is the first SQLite in which starting the write-ahead log over
// cannot lose a concurrent checkpoint (sqlite.org/wal.html, WAL-reset bug).
var versionFloor = [3]int{3, 51, 3}

// found is what was in the data folder before the log opened it.
type found struct {
	database bool
	wal      bool     // there is a write-ahead log, and it is not empty
	witness  *witness // nil when the lock file has none
	changed  bool     // closed properly, but the file has changed since
}

// inspect looks at the files before SQLite touches them, and makes an empty
// database when there is none.
func (l *Log) inspect() (found, error) {
	var f found
	st, err := os.Stat(l.path)
	switch {
	case err == nil:
		f.database = st.Size() > 0
	case !errors.Is(err, fs.ErrNotExist):
		return f, err
	}
	if st, err := os.Stat(l.path + "-wal"); err == nil {
		f.wal = st.Size() > 0
	}
	if w, ok := l.lock.read(); ok {
		f.witness = &w
		f.changed = w.clean && f.database && (st.Size() != w.size || st.ModTime().UnixNano() != w.mtime)
	}
	return f, createPrivate(l.path)
}

// examine decides whether the database found may be used (FT13): it must contain every acknowledged
// event, and must be undamaged if there is reason for doubt.
func (l *Log) examine(ctx context.Context, f found, o Options) error {
	pos, open, err := l.ends()
	if err != nil {
		return err
	}
	var missing error
	switch {
	case f.witness != nil && pos < f.witness.pos:
		missing = fmt.Errorf("%w: it ends at position %d but %d was acknowledged; was the write-ahead log lost, or left behind when copying?",
			eventlog.ErrCorrupt, pos, f.witness.pos)
	case f.witness == nil && open && !f.wal:
		missing = fmt.Errorf("%w: it was in use when it was copied, and its write-ahead log is missing: the newest events may be too",
			eventlog.ErrCorrupt)
	}
	if missing != nil {
		if !o.AcceptDamage {
			return missing
		}
		l.log.ErrorContext(ctx, "damage accepted", "err", missing)
	}
	switch {
	case !f.database:
		return nil
	case f.changed:
		return l.checkIntegrity(ctx, "the database file changed since it was closed", o)
	case f.witness == nil:
		return l.checkIntegrity(ctx, "the database came without its lock file", o)
	case !f.witness.clean:
		return l.checkIntegrity(ctx, "the log was not closed in order", o)
	}
	return nil
}

func checkVersion(c *conn) error {
	row, err := c.once(`SELECT sqlite_version()`)
	if err != nil {
		return err
	}
	text := row[0].(string)
	var v [3]int
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil {
		return fmt.Errorf("read SQLite version: %w", err)
	}
	for i := range v {
		if v[i] != versionFloor[i] {
			if v[i] < versionFloor[i] {
				return fmt.Errorf("%w: %s, want 3.51.3 or newer", ErrVersion, text)
			}
			break
		}
	}
	return nil
}

// ends reads the last position and whether the log was marked open. A database whose first
// migration never finished has neither. The connection only reads: when it closes, the write-ahead
// log stays as it was, so that a refused database can still be repaired.
func (l *Log) ends() (pos int64, open bool, err error) {
	c, err := connect(ReadDSN(l.path))
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := checkVersion(c); err != nil {
		return 0, false, err
	}
	row, err := c.once(`SELECT count(*) FROM sqlite_schema WHERE name IN ('events', 'log_meta')`)
	if err != nil || row[0].(int64) != 2 {
		return 0, false, err
	}
	row, err = c.once(`SELECT (SELECT coalesce(max(pos), 0) FROM events), (SELECT value FROM log_meta WHERE name = 'open')`)
	if err != nil {
		return 0, false, err
	}
	return row[0].(int64), row[1].(int64) != 0, nil
}

// checkIntegrity starts the check and waits a while for its result.
func (l *Log) checkIntegrity(ctx context.Context, why string, o Options) error {
	l.log.InfoContext(ctx, "checking the event log", "reason", why)
	start := time.Now()
	verdict := make(chan error, 1)
	l.done.Go(func() {
		err := l.Verify(l.background)
		if l.background.Err() != nil {
			verdict <- nil // the log was closed meanwhile: the check did not finish and found nothing
			return
		}
		if err != nil && o.AcceptDamage {
			l.log.ErrorContext(ctx, "damage accepted", "err", err)
			err = nil
		}
		verdict <- err
		if err != nil {
			_ = l.fail(err)
			return
		}
		l.log.InfoContext(ctx, "event log checked", "took", time.Since(start))
	})
	timer := time.NewTimer(o.CheckWait)
	defer timer.Stop()
	select {
	case err := <-verdict:
		return err
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Verify reads the whole database and reports damage as eventlog.ErrCorrupt: the structure, each
// index against its table (quick_check leaves this out, and a row missing from an index would
// silently not be found), then every checksum. It takes some 10 s for each gigabyte and slows other
// work down meanwhile.
func (l *Log) Verify(ctx context.Context) (err error) {
	db, err := sql.Open("sqlite", ReadDSN(l.path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return named(err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", eventlog.ErrCorrupt, verdict)
	}
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name IN ('events', 'conversations', 'agents')`).Scan(&tables); err != nil {
		return named(err)
	}
	if tables != 3 {
		return nil // the database is still empty
	}
	if err := verifyLists(ctx, db); err != nil {
		return named(err)
	}
	return named(verifySums(ctx, db))
}

// verifySums reads every row that has a checksum, in steps of its table's key.
func verifySums(ctx context.Context, db *sql.DB) error {
	for _, t := range []struct {
		from, columns, key string
		scan               func(*sql.Rows) error
	}{
		{"events", eventColumns, "pos", each(eventOf, ignore)},
		{"conversations c", conversationColumns, "n", each(conversationOf, ignore)},
		{"agents", agentColumns, "rowid", each(agentOf, ignore)},
		{"outbox", outboxColumns, "n", each(outboxOf, ignore)},
	} {
		const step = 2000
		query := `SELECT ` + t.columns + ` FROM ` + t.from + ` WHERE ` + t.key + ` > ? AND ` + t.key + ` <= ?`
		for from := int64(0); ; from += step {
			n, err := eachRow(ctx, db, query, t.scan, from, from+step)
			if err != nil {
				return err
			}
			if n == 0 { // the table is read: no row is ever deleted from these tables
				break
			}
		}
	}
	if _, err := eachRow(ctx, db, `SELECT `+threadColumns+` FROM open_threads`, each(threadOf, ignore)); err != nil {
		return err
	}
	var parked int // this table may not exist yet, since it is younger than the others
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'early_receipts'`).Scan(&parked); err != nil {
		return err
	}
	if parked == 1 {
		if _, err := eachRow(ctx, db, `SELECT `+receiptColumns+` FROM early_receipts`, each(receiptOf, ignore)); err != nil {
			return err
		}
	}
	return verifyExternal(ctx, db)
}

func ignore[R any](R) {}

func verifyExternal(ctx context.Context, db *sql.DB) error {
	last := eventlog.ExternalID{}
	for {
		n, err := eachRow(ctx, db, `SELECT `+externalColumns+` FROM external_ids WHERE (account, key) > (?, ?) ORDER BY account, key LIMIT 2000`,
			each(externalOf, func(x eventlog.ExternalID) { last = x }), last.Account[:], last.Key[:])
		if err != nil || n == 0 {
			return err
		}
	}
}

// verifyLists compares the lists of conversations by agent with the conversations' own rows.
func verifyLists(ctx context.Context, db *sql.DB) error {
	var listed, matching, taking int64
	if err := db.QueryRowContext(ctx, `SELECT
  (SELECT count(*) FROM conversation_agents),
  (SELECT count(*) FROM conversation_agents a JOIN conversations c ON c.id = a.conversation AND c.started_at = a.started_at
    WHERE instr(c.agents, a.agent || CASE a.active WHEN 1 THEN x'01' ELSE x'00' END) > 0),
  (SELECT coalesce(sum(length(agents) / 17), 0) FROM conversations)`).Scan(&listed, &matching, &taking); err != nil {
		return err
	}
	if listed != matching || listed != taking {
		return fmt.Errorf("%w: lists of conversations by agent: %d rows, %d right, %d wanted", eventlog.ErrCorrupt, listed, matching, taking)
	}
	return nil
}

func eachRow(ctx context.Context, db *sql.DB, query string, do func(*sql.Rows) error, args ...any) (n int, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for ; rows.Next(); n++ {
		if err := do(rows); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// markOpen records that the log is in use, in the lock file and in the database itself, so that a
// copy of the database alone can be recognised as one. A full disk does not stop the start, since
// reads work (PR16).
func (l *Log) markOpen() error {
	if err := errors.Join(l.lock.write(witness{pos: l.w.pos}), l.lock.sync()); err != nil {
		l.log.Warn("cannot note in the lock file that the log is open", "err", err)
	}
	_, err := l.w.sql.setMeta.exec(int64(1), "open")
	if err == nil {
		_, err = l.w.conn.once(`PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	if classify(err) == troubleFull {
		l.log.Warn("disk is full: the log opens for reading, appends fail until there is space", "err", err)
		return nil
	}
	return err
}

// markClosed and noteClosed undo markOpen. If they fail, the next start checks more than it needs
// to.
func (l *Log) markClosed() {
	if _, err := l.w.sql.setMeta.exec(int64(0), "open"); err != nil {
		l.log.Warn("cannot note in the database that the log is closed", "err", err)
	}
}

func (l *Log) noteClosed() {
	st, err := os.Stat(l.path)
	if err == nil {
		err = l.lock.write(witness{clean: true, pos: l.w.pos, size: st.Size(), mtime: st.ModTime().UnixNano()})
	}
	if err = errors.Join(err, l.lock.sync()); err != nil {
		l.log.Warn("cannot note in the lock file that the log is closed", "err", err)
	}
}
