package router

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
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
	read     uint64 // the number of the last reading of rows when it came into memory
	// body is a fresh message's, so that it need not be read again; nil = the
	// log has it.
	body     json.RawMessage
	endpoint int // of body: where it goes
}

// maxKept bounds how many pending messages are kept in memory with their text.
const maxKept = 10_000

// outbox hands pending commands to plugins: in order per conversation, one of
// each at a time, round robin over conversations (DESIGN.md 4).
type outbox struct {
	r *Router

	mu       sync.Mutex
	ports    map[string]*port // by plugin
	accounts map[conversation.AccountID]*box
	byID     map[[16]byte]*entry
	past     past
	round    int // counts calls of dispatch
	wake     chan struct{}
	again    chan struct{} // the rows are to be read now

	reads   uint64                // numbers the readings of rows
	reading int                   // of them that are under way
	gone    map[[16]byte]struct{} // what left memory meanwhile

	// Owned by reread.
	renewed, keptSince time.Time // the node's lease: last renewed; kept without a gap
	notReadBefore      time.Time
}

type port struct {
	instance string
	port     plugin.CommandPort
}

// box is an account's part: lanes in the order in which they get their turn.
type box struct {
	plugin string
	lanes  map[eventlog.StreamID]*lane
	turn   []*lane
	next   int // in turn: whose it is
	full   int // the round in which the plugin's window was found full
	flight int // commands at the plugin
	window int // how many it last took before it refused one; 0 = not known
}

// room is how many commands to make for the plugin's window: one too many at
// most, to find out whether it has grown.
func (b *box) room() int {
	if b.window == 0 {
		return mostOfAccount
	}
	return min(mostOfAccount, max(1, b.window-b.flight))
}

// lane is the order of one conversation (or of one processed item).
type lane struct {
	key   eventlog.StreamID
	queue []*entry
}

func newOutbox(r *Router) *outbox {
	return &outbox{r: r, ports: map[string]*port{}, accounts: map[conversation.AccountID]*box{}, byID: map[[16]byte]*entry{}, past: past{rows: map[[16]byte]eventlog.OutboxRow{}}, wake: make(chan struct{}, 1), again: make(chan struct{}, 1)}
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
		Node: tx.l.r.node,
	}
	tx.batch.Outbox = append(tx.batch.Outbox, row)
	tx.sends = append(tx.sends, &entry{row: row, body: ev.Body, endpoint: m.Endpoint})
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
	if len(o.byID) >= maxKept {
		e.body = nil
	}
	o.byID[e.row.CommandID] = e
	e.read = o.reads
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
	at := len(ln.queue)
	for at > 0 && ln.queue[at-1].row.Seq > e.row.Seq { // only one that was read late comes before others
		at--
	}
	ln.queue = slices.Insert(ln.queue, at, e)
}

// remove needs o.mu.
func (o *outbox) remove(e *entry) {
	delete(o.byID, e.row.CommandID)
	if o.reading > 0 {
		if o.gone == nil {
			o.gone = map[[16]byte]struct{}{}
		}
		o.gone[e.row.CommandID] = struct{}{}
	}
	b := o.accounts[conversation.AccountID(e.row.Account)]
	if b == nil {
		return
	}
	b.stop(e)
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
