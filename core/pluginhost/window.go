package pluginhost

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// dispatch is a command that a session has taken from the core.
type dispatch struct {
	id       [16]byte
	account  conversation.AccountID
	frame    *pluginv1.Command
	size     int
	sent     bool
	sentAt   time.Time
	begun    bool // a BeginAck is on its way: the provider may have been called
	asked    bool // a Begin is being recorded
	credited bool // its place is given back
}

func (d *dispatch) suspect() suspect {
	return suspect{key: commandKey(d.id), source: source{account: d.account, thread: d.frame.GetThread()}}
}

// window bounds the commands at a plugin, per account and per process, and
// serves accounts round-robin. Guarded by the session's mutex.
type window struct {
	seq      uint64 // of the last command sent
	flight   map[[16]byte]*dispatch
	accounts map[conversation.AccountID]*accountWindow
	ring     queue[*accountWindow] // accounts with queued commands
	queued   int
	taken    int           // places
	wanted   bool          // an offer was refused since the last announcement
	changed  chan struct{} // closed and replaced when something settles
}

type accountWindow struct {
	id      conversation.AccountID
	queue   queue[*dispatch]
	flight  int       // taken and not settled
	refused time.Time // last refused offer, until one is taken
}

func newWindow() window {
	return window{
		flight: map[[16]byte]*dispatch{}, accounts: map[conversation.AccountID]*accountWindow{},
		changed: make(chan struct{}),
	}
}

// refusalMemory is how long a refused account counts as one that wants a share.
const refusalMemory = time.Second

// admit takes a place for account, or not. While more accounts want places
// than the process has windows for, each gets an equal share, so that none
// starves another (DESIGN.md 7).
func (w *window) admit(account conversation.AccountID, now time.Time) bool {
	a := w.accounts[account]
	if a == nil {
		w.forget(now)
		a = &accountWindow{id: account}
		w.accounts[account] = a
	}
	limit := min(contract.AccountWindow, max(1, contract.CommandWindow/max(1, len(w.accounts))))
	if a.flight >= limit || w.taken >= contract.CommandWindow {
		a.refused, w.wanted = now, true
		return false
	}
	a.flight++
	w.taken++
	a.refused = time.Time{}
	return true
}

// forget drops accounts that neither have nor want anything.
func (w *window) forget(now time.Time) {
	for id, a := range w.accounts {
		if a.flight == 0 && now.Sub(a.refused) > refusalMemory {
			delete(w.accounts, id)
		}
	}
}

func (w *window) enqueue(d *dispatch) {
	a := w.accounts[d.account]
	if a.queue.len() == 0 {
		w.ring.push(a)
	}
	a.queue.push(d)
	w.queued++
}

// peek is the next command in turn, nil when there is none.
func (w *window) peek() *dispatch {
	a, ok := w.ring.peek()
	if !ok {
		return nil
	}
	d, _ := a.queue.peek()
	return d
}

// advance takes what peek showed and gives the turn to the next account.
func (w *window) advance() {
	a, _ := w.ring.pop()
	a.queue.drop()
	w.queued--
	if a.queue.len() > 0 {
		w.ring.push(a)
	}
}

// release gives the place of a command back.
func (w *window) release(d *dispatch) {
	d.credited = true
	w.taken--
	a := w.accounts[d.account]
	if a == nil {
		return
	}
	a.flight--
	if a.flight == 0 && a.refused.IsZero() {
		delete(w.accounts, d.account)
	}
}

func (w *window) notify() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// Info implements CommandPort.
func (s *session) Info() plugin.Info { return s.info }

// Offer implements CommandPort. A command that is under way here already is
// taken without being sent twice.
func (s *session) Offer(o plugin.Outbound) bool {
	frame := fromOutbound(&o)
	d := &dispatch{id: o.Command, account: o.Account, frame: frame, size: proto.Size(frame)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.draining {
		return false
	}
	if s.window.flight[d.id] != nil {
		return true
	}
	one := d.suspect()
	in := s.poison.command(one.key, one.source)
	if in == laneAlone && s.solo.full() {
		s.window.wanted = true
		return false
	}
	if !s.window.admit(d.account, time.Now()) {
		return false
	}
	s.window.flight[d.id] = d
	if code := s.unsendable(&o); code != "" {
		s.results.Add(1)
		go s.settleFor(d, conversation.StatusFailed, code)
		return true
	}
	if in == laneAlone {
		s.solo.waiting.push(soloItem{command: d, lane: in})
	} else {
		s.window.enqueue(d)
	}
	s.poke()
	return true
}

// unsendable says why a command fails without being sent; "" = it can be. What
// the plugin never declared it would ignore, and an address with bytes
// replaced might be somebody else's.
func (s *session) unsendable(o *plugin.Outbound) (code string) {
	switch {
	case !s.can(o):
		return "unsupported"
	case !utf8.ValidString(o.Thread), o.Send != nil && !utf8.ValidString(o.Send.To):
		return "not_utf8"
	}
	return ""
}

// can reports whether the plugin declared what the command needs.
func (s *session) can(o *plugin.Outbound) bool {
	return o.Send != nil || o.Lookup != nil && s.info.CanLookup || o.Process != nil && s.process
}

// creditCommand returns a command's credit, when its Result has come. It stays
// under way until that is stored.
func (s *session) creditCommand(id [16]byte) {
	s.mu.Lock()
	d := s.window.flight[id]
	if d == nil || d.credited {
		s.mu.Unlock()
		return
	}
	s.window.release(d)
	if d.sent {
		s.meters.commandSeconds.Observe(time.Since(d.sentAt).Seconds())
	}
	s.announceIfWanted()
	s.mu.Unlock()
}

// announceIfWanted lets the core know of room that it asked for in vain. The
// caller holds the mutex.
func (s *session) announceIfWanted() {
	if !s.window.wanted || s.over || s.draining {
		return
	}
	s.window.wanted = false
	select {
	case s.announce <- struct{}{}:
	default:
	}
}

// commandSettled forgets a command whose result is stored.
func (s *session) commandSettled(id [16]byte) {
	s.creditCommand(id)
	s.mu.Lock()
	d := s.window.flight[id]
	if d != nil {
		delete(s.window.flight, id)
		s.window.notify()
		s.solo.settleCommand(d)
		s.announceIfWanted()
	}
	s.mu.Unlock()
	if d != nil {
		one := d.suspect()
		s.poison.settled(one.key, one.source)
		s.poke()
	}
}
