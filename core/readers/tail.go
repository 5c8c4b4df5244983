package readers

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// TailSize is how many opened events a conversation keeps in memory for its readers at least. It
// keeps twice as many at most, so that events are moved only once in a while; a reader that is
// further behind reads the log.
const TailSize = 64

// Tail is the part of one conversation that readers have in memory: its last events, its watchers,
// and whether its customer is present.
type Tail struct {
	r  *Readers
	id conversation.ConversationID

	mu       sync.Mutex   // guards the fields below
	watchers []watcher    // copy on write
	events   []TailRecord // the last events up to head, without holes
	head     uint64       // committed sequence; 0 = not known
	present  bool         // the customer is connected, as far as the channel says
	over     bool         // the conversation has ended

	addresses map[int]conversation.EndpointBody // by endpoint, as far as somebody asked
	rewritten int                               // how often the conversation was rewritten since the tail was made
}

// TailRecord is a committed event in memory.
type TailRecord struct {
	Audience conversation.Audience
	Prev     conversation.ByAudience // last visible sequence before this one, by audience
	Record   Record
}

// watcher is told when a conversation has new events or signals. Neither method blocks.
type watcher interface {
	hint(t *Tail)
	signal(s Signal)
}

// Signal is an ephemeral notice about a conversation.
type Signal struct {
	Conversation conversation.ConversationID
	Kind         plugin.SignalKind // typing, presence
	On           bool
	Who          conversation.Author
	Name         string // display name of a typing agent; "" for the customer
}

// NewTail makes the tail of a conversation about which memory knows only whether its customer is
// present.
func (r *Readers) NewTail(conv conversation.ConversationID, present bool) *Tail {
	return &Tail{r: r, id: conv, present: present}
}

// Publish shows committed events to readers. recs end at head; if they do not follow the tail's
// last event, the tail starts anew with them. over: the conversation has ended.
func (t *Tail) Publish(recs []TailRecord, head uint64, over bool) {
	t.mu.Lock()
	t.over = over
	grew := head > t.head
	if i := lastRewritten(recs); i >= 0 { // what is in memory from before may be what was replaced
		t.events, t.addresses, recs = nil, nil, recs[i:]
		t.rewritten++
	}
	if len(recs) > 0 {
		if len(t.events) > 0 && t.events[len(t.events)-1].Record.Seq+1 != recs[0].Record.Seq {
			t.events = nil
		}
		if len(recs) >= TailSize {
			t.events, recs = nil, recs[len(recs)-TailSize:]
		} else if len(t.events)+len(recs) > 2*TailSize {
			t.events = append(make([]TailRecord, 0, 2*TailSize), t.events[len(t.events)-TailSize:]...)
		}
		t.events = append(t.events, recs...)
	} else if grew {
		t.events = nil
	}
	if grew {
		t.head = head
	}
	ws := t.watchers
	t.mu.Unlock()
	if grew {
		for _, w := range ws {
			w.hint(t)
		}
	}
}

// lastRewritten is the index of the last event that tells that bodies were replaced; -1: there is none.
func lastRewritten(recs []TailRecord) int {
	for i, r := range slices.Backward(recs) {
		if r.Record.Type == conversation.TypeContentRewritten {
			return i
		}
	}
	return -1
}

// Unknown says that the log has grown in a way that cannot be followed in memory, so readers must
// read the log.
func (t *Tail) Unknown() {
	t.mu.Lock()
	t.events, t.head = nil, 0
	ws := t.watchers
	t.mu.Unlock()
	for _, w := range ws {
		w.hint(t)
	}
}

// End says that the conversation is over, or that there is no such conversation.
func (t *Tail) End() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
}

// Free forgets the events: they can be read again from the log.
func (t *Tail) Free() {
	t.mu.Lock()
	t.events = nil
	t.mu.Unlock()
}

// Head is the sequence up to which memory knows the conversation; 0: it does not.
func (t *Tail) Head() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// Watched reports whether anybody reads the conversation.
func (t *Tail) Watched() bool { return len(t.watching()) > 0 }

// Away reports whether the conversation goes on while its customer is known to be absent.
func (t *Tail) Away() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.present && !t.over
}

// Signal passes an ephemeral signal to all watchers, and remembers whether the customer is present.
func (t *Tail) Signal(s Signal) {
	t.mu.Lock()
	ws := t.watchers
	if s.Kind == plugin.SignalPresence && s.Who.Kind == conversation.Customer {
		t.present = s.On
	}
	t.mu.Unlock()
	for _, w := range ws {
		w.signal(s)
	}
}

// Place tells the plugins that watch the conversation the customer's place in the queue.
func (t *Tail) Place(position int, waited time.Duration) {
	for _, w := range t.watching() {
		if s, ok := w.(*Subscription); ok {
			s.place(t.id, position, waited)
		}
	}
}

func (t *Tail) watching() []watcher {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.watchers
}

func (t *Tail) watch(w watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers = append(slices.Clip(t.watchers), w)
}

func (t *Tail) unwatch(w watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers = without(t.watchers, w)
}

// catchUp makes sure that the conversation's head is known, so that readers get the events of the
// log.
func (t *Tail) catchUp() {
	t.mu.Lock()
	known := t.head != 0
	t.mu.Unlock()
	if !known {
		t.r.conversations.CatchUp(t.id)
	}
}

func (t *Tail) isPresent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.present
}

func (t *Tail) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over
}

// Read returns up to limit events after a sequence that the audience may see, and the sequence up
// to which it looked. The records share memory, so they must not be changed.
func (t *Tail) Read(ctx context.Context, a conversation.Audience, after uint64, limit int) (recs []Record, reached uint64, err error) {
	t.mu.Lock()
	if t.head != 0 && after >= t.head {
		t.mu.Unlock()
		return nil, after, nil
	}
	if n := len(t.events); n > 0 && t.events[0].Record.Seq <= after+1 {
		reached = after
		for _, e := range t.events[after+1-t.events[0].Record.Seq:] {
			if len(recs) == limit {
				break
			}
			reached = e.Record.Seq
			if a.Sees(e.Audience) {
				rec := e.Record
				rec.Prev = e.Prev[a]
				recs = append(recs, rec)
			}
		}
		t.mu.Unlock()
		return recs, reached, nil
	}
	t.mu.Unlock()
	return t.r.readLog(ctx, t.id, a, after, limit)
}
