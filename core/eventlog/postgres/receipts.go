package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

// mailbox holds the receipts parked for an external id. A callback and the answer to its send may
// come to two nodes at the same time. Parking therefore inserts the id into external_ids and
// deletes it again within the transaction, so that one node waits for the other and then sees what
// it did (FT32).
type mailbox struct {
	stored []string // statuses in the table, when they were read
	joined bool     // the stored receipts are removed; gone is how many rows
	gone   int
	staged []eventlog.EarlyReceipt // parked by this transaction
}

func (p *plan) mailbox(k boundKey) *mailbox {
	m := p.receipts[k]
	if m == nil {
		m = &mailbox{}
		p.receipts[k] = m
	}
	return m
}

func (m *mailbox) has(status string) bool {
	return !m.joined && slices.Contains(m.stored, status) ||
		slices.ContainsFunc(m.staged, func(e eventlog.EarlyReceipt) bool { return e.Status == status })
}

// count is how many receipts are parked as far as the transaction knows.
func (m *mailbox) count() int {
	n := len(m.staged)
	if !m.joined {
		n += len(m.stored)
	}
	return n
}

func (p *plan) addReceipts(b *eventlog.Batch) {
	for _, j := range b.JoinReceipts {
		m := p.mailbox(boundKey{j.Account, j.Key})
		if !m.joined {
			m.gone = j.Seen - len(m.staged)
		}
		m.joined, m.staged = true, nil
	}
	for _, r := range b.ParkReceipts {
		if m := p.mailbox(boundKey{r.Account, r.Key}); !m.has(r.Status) {
			m.staged = append(m.staged, r)
		}
	}
}

// reserve lists the ids that parking inserts into external_ids for the time of the transaction. An
// id that this transaction binds is inserted anyway.
func (p *plan) reserve() map[boundKey]bool {
	var ids map[boundKey]bool
	for k, m := range p.receipts {
		if _, bound := p.external[k]; len(m.staged) > 0 && !bound {
			if ids == nil {
				ids = map[boundKey]bool{}
			}
			ids[k] = true
		}
	}
	return ids
}

// writeReceipts must come after writeExternal, whose inserts wait for any transaction that is
// parking or binding the same ids.
func (p *plan) writeReceipts(q *pgx.Batch) {
	joined, gone := map[boundKey]bool{}, 0
	var staged []eventlog.EarlyReceipt
	for k, m := range p.receipts {
		if m.joined {
			joined[k] = true
			gone += m.gone
		}
		staged = append(staged, m.staged...)
	}
	if len(joined) > 0 {
		accounts, keys := split(joined)
		q.Queue(`DELETE FROM early_receipts r USING unnest($1::uuid[], $2::bytea[]) k (account, key) WHERE r.account = k.account AND r.key = k.key`,
			accounts, keys).Exec(p.expect(gone))
	}
	if len(staged) > 0 {
		p.park(q, staged)
	}
	if ids := p.reserve(); len(ids) > 0 {
		accounts, keys := split(ids)
		q.Queue(`DELETE FROM external_ids x USING unnest($1::uuid[], $2::bytea[]) k (account, key) WHERE x.account = k.account AND x.key = k.key`,
			accounts, keys).Exec(p.expect(len(ids)))
	}
}

func (p *plan) park(q *pgx.Batch, receipts []eventlog.EarlyReceipt) {
	var accounts [][16]byte
	var keys, bodies [][]byte
	var states []string
	var ats, keyIDs []int64
	for i := range receipts {
		e := &receipts[i]
		accounts, keys, states = append(accounts, e.Account), append(keys, e.Key[:]), append(states, e.Status)
		ats, bodies, keyIDs = append(ats, timeValue(e.At)), append(bodies, blob(e.Body)), append(keyIDs, e.KeyID)
	}
	q.Queue(`INSERT INTO early_receipts (account, key, status, at, body, key_id)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[]) r (account, key, status, at, body, key_id)
ORDER BY account, key, status ON CONFLICT DO NOTHING`, accounts, keys, states, ats, bodies, keyIDs)
}
