package stream

import (
	"context"
	"encoding/json"
	"time"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
)

// maxFaults is how many malformed frames a socket may send before it is closed.
const maxFaults = 20

// read handles one frame on the reading goroutine, which must not block: whatever needs the router
// becomes a job.
func (k *socket) read(raw json.RawMessage) {
	var h frameHeader
	if json.Unmarshal(raw, &h) != nil {
		k.bye("protocol", closeProtocol, 0)
		return
	}
	k.mu.Lock()
	helloed := k.helloed
	k.mu.Unlock()
	if !helloed && h.T != "hello" {
		k.bye("protocol", closeProtocol, 0)
		return
	}
	switch h.T {
	case "hello":
		k.hello(raw, helloed)
	case "cmd":
		k.command(h, raw)
	case "watch":
		k.watch(raw)
	case "unwatch":
		var f unwatchFrame
		if k.decode(raw, &f) {
			k.view.unwatch(f.Conversation)
		}
	case "typing":
		k.typingFrame(raw)
	case "board":
		k.boardFrame(raw)
	case "ping":
		var f pingFrame
		if k.decode(raw, &f) {
			k.send(pongFrame{T: "pong", ID: f.ID[:min(len(f.ID), 64)]})
		}
	default:
		k.wrong(api.NewFault("malformed", api.Detail{Problem: "unknown kind of frame"}), nil)
	}
}

func (k *socket) decode(raw []byte, v any) bool {
	if err := decodeStrict(raw, v); err != nil {
		k.wrong(k.s.fault(err, "frame"), nil)
		return false
	}
	return true
}

// wrong answers a malformed frame that has no id, and closes the socket after too many.
func (k *socket) wrong(f *api.Fault, conv *conversation.ConversationID) {
	if k.faults++; k.faults > maxFaults {
		k.bye("protocol", closeProtocol, 0)
		return
	}
	k.send(errorFrame{T: "error", Conversation: conv, Error: k.s.viewOf(f)})
}

// viewOf describes a fault in a frame; for thread_open it also says whose exchange is open.
func (s *Stream) viewOf(f *api.Fault) errorView {
	text := f.Text
	for _, d := range f.Details {
		text += "; "
		if d.Where != "" {
			text += d.Where + " "
		}
		text += d.Problem
	}
	return errorView{Code: f.Code, Message: text, threadOpenView: s.threadOpen(f)}
}

// hello tells the router that the agent is connected, and then starts to write what the feed has.
func (k *socket) hello(raw []byte, again bool) {
	var f helloFrame
	if !k.decode(raw, &f) {
		return
	}
	if again || len(f.Cursors) > maxCursors {
		k.bye("protocol", closeProtocol, 0)
		return
	}
	k.mu.Lock()
	k.helloed, k.cursors = true, f.Cursors
	k.mu.Unlock()
	k.job(func() {
		ctx, cancel := context.WithTimeout(k.s.ctx, commandTime)
		defer cancel()
		id, err := k.identity()
		if err != nil {
			k.bye("revoked", closeRevoked, 0)
			return
		}
		if k.s.isAgent(id) {
			if err := k.s.opts.Router.AgentConnected(ctx, id.User); err != nil {
				k.send(errorFrame{T: "error", Error: k.s.viewOf(k.s.fault(err, "hello"))})
				k.bye("restart", closeRestart, 2*time.Second)
				return
			}
			k.mu.Lock()
			k.connected = true
			k.mu.Unlock()
		}
		k.send(welcomeFrame{T: "welcome", User: api.SummaryOf(id), Time: k.s.opts.Now().UTC(), Version: k.s.opts.Version})
		k.mu.Lock()
		k.ready = true
		k.mu.Unlock()
		k.poke()
	})
}

// isAgent reports whether the user handles conversations: everybody except administrators who serve
// no service.
func (s *Stream) isAgent(id auth.Identity) bool {
	return id.Role != directory.RoleAdmin || len(s.opts.Records.Snapshot().ServicesOf(id.User)) > 0
}

