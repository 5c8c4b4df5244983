package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
)

// house stands for the router: it writes what the outbox tells it, as the router does, and
// remembers it. Each of its methods also asks the outbox something, which would hang if the outbox
// called it with its own lock held.
type house struct {
	t       *testing.T
	log     *memlog.Log
	o       *outbox.Outbox
	account conversation.AccountID
	leases  outbox.Leases   // nil: this node serves every account
	ctx     context.Context //nolint:containedctx // ends what the outbox started
	stop    context.CancelFunc
	wg      sync.WaitGroup

	takes time.Duration // how long it takes to read all rows
	bar   *bar          // nil: the node's lease can be had

	mu         sync.Mutex
	unread     bool                                        // messages cannot be read, since their keys are lost
	onUnread   func()                                      // is called when one is to be read then; nil: nothing
	unfollowed bool                                        // the conversations do not follow their messages
	named      map[conversation.MessageID]outbox.Reference // what is known of messages that others name
	namedErr   error
	told       []plugin.CommandResult
	failures   []outbox.Failure
}

// inHouse runs a test in a synctest bubble, with an outbox that hands out to p.
func inHouse(t *testing.T, p *port, test func(t *testing.T, h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, log: memlog.New(), account: conversation.NewID[conversation.AccountID]()}
		h.open("n1")
		h.o.PluginReady("text", "g1", p)
		test(t, h)
		h.close()
		_ = h.log.Close()
	})
}

// slowLog takes its time to read all rows of the outbox.
type slowLog struct {
	*memlog.Log
	takes time.Duration
	bar   *bar
}

// bar keeps a node from its lease.
type bar struct {
	err   atomic.Pointer[error] // the answer when the lease is asked for; nil: another node has it
	up    atomic.Bool
	asked atomic.Int64 // how often the lease was asked for while the bar was up
	shut  atomic.Bool  // the outbox can write nothing
	reads atomic.Int64 // how often all rows were read
}

func (l slowLog) AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (int64, bool, error) {
	if l.bar == nil || !l.bar.up.Load() {
		return l.Log.AcquireLease(ctx, name, node, ttl)
	}
	l.bar.asked.Add(1)
	if err := l.bar.err.Load(); err != nil {
		return 0, false, *err
	}
	return 7, false, nil
}

func (l slowLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if l.bar != nil && l.bar.shut.Load() {
		return eventlog.Appended{}, eventlog.ErrUnavailable
	}
	return l.Log.Append(ctx, b)
}

func (l slowLog) Outbox(ctx context.Context, account eventlog.StreamID, unknown bool, limit int) ([]eventlog.OutboxRow, error) {
	if l.bar != nil {
		l.bar.reads.Add(1)
	}
	time.Sleep(l.takes) // time in the bubble
	return l.Log.Outbox(ctx, account, unknown, limit)
}

