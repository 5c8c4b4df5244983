package outbox_test

import (
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
)

// onePort is a plugin of whose accounts one node at a time serves each.
type onePort struct {
	*port
	again bool // what is sent twice is one message at the provider
}

func (p onePort) Info() plugin.Info { return plugin.Info{OneNode: true, IdempotentSend: p.again} }

// holder is what one node knows of the account's lease.
type holder struct {
	mu    sync.Mutex
	ref   eventlog.LeaseRef
	since time.Time
	held  bool
}

func (l *holder) Lease([16]byte) (eventlog.LeaseRef, time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ref, l.since, l.held
}

func (l *holder) set(ref eventlog.LeaseRef, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ref, l.since, l.held = ref, time.Now(), held
}

const accountLease = "account/1"

// serve gives the account to a node, as core/nodes and core/pluginhost do.
func (h *house) serve(node string) {
	h.t.Helper()
	epoch, held, err := h.log.AcquireLease(h.ctx, accountLease, node, time.Hour)
	if err != nil || !held {
		h.t.Fatal(held, err)
	}
	h.leases.(*holder).set(eventlog.LeaseRef{Name: accountLease, Epoch: epoch}, true) //nolint:forcetypeassert // set by withHolder
	h.o.PluginRoom()
	h.after(0)
}

func (h *house) leave(node string) {
	h.t.Helper()
	l := h.leases.(*holder) //nolint:forcetypeassert // set by withHolder
	epoch := l.ref.Epoch
	l.set(eventlog.LeaseRef{}, false)
	if err := h.log.ReleaseLease(h.ctx, accountLease, node, epoch); err != nil {
		h.t.Fatal(err)
	}
}

// withHolder runs a test with two nodes over one log, of which n1 serves the account.
func withHolder(t *testing.T, again bool, test func(t *testing.T, a, b *house, pa, pb *port)) {
	t.Helper()
	pa, pb := &port{}, &port{}
	inHouse(t, pa, func(t *testing.T, first *house) {
		a := &house{t: t, log: first.log, account: first.account, leases: &holder{}}
		b := &house{t: t, log: first.log, account: first.account, leases: &holder{}}
		a.open("a")
		b.open("b")
		a.o.PluginReady("text", "ga", onePort{pa, again})
		b.o.PluginReady("text", "gb", onePort{pb, again})
		a.serve("a")
		test(t, a, b, pa, pb)
		a.close()
		b.close()
	})
}

// What any node writes for an account goes to the node that serves it, once and in order; what is
// pinned to a generation stays with that one.
func TestCommandsGoToTheHolder(t *testing.T) {
	withHolder(t, false, func(t *testing.T, a, b *house, pa, pb *port) {
		conv := conversation.NewID[conversation.ConversationID]()
		first := b.post(conv, 1, "first")
		mark := b.read(conv, 2, "mark")
		b.call(conv, "gb", "5", 0)
		pb.want(t, "at the node that does not serve the account", "call 5")
		b.after(11 * time.Second)
		pa.want(t, "at the one that does", "from the log: 1", "read mark")
		pb.want(t, "at the other one", "call 5")
		if b.begin(first, "gb") {
			t.Error("begun by the node that wrote it")
		}
		if !a.begin(first, "ga") {
			t.Error("not begun by the node that serves the account")
		}
		a.result(first, plugin.CommandResult{Outcome: conversation.StatusSent})
		a.result(mark, plugin.CommandResult{Outcome: conversation.StatusSent})
		if s := a.state(first); s != eventlog.OutboxSettled {
			t.Errorf("row: %s", s)
		}
		// The other node serves it from now on.
		second := a.post(conv, 3, "second")
		a.leave("a")
		if a.begin(second, "ga") {
			t.Error("begun after the account was lost")
		}
		b.serve("b")
		b.after(11 * time.Second)
		pb.want(t, "at the next node", "call 5", "from the log: 3")
		// The first one's plugin says that the account is off: that is no failure of the message.
		a.result(second, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "internal", Code: "disabled"})
		a.after(30 * time.Second)
		if s := a.state(second); s != eventlog.OutboxQueued {
			t.Errorf("row: %s, want it queued", s)
		}
		if !b.begin(second, "gb") {
			t.Error("not begun by the next node")
		}
		b.result(second, plugin.CommandResult{Outcome: conversation.StatusSent})
		pa.want(t, "in the end, at the first", "from the log: 1", "read mark", "second")
	})
}

