package memgateway

import (
	"slices"
	"sync"

	"github.com/google/uuid"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Ledger stands for router and log: it takes each event once per account and
// dedupe key, over any number of sessions, keeps what conversation is open on each
// thread, and refuses what the gateway refuses. The zero value is ready, and takes
// events of any account and results of any command until Configure. Safe for
// concurrent use.
type Ledger struct {
	// Connected says that the plugin is a connected channel, whose customers begin
	// with a Start; else a message begins a conversation. Set before use.
	Connected bool
	// Write writes what an event says into a conversation and returns the seq of the
	// record that answers to it; nil: records are only counted. It runs under the
	// Ledger's mutex. Set before use.
	Write func(c *Conversation, ev *pluginv1.Event) (seq uint64)

	mu       sync.Mutex
	strict   bool            // Configure was called
	accounts map[string]bool // enabled?
	open     map[place]*Conversation
	seen     map[key]record
	commands map[string]*command
	events   []*pluginv1.Event // committed, in order
	listed   map[key]struct{}  // in events
	repeats  int
}

// Conversation is one that began on a thread.
type Conversation struct {
	ID, Account, Thread string
	seq                 uint64
}

type place struct{ account, thread string }

// key is a dedupe key or a provider's id.
type key struct{ account, id string }

// record is what answers to a key; the conversation is "" where the account has it.
type record struct {
	conversation string
	seq          uint64
}

// command is one that the plugin was given.
type command struct {
	wire    *pluginv1.Command
	settled bool
}

// Configure says which accounts the plugin has from now on.
func (l *Ledger) Configure(accounts []*pluginv1.Account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strict, l.accounts = true, map[string]bool{}
	for _, a := range accounts {
		l.accounts[a.GetId()] = a.GetEnabled()
	}
}

// Owns reports whether an account is the plugin's, enabled or not.
func (l *Ledger) Owns(account string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owns(account)
}

func (l *Ledger) owns(account string) bool {
	_, ok := l.accounts[account]
	return ok || !l.strict
}

// Knows reports whether an id could be a conversation's.
func (l *Ledger) Knows(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.strict || isID(id)
}

// Command records that the plugin was given a command.
func (l *Ledger) Command(c *pluginv1.Command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	if l.commands[c.GetCommandId()] == nil {
		l.commands[c.GetCommandId()] = &command{wire: c}
	}
}

// Begins reports whether a command may begin: it was given and is not settled.
func (l *Ledger) Begins(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.commands[id]
	return !l.strict || c != nil && !c.settled
}

// Open is the open conversation of a thread, nil when there is none.
func (l *Ledger) Open(account, thread string) *Conversation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[place{account, thread}]
}

// End ends the open conversation of a thread, as its agent would. What that writes
// is the caller's. nil: there was none.
func (l *Ledger) End(account, thread string) *Conversation {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.open[place{account, thread}]
	delete(l.open, place{account, thread})
	return c
}

// Events returns what was committed, in order. What came again under its dedupe key
// is there once, also a status, which is committed every time: nothing is kept
// against its repeats. So is a result, by its command and outcome.
func (l *Ledger) Events() []*pluginv1.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Repeats counts events that came again and were known.
func (l *Ledger) Repeats() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repeats
}

func (l *Ledger) init() {
	if l.seen == nil {
		l.seen, l.open, l.commands = map[key]record{}, map[place]*Conversation{}, map[string]*command{}
		l.listed = map[key]struct{}{}
	}
}

// Commit answers ev as the gateway would.
func (l *Ledger) Commit(ev *pluginv1.Event) *pluginv1.EventAck {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	ack := l.answer(ev)
	ack.Seq = ev.GetSeq()
	switch ack.GetStatus() {
	case pluginv1.AckStatus_ACK_STATUS_COMMITTED:
		l.list(ev)
	case pluginv1.AckStatus_ACK_STATUS_DUPLICATE:
		l.repeats++
	default: // refused
	}
	return ack
}

// list lists an event unless it is there.
func (l *Ledger) list(ev *pluginv1.Event) {
	name := key{ev.GetAccount(), ev.GetDedupeKey()}
	if r := ev.GetResult(); r != nil {
		name = key{r.GetCommandId(), r.GetOutcome().String()}
	}
	if _, there := l.listed[name]; there && name.id != "" {
		l.repeats++
		return
	}
	l.listed[name] = struct{}{}
	l.events = append(l.events, ev)
}

func refused(code string) *pluginv1.EventAck {
	return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_REFUSED, Code: code}
}

func duplicate(r record) *pluginv1.EventAck {
	return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_DUPLICATE, ConversationId: r.conversation, LogSeq: r.seq}
}

