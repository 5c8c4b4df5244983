package pluginhost_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// fakeCore does what a router would do: it keeps events once per dedupe key, an outbox with begun
// marks, and a record of everything for the tests.
type fakeCore struct {
	mu      sync.Mutex
	changed chan struct{}

	keys      map[string]bool
	events    []plugin.Inbound
	dups      int
	refuse    func(plugin.Inbound) *plugin.Ack // nil = accept the event
	hold      chan struct{}                    // acks wait until it is closed; nil = at once
	outbox    []*outboxRow
	rows      map[[16]byte]*outboxRow
	waiting   []*outboxRow // commands that no generation has
	unknown   bool         // begun commands of a lost generation become unknown, instead of being sent again
	port      plugin.CommandPort
	instance  string
	rooms     int // calls of PluginRoom
	readies   []string
	gone      []string
	results   map[[16]byte][]plugin.CommandResult
	signals   []plugin.CustomerSignal
	statuses  map[conversation.AccountID]string
	infos     []plugin.Info // of PluginReady and PluginInfo
	templates map[conversation.AccountID][]plugin.Template
	subs      []*fakeReader
}

type outboxRow struct {
	out      plugin.Outbound
	instance string // instance to which it was offered
	begun    bool
	done     bool
}

func newFakeCore() *fakeCore {
	return &fakeCore{
		changed: make(chan struct{}), keys: map[string]bool{}, rows: map[[16]byte]*outboxRow{},
		results: map[[16]byte][]plugin.CommandResult{}, templates: map[conversation.AccountID][]plugin.Template{}, statuses: map[conversation.AccountID]string{},
	}
}

func (c *fakeCore) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// until waits for a condition on the core.
func (c *fakeCore) until(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	c.untilWithin(tb, 20*time.Second, what, cond)
}

func (c *fakeCore) untilWithin(tb testing.TB, limit time.Duration, what string, cond func() bool) {
	tb.Helper()
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond): // a condition may depend on more than the core
		case <-deadline:
			tb.Fatalf("waited %v for: %s", limit, what)
		}
	}
}

func (c *fakeCore) Ingest(_ context.Context, in plugin.Inbound, done func(plugin.Ack)) {
	c.mu.Lock()
	ack, hold := c.take(in), c.hold
	c.notify()
	c.mu.Unlock()
	if hold != nil {
		go func() { <-hold; done(ack) }()
		return
	}
	done(ack)
}

func (c *fakeCore) take(in plugin.Inbound) plugin.Ack {
	if c.refuse != nil {
		if ack := c.refuse(in); ack != nil {
			return *ack
		}
	}
	if r := in.Result; r != nil {
		c.results[r.Command] = append(c.results[r.Command], *r)
		if row := c.rows[r.Command]; row != nil {
			row.done = true
		}
		return plugin.Ack{Status: plugin.Committed}
	}
	if in.DedupeKey != "" {
		key := in.Account.String() + in.DedupeKey
		if c.keys[key] {
			c.dups++
			return plugin.Ack{Status: plugin.Duplicate}
		}
		c.keys[key] = true
	}
	c.events = append(c.events, in)
	return plugin.Ack{Status: plugin.Committed, Seq: uint64(len(c.events))}
}

func (c *fakeCore) Begin(_ context.Context, _ conversation.AccountID, command [16]byte, instance string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row := c.rows[command]
	if row == nil {
		return false, nil
	}
	row.begun = row.instance == instance && !row.done
	return row.begun, nil
}

func (c *fakeCore) PluginReady(_, instance string, port plugin.CommandPort) {
	c.mu.Lock()
	c.port, c.instance = port, instance
	c.readies = append(c.readies, instance)
	c.infos = append(c.infos, port.Info())
	c.offer()
	c.notify()
	c.mu.Unlock()
}

