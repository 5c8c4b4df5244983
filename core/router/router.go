package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/agents"
	"github.com/parley-gateway/parley/core/bots"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/desk"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/dispatch"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/core/timers"
)

// Vault is what the router needs of the vault, which holds the data keys.
type Vault interface {
	Assign() (int64, error)
	Seal(key int64, aad, plain []byte) ([]byte, error)
	Open(key int64, aad, sealed []byte) ([]byte, error)
	MAC(purpose string, parts ...[]byte) [32]byte
	Destroy(ctx context.Context, keys ...int64) error
}

// Directory is what the router needs of the installation's records.
type Directory interface {
	Snapshot() *directory.Snapshot
	Changes() (<-chan struct{}, func())
	// ContactByAddress finds the known customer with an address; zero when there is none, or on an error.
	ContactByAddress(ctx context.Context, address string) (conversation.ContactID, error)
	// Contact is a known customer's record, or directory.ErrNotFound.
	Contact(ctx context.Context, id conversation.ContactID) (directory.Contact, error)
}

// Blobs is what the router needs of the attachments (blob.Store). The log decides to whom an
// attachment belongs: an append binds blob.LogKey of each.
type Blobs interface {
	messages.Blobs
	// Take records, after the commit, that a message of the conversation has the attachments.
	Take(ctx context.Context, conv conversation.ConversationID, ids []conversation.BlobID) error
	// FollowLog records what the log says of an attachment.
	FollowLog(ctx context.Context, id conversation.BlobID) error
	// Rekey seals what the old keys of a conversation have sealed under another key, and deletes
	// attachments that no message names any more.
	Rekey(ctx context.Context, conv conversation.ConversationID, newKey int64, old []int64, gone []conversation.BlobID) error
	// Ended says that the conversation gets no more messages. It never blocks.
	Ended(conv conversation.ConversationID)
}

// Options for New. All fields but Blobs, Nodes and Now are needed. With Nodes the Log must be an
// eventlog.Shared.
type Options struct {
	Node      string // unique among the installation's nodes
	Log       eventlog.Log
	Vault     Vault
	Directory Directory
	Blobs     Blobs         // nil: there are no attachments
	Nodes     Nodes         // nil: no other process writes the log
	Leases    outbox.Leases // nil: this node may serve every account
	Bus       bus.Bus
	Logger    *slog.Logger
	Now       func() time.Time // the installation's time (core/clock); nil: time.Now
}

// Router is the session router. Safe for concurrent use.
type Router struct {
	node   string
	log    eventlog.Log
	nodes  Nodes           // nil: this is the only node
	shared eventlog.Shared // the log, if there are nodes
	vault  Vault
	dir    Directory
	blobs  Blobs
	bus    bus.Bus
	logger *slog.Logger
	now    func() time.Time

	ctx     context.Context //nolint:containedctx // ends when the router stops
	cancel  context.CancelFunc
	commits context.Context //nolint:containedctx // ends only when Stop waits no longer, so that an append that has begun still gets its answer
	abandon context.CancelFunc
	wg      sync.WaitGroup
	gate    sync.RWMutex // write-locked once, by Stop, so that no goroutine starts after it
	closed  bool

	mu    sync.Mutex
	lives map[conversation.ConversationID]*live
	away  map[conversation.ConversationID]struct{} // conversations that are not in memory and whose customers are known not to be there

	threadsMu    sync.RWMutex
	threads      map[threadID]*thread
	threadsByKey map[threadHash]*thread

	infos   atomic.Pointer[map[string]plugin.Info]
	infosMu sync.Mutex

	*people  // what people at their desks ask for
	agents   *agents.Keeper
	dispatch *dispatch.Assigner

	timers   *timers.Timers[timerID]
	readers  *readers.Readers
	outbox   *outbox.Outbox
	bots     *bots.Keeper
	order    *order.Keeper
	messages *messages.Maker
	ingest   *ingest.Ingest
	sessions *sessionwork.Work
	lookups  chan struct{} // one entry for each thread that is being looked up for a signal
	typists  chan struct{} // one entry for each conversation whose provider is being told of typing
	metrics  *metrics
	doubts   doubts
}

