package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// Kinds of outbox rows.
const (
	kindSend    = "send"
	kindProcess = "process"
)

// sendDeadline is how long a message is tried (DESIGN.md 4: SMS 4 h).
const sendDeadline = 4 * time.Hour

// entry is a pending command in memory. Its row is the truth.
type entry struct {
	row      eventlog.OutboxRow
	inflight bool   // at a plugin
	instance string // which generation
	lookup   bool   // asks what became of it
	maybe    bool   // an earlier attempt may have been sent
	// doubtful: it passed Begin with a generation that is gone. Nobody hands it
	// out before doubt has decided what becomes of it (PR4).
	doubtful bool
}

// outbox hands pending commands to plugins: in order per conversation, one of
// each at a time, round robin over conversations (DESIGN.md 4).
type outbox struct {
	r *Router

	mu       sync.Mutex
	ports    map[string]*port // by plugin
	accounts map[conversation.AccountID]*box
	byID     map[[16]byte]*entry
	round    int       // counts calls of dispatch
	swept    time.Time // when commands of absent plugins were last looked at
	wake     chan struct{}
}

type port struct {
	instance string
	port     pluginhost.CommandPort
}

// box is an account's part: lanes in the order in which they get their turn.
type box struct {
	plugin string
	lanes  map[eventlog.StreamID]*lane
	turn   []*lane
	next   int // in turn: whose it is
	full   int // the round in which the plugin's window was found full
}

// lane is the order of one conversation (or of one processed item).
type lane struct {
	key   eventlog.StreamID
	queue []*entry
}

func newOutbox(r *Router) *outbox {
	return &outbox{r: r, ports: map[string]*port{}, accounts: map[conversation.AccountID]*box{}, byID: map[[16]byte]*entry{}, wake: make(chan struct{}, 1)}
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// queueSend puts an agent's, bot's or system's message on a store-and-forward
// channel into the outbox, in the append of its own event.
func (tx *tx) queueSend(t *task, m *conversation.MessagePosted, ev *conversation.Event) {
	s := tx.l.state
	if m.Author.Kind == conversation.Customer || m.Endpoint >= len(s.Endpoints) || capabilitiesAt(s, m.Endpoint).Connected {
		return
	}
	row := eventlog.OutboxRow{
		CommandID: [16]byte(m.ID), Account: eventlog.StreamID(s.Endpoints[m.Endpoint].Account), Conversation: eventlog.StreamID(tx.l.id),
		Seq: ev.Seq, Index: -1, Kind: kindSend, State: eventlog.OutboxQueued, Attempt: 1, Deadline: ev.At.Add(sendDeadline),
	}
	tx.batch.Outbox = append(tx.batch.Outbox, row)
	tx.sends = append(tx.sends, &entry{row: row})
}

// capabilitiesAt is what the channel of an endpoint can carry.
func capabilitiesAt(s *conversation.State, endpoint int) *conversation.Capabilities {
	if endpoint > 0 && endpoint <= len(s.Added) {
		return &s.Added[endpoint-1].Capabilities
	}
	return &s.Capabilities
}

// add takes committed rows in.
func (o *outbox) add(entries ...*entry) {
	if len(entries) == 0 {
		return
	}
	o.mu.Lock()
	for _, e := range entries {
		o.insert(e)
	}
	o.mu.Unlock()
	o.poke()
}

// insert needs o.mu.
func (o *outbox) insert(e *entry) {
	if o.byID[e.row.CommandID] != nil {
		return
	}
	account := conversation.AccountID(e.row.Account)
	b := o.accounts[account]
	if b == nil {
		acc, _ := o.r.account(account)
		b = &box{plugin: acc.plugin, lanes: map[eventlog.StreamID]*lane{}}
		o.accounts[account] = b
	}
	o.byID[e.row.CommandID] = e
	key := e.row.Conversation
	if key == (eventlog.StreamID{}) {
		key = e.row.CommandID
	}
	ln := b.lanes[key]
	if ln == nil {
		ln = &lane{key: key}
		b.lanes[key] = ln
		b.turn = append(b.turn, ln)
	}
	ln.queue = append(ln.queue, e)
}

// remove needs o.mu.
func (o *outbox) remove(e *entry) {
	delete(o.byID, e.row.CommandID)
	b := o.accounts[conversation.AccountID(e.row.Account)]
	if b == nil {
		return
	}
	key := e.row.Conversation
	if key == (eventlog.StreamID{}) {
		key = e.row.CommandID
	}
	ln := b.lanes[key]
	if ln == nil {
		return
	}
	for i, x := range ln.queue {
		if x == e {
			ln.queue = append(ln.queue[:i:i], ln.queue[i+1:]...)
			break
		}
	}
	if len(ln.queue) == 0 {
		delete(b.lanes, key)
		for i, x := range b.turn {
			if x == ln {
				b.turn = append(b.turn[:i:i], b.turn[i+1:]...)
				if i < b.next {
					b.next--
				}
				break
			}
		}
		if len(b.lanes) == 0 {
			delete(o.accounts, conversation.AccountID(e.row.Account))
		}
	}
}

// run hands out commands whenever something may have become possible.
func (o *outbox) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := o.dispatch(ctx)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-timer.C:
		}
	}
}

