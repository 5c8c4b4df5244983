package router

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/agents"
	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/core/vault"
)

// tx gathers the decisions of several tasks of one conversation into one append.
type tx struct {
	l      *live
	now    time.Time
	batch  eventlog.Batch
	recs   []readers.TailRecord
	done   []decided // what became of each task, in order
	agents agents.Part
	row    bool              // the state changed other than by a message, so the conversation's row is written
	unread bool              // what waits in somebody's Recent changed, too
	sends  []*outbox.Command // queued for plugins
	ended  []*conversation.SessionEnded
	bots   []botChange
	// refused means that a rule refused a task, perhaps because this node lacks what another one
	// wrote.
	refused bool
	cached  bool  // the state was in memory: another node may have written since
	fault   error // the events of a task could not be applied: nothing may be committed
}

// botChange: since the event seq this bot takes part; zero: none.
type botChange struct {
	bot conversation.AccountID
	seq uint64
}

// decided is what became of a task.
type decided struct {
	task *task
	out  outcome
	err  error
}

func newTx(l *live) *tx { return &tx{l: l, now: l.r.now()} }

// decide takes tasks from the front of batch until one must have an append of
// its own, and returns how many it took.
func (tx *tx) decide(batch []*task) int {
	if len(batch) > maxBatch {
		batch = batch[:maxBatch]
	}
	tx.done = make([]decided, 0, len(batch))
	tx.recs = make([]readers.TailRecord, 0, len(batch))
	for i, t := range batch {
		if i > 0 && (tx.agents.Any() || repeated(batch[:i], t) || isStart(t.cmd) || t.alone != nil || t.wrote != nil) {
			return i
		}
		if !tx.take(t, i == 0) {
			return i
		}
		if tx.fault != nil {
			return i + 1
		}
	}
	return len(batch)
}

// maxBatch bounds how many tasks of a conversation share an append.
const maxBatch = 256

func isStart(c conversation.Command) bool { _, ok := startOf(c); return ok }

// repeated reports whether an earlier task names one of t's external ids.
func repeated(earlier []*task, t *task) bool {
	for _, k := range t.external {
		for _, e := range earlier {
			if slices.Contains(e.external, k) {
				return true
			}
		}
	}
	return false
}

// take decides one task. False means that the task touches agents and must come first in an append
// of its own.
func (tx *tx) take(t *task, first bool) bool {
	s := tx.l.state
	if !tx.l.r.order.Admits(&t.from) {
		tx.l.r.metrics.behind.Inc()
		tx.done = append(tx.done, decided{t, outcome{}, errBehind})
		return true
	}
	if t.read != nil {
		t.read(s)
	}
	var events []conversation.Event
	var err error
	if t.prepare != nil {
		err = t.prepare(t, s)
	}
	if t.cmd != nil && err == nil {
		events, err = conversation.Decide(s, t.cmd, tx.now)
	}
	if err == nil && agents.Concerned(events) {
		if !first {
			return false
		}
		err = tx.l.r.agents.Decide(&tx.agents, s, events, t.with, tx.now)
	}
	tx.refused = tx.refused || refusal(err)
	tx.l.r.note(&t.from, err)
	out := outcome{conversation: tx.l.id}
	if err == nil {
		tx.fault = tx.add(t, events, &out)
	}
	tx.done = append(tx.done, decided{t, out, err})
	return true
}