// New makes a router. Nothing runs before Start.
func New(o Options) (*Router, error) {
	if o.Node == "" || o.Log == nil || o.Vault == nil || o.Directory == nil || o.Bus == nil || o.Logger == nil {
		return nil, errors.New("router: incomplete options")
	}
	r := &Router{
		node: o.Node, log: o.Log, vault: o.Vault, dir: o.Directory, blobs: o.Blobs, bus: o.Bus, logger: o.Logger, now: o.Now,
		lives: map[conversation.ConversationID]*live{}, away: map[conversation.ConversationID]struct{}{},
		threads: map[threadID]*thread{}, threadsByKey: map[threadHash]*thread{},
		metrics: newMetrics(),
	}
	if r.now == nil {
		r.now = time.Now
	}
	if err := r.checkNodes(o); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(context.Background()) // ended by Stop and not by a caller's context: commits outlive their callers
	r.commits, r.abandon = context.WithCancel(context.Background())
	r.timers = timers.New(r.now, r.due)
	r.readers = readers.New(forReaders{r}, r.log, r.vault, r.logger)
	r.outbox = outbox.New(outbox.Options{Node: r.node, Shared: r.nodes != nil, Log: r.log, Conversations: forOutbox{r}, Runner: runner{r}, Leases: o.Leases, Logger: r.logger, Now: r.now})
	r.agents = agents.New(agents.Options{
		Node: r.node, Log: r.log, Bus: r.bus, Watcher: forAgents{r}, Runner: runner{r}, Logger: r.logger, Now: r.now,
		Conflicts: r.metrics.conflicts, Newer: r.metrics.newer})
	r.dispatch = dispatch.New(dispatch.Options{
		Node: r.node, Log: r.log, Directory: r.dir, Conversations: forDispatch{r}, Runner: runner{r}, Logger: r.logger, Now: r.now})
	r.bots = bots.New(func(id conversation.AccountID) string {
		acc, _ := r.dir.Snapshot().Account(id)
		return acc.Plugin
	})
	r.order, r.messages = order.New(), messages.New(r.log, r.blobs, r.logger)
	r.ingest = ingest.New(ingest.Options{
		Node: r.node, Log: r.log, Vault: r.vault, Directory: r.dir, Conversations: forIngest{r}, Outbox: r.outbox, Messages: r.messages,
		Runner: runner{r}, Logger: r.logger, Now: r.now})
	r.sessions = sessionwork.New(sessionwork.Options{
		Node: r.node, Log: r.log, Vault: r.vault, Directory: r.dir, Conversations: forSessions{r}, Runner: runner{r}, Logger: r.logger, Now: r.now})
	r.people = desk.New(desk.Options{
		Conversations: forDesk{r}, Agents: r.agents, Directory: r.dir, Dispatch: r.dispatch, Log: r.log, Messages: r.messages, Order: r.order,
		Outbox: r.outbox, Readers: r.readers, Vault: r.vault, Now: r.now, Running: r.ctx})
	r.lookups, r.typists = make(chan struct{}, maxLookups), make(chan struct{}, maxTyping)
	return r, nil
}

// spawn runs f on a goroutine that Stop waits for. False: the router is stopping.
func (r *Router) spawn(f func()) bool {
	r.gate.RLock()
	defer r.gate.RUnlock()
	if r.closed {
		return false
	}
	r.wg.Go(f)
	return true
}