// Commands that are made at a time, for all accounts and for one: what a full
// window refuses was made in vain.
const (
	mostPicked    = 64
	mostOfAccount = 16
)

// pick finds commands whose turn it is, and how long until the next one may be
// tried. It needs o.mu.
func (o *outbox) pick(now time.Time) (picked []*entry, wait time.Duration) {
	wait = time.Hour
	sweep := now.Sub(o.swept) >= time.Minute
	if sweep {
		o.swept = now
	}
	for _, b := range o.accounts {
		if b.full == o.round {
			continue
		}
		absent := o.ports[b.plugin] == nil
		if absent {
			wait = min(wait, time.Minute)
			if !sweep {
				continue
			}
		}
		mine := 0
		for range len(b.turn) {
			if len(picked) == mostPicked || mine == mostOfAccount {
				break
			}
			b.next %= len(b.turn)
			e := b.turn[b.next].queue[0]
			b.next++
			if e.inflight || e.doubtful || absent && !e.late(now) {
				continue
			}
			if d := e.row.NotBefore.Sub(now); d > 0 && !absent {
				wait = min(wait, d)
				continue
			}
			picked = append(picked, e)
			mine++
		}
	}
	return picked, wait
}

// late reports whether a command's time is over: it is given up.
func (e *entry) late(now time.Time) bool {
	return !e.lookup && e.row.State != eventlog.OutboxBegun && !e.row.Deadline.IsZero() && now.After(e.row.Deadline)
}

// dispatch records and hands out what can be handed out now, and tells after
// what time to look again.
func (o *outbox) dispatch(ctx context.Context) time.Duration {
	o.mu.Lock()
	o.round++
	o.mu.Unlock()
	for ctx.Err() == nil {
		o.mu.Lock()
		now := o.r.now()
		picked, wait := o.pick(now)
		o.mu.Unlock()
		if len(picked) == 0 {
			return wait
		}
		var updates []eventlog.OutboxUpdate
		var ready []*entry
		var cmds []pluginhost.Outbound
		for _, e := range picked {
			if e.late(now) {
				o.expire(e)
				continue
			}
			cmd, err := o.command(ctx, e)
			if err != nil {
				if ctx.Err() != nil {
					return time.Hour
				}
				o.r.logger.Warn("outbox: command cannot be made", "channel", o.r.channelOf(e), "err", err)
				o.later(e, retryPause)
				continue
			}
			if e.row.State == eventlog.OutboxQueued {
				updates = append(updates, eventlog.OutboxUpdate{CommandID: e.row.CommandID, State: eventlog.OutboxDispatched, Attempt: e.row.Attempt, Node: o.r.node})
			}
			ready, cmds = append(ready, e), append(cmds, cmd)
		}
		if err := o.record(updates); err != nil {
			if ctx.Err() == nil {
				o.r.logger.Warn("outbox: cannot record dispatch", "err", err)
			}
			return retryPause
		}
		for i, e := range ready {
			o.offer(e, cmds[i])
		}
	}
	return time.Hour
}

