package postgres

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Rows that will be changed are locked when they are read. All rows are touched in the order of
// tables below and of keys within each table, so that two nodes never wait for each other.

// queueReads first reserves the positions, and then reads what was asked for.
func (p *plan) queueReads(q *pgx.Batch) {
	if p.positions > 0 {
		q.Queue(`SELECT first FROM event_positions($1)`, p.positions).QueryRow(func(row pgx.Row) error {
			return row.Scan(&p.firstPos)
		})
	}
	if len(p.reads.leases) > 0 {
		q.Queue(`SELECT name, node, epoch FROM leases WHERE name = ANY ($1) ORDER BY name FOR SHARE`,
			slices.Sorted(maps.Keys(p.reads.leases))).Query(each(func(row pgx.Rows) error {
			var name string
			var held lease
			err := row.Scan(&name, &held.node, &held.epoch)
			p.leases[name] = held
			return err
		}))
	}
	if len(p.reads.convs) > 0 {
		q.Queue(`SELECT `+conversationColumns+` FROM conversations c WHERE id = ANY ($1) ORDER BY id FOR UPDATE`,
			sortedIDs(p.reads.convs)).Query(each(func(row pgx.Rows) error {
			r, err := conversationOf(row)
			p.convs[r.ID] = &conversation{stored: &r}
			return err
		}))
	}
	if len(p.reads.commands) > 0 {
		q.Queue(`SELECT `+outboxColumns+` FROM outbox WHERE command_id = ANY ($1) ORDER BY command_id FOR UPDATE`,
			slices.SortedFunc(maps.Keys(p.reads.commands), compareBytes)).Query(each(func(row pgx.Rows) error {
			o, err := outboxOf(row)
			p.commands[o.CommandID] = &command{row: o, seen: true}
			return err
		}))
	}
	if len(p.reads.threads) > 0 {
		accounts, keys := split(p.reads.threads)
		q.Queue(`SELECT t.account, t.key, t.conversation FROM open_threads t JOIN unnest($1::uuid[], $2::bytea[]) k (account, key) USING (account, key)
ORDER BY account, key FOR UPDATE OF t`, accounts, keys).Query(each(func(row pgx.Rows) error {
			var account, c [16]byte
			var key []byte
			err := row.Scan(&account, &key, &c)
			p.threads[boundKey{account, keyOf(key)}] = &thread{was: c, now: c}
			return err
		}))
	}
	if len(p.reads.heads) > 0 {
		q.Queue(`SELECT s, coalesce((SELECT max(seq) FROM events WHERE stream = s), 0) FROM unnest($1::uuid[]) s`,
			sortedIDs(p.reads.heads)).Query(each(func(row pgx.Rows) error {
			var id [16]byte
			h := head{fresh: true}
			err := row.Scan(&id, &h.seq)
			p.heads[id] = h
			return err
		}))
	}
	if len(p.reads.receipts) > 0 {
		accounts, keys := split(p.reads.receipts)
		q.Queue(`SELECT r.account, r.key, r.status FROM early_receipts r JOIN unnest($1::uuid[], $2::bytea[]) k (account, key) USING (account, key)`,
			accounts, keys).Query(each(func(row pgx.Rows) error {
			var account [16]byte
			var key []byte
			var status string
			err := row.Scan(&account, &key, &status)
			m := p.mailbox(boundKey{account, keyOf(key)})
			m.stored = append(m.stored, status)
			return err
		}))
	}
	if len(p.reads.external) > 0 {
		accounts, keys := split(p.reads.external)
		q.Queue(`SELECT x.account, x.key, x.stream, x.seq FROM external_ids x JOIN unnest($1::uuid[], $2::bytea[]) k (account, key) USING (account, key)`,
			accounts, keys).Query(each(func(row pgx.Rows) error {
			var account, stream [16]byte
			var key []byte
			var e boundEvent
			err := row.Scan(&account, &key, &stream, &e.seq)
			e.stream = stream
			p.external[boundKey{account, keyOf(key)}] = e
			return err
		}))
	}
}

