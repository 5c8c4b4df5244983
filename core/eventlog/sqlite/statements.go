package sqlite

// statements are the prepared statements of the writing connection.
type statements struct {
	begin, commit, rollback                                          *stmt
	head, addEvent                                                   *stmt
	external, addExternal                                            *stmt
	dropExternal                                                     *stmt
	thread, addThread, delThread                                     *stmt
	conversation, addConversation, setConversation, moveConversation *stmt
	addAgentOf                                                       *stmt
	setAgent                                                         *stmt
	outboxState, outbox, addOutbox, setOutbox, emptyOutbox           *stmt
	payload, setPayload                                              *stmt
	addReceipt, countReceipts, delReceipts, pruneReceipts            *stmt
	lease, setLease                                                  *stmt
	setBody, addReplaced, delReplaced                                *stmt
	setMeta, checkpoint, restart                                     *stmt
}

func (w *writer) prepare() error {
	for _, p := range []struct {
		to   **stmt
		args int
		text string
	}{
		{&w.sql.begin, 0, `BEGIN IMMEDIATE`},
		{&w.sql.commit, 0, `COMMIT`},
		{&w.sql.rollback, 0, `ROLLBACK`},
		{&w.sql.head, 1, `SELECT coalesce(max(seq), 0) FROM events WHERE stream = ?`},
		{&w.sql.addEvent, 9, `INSERT INTO events (pos, stream, seq, at, type, head, body, key_id, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&w.sql.external, 2, `SELECT stream, seq FROM external_ids WHERE account = ? AND key = ?`},
		{&w.sql.addExternal, 5, `INSERT INTO external_ids (account, key, stream, seq, sum) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&w.sql.dropExternal, 2, `DELETE FROM external_ids WHERE account = ? AND key = ?`},
		{&w.sql.thread, 2, `SELECT conversation FROM open_threads WHERE account = ? AND key = ?`},
		{&w.sql.addThread, 4, `INSERT INTO open_threads (account, key, conversation, sum) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&w.sql.delThread, 3, `DELETE FROM open_threads WHERE account = ? AND key = ? AND conversation = ?`},
		{&w.sql.conversation, 1, `SELECT ` + conversationColumns + ` FROM conversations c WHERE id = ?`},
		{&w.sql.addConversation, 13, `INSERT INTO conversations (id, seq, account, service, contact, key_id, phase, display, started_at, ended_at, state, agents, sum)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&w.sql.setConversation, 8, `UPDATE conversations SET seq = ?, key_id = ?, display = ?, ended_at = ?, state = ?, agents = ?, sum = ? WHERE id = ?`},
		{&w.sql.moveConversation, 5, `UPDATE conversations SET account = ?, service = ?, contact = ?, phase = ? WHERE id = ?`},
		{&w.sql.addAgentOf, 4, `INSERT INTO conversation_agents (agent, started_at, conversation, active) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET active = excluded.active`},
		{&w.sql.setAgent, 4, `INSERT INTO agents (id, seq, state, sum) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, state = excluded.state, sum = excluded.sum`},
		{&w.sql.outboxState, 1, `SELECT state, node, epoch FROM outbox WHERE command_id = ?`},
		{&w.sql.addOutbox, 15, `INSERT INTO outbox (command_id, account, conversation, seq, kind, route, state, attempt, not_before, deadline, payload, key_id, node, epoch, sum)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&w.sql.outbox, 1, `SELECT ` + outboxColumns + ` FROM outbox WHERE command_id = ?`},
		{&w.sql.setOutbox, 8, `UPDATE outbox SET state = ?, attempt = ?, not_before = ?, deadline = ?, node = ?, epoch = ?, sum = ? WHERE command_id = ?`},
		{&w.sql.emptyOutbox, 1, `UPDATE outbox SET payload = NULL, key_id = 0 WHERE command_id = ?`},
		{&w.sql.payload, 2, `SELECT command_id, n FROM outbox INDEXED BY outbox_unsettled
WHERE state <> 'settled' AND conversation = ? AND n > ? AND payload IS NOT NULL ORDER BY n LIMIT 1`},
		{&w.sql.setPayload, 4, `UPDATE outbox SET payload = ?, key_id = ?, sum = ? WHERE command_id = ?`},
		{&w.sql.addReceipt, 7, `INSERT INTO early_receipts (account, key, status, at, body, key_id, sum) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&w.sql.countReceipts, 2, `SELECT count(*) FROM early_receipts WHERE account = ? AND key = ?`},
		{&w.sql.delReceipts, 2, `DELETE FROM early_receipts WHERE account = ? AND key = ?`},
		{&w.sql.pruneReceipts, 1, `DELETE FROM early_receipts WHERE at < ?`},
		{&w.sql.lease, 1, `SELECT node, epoch, until FROM leases WHERE name = ?`},
		{&w.sql.setLease, 4, `INSERT INTO leases (name, node, epoch, until) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET node = excluded.node, epoch = excluded.epoch, until = excluded.until`},
		{&w.sql.setBody, 5, `UPDATE events SET body = ?, key_id = ?, sum = ? WHERE stream = ? AND seq = ?`},
		{&w.sql.addReplaced, 2, `INSERT INTO replaced_keys (key_id, stream) VALUES (?, ?) ON CONFLICT DO NOTHING`},
		{&w.sql.delReplaced, 1, `DELETE FROM replaced_keys WHERE key_id = ?`},
		{&w.sql.setMeta, 2, `UPDATE log_meta SET value = ? WHERE name = ?`},
		{&w.sql.checkpoint, 0, `PRAGMA wal_checkpoint(PASSIVE)`},
		{&w.sql.restart, 0, `PRAGMA wal_checkpoint(RESTART)`},
	} {
		s, err := w.conn.prepare(p.text, p.args)
		if err != nil {
			return err
		}
		*p.to = s
	}
	return nil
}
