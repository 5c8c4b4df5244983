package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/vault"
)

// live is a conversation's mailbox and what is in memory of the conversation. At most one worker
// runs per conversation: while its append is in flight, further tasks wait, and are then decided
// together into one append.
type live struct {
	r    *Router
	id   conversation.ConversationID
	tail *readers.Tail // has a lock of its own

	typist typist // has a lock of its own

	mu      sync.Mutex // guards the fields up to the next blank line
	queue   []*task
	running bool
	threads int // number of threads that have this as their open conversation
	used    time.Time

	// The fields below are owned by the worker.
	state  *conversation.State // nil: the worker must load it before use
	key    int64
	rowSeq uint64    // sequence that the stored row reflects
	rowDue time.Time // the stored row's next deadline, by which a start sets the timer; zero: it has none
	refold bool      // the stored row is of an older fold, so it is written anew with the next event
	// bound holds provider ids of this conversation's messages that are known to be bound: a status
	// that names one of them need not try to bind it again.
	bound map[eventlog.Key]struct{}
}

// maxBound bounds live.bound; when it is full it is emptied.
const maxBound = 64

func (l *live) bind(keys ...eventlog.Key) {
	if l.bound == nil || len(l.bound)+len(keys) > maxBound {
		l.bound = make(map[eventlog.Key]struct{}, len(keys))
	}
	for _, k := range keys {
		l.bound[k] = struct{}{}
	}
}

// notBound returns those of keys that are not known to be bound. A bound key stays bound.
func (l *live) notBound(keys []eventlog.Key) []eventlog.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k eventlog.Key) bool {
		_, ok := l.bound[k]
		return ok
	})
}

// task is a command in a mailbox. done is called once, without locks held.
type task struct {
	from     order.Item // what the author has sent, where the author's order matters
	cmd      conversation.Command
	external []eventlog.Key // external ids that are bound to the task's message, or to its first event if it has none
	// externalSeq is the event to which external is bound, when that is not an event of this task
	// (ids that a provider gave an earlier message).
	externalSeq uint64
	account     conversation.AccountID
	cameOn      eventlog.Key            // thread on which a customer's message came in
	blobs       []conversation.BlobID   // attachments that the task's message is the first to name; prepare sets them
	receipts    []eventlog.ReceiptJoin  // early receipts that this task takes into account
	outbox      []eventlog.OutboxUpdate // written in the same append, even when the decision has no event
	queue       queueing                // nil: the task queues no commands beside its messages
	lease       eventlog.LeaseRef       // the append fails unless this lease is held (offers)
	// with is decided after the consequences that cmd's events have for agents, and its events go
	// into the same append. When it has none, the task does nothing and fails with
	// agents.ErrNothingToDo.
	with   *acd.ForAgent
	thread *thread // the thread that a Start opens
	key    int64   // data key of a conversation that a Start makes
	// prepare completes cmd from the state, just before the decision.
	prepare func(*task, *conversation.State) error
	reload  uint64                    // sequence up to which another node has written; a state that is behind it is loaded again
	read    func(*conversation.State) // is given the state as decided so far
	alone   func() error              // is run in place of everything else, with the mailbox to itself
	done    func(outcome, error)
	// wrote is a customer's message that names another one by the provider's id, which prepare looks up
	// in the log; nil: the message names none. Such a task comes first in its append, since the message that it
	// names may be in the task before it.
	wrote *messages.Written
	// reported: the task writes what a plugin has reported of a session, so the plugin is told nothing of it.
	reported bool
}

// outcome tells where a task's events are in the log.
type outcome struct {
	conversation conversation.ConversationID
	first, last  uint64 // sequences of its events; 0 when the decision had none
	seen         uint64 // sequence of the last one that agents see; 0: none. What agents are answered, who must not learn that somebody listens (H3)
	message      uint64 // sequence of its message or note, if any
	duplicate    bool   // the external id was bound before; first names that event
}

// named is the event that names the task's attachments: its message, or its first event.
func (o outcome) named() uint64 {
	if o.message != 0 {
		return o.message
	}
	return o.first
}

// live returns the mailbox of a conversation, making it when needed.
func (r *Router) live(id conversation.ConversationID) *live {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lives[id]
	if l == nil {
		_, away := r.away[id]
		delete(r.away, id)
		l = &live{r: r, id: id, tail: r.readers.NewTail(id, !away)}
		r.lives[id] = l
	}
	l.mu.Lock()
	l.used = time.Now() // keeps the janitor from dropping the mailbox before the caller uses it
	l.mu.Unlock()
	return l
}

