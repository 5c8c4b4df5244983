package sdk

import (
	"context"
	"sync"
	"unicode/utf8"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

const defaultCredit = 64

// subscriptions are the open subscriptions, by id.
type subscriptions struct {
	srv *Server

	mu   sync.Mutex
	last uint64
	open map[uint64]*subscription
}

// subscription is an open subscription. It has a goroutine, which runs the handler, only while
// batches wait.
type subscription struct {
	owner   *subscriptions
	id      uint64
	account AccountID
	thread  ThreadID
	opts    SubscribeOptions
	handler RecordHandler
	stop    func() bool // ends the watch on the caller's context

	mu      sync.Mutex
	cursor  Cursor // last record received
	batches fifo[RecordBatch]
	busy    bool
	closed  bool
	waiting uint32 // records that were received and not handled yet
	owed    uint32 // records handled whose credit was not returned yet
}

func (ss *subscriptions) subscribe(ctx context.Context, sub *subscription) {
	if sub.opts.Credit == 0 {
		sub.opts.Credit = defaultCredit
	}
	if !utf8.ValidString(string(sub.thread)) { // refused for the reason given at ErrNotUTF8
		sub.take(RecordBatch{End: "invalid"})
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ctx.Err() != nil || ss.srv.ctx.Err() != nil {
		sub.closed = true
		return
	}
	if sub.tooNew() {
		sub.take(RecordBatch{End: "unsupported"})
		return
	}
	ss.last++
	sub.id = ss.last
	ss.open[sub.id] = sub
	sub.stop = context.AfterFunc(ctx, sub.Close)
	ss.srv.out.pushControl(sub.frame())
}

// resume opens all subscriptions again in a new session; the caller holds mu.
func (ss *subscriptions) resume() {
	for id, sub := range ss.open {
		if sub.tooNew() {
			delete(ss.open, id)
			sub.stop()
			sub.take(RecordBatch{End: "unsupported"})
			continue
		}
		ss.srv.out.pushControl(sub.frame())
	}
}

// frame asks the host for what comes after the cursor, with all credit that is not in use.
func (sub *subscription) frame() *pluginv1.PluginFrame {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.owed = 0
	credit := uint32(1)
	if sub.opts.Credit > sub.waiting {
		credit = sub.opts.Credit - sub.waiting
	}
	s := &pluginv1.Subscribe{
		Subscription: sub.id, Account: string(sub.account), Thread: string(sub.thread),
		AfterConversation: string(sub.cursor.Conversation), AfterSeq: sub.cursor.Seq,
		Audience: sub.opts.Audience, Credit: credit, Conversation: string(sub.opts.Conversation),
	}
	if s.Conversation != "" { // the cursor is in that conversation
		s.AfterConversation = ""
	}
	return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Subscribe{Subscribe: s}}
}

// tooNew reports whether the host of the present session does not know such a subscription.
func (sub *subscription) tooNew() bool {
	return sub.opts.Conversation != "" && sub.owner.srv.out.hostMinor() < 1
}

func (ss *subscriptions) find(id uint64) *subscription {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.open[id]
}

// records takes a batch from the session's reader.
func (ss *subscriptions) records(b *pluginv1.RecordBatch) {
	sub := ss.find(b.GetSubscription())
	if sub == nil {
		return // the subscription was closed a moment ago
	}
	batch := RecordBatch{Records: make([]Record, len(b.GetRecords())), Live: b.GetLive()}
	for i, r := range b.GetRecords() {
		batch.Records[i] = recordFromWire(r)
	}
	sub.take(batch)
}

// ended handles the end of a subscription by the host.
func (ss *subscriptions) ended(e *pluginv1.SubscriptionEnd) {
	ss.mu.Lock()
	sub := ss.open[e.GetSubscription()]
	delete(ss.open, e.GetSubscription())
	ss.mu.Unlock()
	if sub == nil {
		return
	}
	sub.stop()
	code := e.GetCode()
	if code == "" {
		code = "ended"
	}
	sub.take(RecordBatch{End: code})
}

func (sub *subscription) take(b RecordBatch) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.closed {
		return
	}
	if n := len(b.Records); n > 0 {
		sub.cursor = Cursor{Conversation: b.Records[n-1].Conversation, Seq: b.Records[n-1].Seq}
		sub.waiting += uint32(n)
	}
	sub.batches.push(b)
	if !sub.busy {
		sub.busy = true
		sub.owner.srv.work.Go(sub.run)
	}
}

func (sub *subscription) run() {
	for {
		sub.mu.Lock()
		if sub.batches.len() == 0 || sub.closed {
			sub.busy = false
			sub.mu.Unlock()
			return
		}
		b := sub.batches.pop()
		sub.mu.Unlock()
		sub.owner.srv.guard("records", func() { sub.handler(b) })
		sub.handled(uint32(len(b.Records)))
	}
}

// handled returns credit, in steps of half of the whole credit: a frame for each record would cost
// more than the record.
func (sub *subscription) handled(n uint32) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.waiting -= n
	sub.owed += n
	if sub.closed || sub.owed == 0 || sub.owed < sub.opts.Credit/2 {
		return
	}
	sub.owner.srv.out.pushControl(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_RecordCredit{
		RecordCredit: &pluginv1.RecordCredit{Subscription: sub.id, Credit: sub.owed},
	}})
	sub.owed = 0
}

// Close implements Subscription.
func (sub *subscription) Close() {
	ss := sub.owner
	ss.mu.Lock()
	_, open := ss.open[sub.id]
	delete(ss.open, sub.id)
	if open {
		ss.srv.out.pushControl(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Unsubscribe{
			Unsubscribe: &pluginv1.Unsubscribe{Subscription: sub.id},
		}})
	}
	ss.mu.Unlock()
	sub.mu.Lock()
	sub.closed = true
	sub.mu.Unlock()
	if open {
		sub.stop()
	}
}

// closeAll closes all subscriptions without telling the host.
func (ss *subscriptions) closeAll() {
	ss.mu.Lock()
	open := ss.open
	ss.open = map[uint64]*subscription{}
	ss.mu.Unlock()
	for _, sub := range open {
		sub.stop()
		sub.mu.Lock()
		sub.closed = true
		sub.mu.Unlock()
	}
}