// add applies a task's events to the state, and adds them to the append.
func (tx *tx) add(t *task, events []conversation.Event, out *outcome) error {
	s := tx.l.state
	parts := sessionwork.PartsOf(s)
	for i := range events {
		ev := &events[i]
		prev, unread, bot := s.LastVisible, s.Unread, s.Bot()
		head, err := conversation.Encode(*ev)
		if err != nil {
			return fmt.Errorf("router: encode %s: %w", ev.Head.Type(), err)
		}
		tx.tellEnd(t, ev)
		if err := s.Apply(*ev); err != nil {
			return fmt.Errorf("router: apply %s: %w", ev.Head.Type(), err)
		}
		if now := s.Bot(); now != bot {
			tx.bots = append(tx.bots, botChange{now, ev.Seq})
		}
		if out.first == 0 {
			out.first = ev.Seq
		}
		out.last = ev.Seq
		if conversation.AudienceAgent.Sees(ev.Head.Audience()) {
			out.seen = ev.Seq
		}
		tx.row = tx.row || conversation.WritesRow(ev.Head.Type())
		switch h := ev.Head.(type) {
		case *conversation.MessagePosted:
			out.message = ev.Seq
			tx.queueSend(h, ev)
		case *conversation.Note: // has ids and attachments as a message has, but is never sent
			out.message = ev.Seq
		}
		if s.Unread != unread { // the row keeps the unread counts over a restart, since a start reads rows only
			tx.row, tx.unread = true, true
		}
		tx.recs = append(tx.recs, readers.TailRecord{
			Audience: ev.Head.Audience(),
			Prev:     prev,
			Record:   readers.Record{Conversation: tx.l.id, Seq: ev.Seq, At: ev.At, Type: ev.Head.Type(), Head: head, Body: ev.Body},
		})
	}
	if len(t.external) > 0 {
		at := t.externalSeq
		if at == 0 {
			at = out.message
		}
		if at == 0 {
			at = out.first
		}
		if at != 0 {
			for _, k := range t.external {
				tx.batch.External = append(tx.batch.External, eventlog.ExternalID{
					Account: eventlog.StreamID(t.account), Key: k, Stream: eventlog.StreamID(tx.l.id), Index: -1, Seq: at})
			}
		}
	}
	for i := range events { // after t.external, so that a repeat of what asked for a session is found out as such
		tx.session(&events[i])
	}
	if at := out.named(); at != 0 {
		for _, id := range t.blobs {
			account, key := blob.LogKey(tx.l.r.vault, id)
			tx.batch.External = append(tx.batch.External, eventlog.ExternalID{
				Account: account, Key: key, Stream: eventlog.StreamID(tx.l.id), Index: -1, Seq: at})
		}
	}
	switch t.cmd.(type) {
	case conversation.Touch:
		s.Touch(tx.now)
	case conversation.Tick:
		// Nodes that look for deadlines must not come upon this one again and again.
		if len(events) == 0 && tx.l.r.nodes != nil && !tx.l.rowDue.IsZero() && !tx.l.rowDue.After(tx.now) {
			tx.row = true
		}
	}
	if t.thread != nil && len(events) > 0 {
		tx.batch.OpenThreads = append(tx.batch.OpenThreads, eventlog.Thread{
			Account: eventlog.StreamID(t.thread.id.account), Key: t.thread.key, Conversation: eventlog.StreamID(tx.l.id)})
	}
	if t.lease.Name != "" {
		tx.batch.Lease = t.lease
	}
	if t.queue != nil {
		cmds, err := t.queue(s)
		if err != nil {
			return err
		}
		tx.queue(cmds...)
	}
	if len(events) > 0 {
		tx.callsFollow(parts)
	}
	tx.batch.OutboxUpdates = append(tx.batch.OutboxUpdates, t.outbox...)
	tx.batch.JoinReceipts = append(tx.batch.JoinReceipts, t.receipts...)
	return nil
}

// session notes what an event does to a session: a session that is asked for can be found by its id from
// then on, and one that has ended is counted after the commit.
func (tx *tx) session(ev *conversation.Event) {
	switch h := ev.Head.(type) {
	case *conversation.SessionRequested:
		tx.batch.External = append(tx.batch.External, eventlog.ExternalID{
			Account: eventlog.StreamID(h.Account), Key: tx.l.r.sessions.Key(h.Account, h.Session), Stream: eventlog.StreamID(tx.l.id), Index: -1, Seq: ev.Seq})
	case *conversation.SessionEnded:
		tx.ended = append(tx.ended, h)
	}
}

// queueSend puts an agent's, bot's or system's message on a store-and-forward
// channel into the outbox, in the append of its own event.
func (tx *tx) queueSend(m *conversation.MessagePosted, ev *conversation.Event) {
	s := tx.l.state
	if m.Author.Kind == conversation.Customer || m.Endpoint >= len(s.Endpoints) || s.EndpointCapabilities(m.Endpoint).Connected {
		return
	}
	tx.queue(tx.l.r.outbox.Send(tx.l.id, s.Endpoints[m.Endpoint].Account, m, ev))
}

// maxTail is the number of events after which the row is written although only messages came, so
// that loading stays short.
const maxTail = 200