// submit queues a task. It never blocks.
func (l *live) submit(t *task) {
	l.mu.Lock()
	l.queue = append(l.queue, t)
	start := !l.running
	l.running = true
	l.mu.Unlock()
	if start && !l.r.spawn(l.work) {
		l.fail(ErrStopped)
	}
}

// do submits a task and waits for its outcome. When ctx ends first the
// outcome is not known to the caller.
func (l *live) do(ctx context.Context, t *task) (outcome, error) {
	type answer struct {
		out outcome
		err error
	}
	ch := make(chan answer, 1)
	t.done = func(o outcome, err error) { ch <- answer{o, err} }
	l.submit(t)
	select {
	case a := <-ch:
		return a.out, a.err
	case <-ctx.Done():
		return outcome{}, fmt.Errorf("router: conversation %s: %w", l.id, ctx.Err())
	}
}

// fail answers all queued tasks with err.
func (l *live) fail(err error) {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.running = nil, false
	l.mu.Unlock()
	for _, t := range queue {
		t.done(outcome{}, err)
	}
}

func (l *live) work() {
	for {
		l.mu.Lock()
		batch := l.queue
		l.queue = nil
		if len(batch) == 0 {
			l.running = false
			l.used = time.Now()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		for len(batch) > 0 {
			batch = l.process(batch)
		}
	}
}

// maxRetries bounds how often a batch is decided again after a conflict.
const maxRetries = 8

// process decides and commits a prefix of batch and returns the rest.
func (l *live) process(batch []*task) (rest []*task) {
	if batch[0].alone != nil {
		batch[0].done(outcome{conversation: l.id}, batch[0].alone())
		return batch[1:]
	}
	var c care
	for attempt := 0; ; attempt++ {
		if l.r.ctx.Err() != nil {
			return l.finish(batch, ErrStopped)
		}
		for _, t := range batch {
			if l.state != nil && t.reload > l.state.Seq {
				l.state = nil
			}
		}
		cached := l.state != nil
		if err := l.load(batch); err != nil {
			return l.notLoaded(batch, err)
		}
		base := l.state.Seq
		tx := newTx(l)
		tx.cached = cached
		n := tx.decide(batch[:c.limit(len(batch))])
		err := tx.fault
		if err == nil && tx.refused && !c.checked && (tx.agents.Refused() || cached && l.overtaken(base)) {
			// The rules may have refused for want of what another node wrote: decide again with
			// what the log has.
			tx.agents.Release()
			l.state, c.checked = nil, true
			continue
		}
		if err == nil {
			err = tx.commit()
		} else {
			tx.agents.Release()
		}
		var dup *eventlog.DuplicateError
		switch {
		case err == nil:
			return batch[n:]
		case errors.Is(err, eventlog.ErrConflict) && attempt < maxRetries:
			l.r.metrics.conflicts.Inc()
			l.state = nil
			c.alone = attempt > 0
		case errors.As(err, &dup) && attempt < maxRetries+len(batch):
			l.state = nil
			if l.r.blobTaken(batch, dup) {
				c.alone = true // the other message may be one of this batch
				continue
			}
			batch = l.answerRepeats(batch, dup)
			if len(batch) == 0 {
				return nil
			}
		case errors.Is(err, errStaleKey):
			l.state = nil
		case errors.Is(err, errUnreachable) && l.endUnreachable():
			// Decide again: a message of the customer then begins another conversation.
		case n > 1 && !c.alone && ofOne(err):
			l.state, c.alone = nil, true
		default:
			l.state = nil
			l.finish(batch[:n], err)
			return batch[n:]
		}
	}
}

// errStaleKey: the data key in memory does not seal any more; perhaps another node has rewritten the
// conversation and the log names another one.
var errStaleKey = errors.New("router: the data key in memory is lost")

// errUnreachable: the customer's address is lost with the conversation's data key.
var errUnreachable = errors.New("router: the customer's address is lost")

// endUnreachable ends a conversation whose customer's address is lost, so that the customer's next
// text begins another one. It reports whether the end is in the log; in either case the state must
// be loaded anew.
func (l *live) endUnreachable() bool {
	l.state = nil
	end := []*task{{cmd: conversation.End{By: conversation.Author{Kind: conversation.System}}, done: func(outcome, error) {}}}
	if l.load(end) != nil {
		return false
	}
	tx := newTx(l)
	tx.decide(end)
	err := tx.fault
	if err == nil {
		err = tx.commit()
	} else {
		tx.agents.Release()
	}
	l.state = nil
	if err != nil {
		l.r.logger.Warn("conversation whose data key is lost could not be ended", "conversation_id", l.id, "err", err)
		return false
	}
	l.r.logger.Error("conversation ended: its data key is lost, and the customer's address with it", "conversation_id", l.id)
	return true
}

// care is what earlier attempts have found out about a batch, so that the next one does not repeat
// them.
type care struct {
	checked bool // a refusal was decided again with what the log has
	alone   bool // one task of the batch may spoil the append of the others, so tasks are appended one by one
}

func (c care) limit(n int) int {
	if c.alone {
		return 1
	}
	return n
}

// ofOne reports whether an append may have failed because of one task only.
func ofOne(err error) bool {
	var open *eventlog.ThreadOpenError
	for _, all := range []error{eventlog.ErrFull, eventlog.ErrUnavailable, eventlog.ErrFatal, eventlog.ErrClosed, eventlog.ErrCorrupt, vault.ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, all) {
			return false
		}
	}
	return !errors.As(err, &open) // the thread belongs to every task of the batch
}