func committed(r record) *pluginv1.EventAck {
	return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED, ConversationId: r.conversation, LogSeq: r.seq}
}

func (l *Ledger) answer(ev *pluginv1.Event) *pluginv1.EventAck {
	if !l.owns(ev.GetAccount()) {
		return refused("unknown_account")
	}
	if r := ev.GetResult(); r != nil {
		return l.result(ev.GetAccount(), r)
	}
	if l.strict && !l.accounts[ev.GetAccount()] {
		return refused("unknown_account")
	}
	if code := fault(ev); code != "" {
		return refused(code)
	}
	if st := ev.GetStatus(); st != nil {
		return l.status(ev.GetAccount(), st)
	}
	return l.occurrence(ev)
}

// occurrence takes what happens in conversations, and what will.
func (l *Ledger) occurrence(ev *pluginv1.Event) *pluginv1.EventAck {
	at := place{ev.GetAccount(), ev.GetThread()}
	c := l.open[at]
	if r := ev.GetReceipt(); r != nil && (c == nil || c.ID != r.GetConversation()) {
		return refused("ended")
	}
	keys := keysOf(ev)
	for _, k := range keys {
		if before, ok := l.seen[k]; ok {
			return duplicate(before)
		}
	}
	start := ev.GetAction().GetStart()
	switch {
	case ev.GetDeferred() != nil, c == nil && ev.GetAction().GetOptOut() != nil: // the account's
		l.bind(keys, record{})
		return committed(record{})
	case c == nil && (start != nil || ev.GetMessage() != nil && !l.Connected):
		c = &Conversation{ID: newID(), Account: at.account, Thread: at.thread}
		l.open[at] = c
	case c == nil:
		return refused("ended")
	case start != nil && len(start.GetParts()) == 0: // the open one is the answer
		return duplicate(record{conversation: c.ID})
	}
	r := record{conversation: c.ID, seq: l.write(c, ev)}
	if ev.GetAction().GetEnd() != nil || ev.GetAction().GetLeft() != nil {
		delete(l.open, at)
	}
	l.bind(keys, r)
	return committed(r)
}

func (l *Ledger) write(c *Conversation, ev *pluginv1.Event) uint64 {
	if l.Write != nil {
		return l.Write(c, ev)
	}
	c.seq++
	return c.seq
}

func (l *Ledger) bind(keys []key, r record) {
	for _, k := range keys {
		l.seen[k] = r
	}
}

// keysOf are the ids under which an event is known.
func keysOf(ev *pluginv1.Event) (keys []key) {
	for _, id := range append([]string{ev.GetDedupeKey()}, ev.GetMessage().GetProviderIds()...) {
		if id != "" {
			keys = append(keys, key{ev.GetAccount(), id})
		}
	}
	return keys
}

// status takes a provider's word. It moves nothing back, and may come at any time.
func (l *Ledger) status(account string, st *pluginv1.DeliveryStatus) *pluginv1.EventAck {
	if c := l.commands[st.GetCommandId()]; c != nil {
		if c.wire.GetAccount() != account || c.wire.GetSend() == nil {
			return refused("unknown_command")
		}
		c.settled = true
		return committed(record{conversation: c.wire.GetConversation()})
	}
	if st.GetProviderId() == "" {
		return refused("unknown_message")
	}
	if r, known := l.seen[key{account, st.GetProviderId()}]; known && r.conversation == "" {
		return refused("unknown_message")
	}
	return committed(record{})
}

// result takes a plugin's word on a command.
func (l *Ledger) result(account string, r *pluginv1.Result) *pluginv1.EventAck {
	c := l.commands[r.GetCommandId()]
	switch {
	case c == nil && !l.strict:
		return committed(record{})
	case c == nil && !isID(r.GetCommandId()):
		return refused("invalid")
	case c == nil || c.wire.GetAccount() != account:
		return refused("unknown_command")
	}
	answer := record{conversation: c.wire.GetConversation()}
	sent, process := r.GetOutcome() == pluginv1.Outcome_OUTCOME_SENT, c.wire.GetProcess() != nil
	again := r.GetOutcome() == pluginv1.Outcome_OUTCOME_FAILED && r.GetRetryable() || process && !sent && r.GetOutcome() != pluginv1.Outcome_OUTCOME_FAILED
	switch {
	case c.settled && (!sent || process):
		return duplicate(answer)
	case again, r.GetOutcome() != pluginv1.Outcome_OUTCOME_FAILED && !sent: // or unknown: a later word counts
	default:
		c.settled = true
	}
	return committed(answer)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