// Start reads the open conversations and begins to route. It returns when the router is ready.
func (r *Router) Start(ctx context.Context) error {
	began := time.Now()
	ready := make(chan struct{})
	unsubscribe := r.follow(ready) // subscribed before reading, so that no hint is missed in between
	n := 0
	err := r.followLog(ctx, ready)
	if err == nil {
		n, err = r.recover(ctx)
	}
	if err != nil {
		r.cancel()
		unsubscribe()
		return fmt.Errorf("router: start: %w", err)
	}
	close(ready)
	for range 2 {
		r.spawn(func() { r.readers.Run(r.ctx) })
	}
	r.spawn(func() { r.timers.Run(r.ctx) })
	r.spawn(func() { r.outbox.Run(r.ctx) })
	r.spawn(func() { r.outbox.Keep(r.ctx) })
	r.spawn(func() { r.outbox.Expire(r.ctx) })
	r.spawn(func() { r.dispatch.Run(r.ctx) })
	r.spawn(func() { r.janitor(r.ctx) })
	r.spawn(func() { r.finishRewrites(r.ctx) })
	r.spawn(func() { r.ingest.Run(r.ctx) })
	r.spawn(func() { r.sweepNodes(r.ctx) })
	r.spawn(func() { <-r.ctx.Done(); unsubscribe() })
	r.logger.Info("router ready", "open_conversations", n, "took", time.Since(began))
	return nil
}

// Stop refuses new work, lets what is in flight reach its commit, and waits,
// at most until ctx ends. Safe to call twice.
func (r *Router) Stop(ctx context.Context) error {
	r.gate.Lock()
	first := !r.closed
	r.closed = true
	r.gate.Unlock()
	if first {
		r.dispatch.Release()
		r.outbox.Release()
	}
	r.cancel()
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
		r.abandon()
		return nil
	case <-ctx.Done():
		r.abandon()
		return fmt.Errorf("router: stop: %w", ctx.Err())
	}
}

// timerID names what a deadline is for.
type timerID struct {
	kind   timerKind
	stream [16]byte
}

type timerKind uint8

const (
	timerConversation timerKind = iota + 1
	timerAgent
	timerRequeue    // an agent with conversations is gone for too long (A20); stream is the agent
	timerSupervisor // somebody who supervises is gone; stream is the agent
)

// due is called by the timers when a deadline has passed.
func (r *Router) due(id timerID) {
	switch id.kind {
	case timerConversation:
		r.live(conversation.ConversationID(id.stream)).submit(r.tick(id))
	case timerAgent:
		r.spawn(func() { r.agentTick(conversation.AgentID(id.stream)) })
	case timerRequeue:
		r.spawn(func() { r.requeueLost(conversation.AgentID(id.stream)) })
	case timerSupervisor:
		r.spawn(func() { r.superviseNoMore(conversation.AgentID(id.stream)) })
	}
}

// tick makes the task that carries out what is due in a conversation.
func (r *Router) tick(id timerID) *task {
	return &task{
		cmd: conversation.Tick{Request: conversation.NewID[conversation.RequestID]()},
		prepare: func(t *task, s *conversation.State) error {
			c := t.cmd.(conversation.Tick)
			if svc, ok := r.service(s.Service); ok && svc.warning != "" {
				c.Warning = noticeBody(svc.warning)
			}
			t.cmd = c
			return nil
		},
		done: func(_ outcome, err error) {
			if err != nil && !errors.Is(err, ErrStopped) && !errors.Is(err, ErrNotFound) {
				if errors.Is(err, ErrNewer) {
					return // the node of the newer version has the conversation's timers
				}
				r.logger.Warn("timer could not be carried out", "conversation_id", conversation.ConversationID(id.stream), "err", err)
				r.timers.Set(id, r.now().Add(retryPause)) // nothing else would set the timer again
			}
		},
	}
}

// committed does what follows a conversation's commit: it sets timers, updates the waiting
// requests, hands out commands for plugins, and publishes a hint to other nodes. It runs on the
// conversation's worker.
func (r *Router) committed(tx *tx) {
	l, s := tx.l, tx.l.state
	if at, ok := s.NextDeadline(); ok {
		at = spread(s, at, tx.now)
		if soon := tx.now.Add(overduePause); at.Before(tx.now) {
			at = soon // an overdue deadline that could not be carried out must not be tried in a hot loop
		}
		r.setTimer(timerID{timerConversation, l.id}, at)
	}
	tx.handOver()
	if len(tx.recs) == 0 {
		return
	}
	for _, h := range tx.ended {
		r.sessions.Ended(h)
	}
	if len(tx.ended) > 0 {
		r.noCall(s)
	}
	if tx.row {
		r.sessions.Seen(s)
		r.dispatch.Conversation(s)
		r.readers.SyncRecent(s)
		if s.Phase != conversation.PhaseOpen {
			r.bindThreads(l, s)
			if r.blobs != nil {
				r.blobs.Ended(l.id)
			}
		}
	}
	r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.Conversation, Stream: l.id, Seq: s.Seq})
	if tx.unread {
		r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.Recent, Stream: l.id, Seq: s.Seq})
	}
}

