package sdk

import (
	"context"
	"sync"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// command is a command from the host, kept until its Result is acknowledged.
type command struct {
	id      CommandID
	account string
	thread  string
	passing bool // typing or a read mark, of which a repeat does no harm

	mu       sync.Mutex
	session  *session // the session that delivered it last
	seq      uint64   // its seq in that session
	attempt  uint32
	settled  bool // its Result was handed to the outbox
	begun    bool // the host was asked for Begin
	begin    chan struct{}
	beginErr error // valid once begin is closed
}

// maxSent is how many sent commands are remembered after their acknowledgement: eight full windows,
// which is more than a host can repeat by mistake.
const maxSent = 8 * contract.CommandWindow

// commands records what is under way, so that a command that is delivered again after a lost
// Session is not carried out twice. It also remembers which commands were sent lately: a host may
// repeat one just before its Result arrives.
type commands struct {
	mu      sync.Mutex
	known   map[CommandID]*command
	sent    map[CommandID]*pluginv1.Event
	oldest  fifo[CommandID] // order of sent
	running int             // commands not settled
	lastSeq uint64          // highest seq of the present session
	changed chan struct{}   // closed at the next change; nil = nobody waits
}

func newCommands() *commands {
	return &commands{known: map[CommandID]*command{}, sent: map[CommandID]*pluginv1.Event{}}
}

// accept takes a delivery and returns the command to run, or nil when it is under way already. For
// a command that was sent before it returns the Result, which the caller sends again.
func (cs *commands) accept(s *session, wire *pluginv1.Command) (*command, *pluginv1.Event) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.lastSeq = max(cs.lastSeq, wire.GetSeq())
	id := CommandID(wire.GetCommandId())
	if c := cs.known[id]; c != nil {
		c.mu.Lock()
		// In the session of its last delivery a settled command is repeated by the host only as a
		// new attempt: acknowledgements overtake commands, so that of this Result may have arrived
		// without having been handled.
		again := c.settled && c.session == s && wire.GetAttempt() > c.attempt
		c.session, c.seq, c.attempt = s, wire.GetSeq(), wire.GetAttempt()
		c.mu.Unlock()
		if !again {
			cs.broadcast()
			return nil, nil
		}
	}
	if done := cs.sent[id]; done != nil {
		cs.broadcast()
		return nil, done
	}
	c := &command{
		id: id, account: wire.GetAccount(), thread: wire.GetThread(),
		passing: wire.GetTyping() != nil || wire.GetMarkRead() != nil,
		session: s, seq: wire.GetSeq(), attempt: wire.GetAttempt(),
	}
	cs.known[id] = c
	cs.running++
	return c, nil
}

// settle records that the command has its Result.
func (cs *commands) settle(c *command) {
	c.mu.Lock()
	c.settled = true
	c.mu.Unlock()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.running--
	cs.broadcast()
}

// forget drops a command whose Result is acknowledged. If the message was sent it keeps the Result
// for repeats.
func (cs *commands) forget(c *command, result *pluginv1.Event) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.known[c.id] == c {
		delete(cs.known, c.id)
	}
	if result.GetResult().GetOutcome() != pluginv1.Outcome_OUTCOME_SENT || cs.sent[c.id] != nil || c.passing {
		return
	}
	if cs.oldest.len() >= maxSent {
		delete(cs.sent, cs.oldest.pop())
	}
	cs.sent[c.id] = result
	cs.oldest.push(c.id)
}

func (cs *commands) broadcast() {
	if cs.changed != nil {
		close(cs.changed)
		cs.changed = nil
	}
}

// endSession forgets the session's numbers and fails every waiting Begin. Whether the host had
// already allowed it does not matter, since the Result says that nothing was sent.
func (cs *commands) endSession() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.lastSeq = 0
	for _, c := range cs.known {
		c.answer(ErrBeginRefused)
	}
}

// wait returns when every command up to seq has come and is settled.
func (cs *commands) wait(ctx context.Context, seq uint64) error {
	for {
		cs.mu.Lock()
		if cs.running == 0 && cs.lastSeq >= seq {
			cs.mu.Unlock()
			return nil
		}
		if cs.changed == nil {
			cs.changed = make(chan struct{})
		}
		changed := cs.changed
		cs.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// beginAck passes the host's answer to a waiting Begin.
func (cs *commands) beginAck(s *session, ack *pluginv1.BeginAck) {
	cs.mu.Lock()
	c := cs.known[CommandID(ack.GetCommandId())]
	cs.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	mine := c.session == s && c.seq == ack.GetSeq()
	c.mu.Unlock()
	if !mine {
		return
	}
	if ack.GetRefused() {
		c.answer(ErrBeginRefused)
		return
	}
	c.answer(nil)
}

// answer ends a waiting Begin; later answers change nothing.
func (c *command) answer(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin == nil {
		return
	}
	select {
	case <-c.begin:
	default:
		c.beginErr = err
		close(c.begin)
	}
}

// barrier implements SendCommand.Begin.
func (c *command) barrier(ctx context.Context, o *outbox) error {
	c.mu.Lock()
	first := c.begin == nil
	if first {
		c.begin = make(chan struct{})
	}
	begin, s, seq := c.begin, c.session, c.seq
	c.mu.Unlock()
	if first {
		// If the session ends after this, endSession answers all who wait.
		if !o.pushUrgent(s, &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Begin{
			Begin: &pluginv1.Begin{Seq: seq, CommandId: string(c.id)},
		}}) {
			c.answer(ErrBeginRefused)
		}
	}
	select {
	case <-begin:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beginErr == nil {
		c.begun = true
	}
	return c.beginErr
}

// passed reports whether the provider may have been called.
func (c *command) passed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun
}
