package readers

import (
	"context"
	"sync"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// maxSignals bounds the ephemeral signals that wait in a feed; beyond it the oldest are dropped.
const maxSignals = 128

// Feed reads many conversations for one agent's socket. Hints mark which conversations have
// changed; Poll reads them. Only cursors and a few signals are queued, so a slow reader costs the
// same as a fast one. Safe for concurrent use, Poll by one goroutine at a time.
type Feed struct {
	r        *Readers
	agent    conversation.AgentID
	audience conversation.Audience
	wake     func()

	mu      sync.Mutex
	convs   map[conversation.ConversationID]*feedConv
	dirty   []*feedConv
	signals []Signal
	own     bool // the agent's state changed
	recent  bool // the unread messages in the agent's Recent changed
	awake   bool // wake was called and Poll has not emptied the feed since
	closed  bool
}

type feedConv struct {
	tail   *Tail
	cursor uint64
	dirty  bool
	live   bool // the reader was told that it is up to date
	gone   bool
}

// Item is what a Feed has for its reader. Exactly one field is set.
type Item struct {
	Record *Record                     // an event after the reader's cursor
	Live   conversation.ConversationID // this conversation's reader is up to date for the first time
	Signal *Signal                     // an ephemeral signal
	Agent  bool                        // the agent's own state changed: ask the router for the new one
	Recent bool                        // the unread messages in the agent's Recent changed: ask Readers.Recent
}

// NewFeed opens a reader of many conversations. wake is called when Poll has something to return
// after it had nothing. It is called without locks that matter to the caller and from any
// goroutine, and must not block.
func (r *Readers) NewFeed(agent conversation.AgentID, audience conversation.Audience, wake func()) *Feed {
	f := &Feed{r: r, agent: agent, audience: audience, wake: wake, convs: map[conversation.ConversationID]*feedConv{}}
	r.addFeed(f)
	return f
}

// Add starts reading a conversation after a sequence. Adding it again sets the cursor to that
// sequence.
func (f *Feed) Add(conv conversation.ConversationID, after uint64) {
	t := f.r.conversations.Tail(conv)
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	c := f.convs[conv]
	isNew := c == nil
	if isNew {
		c = &feedConv{tail: t}
		f.convs[conv] = c
	}
	c.cursor, c.live = after, false
	f.mark(c)
	if isNew {
		t.watch(f) // under f.mu, so that exactly the conversations in convs are watched
	}
	f.mu.Unlock()
	if isNew {
		t.catchUp()
	}
	if !t.isPresent() {
		f.signal(Signal{Conversation: conv, Kind: plugin.SignalPresence, Who: conversation.Author{Kind: conversation.Customer}})
	}
	f.notify()
}

// Remove stops reading a conversation.
func (f *Feed) Remove(conv conversation.ConversationID) {
	f.mu.Lock()
	c := f.convs[conv]
	delete(f.convs, conv)
	if c != nil {
		c.gone = true
		c.tail.unwatch(f)
	}
	f.mu.Unlock()
}

// Close ends the feed; wake is not called after Close returns.
func (f *Feed) Close() {
	f.r.removeFeed(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.convs {
		c.gone = true
		c.tail.unwatch(f)
	}
	f.convs, f.dirty, f.signals, f.closed = nil, nil, nil, true
}

// mark queues a conversation for Poll. It needs f.mu.
func (f *Feed) mark(c *feedConv) {
	if !c.dirty && !c.gone {
		c.dirty = true
		f.dirty = append(f.dirty, c)
	}
}

// notify calls wake, once until Poll has emptied the feed.
func (f *Feed) notify() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.awake || (len(f.dirty) == 0 && len(f.signals) == 0 && !f.own && !f.recent) {
		return
	}
	f.awake = true
	f.wake()
}

func (f *Feed) hint(t *Tail) {
	f.mu.Lock()
	if c := f.convs[t.id]; c != nil {
		f.mark(c)
	}
	f.mu.Unlock()
	f.notify()
}

func (f *Feed) signal(s Signal) {
	f.mu.Lock()
	for i, old := range f.signals { // the newest signal of a kind replaces the one before
		if old.Conversation == s.Conversation && old.Kind == s.Kind && old.Who == s.Who {
			f.signals = append(f.signals[:i], f.signals[i+1:]...)
			break
		}
	}
	if len(f.signals) >= maxSignals {
		f.signals = f.signals[1:]
	}
	f.signals = append(f.signals, s)
	f.mu.Unlock()
	f.notify()
}

func (f *Feed) agentChanged() {
	f.mu.Lock()
	f.own = true
	f.mu.Unlock()
	f.notify()
}

func (f *Feed) recentChanged() {
	f.mu.Lock()
	f.recent = true
	f.mu.Unlock()
	f.notify()
}

// Poll returns up to about max items that are there now and never waits; no items means that wake
// will be called again. An error is the store's; the cursors are still before every event not
// returned, so Poll may be called again.
func (f *Feed) Poll(ctx context.Context, max int) ([]Item, error) {
	var items []Item
	f.mu.Lock()
	if f.own {
		f.own = false
		items = append(items, Item{Agent: true})
	}
	if f.recent {
		f.recent = false
		items = append(items, Item{Recent: true})
	}
	for i := range f.signals {
		items = append(items, Item{Signal: &f.signals[i]})
	}
	f.signals = nil
	for len(items) < max && len(f.dirty) > 0 && !f.closed {
		c := f.dirty[0]
		f.dirty = f.dirty[1:]
		c.dirty = false
		if c.gone {
			continue
		}
		cursor := c.cursor
		f.mu.Unlock()
		recs, reached, err := c.tail.Read(ctx, f.audience, cursor, max-len(items))
		f.mu.Lock()
		if err != nil {
			f.mark(c)
			f.awake = false
			f.mu.Unlock()
			return items, err
		}
		if c.cursor != cursor || c.gone {
			f.mark(c)
			continue // the cursor was moved meanwhile: read again from there
		}
		c.cursor = reached
		for i := range recs {
			items = append(items, Item{Record: &recs[i]})
		}
		if reached > cursor {
			f.mark(c) // look again, which costs little when there is nothing more
		} else if !c.live {
			c.live = true
			items = append(items, Item{Live: c.tail.id})
		}
	}
	if len(items) == 0 {
		f.awake = false
	}
	f.mu.Unlock()
	return items, nil
}
