package sessionwork

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Limits of what plugins say of sessions, in bytes.
const (
	maxNote = 2 << 10
	maxCode = 256
)

// ErrUnknownSession: the account has no such session.
var ErrUnknownSession = errors.New("sessionwork: unknown session")

// toolNews turns what a tool says of a session into commands. pin makes the generation that says it the one that
// has the session.
func (w *Work) toolNews(s *conversation.State, account conversation.AccountID, ts plugin.ToolSession, pin bool) (Plan, error) {
	x := s.Session(ts.Session)
	switch {
	case x == nil:
		return lastNote(s, account, ts)
	case x.Account != account || x.Kind != conversation.SessionTool:
		return Plan{}, ErrUnknownSession
	}
	p := Plan{Reported: true}
	if b := ts.Panel; b != nil {
		p.Commands = append(p.Commands, conversation.ShowPanel{Session: x.ID, Revision: revision(b, ts.Revision), Body: panelBody(b)})
	}
	if b := ts.CustomerPanel; b != nil && x.Circle == conversation.AudienceCustomer {
		p.Commands = append(p.Commands, conversation.ShowCustomerPanel{Session: x.ID, Revision: revision(b, ts.Revision), Body: panelBody(b)})
	}
	if note := cut(ts.Note, maxNote); note != "" {
		p.Commands = append(p.Commands, conversation.NoteSession{Session: x.ID, Revision: ts.Revision, Body: encode(conversation.NoticeBody{Text: note})})
	}
	if ts.Ended {
		p.Commands = append(p.Commands, conversation.EndSession{Session: x.ID, By: system, Cause: toolCause(ts.Cause), Code: cut(ts.Code, maxCode)})
		return p, nil
	}
	change := conversation.ChangeSession{Session: x.ID, State: ts.State}
	if pin {
		change.Pin = conversation.Pin{Node: w.node, Instance: ts.Instance}
	}
	p.Commands = append(p.Commands, change)
	return p, nil
}

// lastNote adds the line that a tool gave before it knew that its session was over; everything else that it says then
// changes nothing.
func lastNote(s *conversation.State, account conversation.AccountID, ts plugin.ToolSession) (Plan, error) {
	x, note := s.EndedTool(ts.Session), cut(ts.Note, maxNote)
	if x == nil || x.Account != account || note == "" {
		return Plan{}, conversation.ErrNoSuchSession
	}
	return Plan{Reported: true, Commands: []conversation.Command{
		conversation.NoteSession{Session: x.ID, Revision: ts.Revision, Body: encode(conversation.NoticeBody{Text: note})},
	}}, nil
}

func revision(p *plugin.Panel, of uint64) uint64 {
	if p.Revision != 0 {
		return p.Revision
	}
	return of
}

func panelBody(p *plugin.Panel) json.RawMessage {
	blocks := p.Blocks
	if len(blocks) == 0 {
		blocks = json.RawMessage("[]")
	}
	return encode(conversation.PanelBody{Blocks: blocks})
}

// toolCause is the cause of an end as the log has it.
func toolCause(c conversation.Cause) conversation.Cause {
	if c == "declined" {
		return conversation.CauseRejected
	}
	if c == conversation.CauseExpired || c == conversation.CauseCancelled || c == conversation.CauseFailed {
		return c
	}
	return conversation.CauseFinished
}

// checkTool returns the code with which an event about a tool's session is refused at once; "": it passes.
func checkTool(ts *plugin.ToolSession) string {
	for _, p := range []*plugin.Panel{ts.Panel, ts.CustomerPanel} {
		if p == nil || len(p.Blocks) == 0 {
			continue
		}
		if len(p.Blocks) > maxJSON {
			return "too_large"
		}
		if !json.Valid(p.Blocks) || !bytes.HasPrefix(bytes.TrimSpace(p.Blocks), []byte("[")) {
			return "invalid"
		}
	}
	switch ts.State {
	case "", conversation.SessionStateRequested, conversation.SessionStateWaiting, conversation.SessionStateActive:
	default:
		return "invalid"
	}
	if ts.Session.IsZero() {
		return "invalid"
	}
	return ""
}

// ToolEvent takes what a tool says of a session. done is called once, after the commit or the refusal.
func (w *Work) ToolEvent(in plugin.Inbound, keys []eventlog.Key, done func(plugin.Ack)) {
	if code := checkTool(in.Tool); code != "" {
		done(plugin.Ack{Status: plugin.Refused, Code: code})
		return
	}
	ts := *in.Tool
	st := Step{Account: in.Account, Keys: keys, Decide: func(s *conversation.State) (Plan, error) { return w.toolNews(s, in.Account, ts, false) }}
	w.submitTo(in, ts.Session, st, done)
}

// submitTo gives a step to the conversation of a session.
func (w *Work) submitTo(in plugin.Inbound, id conversation.SessionID, st Step, done func(plugin.Ack)) {
	w.mu.Lock()
	h := w.sessions[sessionKey{in.Account, id}]
	w.mu.Unlock()
	if h != nil {
		w.submitIn(in, h.conv, st, done)
		return
	}
	if !w.runner.Go(func() { w.BySession(in, id, st, done) }) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// codeUnknown is the code of an event about a session that the account never had.
const codeUnknown = "unknown_session"

// BySession gives a step to the conversation of a session that is not in memory, which the log finds.
func (w *Work) BySession(in plugin.Inbound, id conversation.SessionID, st Step, done func(plugin.Ack)) {
	stream, _, err := w.log.External(w.runner.Running(), eventlog.StreamID(in.Account), w.Key(in.Account, id))
	switch {
	case errors.Is(err, eventlog.ErrNotFound):
		done(plugin.Ack{Status: plugin.Refused, Code: codeUnknown})
	case err != nil:
		done(w.convs.Ack(conversation.ConversationID{}, Outcome{}, err))
	default:
		w.submitIn(in, conversation.ConversationID(stream), st, done)
	}
}

func (w *Work) submitIn(in plugin.Inbound, conv conversation.ConversationID, st Step, done func(plugin.Ack)) {
	w.convs.Submit(conv, st, func(out Outcome, err error) { done(w.ackOf(in, conv, out, err)) })
}

// ackOf answers an event about a session. News of a session that has ended change nothing, and are no error.
func (w *Work) ackOf(in plugin.Inbound, conv conversation.ConversationID, out Outcome, err error) plugin.Ack {
	var recorded *RecordedError
	switch {
	case errors.As(err, &recorded):
		return w.convs.Repeat(in, eventlog.StreamID(recorded.Conversation), recorded.Seq)
	case errors.Is(err, ErrUnknownSession):
		return plugin.Ack{Status: plugin.Refused, Code: codeUnknown}
	case errors.Is(err, conversation.ErrNoSuchSession), errors.Is(err, conversation.ErrEnded):
		return plugin.Ack{Status: plugin.Committed, Conversation: conv}
	case err == nil && out.Duplicate:
		return w.convs.Repeat(in, eventlog.StreamID(out.Conversation), out.First)
	}
	return w.convs.Ack(conv, out, err)
}

// cut makes s, which a plugin gave, valid UTF-8 of at most n bytes.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
