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
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/readers"
)

// live is a conversation's mailbox and what is in memory of it. At most one
// worker runs per conversation: while its append is in flight further tasks
// wait and are then decided together into one append.
type live struct {
	r    *Router
	id   conversation.ConversationID
	tail *readers.Tail // has a lock of its own

	mu      sync.Mutex // guards the fields up to the next blank line
	queue   []*task
	running bool
	threads int // that have it as their open one
	used    time.Time

	// Owned by the worker.
	state  *conversation.State // nil: load before use
	key    int64
	rowSeq uint64 // sequence that the stored row reflects
	refold bool   // the stored row is of an older fold: it is written anew at the next event
	// bound are providers' ids of this conversation's messages, as far as memory
	// knows: a status that names one need not try to bind it again.
	bound map[eventlog.Key]struct{}
}

// maxBound bounds live.bound; a full one starts again.
const maxBound = 64

func (l *live) bind(keys ...eventlog.Key) {
	if l.bound == nil || len(l.bound)+len(keys) > maxBound {
		l.bound = make(map[eventlog.Key]struct{}, len(keys))
	}
	for _, k := range keys {
		l.bound[k] = struct{}{}
	}
}

// notBound are those of keys that memory does not know to be bound. What is
// bound stays so.
func (l *live) notBound(keys []eventlog.Key) []eventlog.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k eventlog.Key) bool {
		_, ok := l.bound[k]
		return ok
	})
}

// task is a command in a mailbox. done is called once, without locks held.
type task struct {
	from     order.Item // whose it is, where their order matters
	cmd      conversation.Command
	external []eventlog.Key // ids that the task's first event answers to
	// externalSeq is the event that external is bound to, when it is not one of
	// this task's own (ids that a provider gave an earlier message).
	externalSeq uint64
	account     conversation.AccountID
	cameOn      eventlog.Key            // thread that a customer's message came in on
	blobs       []conversation.BlobID   // attachments that the task's message is the first to name; prepare sets them
	receipts    []eventlog.ReceiptJoin  // early receipts that this task takes into account
	outbox      []eventlog.OutboxUpdate // in the same append, also when the decision has no event
	lease       eventlog.LeaseRef       // checked in the append (offers)
	// with is decided after the consequences that cmd's events have for agents, and
	// goes into the same append. When it has no event the task does nothing and fails
	// with agents.ErrNothingToDo.
	with   *acd.ForAgent
	thread *thread // the thread that a Start opens
	key    int64   // data key of a conversation that a Start makes
	// prepare completes cmd from the state, just before the decision.
	prepare func(*task, *conversation.State) error
	reload  uint64                    // another node has written up to here
	read    func(*conversation.State) // looks at the state as decided so far
	done    func(outcome, error)
}

// outcome is where a task's events ended up.
type outcome struct {
	conversation conversation.ConversationID
	first, last  uint64 // sequences of its events; 0 when the decision had none
	message      uint64 // sequence of its message, if any
	duplicate    bool   // the external id was bound before; first names that event
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
	l.used = time.Now() // keeps the janitor away from who asked
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

// fail ends everything that waits.
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
		n := tx.decide(batch[:c.limit(len(batch))])
		err := tx.fault
		if err == nil && tx.refused && !c.checked && (tx.agents.Refused() || cached && l.overtaken(base)) {
			// Another node was here: what it knows decides.
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
		case errors.Is(err, errUnreachable) && l.endUnreachable():
			// Decided again: what a customer writes begins another conversation.
		case n > 1 && !c.alone && ofOne(err):
			l.state, c.alone = nil, true
		default:
			l.state = nil
			l.finish(batch[:n], err)
			return batch[n:]
		}
	}
}

// errUnreachable: the customer's address is lost with the conversation's data key.
var errUnreachable = errors.New("router: the customer's address is lost")

// endUnreachable ends a conversation whose customer nobody can answer any more, so
// that the customer's next text begins another one. It reports whether that is in
// the log; either way the state is loaded anew.
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

// care is what process has learnt about a batch.
type care struct {
	checked bool // a refusal has been looked at with what the log says
	alone   bool // somebody in the batch spoils the append of the others
}