// A plugin refuses what it was given before its account was switched off: the command goes to the
// node that serves the account then.
func TestRefusedBecauseSwitchedOff(t *testing.T) {
	withHolder(t, false, func(t *testing.T, a, b *house, pa, pb *port) {
		c := a.post(conversation.NewID[conversation.ConversationID](), 1, "text")
		pa.want(t, "while it serves the account", "text")
		a.leave("a")
		a.result(c, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "internal", Code: "disabled"})
		a.wantSaid("after the refusal")
		b.serve("b")
		b.after(11 * time.Second)
		pb.want(t, "at the node that serves it", "from the log: 1")
		pa.want(t, "at the first, once", "text")
		// The same while the account comes back before the refusal is heard of.
		c = b.post(conversation.NewID[conversation.ConversationID](), 1, "next")
		b.after(time.Second)
		b.leave("b")
		b.serve("b")
		b.result(c, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "internal", Code: "disabled"})
		b.wantSaid("after that refusal")
		b.after(5 * time.Second)
		pb.want(t, "at the node that serves it again", "from the log: 1", "next", "next")
		b.result(c, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "internal", Code: "disabled"})
		if s := b.state(c); s != eventlog.OutboxSettled {
			t.Errorf("row of what it refuses while it serves the account: %s", s)
		}
	})
}

// A command that can never be made fails at once and holds nothing up, although no plugin was given it
// since this node serves the account, and also when the account is lost before that is durable.
func TestAbandonedAtTheHolder(t *testing.T) {
	withHolder(t, false, func(t *testing.T, a, b *house, pa, pb *port) {
		a.leave("a")
		conv := conversation.NewID[conversation.ConversationID]()
		lost, next := a.post(conv, 1, "lost"), a.read(conv, 2, "mark")
		b.unread = true
		b.serve("b")
		b.after(11 * time.Second)
		b.wantSaid("when it is found unreadable", "failed unreadable")
		if s := b.state(lost); s != eventlog.OutboxSettled {
			t.Errorf("row: %s, want settled", s)
		}
		pb.want(t, "of the rest", "read mark")
		b.result(next, plugin.CommandResult{Outcome: conversation.StatusSent})
		b.onUnread = func() { b.leases.(*holder).set(eventlog.LeaseRef{}, false) } //nolint:forcetypeassert // set by withHolder
		lost = a.post(conv, 3, "lost")
		b.after(11 * time.Second)
		b.wantSaid("when the account goes meanwhile", "failed unreadable", "failed unreadable")
		if s := b.state(lost); s != eventlog.OutboxSettled {
			t.Errorf("row: %s, want settled", s)
		}
		pa.want(t, "at the other node")
	})
}

// A command that the former node has begun stays with it for a while, since its plugin may still say
// what became of it. After that its outcome is unknown, or it is sent again where that is harmless.
func TestBegunCommandsOfTheFormerHolder(t *testing.T) {
	for _, again := range []bool{false, true} {
		withHolder(t, again, func(t *testing.T, a, b *house, pa, pb *port) {
			conv := conversation.NewID[conversation.ConversationID]()
			soon, never := a.post(conv, 1, "soon"), a.post(conversation.NewID[conversation.ConversationID](), 1, "never")
			if !a.begin(soon, "ga") || !a.begin(never, "ga") {
				t.Fatal("not begun")
			}
			a.leave("a")
			b.serve("b")
			b.after(20 * time.Second)
			pb.want(t, "while the former node may hear of them")
			a.result(soon, plugin.CommandResult{Outcome: conversation.StatusSent})
			if s := a.state(soon); s != eventlog.OutboxSettled {
				t.Errorf("row of the one that was reported: %s", s)
			}
			b.after(25 * time.Second)
			switch s := b.state(never); {
			case again:
				pb.want(t, "in the end", "from the log: 1")
			case s != eventlog.OutboxUnknown:
				t.Errorf("row of the other one: %s", s)
			default:
				pb.want(t, "in the end")
			}
		})
	}
}

// A node that has lost the account without noticing claims nothing.
func TestClaimIsFenced(t *testing.T) {
	withHolder(t, false, func(t *testing.T, a, b *house, pa, _ *port) {
		if _, _, err := b.log.AcquireLease(b.ctx, accountLease, "a", 0); err != nil { // it has run out
			t.Fatal(err)
		}
		if _, held, err := b.log.AcquireLease(b.ctx, accountLease, "c", time.Hour); err != nil || !held {
			t.Fatal(held, err)
		}
		c := b.post(conversation.NewID[conversation.ConversationID](), 1, "text")
		a.after(20 * time.Second)
		pa.want(t, "at the node that lost the account")
		if row, err := b.log.OutboxRow(b.ctx, c.Row().CommandID); err != nil || row.Node != "b" || row.Epoch != 0 {
			t.Errorf("row: %+v, %v", row, err)
		}
	})
}

var _ outbox.Leases = (*holder)(nil)