func (c *fakeCore) PluginGone(_, instance string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = append(c.gone, instance)
	for _, row := range c.outbox {
		if row.done || row.instance != instance {
			continue
		}
		row.instance = ""
		if row.begun && c.unknown {
			row.done = true
			c.results[row.out.Command] = append(c.results[row.out.Command], plugin.CommandResult{Command: row.out.Command, Outcome: conversation.StatusUnknown})
			continue
		}
		if row.begun {
			row.out.MaybeSent = true
		}
		row.begun = false
		row.out.Attempt++
		c.waiting = append(c.waiting, row)
	}
	if c.instance == instance {
		c.port, c.instance = nil, ""
	}
	c.offer()
	c.notify()
}

func (c *fakeCore) PluginRoom(_, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rooms++
	c.offer()
}

// offer hands over the commands that no generation has. The caller holds the mutex.
func (c *fakeCore) offer() {
	for refused := 0; len(c.waiting) > 0 && c.port != nil && refused < min(64, len(c.waiting)); {
		row := c.waiting[0]
		c.waiting = c.waiting[1:]
		if row.done {
			continue
		}
		// Set before the offer, since the answer may come before Offer returns.
		row.instance = c.instance
		if !c.port.Offer(row.out) {
			row.instance = ""
			c.waiting = append(c.waiting, row) // moved to the end, so that other commands get their turn
			refused++
		}
	}
}

// send puts a message into the outbox.
func (c *fakeCore) send(account conversation.AccountID, text string) [16]byte {
	return c.put(plugin.Outbound{
		Account: account, Thread: "+4930123456",
		Send: &plugin.SendCommand{To: "+4930123456", Parts: []conversation.Part{{Kind: conversation.PartText, Text: text}}},
	})
}

// put puts a command into the outbox.
func (c *fakeCore) put(out plugin.Outbound) [16]byte {
	out.Command, out.Attempt, out.Deadline = [16]byte(uuid.New()), 1, time.Now().Add(time.Minute)
	c.mu.Lock()
	defer c.mu.Unlock()
	row := &outboxRow{out: out}
	c.rows[out.Command] = row
	c.outbox, c.waiting = append(c.outbox, row), append(c.waiting, row)
	c.offer()
	return out.Command
}

// has reports whether an event with this dedupe key is stored.
func (c *fakeCore) has(account conversation.AccountID, dedupe string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys[account.String()+dedupe]
}

func (c *fakeCore) settled(id [16]byte) bool { return len(c.results[id]) > 0 }

func (c *fakeCore) Signal(s plugin.CustomerSignal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signals = append(c.signals, s)
	c.notify()
}

func (c *fakeCore) AccountStatus(account conversation.AccountID, ok bool, code, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		code = "ok"
	}
	c.statuses[account] = code
	c.notify()
}

func (c *fakeCore) PluginInfo(_, _ string, info plugin.Info) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.infos = append(c.infos, info)
	c.notify()
}

func (c *fakeCore) Templates(account conversation.AccountID, list []plugin.Template) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.templates[account] = list
	c.notify()
}

// fakeReader delivers the records that the test gives it, within its credit.
type fakeReader struct {
	core   *fakeCore
	spec   plugin.SubscriptionSpec
	sink   plugin.Sink
	credit int
	closed bool
}

func (c *fakeCore) Subscribe(_ context.Context, spec plugin.SubscriptionSpec, sink plugin.Sink) (plugin.Reader, error) {
	if spec.Thread == "refused" {
		return nil, &plugin.SubscribeError{Code: "ended"}
	}
	r := &fakeReader{core: c, spec: spec, sink: sink, credit: spec.Credit}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = append(c.subs, r)
	c.notify()
	return r, nil
}

func (r *fakeReader) Credit(n int) {
	r.core.mu.Lock()
	defer r.core.mu.Unlock()
	r.credit += n
	r.core.notify()
}

func (r *fakeReader) Close() {
	r.core.mu.Lock()
	defer r.core.mu.Unlock()
	r.closed = true
	r.core.notify()
}

func newAccount() conversation.AccountID { return conversation.AccountID(uuid.New()) }