// open starts an outbox for a node.
func (h *house) open(node string) {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	h.ctx, h.stop = ctx, stop
	h.o = outbox.New(outbox.Options{Node: node, Log: slowLog{h.log, h.takes, h.bar}, Conversations: h, Runner: h, Leases: h.leases, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err := h.o.Start(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.wg.Go(func() { h.o.Run(ctx) })
	h.wg.Go(func() { h.o.Keep(ctx) })
	h.wg.Go(func() { h.o.Expire(ctx) })
}

// close stops the outbox as a process that is killed would: its lease stays.
func (h *house) close() {
	h.stop()
	h.wg.Wait()
}

// beside starts the outbox of another node over the same log.
func (h *house) beside(node string) *house {
	h.t.Helper()
	other := &house{t: h.t, log: h.log, account: h.account}
	other.open(node)
	return other
}

func (h *house) ask() { h.o.Known([16]byte{}) }

func (h *house) Plugin(conversation.AccountID) string { h.ask(); return "text" }

func (h *house) Message(_ context.Context, _ conversation.ConversationID, seq uint64) (outbox.Message, error) {
	h.ask()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unread {
		if h.onUnread != nil {
			h.onUnread()
		}
		return outbox.Message{}, outbox.ErrUnreadable
	}
	return outbox.Message{Parts: []conversation.Part{{Text: fmt.Sprint("from the log: ", seq)}}, To: outbox.Recipient{Address: "+1"}}, nil
}

func (h *house) Recipient(context.Context, conversation.ConversationID, int) (outbox.Recipient, error) {
	h.ask()
	return outbox.Recipient{Address: "+1", Thread: "t"}, nil
}

func (h *house) References(_ context.Context, _ conversation.ConversationID, _ uint64, ids []conversation.MessageID) (map[conversation.MessageID]outbox.Reference, error) {
	h.ask()
	h.mu.Lock()
	defer h.mu.Unlock()
	found := map[conversation.MessageID]outbox.Reference{}
	for _, id := range ids {
		if ref, ok := h.named[id]; ok {
			found[id] = ref
		}
	}
	return found, h.namedErr
}

func (h *house) OpenPayload(row eventlog.OutboxRow) ([]byte, error) { h.ask(); return row.Payload, nil }

func (h *house) Tell(_ eventlog.OutboxRow, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(uint64, error)) {
	h.ask()
	h.mu.Lock()
	unfollowed := h.unfollowed
	if !unfollowed {
		h.told = append(h.told, res)
	}
	h.mu.Unlock()
	if unfollowed {
		done(0, outbox.ErrNotFollowed)
		return
	}
	_, err := h.log.Append(h.ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}})
	done(7, err)
}

func (h *house) CallFailed(row eventlog.OutboxRow, _ *plugin.CallCommand, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(uint64, error)) {
	h.Tell(row, res, update, done)
}

func (h *house) RecordFailure(_ *eventlog.Batch, f outbox.Failure) error {
	h.ask()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = append(h.failures, f)
	return nil
}

func (h *house) Go(f func()) bool {
	if h.ctx.Err() != nil {
		return false
	}
	h.wg.Go(f)
	return true
}

func (h *house) After(d time.Duration, f func()) {
	h.Go(func() {
		select {
		case <-time.After(d):
			f()
		case <-h.ctx.Done():
		}
	})
}

func (h *house) Running() context.Context { return h.ctx }
func (h *house) Commits() context.Context { return context.WithoutCancel(h.ctx) }

// queue appends a command's row and queues it, as the router does.
func (h *house) queue(c *outbox.Command, err error) *outbox.Command {
	h.t.Helper()
	if err == nil {
		c.Seal(c.Payload(), 1)
		_, err = h.log.Append(h.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{c.Row()}})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.o.Add(c)
	synctest.Wait()
	return c
}

// call queues a command for a call that is pinned to an instance; "" = to none.
func (h *house) call(conv conversation.ConversationID, instance, digits string, within time.Duration) *outbox.Command {
	h.t.Helper()
	return h.queue(h.o.Call(outbox.Origin{Conversation: conv, Account: h.account, Seq: 5, Thread: "t"}, conversation.Pin{Instance: instance},
		&plugin.CallCommand{Digits: &plugin.CallDigits{Digits: digits}}, within))
}

// read queues a read mark.
func (h *house) read(conv conversation.ConversationID, seq uint64, id string) *outbox.Command {
	h.t.Helper()
	return h.queue(h.o.MarkRead(outbox.Origin{Conversation: conv, Account: h.account, Seq: seq, Thread: "t"}, &plugin.MarkReadCommand{ProviderIDs: []string{id}}))
}

func (h *house) toolEnd(conv conversation.ConversationID, cause conversation.Cause) *outbox.Command {
	h.t.Helper()
	c, err := h.o.ToolEnd(outbox.Origin{Conversation: conv, Account: h.account, Seq: 1}, conversation.Pin{Node: "n1", Instance: "g0"},
		&plugin.ToolEndCommand{Session: conversation.NewID[conversation.SessionID](), Cause: cause})
	return h.queue(c, err)
}

// after lets time pass in the bubble.
func (h *house) after(d time.Duration) {
	h.t.Helper()
	time.Sleep(d) // time in the bubble
	synctest.Wait()
}

// begin lets a plugin begin a command.
func (h *house) begin(c *outbox.Command, instance string) bool {
	h.t.Helper()
	ok, err := h.o.Begin(h.ctx, h.account, c.Row().CommandID, instance)
	if err != nil {
		h.t.Fatal(err)
	}
	return ok
}

// said returns the outcomes that the conversations and the account were told of, with their codes.
func (h *house) said() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, res := range h.told {
		out = append(out, string(res.Outcome)+" "+res.Code)
	}
	for _, f := range h.failures {
		out = append(out, "account: "+string(f.Result.Outcome)+" "+f.Result.Code)
	}
	return out
}