// commit makes the decisions durable, shows them to readers and other nodes, and answers the tasks.
// On error no task was answered and, unless eventlog.InDoubt says otherwise, nothing was written.
func (tx *tx) commit() error {
	l, r := tx.l, tx.l.r
	if len(tx.recs) > 0 || tx.row || len(tx.sends) > 0 || len(tx.batch.OutboxUpdates) > 0 || len(tx.batch.External) > 0 || tx.agents.Any() {
		if err := tx.write(); err != nil {
			if eventlog.InDoubt(err) {
				r.doubtConversation(l.id)
				if len(tx.sends) > 0 { // only the rows of messages are found through the conversation
					r.outbox.ReadAgain()
				}
			}
			tx.agents.Failed(err)
			tx.agents.Release()
			return err
		}
		if tx.row {
			l.rowSeq, l.refold = l.state.Seq, false
			l.rowDue, _ = l.state.NextDeadline()
		}
		r.metrics.events.Add(float64(len(tx.recs)))
		for i := range tx.done {
			if d := &tx.done[i]; d.err == nil && d.task.externalSeq != 0 && len(d.task.external) > 0 {
				l.bind(d.task.external...)
			}
		}
	}
	for _, c := range tx.bots { // before the events are shown, so that a bot's reading ends with its part
		r.bots.Now(l.id, c.bot, c.seq, l.state.Phase != conversation.PhaseOpen)
	}
	if len(tx.recs) > 0 {
		l.publish(tx.recs, l.state)
	}
	tx.agents.Committed()
	tx.agents.Release()
	r.committed(tx)
	for i := range tx.done {
		if d := &tx.done[i]; d.err == nil && d.out.named() != 0 && len(d.task.blobs) > 0 {
			if err := r.blobs.Take(r.commits, l.id, d.task.blobs); err != nil { // the store will find the message by asking the log
				r.logger.Warn("attachments of a message not marked yet", "conversation_id", l.id, "err", err)
			}
		}
	}
	for i := range tx.done {
		if d := &tx.done[i]; d.err == nil {
			d.task.done(d.out, nil)
		} else {
			d.task.done(outcome{}, d.err)
		}
	}
	return nil
}

func (tx *tx) write() error {
	if err := tx.fill(); err != nil {
		return err
	}
	began := time.Now()
	_, err := tx.l.r.log.Append(tx.l.r.commits, &tx.batch)
	tx.l.r.metrics.append.Observe(time.Since(began).Seconds())
	return err
}

// fill completes the batch with the sealed events, the conversation's row, the threads to be
// closed, and the agents' part.
func (tx *tx) fill() error {
	l, s := tx.l, tx.l.state
	if n := len(tx.recs); n > 0 {
		sa := eventlog.StreamAppend{Stream: eventlog.StreamID(l.id), Expect: tx.recs[0].Record.Seq - 1, Events: make([]eventlog.Event, n)}
		for i, t := range tx.recs {
			ev := eventlog.Event{Type: string(t.Record.Type), At: t.Record.At, Head: t.Record.Head}
			if t.Record.Body != nil {
				body, err := tx.sealed(func(key int64) ([]byte, error) { return l.r.seal(l.id, t.Record.Seq, key, t.Record.Body) })
				if err != nil {
					return err
				}
				ev.Body, ev.KeyID = body, l.key
			}
			sa.Events[i] = ev
		}
		tx.batch.Streams = append(tx.batch.Streams, sa)
	}
	if err := tx.fillOutbox(); err != nil {
		return err
	}
	if len(tx.recs) == 0 && tx.payloads() { // the payloads must not be sealed under a key that another node has replaced
		tx.expect()
	}
	if s.Seq-l.rowSeq > maxTail || len(tx.recs) > 0 && (l.refold || l.dueBeforeRow()) {
		tx.row = true
	}
	if tx.row {
		if len(tx.recs) == 0 { // the row must not replace one that another node has written meanwhile
			tx.expect()
		}
		row, err := l.row()
		if err != nil {
			return err
		}
		tx.batch.Conversations = append(tx.batch.Conversations, row)
		if s.Phase != conversation.PhaseOpen {
			// A conversation that begins and ends in one append never holds its thread. The store closes
			// threads before it opens any, so with both the thread would be held for ever.
			tx.batch.OpenThreads = nil
			for _, e := range s.Endpoints {
				if k, ok := threadKeyOf(e); ok {
					tx.batch.CloseThreads = append(tx.batch.CloseThreads, eventlog.Thread{Account: eventlog.StreamID(e.Account), Key: k, Conversation: eventlog.StreamID(l.id)})
				}
			}
		}
	}
	return tx.agents.Fill(&tx.batch)
}

