package sessionwork

import (
	"errors"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// held is a live session of this node, or one that no process has yet.
type held struct {
	conv    conversation.ConversationID
	id      conversation.SessionID
	kind    conversation.SessionKind
	plugin  string
	account conversation.AccountID
	pin     conversation.Pin
	acts    actRates
	settled bool      // what becomes of the session, whose process is gone, is being found out
	since   time.Time // since when the session waits for its plugin to come back; zero: it does not
}

// sessionKey tells sessions apart. The ids of calls are made by plugins, so two accounts may have the same one.
type sessionKey struct {
	account conversation.AccountID
	id      conversation.SessionID
}

// room is what is known of a conversation that has live sessions.
type room struct {
	sessions []sessionKey
	joined   []conversation.Author // agents who take part
}

// How long, and how often, a plugin is asked.
const (
	// awayLimit is how long a session waits for a plugin that does not run to come back.
	awayLimit  = time.Minute
	retryPause = time.Second
	callLimit  = 15 * time.Second // of one call to a tool
	askTimes   = 3                // how often a tool that gave no answer is asked
)

// Seen takes the state of a conversation that was committed or loaded: it updates the list of this node's
// sessions, and tells tools what happened around theirs.
func (w *Work) Seen(s *conversation.State) {
	w.mu.Lock()
	was := w.rooms[s.ID]
	if was == nil && len(s.Sessions) == 0 {
		w.mu.Unlock()
		return
	}
	if was == nil {
		was = &room{joined: agentsOf(s)}
	}
	now := &room{joined: agentsOf(s)}
	var then []func()
	for i := range s.Sessions {
		x := &s.Sessions[i]
		if x.Pin.Node != "" && x.Pin.Node != w.node {
			continue
		}
		key := sessionKey{x.Account, x.ID}
		now.sessions = append(now.sessions, key)
		h := w.sessions[key]
		if h == nil {
			h = &held{conv: s.ID, id: x.ID, kind: x.Kind, plugin: x.Plugin, account: x.Account}
			w.sessions[key] = h
		}
		if h.pin != x.Pin {
			h.pin, h.settled, h.since = x.Pin, false, time.Time{}
		}
		then = append(then, w.notices(h, was.joined, now.joined)...)
		if w.orphan(h) {
			if w.newestLocked(h.plugin) != "" {
				then = append(then, w.settle(h))
			} else if h.since.IsZero() {
				h.since = time.Now()
			}
		}
	}
	for _, key := range was.sessions {
		h := w.sessions[key]
		if h == nil || slices.Contains(now.sessions, key) {
			continue
		}
		if s.Session(key.id) == nil { // else another node has it now
			then = append(then, w.farewell(h, s.Phase != conversation.PhaseOpen))
		}
		delete(w.sessions, key)
	}
	if w.rooms[s.ID] = now; len(now.sessions) == 0 {
		delete(w.rooms, s.ID)
	}
	w.mu.Unlock()
	for _, f := range then {
		f()
	}
}

// Holds reports whether a conversation has a session of this node, so that this node must learn of all that
// others commit in it.
func (w *Work) Holds(conv conversation.ConversationID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.rooms[conv]
	return r != nil && len(r.sessions) > 0
}

func agentsOf(s *conversation.State) (out []conversation.Author) {
	for i := range s.Participants {
		if p := &s.Participants[i]; p.Who.Kind == conversation.Agent && p.State == conversation.Joined {
			out = append(out, p.Who)
		}
	}
	return out
}

// here reports whether a generation that runs on this node has the session. It needs w.mu.
func (w *Work) here(h *held) bool {
	return h.pin.Node == w.node && slices.Contains(w.generations[h.plugin], h.pin.Instance)
}

// orphan reports whether a generation on this node had the session and is gone. It needs w.mu.
func (w *Work) orphan(h *held) bool {
	return h.pin.Node == w.node && h.pin.Instance != "" && !h.settled && !w.here(h)
}

// notices tells a session's tool which agents have joined or left. It needs w.mu.
func (w *Work) notices(h *held, was, now []conversation.Author) (then []func()) {
	tell := func(what string, who conversation.Author) {
		then = append(then, w.notice(h, what, plugin.Party{Who: who, Name: w.nameOf(who)}))
	}
	for _, a := range was {
		if !slices.Contains(now, a) {
			tell("left", a)
		}
	}
	for _, a := range now {
		if !slices.Contains(was, a) {
			tell("joined", a)
		}
	}
	return then
}

func (w *Work) nameOf(who conversation.Author) string {
	u, _ := w.dir.Snapshot().User(who.Agent)
	return u.Name
}

// notice makes a notice to a session's tool. It needs w.mu.
func (w *Work) notice(h *held, what string, who plugin.Party) func() {
	tools := w.tools
	if tools == nil || h.kind != conversation.SessionTool || !w.here(h) {
		return func() {}
	}
	n := plugin.ToolNotice{Session: h.id, Account: h.account, Conversation: h.conv, What: what, Party: who}
	id, instance := h.plugin, h.pin.Instance
	return func() { tools.ToolNotice(id, instance, n) }
}

// farewell is the notice to a session's tool that the session is over. What makes the tool end it is a command
// (ToolEndOf). It needs w.mu.
func (w *Work) farewell(h *held, ended bool) func() {
	if ended {
		return w.notice(h, "ended", plugin.Party{})
	}
	return w.notice(h, "session_ended", plugin.Party{})
}

// PluginReady says that a generation of a plugin runs. Its sessions that another generation had, which is
// gone, are asked for.
func (w *Work) PluginReady(id, instance string) {
	w.mu.Lock()
	w.generations[id] = append(slices.DeleteFunc(slices.Clone(w.generations[id]), func(x string) bool { return x == instance }), instance)
	then := w.orphansOf(id)
	w.mu.Unlock()
	for _, f := range then {
		f()
	}
}

// PluginGone says that a generation of a plugin is gone. Its calls are lost. Its tools' sessions wait for the
// plugin's next generation, which may know them.
func (w *Work) PluginGone(id, instance string) {
	w.mu.Lock()
	w.generations[id] = slices.DeleteFunc(slices.Clone(w.generations[id]), func(x string) bool { return x == instance })
	var then []func()
	waits := false
	for _, h := range w.sessions {
		if h.plugin != id || h.pin.Node != w.node || h.pin.Instance != instance || h.settled {
			continue
		}
		if h.kind == conversation.SessionCall || w.newestLocked(id) != "" {
			then = append(then, w.settle(h))
		} else {
			h.since, waits = time.Now(), true
		}
	}
	w.mu.Unlock()
	for _, f := range then {
		f()
	}
	if waits {
		w.Await()
	}
}

// Await gives the plugins of sessions whose process is gone some time to come back, and then ends these
// sessions. A start calls it when all conversations were Seen.
func (w *Work) Await() {
	w.runner.After(awayLimit, func() {
		w.mu.Lock()
		var then []func()
		for _, h := range w.sessions {
			if w.orphan(h) && !h.since.IsZero() && time.Since(h.since) >= awayLimit {
				then = append(then, w.settle(h))
			}
		}
		w.mu.Unlock()
		for _, f := range then {
			f()
		}
	})
}

// orphansOf settles the sessions of a plugin whose process is gone. It needs w.mu.
func (w *Work) orphansOf(id string) (then []func()) {
	for _, h := range w.sessions {
		if h.plugin == id && w.orphan(h) {
			then = append(then, w.settle(h))
		}
	}
	return then
}

// settle finds out what becomes of a session whose process is gone. A call is lost. A tool's session goes on
// if the plugin's newest generation knows it. It needs w.mu.
func (w *Work) settle(h *held) func() {
	h.settled = true
	pin, newest, tools := h.pin, w.newestLocked(h.plugin), w.tools
	return func() {
		w.runner.Go(func() {
			if h.kind == conversation.SessionTool && newest != "" && tools != nil {
				ts, found, err := w.get(h.plugin, newest, h.id)
				if err == nil && found {
					w.takeUp(h, newest, ts)
					return
				}
				if errors.Is(err, plugin.ErrInstanceGone) && w.waitOn(h, pin, newest) {
					return
				}
			}
			w.lose(h, pin)
		})
	}
}

// waitOn leaves a session whose process is gone to the plugin's next generation, since the one that was asked for it
// is gone too. False: the session has waited long enough.
func (w *Work) waitOn(h *held, pin conversation.Pin, asked string) bool {
	w.mu.Lock()
	if h.pin != pin {
		w.mu.Unlock()
		return true // somebody has it
	}
	first := h.since.IsZero()
	if first {
		h.since = time.Now()
	} else if time.Since(h.since) >= awayLimit {
		w.mu.Unlock()
		return false
	}
	h.settled = false
	then := func() {}
	if newest := w.newestLocked(h.plugin); newest != "" && newest != asked { // it was there before this session waited for it
		then = w.settle(h)
	}
	w.mu.Unlock()
	then()
	if first {
		w.Await()
	}
	return true
}

// lose ends a session whose process is gone. What the store refuses is tried again.
func (w *Work) lose(h *held, pin conversation.Pin) {
	w.convs.Submit(h.conv, Step{Decide: func(*conversation.State) (Plan, error) {
		return Plan{Commands: []conversation.Command{conversation.LoseSessions{Pin: pin, Session: h.id}}}, nil
	}}, w.again(h, func() { w.lose(h, pin) }))
}

// takeUp records that another generation has a session now.
func (w *Work) takeUp(h *held, instance string, ts plugin.ToolSession) {
	ts.Session, ts.Instance = h.id, instance
	w.convs.Submit(h.conv, Step{Decide: func(s *conversation.State) (Plan, error) { return w.toolNews(s, h.account, ts, true) }},
		w.again(h, func() { w.takeUp(h, instance, ts) }))
}

// again calls f later if a step failed because of the store.
func (w *Work) again(h *held, f func()) func(Outcome, error) {
	return func(_ Outcome, err error) {
		if err == nil || w.convs.Ack(h.conv, Outcome{}, err).Status != plugin.Retry || w.runner.Running().Err() != nil || errors.Is(err, ErrUnavailable) {
			return
		}
		w.runner.After(retryPause, f)
	}
}