func (h *house) wantSaid(when string, want ...string) {
	h.t.Helper()
	if got := h.said(); !slices.Equal(got, want) {
		h.t.Errorf("%s: told %q, want %q", when, got, want)
	}
}

// post writes a message of a conversation and queues it.
func (h *house) post(conv conversation.ConversationID, seq uint64, text string) *outbox.Command {
	h.t.Helper()
	c := h.o.Send(conv, h.account, &conversation.MessagePosted{ID: conversation.NewID[conversation.MessageID]()},
		&conversation.Event{Seq: seq, At: time.Now(), Body: []byte(`{"parts":[{"kind":"text","text":"` + text + `"}]}`)})
	if _, err := h.log.Append(h.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{c.Row()}}); err != nil {
		h.t.Fatal(err)
	}
	h.o.Add(c)
	synctest.Wait()
	return c
}

// deferred writes an item that the plugin is to process.
func (h *house) deferred(opaque string) [16]byte {
	h.t.Helper()
	row := h.o.Deferred(h.account, "t", []byte(opaque))
	if _, err := h.log.Append(h.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{row}}); err != nil {
		h.t.Fatal(err)
	}
	h.o.AddRow(row)
	synctest.Wait()
	return row.CommandID
}

// result reports a plugin's Result and returns the answer to it.
func (h *house) result(c *outbox.Command, res plugin.CommandResult) plugin.Ack {
	h.t.Helper()
	return h.resultOf(c.Row().CommandID, res)
}

func (h *house) resultOf(command [16]byte, res plugin.CommandResult) plugin.Ack {
	h.t.Helper()
	res.Command = command
	ch := make(chan plugin.Ack, 1)
	h.o.Result(h.account, res, func(a plugin.Ack) { ch <- a })
	a := <-ch
	synctest.Wait()
	return a
}

func (h *house) state(c *outbox.Command) eventlog.OutboxState {
	h.t.Helper()
	return h.stateOf(c.Row().CommandID)
}

func (h *house) stateOf(command [16]byte) eventlog.OutboxState {
	h.t.Helper()
	row, err := h.log.OutboxRow(h.ctx, command)
	if err != nil {
		h.t.Fatal(err)
	}
	return row.State
}

// port is a plugin that remembers the commands that it is given.
type port struct {
	mu   sync.Mutex
	got  []string
	full bool // the plugin's window
}

func (*port) NoticeBot(plugin.BotNotice) bool { return false }

func (p *port) Offer(o plugin.Outbound) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.full:
		return false
	case o.Send != nil:
		p.got = append(p.got, o.Send.Parts[0].Text)
	case o.Call != nil:
		p.got = append(p.got, "call "+o.Call.Digits.Digits)
	case o.MarkRead != nil:
		p.got = append(p.got, "read "+o.MarkRead.ProviderIDs[0])
	case o.ToolEnd != nil:
		p.got = append(p.got, "end "+string(o.ToolEnd.Cause))
	case o.Lookup != nil:
		p.got = append(p.got, "lookup")
	default:
		p.got = append(p.got, "process "+string(o.Process))
	}
	return true
}

func (p *port) Info() plugin.Info { return plugin.Info{ID: "text"} }

func (p *port) want(t *testing.T, when string, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) != len(want) {
		t.Fatalf("%s: the plugin has got %q, want %q", when, p.got, want)
	}
	for i := range want {
		if p.got[i] != want[i] {
			t.Fatalf("%s: the plugin has got %q, want %q", when, p.got, want)
		}
	}
}

// A message must wait for the one before it, even while that one is tried again; other
// conversations must go on.
func TestLaneWaits(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		one, other := conversation.NewID[conversation.ConversationID](), conversation.NewID[conversation.ConversationID]()
		first := h.post(one, 1, "first")
		h.post(one, 2, "second")
		h.post(other, 1, "other")
		p.want(t, "at first", "first", "other")
		if a := h.result(first, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true}); a.Status != plugin.Committed {
			t.Fatalf("retryable failure: got %+v, want committed", a)
		}
		p.want(t, "while it waits to be tried again", "first", "other")
		time.Sleep(2 * time.Second) // time in the bubble
		synctest.Wait()
		p.want(t, "after a pause", "first", "other", "first")
		if a := h.result(first, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed || a.Seq != 7 {
			t.Fatalf("sent: got %+v, want committed with the conversation's event", a)
		}
		p.want(t, "when it is sent", "first", "other", "first", "second")
		if got := h.state(first); got != eventlog.OutboxSettled {
			t.Errorf("row: got %s, want settled", got)
		}
		if row, ok := h.o.Known(first.Row().CommandID); !ok || row.State != eventlog.OutboxSettled {
			t.Errorf("known: got %v %s, want it settled", ok, row.State)
		}
	})
}