// expect lets an append without events of the conversation fail if there are newer ones.
func (tx *tx) expect() {
	id := eventlog.StreamID(tx.l.id)
	if !slices.ContainsFunc(tx.batch.Streams, func(a eventlog.StreamAppend) bool { return a.Stream == id }) {
		tx.batch.Streams = append(tx.batch.Streams, eventlog.StreamAppend{Stream: id, Expect: tx.l.state.Seq})
	}
}

// sealed calls seal with the conversation's data key and, if that one is lost, with a new one.
func (tx *tx) sealed(seal func(key int64) ([]byte, error)) ([]byte, error) {
	b, err := seal(tx.l.key)
	if vault.Lost(err) {
		if err = tx.newKey(err); err == nil {
			b, err = seal(tx.l.key)
		}
	}
	return b, err
}

// dueBeforeRow reports whether the state has a deadline before the stored row's. A start sets
// timers by rows only, so with that row it would come back to the conversation too late, or never.
func (l *live) dueBeforeRow() bool {
	at, ok := l.state.NextDeadline()
	return ok && (l.rowDue.IsZero() || at.Before(l.rowDue))
}

func (r *Router) seal(id conversation.ConversationID, seq uint64, key int64, body []byte) ([]byte, error) {
	sealed, err := r.vault.Seal(key, readers.BodyAAD(eventlog.StreamID(id), seq), body)
	if err != nil {
		return nil, fmt.Errorf("router: seal event %d of %s: %w", seq, id, err)
	}
	return sealed, nil
}

// newKey gives the conversation another data key in place of one that is lost (cause); the row
// names the new key from this append on. What the lost key sealed stays unreadable, but what comes
// now can be read. An open exchange whose messages go to an address fails with errUnreachable
// instead: its address was sealed under the lost key, so nobody could answer in it.
func (tx *tx) newKey(cause error) error {
	l, s := tx.l, tx.l.state
	if tx.cached {
		return fmt.Errorf("%w: %w", errStaleKey, cause)
	}
	if s.Phase == conversation.PhaseOpen && !s.Capabilities.Connected && !slices.ContainsFunc(tx.recs, func(t readers.TailRecord) bool { return t.Record.Seq == 1 }) {
		return fmt.Errorf("%w: %w", errUnreachable, cause)
	}
	key, err := l.r.vault.Assign()
	if err != nil {
		return fmt.Errorf("router: new key for %s: %w", l.id, err)
	}
	l.r.logger.Error("conversation gets a new data key: what the old one sealed is lost", "conversation_id", l.id, "err", cause)
	l.key, tx.row = key, true
	return nil
}

// row encodes the state as the conversation's row in the log.
func (l *live) row() (eventlog.ConversationRow, error) {
	s := l.state
	state, err := conversation.EncodeState(s)
	if err != nil {
		return eventlog.ConversationRow{}, err
	}
	row := eventlog.ConversationRow{
		ID: eventlog.StreamID(l.id), Seq: s.Seq, Service: eventlog.StreamID(s.Service), Contact: eventlog.StreamID(s.Contact),
		KeyID: l.key, Phase: string(s.Phase), Display: string(s.Display()), StartedAt: s.StartedAt, EndedAt: s.EndedAt, State: state,
	}
	row.Due, _ = s.NextDeadline()
	if len(s.Endpoints) > 0 {
		row.Account = eventlog.StreamID(s.Endpoints[0].Account)
	}
	for _, p := range s.Participants {
		if p.Who.Kind == conversation.Agent {
			row.Agents = append(row.Agents, eventlog.ConversationAgent{Agent: eventlog.StreamID(p.Who.Agent), Active: p.State != conversation.Left})
		}
	}
	if s.Parking != nil && !slices.ContainsFunc(row.Agents, func(a eventlog.ConversationAgent) bool { return a.Agent == eventlog.StreamID(s.Parking.Owner) }) {
		row.Agents = append(row.Agents, eventlog.ConversationAgent{Agent: eventlog.StreamID(s.Parking.Owner)})
	}
	return row, nil
}