// record writes that commands are handed out. One whose row says otherwise (it
// was settled from elsewhere) is forgotten and holds nobody else up.
func (o *outbox) record(updates []eventlog.OutboxUpdate) error {
	if len(updates) == 0 {
		return nil
	}
	_, err := o.r.log.Append(o.r.commits, &eventlog.Batch{OutboxUpdates: updates})
	if !errors.Is(err, eventlog.ErrConflict) && !errors.Is(err, eventlog.ErrNotFound) {
		return err
	}
	if len(updates) == 1 {
		o.mu.Lock()
		if e := o.byID[updates[0].CommandID]; e != nil {
			o.remove(e)
		}
		o.mu.Unlock()
		return nil
	}
	for i := range updates {
		if err := o.record(updates[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// offer hands a command out. When the window is full, its account waits until
// dispatch is called again: a Result or a new generation does that.
func (o *outbox) offer(e *entry, cmd pluginhost.Outbound) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.accounts[conversation.AccountID(e.row.Account)]
	if o.byID[e.row.CommandID] != e || b == nil || e.inflight || e.doubtful {
		return // settled meanwhile
	}
	if e.row.State == eventlog.OutboxQueued {
		e.row.State = eventlog.OutboxDispatched
	}
	p := o.ports[b.plugin]
	if p == nil || b.full == o.round {
		return
	}
	e.inflight, e.instance = true, p.instance
	if !p.port.Offer(cmd) {
		e.inflight, e.instance = false, ""
		b.full = o.round
	}
}

func (o *outbox) later(e *entry, d time.Duration) {
	o.mu.Lock()
	e.row.NotBefore = o.r.now().Add(d)
	o.mu.Unlock()
}

// expire gives a message up whose time is over: it never reached the provider.
func (o *outbox) expire(e *entry) {
	o.mu.Lock()
	e.inflight = true // nobody picks it again
	o.mu.Unlock()
	o.insist(e, pluginhost.CommandResult{Command: e.row.CommandID, Outcome: conversation.StatusFailed, Kind: "temporary", Code: "deadline"})
}

// insist carries out an outcome of the router's own, however long the store refuses it.
func (o *outbox) insist(e *entry, res pluginhost.CommandResult) {
	o.finish(e, res, func(a pluginhost.Ack) {
		if a.Status == pluginhost.Retry {
			o.r.after(retryPause, func() { o.insist(e, res) })
		}
	})
}

// command makes the plugin's command from the log.
func (o *outbox) command(ctx context.Context, e *entry) (pluginhost.Outbound, error) {
	out := pluginhost.Outbound{
		Command: e.row.CommandID, Account: conversation.AccountID(e.row.Account), Conversation: conversation.ConversationID(e.row.Conversation),
		Attempt: e.row.Attempt, MaybeSent: e.maybe, Deadline: e.row.Deadline,
	}
	if e.row.Kind == kindProcess {
		payload, err := o.r.vault.Open(e.row.KeyID, e.row.Account[:], e.row.Payload)
		if err != nil {
			return out, err
		}
		out.Process = payload
		return out, nil
	}
	m, start, err := o.r.outgoing(ctx, out.Conversation, e.row.Seq, out.Account)
	if err != nil {
		return out, err
	}
	out.Thread = start.thread
	if e.lookup {
		out.Lookup = &pluginhost.LookupCommand{Message: m.id}
		return out, nil
	}
	out.Send = &pluginhost.SendCommand{Message: m.id, To: start.address, Parts: m.parts, Author: m.name}
	return out, nil
}

// settle takes a plugin's Result.
func (r *Router) settle(in pluginhost.Inbound, done func(pluginhost.Ack)) {
	o, res := r.outbox, *in.Result
	o.mu.Lock()
	e := o.byID[res.Command]
	if e != nil && conversation.AccountID(e.row.Account) != in.Account {
		e = nil
	}
	o.mu.Unlock()
	if e != nil {
		o.finish(e, res, done)
		return
	}
	// Late, or repeated: the row is no longer pending.
	if !r.spawn(func() {
		row, err := r.log.OutboxRow(r.ctx, res.Command)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			done(r.ack(conversation.ConversationID{}, outcome{}, err))
			return
		}
		if err != nil || conversation.AccountID(row.Account) != in.Account {
			done(pluginhost.Ack{Status: pluginhost.Refused, Code: "unknown_command"})
			return
		}
		o.finish(&entry{row: row}, res, done)
	}) {
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
	}
}

// finish carries a Result out: settled, unknown, or once more later.
func (o *outbox) finish(e *entry, res pluginhost.CommandResult, done func(pluginhost.Ack)) {
	r := o.r
	conv := conversation.ConversationID(e.row.Conversation)
	o.mu.Lock()
	was, attempt := e.row.State, e.row.Attempt
	known := o.byID[e.row.CommandID] == e
	waits := known && !e.inflight && !e.doubtful && was == eventlog.OutboxQueued
	o.mu.Unlock()
	if res.Outcome == conversation.StatusFailed && res.Retryable && r.now().Before(e.row.Deadline) && pending(was) {
		if waits { // the same word again: it is going to be tried
			done(pluginhost.Ack{Status: pluginhost.Committed, Conversation: conv})
			return
		}
		o.retry(e, res, done)
		return
	}
	if was == eventlog.OutboxSettled && (res.Outcome != conversation.StatusSent || e.row.Kind == kindProcess) {
		done(pluginhost.Ack{Status: pluginhost.Duplicate, Conversation: conv, Seq: e.row.Seq}) // nothing takes a settled one back
		return
	}
	state := eventlog.OutboxSettled
	if res.Outcome == conversation.StatusUnknown {
		state = eventlog.OutboxUnknown
	}
	update := []eventlog.OutboxUpdate{{CommandID: e.row.CommandID, State: state, Attempt: attempt, Node: r.node}}
	settled := func(out outcome, err error) {
		if err != nil {
			done(r.ack(conv, out, err))
			return
		}
		o.mu.Lock()
		if o.byID[e.row.CommandID] == e {
			o.remove(e)
		}
		o.mu.Unlock()
		o.poke()
		done(pluginhost.Ack{Status: pluginhost.Committed, Conversation: conv, Seq: out.first})
	}
	// alone settles the row without a word in the conversation.
	alone := func() {
		if !r.spawn(func() {
			_, err := r.log.Append(r.commits, &eventlog.Batch{OutboxUpdates: update})
			if errors.Is(err, eventlog.ErrConflict) || errors.Is(err, eventlog.ErrNotFound) {
				err = nil // settled by another word already
			}
			settled(outcome{}, err)
		}) {
			done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
		}
	}
	r.metrics.results.WithLabelValues(r.channelOf(e), string(res.Outcome)).Inc()
	if e.row.Kind == kindProcess {
		alone()
		return
	}
	account := conversation.AccountID(e.row.Account)
	cmd := conversation.SetStatus{Message: conversation.MessageID(e.row.CommandID), Status: res.Outcome, Kind: res.Kind, Code: res.Code, Body: statusBody(res.Text)}
	var external []eventlog.Key
	for _, id := range res.ProviderIDs {
		if id != "" {
			external = append(external, r.externalKey(account, id))
		}
	}
	l := r.live(conv)
	var submit func(external []eventlog.Key)
	submit = func(external []eventlog.Key) {
		l.submit(&task{cmd: cmd, outbox: update, account: account, external: external, externalSeq: e.row.Seq, done: func(out outcome, err error) {
			switch {
			case err == nil && out.duplicate && len(external) > 0:
				submit(nil) // its ids are known already, which says nothing about the row
			case err != nil && (conversation.Code(err) != "" || errors.Is(err, ErrNotFound)):
				alone() // the conversation no longer follows the message: the row must not stay
			default:
				settled(out, err)
			}
		}})
	}
	submit(external)
}

func pending(s eventlog.OutboxState) bool {
	return s == eventlog.OutboxQueued || s == eventlog.OutboxDispatched || s == eventlog.OutboxBegun
}

// retry queues a command once more; later messages of its conversation wait behind it.
func (o *outbox) retry(e *entry, res pluginhost.CommandResult, done func(pluginhost.Ack)) {
	r := o.r
	o.mu.Lock()
	attempt, doubtful := e.row.Attempt, e.doubtful
	o.mu.Unlock()
	if doubtful { // being settled as unknown: its word counts afterwards
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "unavailable"})
		return
	}
	backoff := min(time.Second<<min(max(attempt-1, 0), 8), 5*time.Minute)
	at := r.now().Add(max(backoff, res.RetryAfter))
	update := eventlog.OutboxUpdate{CommandID: e.row.CommandID, State: eventlog.OutboxQueued, Attempt: attempt + 1, NotBefore: at, Node: r.node}
	if !r.spawn(func() {
		if _, err := r.log.Append(r.commits, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}}); err != nil {
			done(r.ack(conversation.ConversationID(e.row.Conversation), outcome{}, err))
			return
		}
		r.metrics.results.WithLabelValues(r.channelOf(e), "retry").Inc()
		o.mu.Lock()
		e.row.State, e.row.Attempt, e.row.NotBefore = eventlog.OutboxQueued, attempt+1, at
		e.inflight, e.instance, e.lookup, e.maybe = false, "", false, false // the plugin says: not sent
		o.mu.Unlock()
		o.poke()
		done(pluginhost.Ack{Status: pluginhost.Committed, Conversation: conversation.ConversationID(e.row.Conversation)})
	}) {
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
	}
}