// The end of a tool's session must not wait for the end of another session of the conversation.
func TestToolEndsDoNotWait(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		conv := conversation.NewID[conversation.ConversationID]()
		first := h.toolEnd(conv, conversation.CauseFinished)
		h.toolEnd(conv, conversation.CauseExpired)
		p.want(t, "at first", "end finished", "end expired")
		h.result(first, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, RetryAfter: time.Minute})
		h.toolEnd(conv, conversation.CauseCancelled)
		p.want(t, "while one is to be tried again", "end finished", "end expired", "end cancelled")
	})
}

// A command of which no conversation tells must be recorded if it failed, and not if it succeeded.
func TestEndUntold(t *testing.T) {
	inHouse(t, &port{}, func(t *testing.T, h *house) {
		h.unfollowed = true
		conv := conversation.NewID[conversation.ConversationID]()
		good, bad := h.post(conv, 1, "good"), h.post(conv, 2, "bad")
		h.result(good, plugin.CommandResult{Outcome: conversation.StatusSent})
		h.result(bad, plugin.CommandResult{Outcome: conversation.StatusFailed, Code: "30003"})
		if len(h.failures) != 1 || h.failures[0].Row.CommandID != bad.Row().CommandID || h.failures[0].Result.Code != "30003" {
			t.Errorf("failures: got %+v, want one of the second message", h.failures)
		}
		for _, c := range []*outbox.Command{good, bad} {
			if got := h.state(c); got != eventlog.OutboxSettled {
				t.Errorf("row: got %s, want settled", got)
			}
		}
	})
}

// A message that can never be read again must fail, and hold nothing up.
func TestUnreadable(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		h.unread = true
		conv := conversation.NewID[conversation.ConversationID]()
		row := h.o.Send(conv, h.account, &conversation.MessagePosted{ID: conversation.NewID[conversation.MessageID]()}, &conversation.Event{Seq: 1, At: time.Now()}).Row()
		if _, err := h.log.Append(t.Context(), &eventlog.Batch{Outbox: []eventlog.OutboxRow{row}}); err != nil {
			t.Fatal(err)
		}
		h.o.AddRow(row)
		h.post(conv, 2, "next")
		p.want(t, "after the one that is lost", "next")
		if len(h.told) != 1 || h.told[0].Outcome != conversation.StatusFailed || h.told[0].Code != "unreadable" {
			t.Errorf("told: got %+v, want that the first has failed", h.told)
		}
	})
}

// When the router stops, a Result that needs the log must be asked for again.
func TestStopping(t *testing.T) {
	inHouse(t, &port{}, func(t *testing.T, h *house) {
		ctx, stop := context.WithCancel(h.ctx)
		h.ctx = ctx
		stop()
		h.o.Result(h.account, plugin.CommandResult{Command: [16]byte{1}}, func(a plugin.Ack) {
			if a.Status != plugin.Retry {
				t.Errorf("got %+v, want retry", a)
			}
		})
		if h.o.EndUntold(eventlog.OutboxRow{}, plugin.CommandResult{}, eventlog.OutboxUpdate{}, func(error) { t.Error("done was called") }) {
			t.Error("EndUntold says that it runs")
		}
	})
}

// The metrics' label for an account's plugin must be bounded.
func TestChannelLabel(t *testing.T) {
	inHouse(t, &port{}, func(t *testing.T, h *house) {
		c := h.post(conversation.NewID[conversation.ConversationID](), 1, "a")
		h.result(c, plugin.CommandResult{Outcome: conversation.StatusSent})
		reg := prometheus.NewPedanticRegistry()
		err := errors.Join(reg.Register(h.o.Collectors()[0]), reg.Register(h.o.Collectors()[1]))
		if err != nil {
			t.Fatal(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if len(families) != 1 || families[0].GetName() != "parley_outbound_results_total" || families[0].GetMetric()[0].GetCounter().GetValue() != 1 {
			t.Errorf("got %v, want one result", families)
		}
	})
}
