package sessionwork

import (
	"context"
	"errors"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// CauseConversationEnded is the cause with which a tool is told to end a session because the
// conversation has ended.
const CauseConversationEnded conversation.Cause = "conversation_ended"

// ToolEndOf returns the command that tells a tool that its session is over, after the conversation has
// ended it; nil: x is no tool's, or the tool has said so itself (reported). A tool is told of a lost session,
// too: it may keep its sessions where its next process finds them.
func ToolEndOf(x *conversation.Session, h *conversation.SessionEnded, reported bool) *plugin.ToolEndCommand {
	if x == nil || x.Kind != conversation.SessionTool || x.Account.IsZero() || reported {
		return nil
	}
	end := &plugin.ToolEndCommand{Session: x.ID, By: h.By, Cause: h.Cause}
	switch h.Cause {
	case conversation.CauseFinished, conversation.CauseExpired:
	case conversation.CauseEnded:
		end.By, end.Cause = system, CauseConversationEnded
	default:
		end.Cause = conversation.CauseCancelled
	}
	return end
}

// maxEnds bounds how many ends a plugin is told at the same time, so that the ends that have waited for
// it do not keep people's acts from it.
const maxEnds = 16

// Port is a plugin's port as the outbox needs it: the ends of tools' sessions (plugin.Outbound.ToolEnd) go to
// the plugin's tool service, and all else to port. result takes the outcome of these
// (outbox.Outbox.Result).
func (w *Work) Port(id string, port plugin.CommandPort, result func(conversation.AccountID, plugin.CommandResult, func(plugin.Ack))) plugin.CommandPort {
	return &endPort{CommandPort: port, w: w, plugin: id, result: result, room: make(chan struct{}, maxEnds)}
}

type endPort struct {
	plugin.CommandPort
	w      *Work
	plugin string
	result func(conversation.AccountID, plugin.CommandResult, func(plugin.Ack))
	room   chan struct{} // holds a token for each end under way
}

// Offer implements plugin.CommandPort.
func (p *endPort) Offer(cmd plugin.Outbound) bool {
	if cmd.ToolEnd == nil {
		return p.CommandPort.Offer(cmd)
	}
	select {
	case p.room <- struct{}{}:
	default:
		return false // the outbox offers it again after the next result
	}
	taken := p.w.runner.Go(func() {
		res := p.w.tellEnd(p.plugin, &cmd)
		<-p.room
		p.report(cmd.Account, res)
	})
	if !taken {
		<-p.room
	}
	return taken
}

// report gives the outbox an outcome, again and again for as long as the store refuses it.
func (p *endPort) report(account conversation.AccountID, res plugin.CommandResult) {
	p.result(account, res, func(a plugin.Ack) {
		if a.Status == plugin.Retry {
			p.w.runner.After(retryPause, func() { p.report(account, res) })
		}
	})
}

// tellEnd has a tool end a session that is over in the log. Every generation that runs here is told, the
// newest first: one that is being drained may have the session, and so may the newest, and an end does no
// harm to one that has not. One that gives no answer keeps no other from being told; all are told again then,
// also those that have answered.
func (w *Work) tellEnd(id string, cmd *plugin.Outbound) plugin.CommandResult {
	end := cmd.ToolEnd
	w.awaitBegun(end.Session)
	by := plugin.Party{Who: end.By, Name: w.nameOf(end.By)}
	told, failed := false, false
	for _, instance := range slices.Backward(w.running(id)) {
		ctx, cancel := context.WithTimeout(w.runner.Running(), callLimit)
		ts, err := w.host().ToolEnd(ctx, id, instance, end.Session, by, end.Cause)
		cancel()
		w.called("end", err, nil)
		if errors.Is(err, plugin.ErrInstanceGone) {
			continue
		}
		if err == nil {
			err = w.noteEnd(cmd, ts)
		}
		told, failed = true, failed || err != nil
	}
	if told && !failed {
		return plugin.CommandResult{Command: cmd.Command, Outcome: conversation.StatusSent}
	}
	code := "plugin_lost"
	if failed {
		code = "no_answer"
	}
	return plugin.CommandResult{Command: cmd.Command, Outcome: conversation.StatusFailed, Retryable: true, Kind: "temporary", Code: code}
}

// noteEnd adds the last line that a tool gave with its answer to an end, if the conversation is open. Of all answers
// to one command one line is kept, since several generations may answer, and each of them more than once. The error
// is the store's.
func (w *Work) noteEnd(cmd *plugin.Outbound, ts plugin.ToolSession) error {
	if ts.Note == "" {
		return nil
	}
	ts.Session = cmd.ToolEnd.Session
	_, err := w.convs.Do(w.runner.Running(), cmd.Conversation, Step{
		Decide:  func(s *conversation.State) (Plan, error) { return lastNote(s, cmd.Account, ts) },
		Account: cmd.Account, Keys: []eventlog.Key{w.vault.MAC("tool-end-note", cmd.Command[:])},
	})
	if conversation.Code(err) != "" {
		return nil
	}
	return err
}

// running lists a plugin's generations on this node, the newest last; nil: there is none, or no tool can be
// called.
func (w *Work) running(id string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tools == nil {
		return nil
	}
	return slices.Clone(w.generations[id])
}

// begins says that a tool is going to be asked to begin a session. It is called before the request can be
// committed, since any node may end the session from then on. Until done is called, once, the tool is not told
// that the session is over: if the end came before the beginning, the session would go on at the tool.
func (w *Work) begins(id conversation.SessionID) (done func()) {
	begun := make(chan struct{})
	w.mu.Lock()
	w.beginnings[id] = begun
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		delete(w.beginnings, id)
		w.mu.Unlock()
		close(begun)
	}
}

// awaitBegun waits until the tool has been asked to begin a session, if it is going to be (begins), or until the
// router stops.
func (w *Work) awaitBegun(id conversation.SessionID) {
	w.mu.Lock()
	begun := w.beginnings[id]
	w.mu.Unlock()
	if begun == nil {
		return
	}
	select {
	case <-begun:
	case <-w.runner.Running().Done():
	}
}