func (c care) limit(n int) int {
	if c.alone {
		return 1
	}
	return n
}

// ofOne reports whether an append may have failed for one task's sake only.
func ofOne(err error) bool {
	var open *eventlog.ThreadOpenError
	for _, all := range []error{eventlog.ErrFull, eventlog.ErrUnavailable, eventlog.ErrFatal, eventlog.ErrClosed, eventlog.ErrCorrupt, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, all) {
			return false
		}
	}
	return !errors.As(err, &open) // everything in the batch is the thread's
}

// overtaken reports whether the log has gone on beyond a sequence.
func (l *live) overtaken(seq uint64) bool {
	recs, err := l.r.log.Read(l.r.ctx, eventlog.StreamID(l.id), seq, 1)
	return err == nil && len(recs) > 0
}

// notLoaded answers the tasks that need a state which is not there. A Start
// makes its own.
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

// newer tells what a newer version has written from what cannot be read.
func newer(err error) error {
	if errors.Is(err, conversation.ErrNewerFold) || errors.Is(err, conversation.ErrUnknownType) {
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return err
}

// blobTaken reports whether dup means an attachment that another message has
// by now; then its row says so, and the batch can be decided again.
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

// answerRepeats answers the tasks whose external id is bound already.
func (l *live) answerRepeats(batch []*task, dup *eventlog.DuplicateError) []*task {
	rest := batch[:0:0]
	for _, t := range batch {
		repeat := false
		for _, k := range t.external {
			repeat = repeat || (k == dup.Key && eventlog.StreamID(t.account) == dup.Account)
		}
		if repeat {
			t.done(outcome{conversation: conversation.ConversationID(dup.Stream), first: dup.Seq, last: dup.Seq, message: dup.Seq, duplicate: true}, nil)
		} else {
			rest = append(rest, t)
		}
	}
	if len(rest) == len(batch) { // an id that no task named: cannot be retried
		l.finish(batch, dup)
		return nil
	}
	return rest
}

// finish fails tasks. Those of one author are noted before any of them hears of
// it, so that none that is queued or on its way overtakes them (see order).
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
	if s, ok := batch[0].cmd.(conversation.Start); ok {
		l.state = &conversation.State{ID: s.ID}
		l.key = batch[0].key
		l.rowSeq, l.refold = 0, false
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
			if err := s.Apply(ev); err != nil {
				return fmt.Errorf("router: fold conversation %s at seq %d: %w", l.id, rec.Seq, err)
			}
			fresh = append(fresh, tr)
		}
		if len(fresh) > 4*readers.TailSize { // a fold from the beginning: readers need the end of it
			fresh = slices.Clone(fresh[len(fresh)-readers.TailSize:])
		}
	}
	if err := l.r.outbox.Learn(ctx, s); err != nil {
		return fmt.Errorf("router: load conversation %s: %w", l.id, err)
	}
	l.state = s
	l.publish(fresh, s)
	l.r.bindThreads(l, s)
	l.r.readers.SyncRecent(s)
	l.r.dispatch.Conversation(s) // another node may have written it
	return nil
}

// publish shows committed events to readers, with the state after them.
func (l *live) publish(recs []readers.TailRecord, s *conversation.State) {
	l.tail.Publish(recs, s.Seq, s.Phase != conversation.PhaseOpen)
}

// idleSince reports whether nothing happened since t, and whether nobody
// refers to the mailbox any more: no reader, and no thread. It is made again
// from the log when somebody asks for the conversation. away: then, too, its
// customer is not there.
func (l *live) idleSince(t time.Time) (idle, unused, away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	idle = !l.running && l.used.Before(t)
	return idle, idle && l.threads == 0 && !l.tail.Watched(), l.tail.Away()
}

// refer counts the threads that have l as their open conversation.
func (l *live) refer(n int) {
	l.mu.Lock()
	l.threads += n
	l.mu.Unlock()
}

// forget frees what can be read again from the log.
func (l *live) forget(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running || !l.used.Before(t) {
		return
	}
	l.tail.Free()
	l.state = nil
}
