package memgateway

import (
	"slices"
	"sync"

	"github.com/google/uuid"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Ledger stands in for router and log: it takes each event once per account and dedupe key, over
// any number of sessions, knows which conversation is open on each thread, and refuses what the
// gateway refuses. The zero value is ready to use; until Configure is called it takes events of any
// account and results of any command. Safe for concurrent use.
type Ledger struct {
	// Connected says that the plugin is a connected channel, whose customers begin a conversation
	// with a Start. On other channels a message begins one. Set before use.
	Connected bool
	// Write records an event in a conversation and returns the seq with which the event is
	// acknowledged; nil: the Ledger only counts. It runs under the Ledger's mutex. Set before use.
	Write func(c *Conversation, ev *pluginv1.Event) (seq uint64)

	mu       sync.Mutex
	strict   bool            // Configure was called
	accounts map[string]bool // whether each account is enabled
	open     map[place]*Conversation
	seen     map[key]record
	commands map[string]*command
	sessions map[string]*session  // calls and tools, by id
	over     map[string]bool      // conversations that have ended
	bots     map[botKey]bool      // whether the account is the conversation's bot now
	posts    map[[2]string]record // what bots posted, by conversation, and account and client id
	botSeq   uint64
	events   []*pluginv1.Event // committed events, in order
	listed   map[key]struct{}  // keys of the events in events
	repeats  int
}

// Conversation is a conversation that began on a thread.
type Conversation struct {
	ID, Account, Thread string
	seq                 uint64
}

type place struct{ account, thread string }

// key is a dedupe key or a provider's id.
type key struct{ account, id string }

// record is the answer to repeats of a key; conversation is "" when the account's stream has the
// event.
type record struct {
	conversation string
	seq          uint64
}

// command is a command that the plugin was given.
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

// Owns reports whether an account belongs to the plugin, enabled or not.
func (l *Ledger) Owns(account string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owns(account)
}

func (l *Ledger) owns(account string) bool {
	_, ok := l.accounts[account]
	return ok || !l.strict
}

// Knows reports whether an id could be the id of a conversation.
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

// Begins reports whether a command may begin: the plugin was given it and it is not settled. Until
// Configure is called every command may begin.
func (l *Ledger) Begins(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.commands[id]
	return !l.strict || c != nil && !c.settled
}

// Open returns the open conversation of a thread, nil when there is none.
func (l *Ledger) Open(account, thread string) *Conversation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[place{account, thread}]
}

// End ends the open conversation of a thread, as an agent would, and returns it; nil: there was
// none. The caller writes the record of the end.
func (l *Ledger) End(account, thread string) *Conversation {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.open[place{account, thread}]
	if c != nil {
		l.end(c)
	}
	return c
}

func (l *Ledger) end(c *Conversation) {
	delete(l.open, place{c.Account, c.Thread})
	l.over[c.ID] = true
}

// Events returns the committed events, in order and each only once: events with a dedupe key by
// that key, results by command and outcome. A status that is repeated is committed every time, as
// in the gateway, but is listed once, too.
func (l *Ledger) Events() []*pluginv1.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Repeats returns how many events came again and were recognised.
func (l *Ledger) Repeats() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repeats
}

func (l *Ledger) init() {
	if l.seen == nil {
		l.seen, l.open, l.commands = map[key]record{}, map[place]*Conversation{}, map[string]*command{}
		l.listed, l.over = map[key]struct{}{}, map[string]bool{}
		l.sessions, l.bots, l.posts = map[string]*session{}, map[botKey]bool{}, map[[2]string]record{}
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
	default: // a refused event is not listed
	}
	return ack
}

// list appends an event to events unless it is there already.
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
	switch k := ev.GetKind().(type) {
	case *pluginv1.Event_Bot:
		return l.bot(ev, k.Bot)
	case *pluginv1.Event_Tool:
		return l.tool(ev.GetAccount(), k.Tool.GetSession())
	case *pluginv1.Event_Call:
		return l.call(ev, k.Call)
	}
	if st := ev.GetStatus(); st != nil {
		return l.status(ev.GetAccount(), st)
	}
	return l.occurrence(ev)
}

// occurrence answers events that belong to a conversation or to the account's stream.
func (l *Ledger) occurrence(ev *pluginv1.Event) *pluginv1.EventAck {
	at := place{ev.GetAccount(), ev.GetThread()}
	c := l.open[at]
	if r := ev.GetReceipt(); r != nil && (c == nil || r.GetConversation() != "" && c.ID != r.GetConversation()) {
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
	case ev.GetDeferred() != nil, c == nil && (ev.GetAction().GetOptOut() != nil || ev.GetReplyWindow() != nil): // recorded in the account's stream
		l.bind(keys, record{})
		return committed(record{})
	case c == nil && (start != nil || ev.GetMessage() != nil && !l.Connected):
		c = &Conversation{ID: newID(), Account: at.account, Thread: at.thread}
		l.open[at] = c
	case c == nil:
		return refused("ended")
	case start != nil && len(start.GetParts()) == 0: // answered with the conversation that is open
		return duplicate(record{conversation: c.ID})
	}
	r := record{conversation: c.ID, seq: l.write(c, ev)}
	if ev.GetAction().GetEnd() != nil || ev.GetAction().GetLeft() != nil {
		l.end(c)
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

// keysOf returns the ids by which a repeat of an event is recognised.
func keysOf(ev *pluginv1.Event) (keys []key) {
	for _, id := range append([]string{ev.GetDedupeKey()}, ev.GetMessage().GetProviderIds()...) {
		if id != "" {
			keys = append(keys, key{ev.GetAccount(), id})
		}
	}
	return keys
}

// status answers a provider's status report. A report may come at any time, and never moves a
// status back.
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

// result answers a plugin's Result of a command.
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
	case again, r.GetOutcome() != pluginv1.Outcome_OUTCOME_FAILED && !sent: // the command is not settled: it is tried again, or a later result or status counts
	default:
		c.settled = true
	}
	return committed(answer)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