// each turns a function for one row into a function for all rows.
func each(one func(pgx.Rows) error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			if err := one(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// expect records a race unless a statement changed n rows.
func (p *plan) expect(n int) func(pgconn.CommandTag) error {
	return func(t pgconn.CommandTag) error {
		p.raced = p.raced || t.RowsAffected() != int64(n)
		return nil
	}
}

func (p *plan) queueWrites(q *pgx.Batch) {
	p.writeThreads(q)
	p.writeEvents(q)
	p.writeExternal(q)
	p.writeConversations(q)
	p.writeAgents(q)
	p.writeOutbox(q)
	p.writeReceipts(q)
}

// eventColumns are the events to insert, one slice per column.
type eventColumns struct {
	pos, seq, at, keyID []int64
	stream              [][16]byte
	kind                []string
	head, body          [][]byte
}

func (c *eventColumns) add(pos int64, stream eventlog.StreamID, seq uint64, e *eventlog.Event) {
	c.pos = append(c.pos, pos)
	c.stream = append(c.stream, stream)
	c.seq = append(c.seq, int64(seq))
	c.at = append(c.at, timeValue(e.At))
	c.kind = append(c.kind, e.Type)
	c.head = append(c.head, blob(e.Head))
	c.body = append(c.body, blob(e.Body))
	c.keyID = append(c.keyID, e.KeyID)
}

// insertEvents counts positions within the $1 that event_positions has just reserved, since both
// statements are mostly sent together. A place that is taken makes the statement fail (classify):
// this is rare, and ON CONFLICT would cost the server work for each row. The insert of external ids
// does use ON CONFLICT, since repeated ids are common and must not be errors in the server's log.
const insertEvents = `INSERT INTO events (pos, xid, stream, seq, at, key_id, type, head, body)
SELECT (SELECT currval('events_pos')) - $1 + pos, pg_current_xact_id(), stream, seq, at, key_id, type, head, body
FROM unnest($2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bytea[], $9::bytea[])
  e (pos, stream, seq, at, key_id, type, head, body) ORDER BY stream, seq`

func (p *plan) insert(q *pgx.Batch, e *eventColumns) {
	q.Queue(insertEvents, p.positions, e.pos, e.stream, e.seq, e.at, e.keyID, e.kind, e.head, e.body)
}

func (p *plan) writeEvents(q *pgx.Batch) {
	if len(p.events.pos) > 0 {
		p.insert(q, &p.events)
	}
	// A stream that is only checked: inserting an event at its next sequence and deleting it keeps
	// every other writer from the stream until the commit.
	var checks eventColumns
	for id := range p.checks {
		if h := p.heads[id]; !slices.Contains(p.events.stream, [16]byte(id)) {
			checks.add(p.pos, id, h.seq+1, &eventlog.Event{Type: "check"})
			p.pos++
		}
	}
	if n := len(checks.pos); n > 0 {
		p.insert(q, &checks)
		q.Queue(`DELETE FROM events WHERE pos = ANY (ARRAY(SELECT currval('events_pos') - $1 + pos FROM unnest($2::bigint[]) pos))`,
			p.positions, checks.pos).Exec(p.expect(n))
	}
}

// writeExternal also inserts the ids for which writeReceipts parks receipts.
func (p *plan) writeExternal(q *pgx.Batch) {
	reserved := p.reserve()
	if len(p.bound)+len(reserved) == 0 {
		return
	}
	accounts, keys := split(reserved)
	var streams [][16]byte
	var seqs []int64
	for range reserved {
		streams, seqs = append(streams, [16]byte{}), append(seqs, 0)
	}
	for i := range p.bound {
		x := &p.bound[i]
		accounts, streams = append(accounts, x.Account), append(streams, x.Stream)
		keys, seqs = append(keys, x.Key[:]), append(seqs, int64(x.Seq))
	}
	q.Queue(`INSERT INTO external_ids (account, key, stream, seq)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::bigint[]) x (account, key, stream, seq) ORDER BY account, key
ON CONFLICT (account, key) DO NOTHING`, accounts, keys, streams, seqs).Exec(p.expect(len(keys)))
}

func (p *plan) writeThreads(q *pgx.Batch) {
	closed, opened, moved := map[boundKey]bool{}, map[boundKey]bool{}, map[boundKey]bool{}
	none := eventlog.StreamID{}
	for k, t := range p.threads {
		switch {
		case t.was == t.now:
		case t.now == none:
			closed[k] = true
		case t.was == none:
			opened[k] = true
		default:
			moved[k] = true
		}
	}
	holders := func(keys map[boundKey]bool) (accounts [][16]byte, raw [][]byte, conversations [][16]byte) {
		accounts, raw = split(keys)
		for i := range accounts {
			conversations = append(conversations, p.threads[boundKey{accounts[i], keyOf(raw[i])}].now)
		}
		return accounts, raw, conversations
	}
	if len(closed) > 0 {
		accounts, keys := split(closed)
		q.Queue(`DELETE FROM open_threads t USING unnest($1::uuid[], $2::bytea[]) k (account, key) WHERE t.account = k.account AND t.key = k.key`,
			accounts, keys).Exec(p.expect(len(closed)))
	}
	if len(moved) > 0 {
		accounts, keys, conversations := holders(moved)
		q.Queue(`UPDATE open_threads t SET conversation = k.conversation FROM unnest($1::uuid[], $2::bytea[], $3::uuid[]) k (account, key, conversation)
WHERE t.account = k.account AND t.key = k.key`, accounts, keys, conversations).Exec(p.expect(len(moved)))
	}
	if len(opened) > 0 {
		accounts, keys, conversations := holders(opened)
		q.Queue(`INSERT INTO open_threads (account, key, conversation)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::uuid[]) k (account, key, conversation) ORDER BY account, key
ON CONFLICT (account, key) DO NOTHING`, accounts, keys, conversations).Exec(p.expect(len(opened)))
	}
}

func (p *plan) writeAgents(q *pgx.Batch) {
	if len(p.agents) == 0 {
		return
	}
	var ids [][16]byte
	var seqs []int64
	var states [][]byte
	for id, a := range p.agents {
		ids, seqs, states = append(ids, id), append(seqs, int64(a.Seq)), append(states, blob(a.State))
	}
	q.Queue(`INSERT INTO agents (id, seq, state) SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) a (id, seq, state) ORDER BY id
ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, state = excluded.state`, ids, seqs, states).Exec(p.expect(len(ids)))
}

func compareBytes(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }

func sortedIDs(set map[eventlog.StreamID]bool) [][16]byte {
	ids := make([][16]byte, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareBytes)
	return ids
}

// split makes two columns of a set of keys, sorted.
func split(set map[boundKey]bool) (accounts [][16]byte, keys [][]byte) {
	sorted := slices.SortedFunc(maps.Keys(set), func(a, b boundKey) int {
		return cmp.Or(bytes.Compare(a.account[:], b.account[:]), bytes.Compare(a.key[:], b.key[:]))
	})
	for i := range sorted {
		accounts, keys = append(accounts, sorted[i].account), append(keys, sorted[i].key[:])
	}
	return accounts, keys
}