// Begin records that a command is about to leave for the provider (pluginhost.Core).
func (r *Router) Begin(ctx context.Context, account conversation.AccountID, command [16]byte, instance string) (bool, error) {
	o := r.outbox
	o.mu.Lock()
	e := o.byID[command]
	mine := func() bool {
		return e != nil && conversation.AccountID(e.row.Account) == account && e.inflight && e.instance == instance
	}
	ok, attempt := mine(), 0
	if ok {
		attempt = e.row.Attempt
	}
	o.mu.Unlock()
	if !ok {
		return false, nil
	}
	update := eventlog.OutboxUpdate{CommandID: command, State: eventlog.OutboxBegun, Attempt: attempt, Node: r.node}
	if _, err := r.log.Append(ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}}); err != nil {
		return false, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !mine() { // the generation went meanwhile and the command is another's: no leave to send
		return false, nil
	}
	e.row.State = eventlog.OutboxBegun
	return true, nil
}

// PluginReady gives the outbox a generation to send through (pluginhost.Core).
func (r *Router) PluginReady(plugin, instance string, p pluginhost.CommandPort) {
	r.setPluginInfo(plugin, p.Info())
	o := r.outbox
	o.mu.Lock()
	o.ports[plugin] = &port{instance: instance, port: p}
	var doubtful []*entry
	for _, e := range o.byID {
		b := o.accounts[conversation.AccountID(e.row.Account)]
		if b == nil || b.plugin != plugin || e.inflight || e.doubtful || e.lookup || e.row.State != eventlog.OutboxBegun {
			continue
		}
		e.doubtful = true
		doubtful = append(doubtful, e) // begun before this process started
	}
	o.mu.Unlock()
	for _, e := range doubtful {
		o.doubt(e, p.Info())
	}
	o.poke()
}

