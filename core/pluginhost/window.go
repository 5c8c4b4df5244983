package pluginhost

import (
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
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
	begun    bool // a BeginAck was sent or will be, so the provider may have been called
	asked    bool // a Begin is being recorded
	credited bool // its place in the window is free again
}

func (d *dispatch) suspect() suspect {
	return suspect{key: commandKey(d.id), source: source{account: d.account, thread: d.frame.GetThread()}}
}

// window bounds the commands at a plugin, per account and per process, and serves accounts in turn.
// Guarded by the session's mutex.
type window struct {
	seq      uint64 // seq of the last command sent
	flight   map[[16]byte]*dispatch
	accounts map[conversation.AccountID]*accountWindow
	ring     queue[*accountWindow] // accounts with queued commands
	queued   int
	taken    int           // places in use
	wanted   bool          // an offer was refused since the core was last told of room
	changed  chan struct{} // closed and replaced when something settles
}

type accountWindow struct {
	id      conversation.AccountID
	queue   queue[*dispatch]
	flight  int       // commands accepted and not settled
	refused time.Time // when an offer was last refused, until one is accepted
}

func newWindow() window {
	return window{
		flight: map[[16]byte]*dispatch{}, accounts: map[conversation.AccountID]*accountWindow{},
		changed: make(chan struct{}),
	}
}

// refusalMemory is how long an account whose offer was refused counts as one that wants a share.
const refusalMemory = time.Second

// admit takes a place for account if it may. While more accounts want places than the process has
// windows for, each account gets an equal share, so that none starves another (DESIGN.md 7).
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

// forget removes accounts that have no commands and want none.
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

// peek returns the next command in turn, nil if there is none.
func (w *window) peek() *dispatch {
	a, ok := w.ring.peek()
	if !ok {
		return nil
	}
	d, _ := a.queue.peek()
	return d
}

// advance removes the command that peek returned and gives the turn to the next account.
func (w *window) advance() {
	a, _ := w.ring.pop()
	a.queue.drop()
	w.queued--
	if a.queue.len() > 0 {
		w.ring.push(a)
	}
}

// release makes the place of a command free again.
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
func (s *session) Info() plugin.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// setInfo replaces what the plugin says of itself, and tells the core if it is something else. The
// core has been told that the generation is ready.
func (s *session) setInfo(info plugin.Info) {
	s.mu.Lock()
	same := reflect.DeepEqual(s.info, info)
	s.info = info
	s.mu.Unlock()
	if !same {
		s.core.PluginInfo(s.plugin, s.instance, info)
	}
}

// setOff says of which accounts commands that are not pinned are refused from now on, as if their
// window were full. The caller does not change the map afterwards.
func (s *session) setOff(off map[conversation.AccountID]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
	s.announceIfWanted()
}

// Offer implements CommandPort. If the command is under way here already, Offer accepts it without
// sending it twice.
func (s *session) Offer(o plugin.Outbound) bool {
	frame := wire.FromOutbound(s.said.Minor, &o)
	d := &dispatch{id: o.Command, account: o.Account, frame: frame, size: proto.Size(frame)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.ending || s.draining && o.Call == nil {
		return false
	}
	if s.window.flight[d.id] != nil {
		return true
	}
	if _, off := s.off[o.Account]; off && !o.Pinned {
		s.window.wanted = s.window.wanted || o.Typing == nil // nobody offers a typing command again
		return false
	}
	if o.Typing != nil {
		return s.offerTyping(d)
	}
	one := d.suspect()
	in := s.poison.command(one.key, one.source)
	if !s.solo.room(in) {
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
	if in == laneOrdinary {
		s.window.enqueue(d)
	} else {
		s.solo.push(soloItem{command: d, lane: in})
	}
	s.poke()
	return true
}

// unsendable returns why a command fails without being sent; "" = it can be sent. A plugin would
// ignore a command that it did not declare, and an address with replaced bytes might be another
// customer's.
func (s *session) unsendable(o *plugin.Outbound) (code string) {
	switch {
	case !s.can(o), o.Send != nil && !wire.Sendable(s.said.Minor, o.Send.Parts):
		return "unsupported"
	case !utf8.ValidString(o.Thread), o.Send != nil && !utf8.ValidString(o.Send.To):
		return "not_utf8"
	}
	return ""
}

// can reports whether the plugin declared the ability that the command needs.
func (s *session) can(o *plugin.Outbound) bool {
	switch {
	case o.Send != nil:
		return s.info.Channel
	case o.Lookup != nil:
		return s.info.CanLookup
	case o.Process != nil:
		return s.process
	case o.MarkRead != nil:
		return s.info.MarkRead
	case o.Call != nil:
		return slices.Contains(s.info.Calls, o.Call.Name())
	}
	return false
}

// offerTyping takes a command whose Result nobody waits for. It is dropped when the plugin did not
// declare it or is behind. The caller holds the mutex.
func (s *session) offerTyping(d *dispatch) bool {
	if !s.info.Typing {
		return false
	}
	if len(s.typed) >= maxTyping {
		s.meters.shedSignals.Inc()
		return false
	}
	s.typed[d.id] = true
	s.out.typing.push(d.frame)
	s.poke()
	return true
}

// creditCommand returns a command's credit when its Result has come. The command stays under way
// until the Result is stored.
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

// announceIfWanted tells the core of room in the window if an offer was refused before. The caller
// holds the mutex.
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