// Pauses before something is tried again.
const (
	retryPause   = time.Second            // after the store refused something
	overduePause = 100 * time.Millisecond // after a deadline that has passed could not be carried out
)

// follow reads again what other nodes' hints say has changed, once ready is closed. A node that
// leads the ACD also follows conversations that nobody reads here, since it makes their offers.
func (r *Router) follow(ready <-chan struct{}) (cancel func()) {
	return r.bus.Subscribe(r.node, func(h bus.Hint) {
		select {
		case <-ready:
		case <-r.ctx.Done():
			return
		}
		switch h.Kind {
		case bus.Conversation:
			r.mu.Lock()
			l := r.lives[h.Stream]
			r.mu.Unlock()
			if l == nil && r.dispatch.Leads() {
				l = r.live(h.Stream)
			}
			if l != nil {
				l.stale(h.Seq)
			}
		case bus.Recent: // the owner for whom the conversation waits may be on this node
			r.live(h.Stream).stale(h.Seq)
		case bus.Agent:
			r.agents.Behind(h.Stream, h.Seq)
		case bus.ConversationDoubt:
			r.doubtConversation(h.Stream)
		case bus.AgentDoubt:
			r.doubtAgent(h.Stream)
		case bus.Outbox: // another node wrote a row that may belong to this one
			r.outbox.ReadAgain()
		}
	})
}

// stale makes the worker read the log again if it is behind seq.
func (l *live) stale(seq uint64) { l.readAgain(seq, retryPause) }

// readAgain is stale with the pause after which a failed read is tried again.
func (l *live) readAgain(seq uint64, pause time.Duration) {
	l.submit(&task{
		reload: seq,
		done: func(_ outcome, err error) {
			if err == nil || errors.Is(err, ErrStopped) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrNewer) {
				return
			}
			next := l.r.unread(eventlog.StreamID(l.id), err, pause)
			l.r.after(pause, func() { l.readAgain(seq, next) }) // readers wait for the events
		},
	})
}

// after runs f when d has passed, unless the router stops first.
func (r *Router) after(d time.Duration, f func()) {
	r.spawn(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			f()
		case <-r.ctx.Done():
		}
	})
}

// idleAfter is how long a conversation that nobody reads stays in memory, and how long one that is
// only read keeps its state. Timers, the waiting queue and Recent hold what they need of
// conversations that are not in memory.
const idleAfter = 30 * time.Second

// janitor frees threads and conversations that nobody has used for idleAfter.
func (r *Router) janitor(ctx context.Context) {
	t := time.NewTicker(idleAfter / 2)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		old := time.Now().Add(-idleAfter)
		r.sweepThreads(r.now().Add(-idleAfter)) // threads first: a conversation can be freed only when no thread has it
		r.mu.Lock()
		for id, l := range r.lives {
			idle, unused, away := l.idleSince(old)
			if unused {
				delete(r.lives, id)
				if away {
					r.away[id] = struct{}{}
				}
			} else if idle {
				l.forget(old)
			}
		}
		r.mu.Unlock()
		r.order.Sweep()
	}
}

// sweepThreads frees threads on which nothing is going on; open_threads in the log still knows
// their conversations.
func (r *Router) sweepThreads(old time.Time) {
	r.threadsMu.Lock()
	defer r.threadsMu.Unlock()
	for id, th := range r.threads {
		th.mu.Lock()
		if th.used.Load() < old.UnixNano() && th.users.Load() == 0 && th.out == 0 && len(th.subs) == 0 && len(th.waiting) == 0 && !th.resolving {
			th.setOpen(nil)
			delete(r.threads, id)
			delete(r.threadsByKey, threadHash{id.account, th.key})
		}
		th.mu.Unlock()
	}
}