// PluginGone takes a generation out (pluginhost.Core).
func (r *Router) PluginGone(plugin, instance string, begun, unbegun [][16]byte) {
	o := r.outbox
	var doubtful []*entry
	var info pluginhost.Info
	o.mu.Lock()
	if p := o.ports[plugin]; p != nil && p.instance == instance {
		info = p.port.Info()
		delete(o.ports, plugin)
	} else if i, ok := r.pluginInfo(plugin); ok {
		info = i
	}
	for _, e := range o.byID {
		if !e.inflight || e.instance != instance {
			continue
		}
		e.inflight, e.instance = false, ""
		if e.row.State == eventlog.OutboxBegun {
			e.doubtful = true
			doubtful = append(doubtful, e)
			continue
		}
		e.row.State = eventlog.OutboxQueued
		e.row.Attempt++
	}
	o.mu.Unlock()
	_, _ = begun, unbegun // the rows know better: Begin is recorded before it is answered
	for _, e := range doubtful {
		o.doubt(e, info)
	}
	o.poke()
}

// doubt decides what becomes of a command that passed Begin and lost its
// plugin: sent again where that is harmless, asked for, or unknown (PR4).
func (o *outbox) doubt(e *entry, info pluginhost.Info) {
	o.mu.Lock()
	switch {
	case info.IdempotentSend || e.row.Kind == kindProcess:
		e.row.State, e.maybe, e.doubtful = eventlog.OutboxQueued, true, false
		e.row.Attempt++
		o.mu.Unlock()
	case info.CanLookup:
		e.lookup, e.doubtful = true, false
		o.mu.Unlock()
	default: // stays doubtful until the log says unknown
		o.mu.Unlock()
		o.insist(e, pluginhost.CommandResult{Command: e.row.CommandID, Outcome: conversation.StatusUnknown, Kind: "internal", Code: "plugin_lost"})
	}
}

// deferProcess makes an opaque item durable and queues its processing.
func (r *Router) deferProcess(in pluginhost.Inbound, acc account, done func(pluginhost.Ack)) {
	if !r.spawn(func() {
		id := conversation.NewID[conversation.MessageID]()
		now := r.now().UTC()
		row := eventlog.OutboxRow{
			CommandID: id, Account: eventlog.StreamID(acc.id), Index: -1, Kind: kindProcess, State: eventlog.OutboxQueued,
			Attempt: 1, Deadline: now.Add(24 * time.Hour), Payload: in.Deferred,
		}
		err := r.appendAccount(in, TypeDeferred, DeferredHead{Plugin: in.Plugin, Command: id}, nil, &row)
		if err == nil {
			r.outbox.add(&entry{row: row})
		}
		done(r.accountAck(err))
	}) {
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
	}
}