// command queues a command; it is acknowledged when its change is durable.
func (k *socket) command(h frameHeader, raw []byte) {
	if h.ID == "" || len(h.ID) > 64 {
		k.wrong(api.NewFault("malformed", api.Detail{Where: "id", Problem: "must be 1 to 64 characters"}), nil)
		return
	}
	run, known := k.s.commands[h.Cmd]
	if !known {
		k.refuse(h.ID, api.NewFault("malformed", api.Detail{Where: "cmd", Problem: "is unknown"}))
		return
	}
	if (h.Cmd == "send" || h.Cmd == "text" || h.Cmd == "note") && !k.sends.Allow() {
		k.count(h.Cmd, "refused")
		k.refuse(h.ID, api.NewFault("rate_limited"))
		return
	}
	queued := k.job(func() {
		ctx, cancel := context.WithTimeout(k.s.ctx, commandTime)
		defer cancel()
		start := time.Now()
		var ack ackFrame
		id, err := k.identity()
		if err == nil {
			ack, err = run(ctx, k.s, id, raw)
		}
		k.s.metrics.seconds.WithLabelValues(h.Cmd).Observe(time.Since(start).Seconds())
		if err != nil {
			f := k.s.fault(err, h.Cmd)
			result := "refused"
			if f.Status >= 500 {
				result = "error"
			}
			k.count(h.Cmd, result)
			k.refuse(h.ID, f)
			return
		}
		k.count(h.Cmd, "ok")
		ack.T, ack.ID, ack.OK = "ack", h.ID, true
		k.send(ack)
	})
	if !queued {
		k.refuse(h.ID, api.NewFault("rate_limited", api.Detail{Problem: "too many commands at once"}))
	}
}

func (k *socket) count(cmd, result string) { k.s.metrics.commands.WithLabelValues(cmd, result).Inc() }

func (k *socket) refuse(id string, f *api.Fault) {
	e := k.s.viewOf(f)
	k.send(ackFrame{T: "ack", ID: id, Error: &e})
}

// watch starts reading a conversation that is not in the agent's active list, or reads one again
// from a given sequence number.
func (k *socket) watch(raw []byte) {
	var f watchFrame
	if !k.decode(raw, &f) {
		return
	}
	queued := k.job(func() {
		ctx, cancel := context.WithTimeout(k.s.ctx, commandTime)
		defer cancel()
		id, err := k.identity()
		if err == nil {
			var info router.Info
			if info, err = api.Readable(ctx, k.s.opts.Router, id, f.Conversation); err == nil {
				err = api.AuditRead(ctx, k.s.opts.Trail, id, &info.State, audit.TranscriptRead)
			}
		}
		if err == nil && !k.view.watch(f.Conversation, f.After) {
			err = api.NewFault("rate_limited", api.Detail{Problem: "too many conversations watched"})
		}
		if err != nil {
			k.send(errorFrame{T: "error", Conversation: &f.Conversation, Error: k.s.viewOf(k.s.fault(err, "watch"))})
		}
	})
	if !queued {
		k.wrong(api.NewFault("rate_limited"), &f.Conversation)
	}
}

// typingFrame tells the others that the agent is typing. It is never acknowledged and may be
// dropped.
func (k *socket) typingFrame(raw []byte) {
	var f typingInFrame
	if !k.decode(raw, &f) || f.Conversation.IsZero() || !k.typing.Allow() {
		return
	}
	if id, err := k.identity(); err == nil {
		k.s.opts.Router.Typing(id.User, f.Conversation, f.On)
	}
}

func (k *socket) boardFrame(raw []byte) {
	var f boardInFrame
	if !k.decode(raw, &f) {
		return
	}
	id, err := k.identity()
	if err != nil || !id.Role.Includes(directory.RoleSupervisor) {
		k.wrong(api.NewFault("denied"), nil)
		return
	}
	k.boardSent.Store(false)
	k.board.Store(f.On)
}
