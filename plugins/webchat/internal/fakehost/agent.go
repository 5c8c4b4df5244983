package fakehost

import (
	"context"
	"encoding/json"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// agentID is the id of the only agent.
const agentID = "0190aaaa-0000-7000-8000-000000000001"

func agent() object { return object{"kind": "agent", "agent": agentID} }

// act calls f with the open conversation of a thread; false: there is none.
func (h *Host) act(a sdk.AccountID, t sdk.ThreadID, f func(*conversation)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.thread(a, t).open()
	if c == nil {
		return false
	}
	f(c)
	h.notify()
	return true
}

// Join makes the agent join under a name.
func (h *Host) Join(a sdk.AccountID, t sdk.ThreadID, name string) bool {
	return h.act(a, t, func(c *conversation) { c.add("participant.joined/1", object{"who": agent()}, object{"name": name}) })
}

// Leave makes the agent leave.
func (h *Host) Leave(a sdk.AccountID, t sdk.ThreadID) bool {
	return h.act(a, t, func(c *conversation) { c.add("participant.left/1", object{"who": agent(), "cause": "agent"}, nil) })
}

// Say sends a message by the agent.
func (h *Host) Say(a sdk.AccountID, t sdk.ThreadID, name string, parts ...sdk.Part) bool {
	return h.act(a, t, func(c *conversation) { c.message(agent(), "", parts, name) })
}

// Read marks everything so far as delivered to, or read by, the agent.
func (h *Host) Read(a sdk.AccountID, t sdk.ThreadID, read bool) bool {
	return h.act(a, t, func(c *conversation) {
		head := object{"by": agent(), "delivered": c.seq}
		if read {
			head["read"] = c.seq
		}
		c.add("receipt/1", head, nil)
	})
}

// Warn warns the idle customer that the conversation will end.
func (h *Host) Warn(a sdk.AccountID, t sdk.ThreadID, text string) bool {
	return h.act(a, t, func(c *conversation) {
		c.add("inactivity.warned/1", object{"ends_at": time.Now().UTC().Add(5 * time.Minute)}, object{"text": text})
	})
}

// ToolAsked records that the agent has asked for a tool in which the customer has a part.
func (h *Host) ToolAsked(a sdk.AccountID, t sdk.ThreadID, session sdk.SessionID) bool {
	return h.act(a, t, func(c *conversation) {
		c.add("session.requested/1", object{"session": session, "kind": "tool", "plugin": "counter", "by": agent(), "audience": "customer"}, nil)
	})
}

// ToolShows records what a tool shows the customer.
func (h *Host) ToolShows(a sdk.AccountID, t sdk.ThreadID, session sdk.SessionID, revision uint64, blocks json.RawMessage) bool {
	return h.act(a, t, func(c *conversation) {
		c.add("session.customer_panel/1", object{"session": session, "revision": revision}, object{"blocks": blocks})
	})
}

// ToolEnded records the end of a tool's session, after a note unless that is "".
func (h *Host) ToolEnded(a sdk.AccountID, t sdk.ThreadID, session sdk.SessionID, cause, note string) bool {
	return h.act(a, t, func(c *conversation) {
		if note != "" {
			c.add("session.noted/1", object{"session": session, "audience": "customer"}, object{"text": note})
		}
		c.add("session.ended/1", object{"session": session, "kind": "tool", "by": object{"kind": "system"}, "cause": cause, "audience": "customer"}, nil)
	})
}

// End ends the conversation as the agent.
func (h *Host) End(a sdk.AccountID, t sdk.ThreadID) bool {
	return h.act(a, t, func(c *conversation) {
		h.ledger.End(string(a), string(t))
		c.end("agent")
	})
}

// Hold keeps commits back: an emitted event gets no answer before Release.
func (h *Host) Hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = true
}

// Release commits, in order, what was held.
func (h *Host) Release() {
	h.mu.Lock()
	held := h.held
	h.held, h.hold = nil, false
	h.mu.Unlock()
	for _, commit := range held {
		commit()
	}
}

// Refuse makes EmitAsync fail with err; nil = no longer.
func (h *Host) Refuse(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = err
}

// Fail makes acknowledgements carry err; nil = no longer.
func (h *Host) Fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ackErr = err
}

// Events returns the committed events, in order.
func (h *Host) Events() []sdk.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]sdk.Event(nil), h.events...)
}

// Signals returns the signals of the plugin, in order.
func (h *Host) Signals() []sdk.Signal {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]sdk.Signal(nil), h.signals...)
}

// Held returns how many commits are kept back.
func (h *Host) Held() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held)
}

// Subscriptions returns how many readers a thread has.
func (h *Host) Subscriptions(a sdk.AccountID, t sdk.ThreadID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.thread(a, t).subs)
}

// Await returns nil when cond holds after some change, or ctx's error. It calls cond without
// holding a lock.
func (h *Host) Await(ctx context.Context, cond func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.notify()
	})
	defer stop()
	for {
		h.mu.Lock()
		version := h.version
		h.mu.Unlock()
		if cond() {
			return nil
		}
		h.mu.Lock()
		for h.version == version && ctx.Err() == nil {
			h.changed.Wait()
		}
		h.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
