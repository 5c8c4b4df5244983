package pluginhost

import (
	"context"
	"time"

	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// outbox holds what waits for the writer, guarded by the session's mutex. Every queue is bounded:
// acks by the event window, begin acks and commands by the command window, records by each
// subscription's credit, hooks and signals by limits of their own.
type outbox struct {
	acks    queue[*pluginv1.EventAck]
	begins  queue[*pluginv1.BeginAck]
	hooks   queue[*hookCall]
	records queue[*delivery]
	signals queue[*pluginv1.Signal]
	typing  queue[*pluginv1.Command]
	bots    queue[*pluginv1.BotNotice]
	// botsRefused: a notice to a bot found no room, and the core is to be told of room.
	botsRefused bool
	tools       queue[*pluginv1.ToolNotice]
	config      uint64 // revision of the configuration to announce; 0 = none
	turn        int    // which kind of data is sent next
}

// Bounds of what waits and may be dropped. Of signals the oldest are dropped; of the others, what
// finds no room is refused. The core keeps bots' notices that were refused and gives them again.
const (
	maxSignals = 1024
	maxTyping  = 256 // without a Result
	maxNotices = 4096
)

// write sends frames until the session is over. It is the only sender.
func (s *session) write() {
	for {
		frame, last := s.next()
		switch {
		case frame != nil:
			if err := s.stream.Send(frame); err != nil {
				// The reading goroutine gets the real reason; this call only makes sure that the
				// session ends.
				s.fail(recvErrorLater(s.ctx, err))
				return
			}
		case last:
			if err := s.stream.CloseSend(); err != nil {
				s.fail(err)
			}
			return
		default:
			select {
			case <-s.wake:
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// recvErrorLater gives the reading goroutine, which gets the status behind a failed Send, a moment
// to end the session with that status.
func recvErrorLater(ctx context.Context, err error) error {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return err
}

// next returns the next frame: acks and pings go before data, and the kinds of data take turns.
// last: there will be no more frames.
func (s *session) next() (frame *pluginv1.HostFrame, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.urgent(); f != nil {
		return f, false
	}
	frame, held := s.quarantine()
	if frame != nil {
		return frame, false
	}
	const kinds = 4
	for range kinds {
		s.out.turn = (s.out.turn + 1) % kinds
		switch s.out.turn {
		case 0:
			if !held {
				frame = s.hookFrame()
			}
		case 1:
			if !held {
				frame = s.commandFrame()
			}
		case 2:
			frame = s.recordFrame()
		case 3:
			frame = s.noticeFrame()
		}
		if frame != nil {
			return frame, false
		}
	}
	return nil, s.ending
}

func (s *session) urgent() *pluginv1.HostFrame {
	if s.ping.pending {
		s.ping.pending = false
		ping := &pluginv1.Ping{Id: s.ping.sent}
		if !s.ping.serve.IsZero() {
			ping.ServeMs = uint32(max(1, time.Until(s.ping.serve).Milliseconds()))
		}
		return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Ping{Ping: ping}}
	}
	if ack, ok := s.out.begins.pop(); ok {
		return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_BeginAck{BeginAck: ack}}
	}
	if n := min(s.out.acks.len(), contract.MaxFrameItems); n > 0 {
		acks := s.out.acks.take(n)
		return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_EventAcks{EventAcks: &pluginv1.EventAcks{Acks: acks}}}
	}
	return nil
}

func (s *session) hookFrame() *pluginv1.HostFrame {
	var list []*pluginv1.Hook
	size := 0
	for len(list) < contract.MaxFrameItems {
		c, ok := s.out.hooks.peek()
		if !ok {
			break
		}
		if c.abandoned.IsZero() {
			if size += c.size; size > contract.MaxFrameBytes && len(list) > 0 {
				break
			}
			s.sendHook(c)
			list = append(list, c.frame)
		}
		s.out.hooks.drop()
	}
	if len(list) == 0 {
		return nil
	}
	return hooksFrame(list...)
}

func hooksFrame(list ...*pluginv1.Hook) *pluginv1.HostFrame {
	return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Hooks{Hooks: &pluginv1.Hooks{Hooks: list}}}
}

func commandsFrame(list ...*pluginv1.Command) *pluginv1.HostFrame {
	return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Commands{Commands: &pluginv1.Commands{Commands: list}}}
}

func (s *session) sendHook(c *hookCall) {
	c.sent, c.sentAt = true, time.Now()
	s.solo.last = c.sentAt
}

func (s *session) commandFrame() *pluginv1.HostFrame {
	var list []*pluginv1.Command
	size := 0
	for len(list) < contract.MaxFrameItems {
		d := s.window.peek()
		if d == nil {
			break
		}
		if size += d.size; size > contract.MaxFrameBytes && len(list) > 0 {
			break
		}
		s.window.advance()
		s.sendCommand(d)
		list = append(list, d.frame)
	}
	if len(list) == 0 {
		return nil
	}
	return commandsFrame(list...)
}

func (s *session) sendCommand(d *dispatch) {
	s.window.seq++
	d.frame.Seq = s.window.seq
	d.sent, d.sentAt = true, time.Now()
	s.solo.last = d.sentAt
	s.meters.commands.Inc()
}

func (s *session) noticeFrame() *pluginv1.HostFrame {
	if s.out.config != 0 {
		f := &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_ConfigChanged{ConfigChanged: &pluginv1.ConfigChanged{Revision: s.out.config}}}
		s.out.config = 0
		return f
	}
	if n := min(s.out.bots.len(), contract.MaxFrameItems); n > 0 {
		list := s.out.bots.take(n)
		if s.out.botsRefused && s.out.bots.len() <= maxNotices/2 {
			s.out.botsRefused, s.window.wanted = false, true
			s.announceIfWanted()
		}
		return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_BotNotices{BotNotices: &pluginv1.BotNotices{Notices: list}}}
	}
	if n := min(s.out.tools.len(), contract.MaxFrameItems); n > 0 {
		list := s.out.tools.take(n)
		return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_ToolNotices{ToolNotices: &pluginv1.ToolNotices{Notices: list}}}
	}
	if n := min(s.out.typing.len(), contract.MaxFrameItems); n > 0 {
		list := s.out.typing.take(n)
		for _, c := range list {
			s.window.seq++
			c.Seq = s.window.seq
		}
		return commandsFrame(list...)
	}
	if n := min(s.out.signals.len(), contract.MaxFrameItems); n > 0 {
		list := s.out.signals.take(n)
		return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Signals{Signals: &pluginv1.Signals{Signals: list}}}
	}
	return nil
}

// NoticeBot implements CommandPort.
func (s *session) NoticeBot(n plugin.BotNotice) bool {
	if !s.said.Bot {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.ending {
		return false
	}
	if s.out.bots.len() >= maxNotices {
		s.out.botsRefused = true
		return false
	}
	s.out.bots.push(wire.FromBotNotice(n))
	s.poke()
	return true
}

// noticeTool queues a notice for the plugin's tool; if too many wait, it is dropped.
func (s *session) noticeTool(n plugin.ToolNotice) {
	if !s.said.Tool {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.ending {
		return
	}
	if s.out.tools.len() >= maxNotices {
		s.meters.shedNotices.Inc()
		return
	}
	s.out.tools.push(wire.FromToolNotice(n))
	s.poke()
}