// overtaken reports whether the log has events after seq.
func (l *live) overtaken(seq uint64) bool {
	recs, err := l.r.log.Read(l.r.ctx, eventlog.StreamID(l.id), seq, 1)
	return err == nil && len(recs) > 0
}

// notLoaded answers the tasks that need a state, which could not be loaded (err), and returns the
// rest: a Start makes its own state.
func (l *live) notLoaded(batch []*task, err error) (rest []*task) {
	n := len(batch)
	if errors.Is(err, ErrNotFound) {
		if i := slices.IndexFunc(batch, func(t *task) bool { return isStart(t.cmd) }); i >= 0 {
			n = i
		} else {
			l.tail.End()
		}
	}
	if errors.Is(err, ErrNewer) {
		l.r.metrics.newer.Inc()
		l.tail.Unknown()
	}
	l.finish(batch[:n], err)
	return batch[n:]
}

// newer adds ErrNewer to an error if it means that a newer version has written what cannot be read.
func newer(err error) error {
	if errors.Is(err, conversation.ErrNewerFold) || errors.Is(err, conversation.ErrUnknownType) {
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return err
}

// blobTaken reports whether dup means that another message has one of the batch's attachments by
// now. It then lets the attachment's row say so, and the batch can be decided again.
func (r *Router) blobTaken(batch []*task, dup *eventlog.DuplicateError) bool {
	for _, t := range batch {
		for _, id := range t.blobs {
			if account, key := blob.LogKey(r.vault, id); account != dup.Account || key != dup.Key {
				continue
			}
			if err := r.blobs.FollowLog(r.ctx, id); err != nil {
				r.logger.Warn("whose an attachment is could not be recorded", "err", err)
			}
			return true
		}
	}
	return false
}

// asksFor reports whether a command asks for a session whose id dup names: the account had a session with
// that id before.
func (r *Router) asksFor(c conversation.Command, dup *eventlog.DuplicateError) bool {
	switch c := c.(type) {
	case conversation.RequestSession:
		return eventlog.StreamID(c.Account) == dup.Account && r.sessions.Key(c.Account, c.Session) == dup.Key
	case conversation.Several:
		return slices.ContainsFunc(c, func(one conversation.Command) bool { return r.asksFor(one, dup) })
	}
	return false
}

// answerRepeats answers the tasks whose external id is bound already, refuses those that ask for a session
// whose id is, and returns the others.
func (l *live) answerRepeats(batch []*task, dup *eventlog.DuplicateError) []*task {
	rest := batch[:0:0]
	for _, t := range batch {
		repeat := false
		for _, k := range t.external {
			repeat = repeat || (k == dup.Key && eventlog.StreamID(t.account) == dup.Account)
		}
		switch {
		case repeat:
			t.done(outcome{conversation: conversation.ConversationID(dup.Stream), first: dup.Seq, last: dup.Seq, message: dup.Seq, duplicate: true}, nil)
		case l.r.asksFor(t.cmd, dup):
			t.done(outcome{}, fmt.Errorf("%w: session id is in use", conversation.ErrInvalid))
		default:
			rest = append(rest, t)
		}
	}
	if len(rest) == len(batch) { // no task of the batch named the id, so deciding again does not help
		l.finish(batch, dup)
		return nil
	}
	return rest
}

// finish fails tasks. It records all of them as refused before it answers the first, so that
// nothing that their author has queued or on its way overtakes them (see order).
func (l *live) finish(batch []*task, err error) []*task {
	for _, t := range batch {
		l.r.note(&t.from, err)
	}
	for _, t := range batch {
		t.done(outcome{}, err)
	}
	return nil
}

// load brings the state up to the log, unless it is in memory or the batch
// begins the conversation.
func (l *live) load(batch []*task) error {
	if l.state != nil {
		return nil
	}
	if s, ok := startOf(batch[0].cmd); ok {
		l.state = &conversation.State{ID: s.ID}
		l.key = batch[0].key
		l.rowSeq, l.rowDue, l.refold = 0, time.Time{}, false
		return nil
	}
	ctx := l.r.ctx
	row, err := l.r.log.Conversation(ctx, eventlog.StreamID(l.id))
	if errors.Is(err, eventlog.ErrNotFound) {
		return fmt.Errorf("router: conversation %s: %w", l.id, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("router: load conversation %s: %w", l.id, err)
	}
	s, err := conversation.DecodeState(row.State)
	old := errors.Is(err, conversation.ErrOlderFold)
	if old {
		s = &conversation.State{}
	} else if err != nil {
		return fmt.Errorf("router: load conversation %s: %w", l.id, newer(err))
	}
	l.key, l.rowSeq, l.refold = row.KeyID, row.Seq, old
	l.rowDue, _ = s.NextDeadline()
	var fresh []readers.TailRecord
	for {
		recs, err := l.r.log.Read(ctx, eventlog.StreamID(l.id), s.Seq, 256)
		if err != nil {
			return fmt.Errorf("router: load conversation %s: %w", l.id, err)
		}
		if len(recs) == 0 {
			break
		}
		for _, rec := range recs {
			tr, ev, err := l.r.readers.Open(rec)
			if err != nil {
				return fmt.Errorf("router: load conversation %s: %w", l.id, newer(err))
			}
			tr.Prev = s.LastVisible
			bot := s.Bot()
			if err := s.Apply(ev); err != nil {
				return fmt.Errorf("router: fold conversation %s at seq %d: %w", l.id, rec.Seq, err)
			}
			if now := s.Bot(); now != bot { // another node's event
				l.r.bots.Now(l.id, now, rec.Seq, s.Phase != conversation.PhaseOpen)
			}
			fresh = append(fresh, tr)
		}
		if len(fresh) > 4*readers.TailSize { // the state was folded from the first event: readers need only the last events
			fresh = slices.Clone(fresh[len(fresh)-readers.TailSize:])
		}
	}
	if err := l.r.outbox.Learn(ctx, s); err != nil {
		return fmt.Errorf("router: load conversation %s: %w", l.id, err)
	}
	l.state = s
	l.r.botNow(s)
	l.publish(fresh, s)
	l.r.bindThreads(l, s)
	l.r.readers.SyncRecent(s)
	l.r.sessions.Seen(s)
	l.r.dispatch.Conversation(s) // another node may have written the conversation
	l.r.noCall(s)
	return nil
}

// publish shows committed events to readers, with the state after them.
func (l *live) publish(recs []readers.TailRecord, s *conversation.State) {
	l.tail.Publish(recs, s.Seq, s.Phase != conversation.PhaseOpen)
}

// idleSince reports whether nothing happened since t (idle), and whether in addition no reader and
// no thread refers to the mailbox (unused), which can then be dropped: it is made again from the
// log when somebody asks for the conversation. away means that the customer is known not to be
// there.
func (l *live) idleSince(t time.Time) (idle, unused, away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	idle = !l.running && l.used.Before(t)
	return idle, idle && l.threads == 0 && !l.tail.Watched(), l.tail.Away()
}

// refer adds n to the number of threads that have l as their open conversation.
func (l *live) refer(n int) {
	l.mu.Lock()
	l.threads += n
	l.mu.Unlock()
}

// forget frees what can be read again from the log, unless the mailbox was used since t.
func (l *live) forget(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running || !l.used.Before(t) {
		return
	}
	l.tail.Free()
	l.state = nil
}
