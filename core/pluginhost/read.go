package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// read receives frames until the stream ends. Nothing in it blocks: work that takes time is handed
// to the core, to queues or to goroutines that the session counts.
func (s *session) read() {
	for {
		frame, err := s.stream.Recv()
		if err != nil {
			s.readEnded(err)
			return
		}
		if err := s.receive(frame); err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *session) readEnded(err error) {
	s.mu.Lock()
	ending := s.ending
	s.mu.Unlock()
	switch {
	case errors.Is(err, io.EOF) && ending:
		err = errFinished
	case errors.Is(err, io.EOF):
		err = errors.New("plugin ended its session")
	}
	s.fail(err)
}

// maxAnswers bounds the answers that wait for a plugin that sends frames but does not read.
const maxAnswers = 16384

func (s *session) overrun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.acks.len()+s.out.begins.len() > maxAnswers || s.out.records.len() > 4*maxSubscriptions
}

// receive handles one frame; an error ends the session.
func (s *session) receive(frame *pluginv1.PluginFrame) error {
	if s.overrun() {
		return fmt.Errorf("%w: it does not read its answers", errProtocol)
	}
	switch f := frame.GetFrame().(type) {
	case *pluginv1.PluginFrame_Events:
		for _, e := range f.Events.GetEvents() {
			if err := s.event(e); err != nil {
				return err
			}
		}
	case *pluginv1.PluginFrame_HookResults:
		for _, r := range f.HookResults.GetResults() {
			s.hookResult(r)
		}
	case *pluginv1.PluginFrame_Begin:
		s.begin(f.Begin)
	case *pluginv1.PluginFrame_Pong:
		s.pong(f.Pong.GetId())
	case *pluginv1.PluginFrame_Subscribe:
		s.subscribe(f.Subscribe)
	case *pluginv1.PluginFrame_Unsubscribe:
		s.unsubscribe(f.Unsubscribe.GetSubscription())
	case *pluginv1.PluginFrame_RecordCredit:
		s.recordCredit(f.RecordCredit)
	case *pluginv1.PluginFrame_Signals:
		for _, g := range f.Signals.GetSignals() {
			s.customerSignal(g)
		}
	case *pluginv1.PluginFrame_AccountStatuses:
		for _, a := range f.AccountStatuses.GetStatuses() {
			s.accountStatus(a)
		}
	case *pluginv1.PluginFrame_TemplateLists:
		for _, l := range f.TemplateLists.GetLists() {
			s.templates(l)
		}
	default:
		s.meters.unknownFrames.Inc()
	}
	return nil
}

// event gives one event to the core; its ack is queued when the core answers.
func (s *session) event(e *pluginv1.Event) error {
	size := proto.Size(e)
	result := e.GetResult()
	exempt := result != nil || e.GetStatus() != nil || e.GetReceipt() != nil
	s.mu.Lock()
	if exempt {
		s.up.exempt++
	} else {
		s.up.events++
		s.up.bytes += size
	}
	over := s.up.events > contract.EventWindow || s.up.exempt > maxExempt ||
		s.up.events > 1 && s.up.bytes > contract.EventWindowBytes+eventWindowSlack
	s.mu.Unlock()
	if over {
		return fmt.Errorf("%w: more unacknowledged events than the window allows", errProtocol)
	}
	arrived := time.Now()
	if result != nil {
		s.results.Add(1)
	}
	seq := e.GetSeq()
	if s.disowned(result) {
		s.eventStored(seq, size, exempt, plugin.Ack{Status: plugin.Committed})
		s.results.Done()
		return nil
	}
	s.credit(result)
	s.ingest(e, conversation.AccountID{}, arrived, true, func(ack plugin.Ack, in *plugin.Inbound) {
		s.eventStored(seq, size, exempt, ack)
		if result != nil {
			if ack.Status != plugin.Retry && in != nil {
				s.commandSettled(in.Result.Command)
			}
			s.results.Done()
		}
		s.meters.ingestSeconds.Observe(time.Since(arrived).Seconds())
	})
	return nil
}

// disowned reports whether a Result concerns nobody: it is that of a typing command, or it belongs to
// a refused Begin. Then the plugin has done nothing, and the command belongs to another generation or
// node.
func (s *session) disowned(r *pluginv1.Result) bool {
	id, err := wire.ParseCommandID(r.GetCommandId())
	if r == nil || err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.typed[id] {
		delete(s.typed, id)
		return true
	}
	if r.GetOutcome() == pluginv1.Outcome_OUTCOME_SENT {
		return false
	}
	_, refused := s.refused[id]
	delete(s.refused, id)
	return refused
}

// credit returns the credit of a Result's command before the core sees the Result, because the core
// then looks for the next command at once.
func (s *session) credit(r *pluginv1.Result) {
	if r == nil {
		return
	}
	if id, err := wire.ParseCommandID(r.GetCommandId()); err == nil {
		s.creditCommand(id)
	}
}

// ingest checks and converts an event and gives it to the core. done is called once; its in is nil
// if the event did not get to the core. An event without account or receive time gets the given
// ones. repeats: see Inbound.
func (s *session) ingest(e *pluginv1.Event, account conversation.AccountID, received time.Time, repeats bool, done func(ack plugin.Ack, in *plugin.Inbound)) {
	if id := e.GetAccount(); id != "" || account.IsZero() {
		if err := wire.ParseID(&account, id); err != nil || !s.owns(account) {
			s.meters.event("unknown_account")
			done(plugin.Ack{Status: plugin.Refused, Code: "unknown_account"}, nil)
			return
		}
	}
	in, err := s.said.ToInbound(account, e)
	if err != nil {
		code := wire.Code(err)
		s.meters.event(code)
		done(plugin.Ack{Status: plugin.Refused, Code: code}, nil)
		return
	}
	if in.ReceivedAt.IsZero() {
		in.ReceivedAt = received
	}
	in.Repeats = repeats
	if in.Result != nil {
		s.meters.results[string(in.Result.Outcome)].Inc()
	}
	s.core.Ingest(s.storing, in, func(ack plugin.Ack) {
		s.meters.event(ackClass(ack.Status))
		done(ack, &in)
	})
}

func ackClass(s plugin.AckStatus) string {
	switch s {
	case plugin.Committed:
		return "committed"
	case plugin.Duplicate:
		return "duplicate"
	case plugin.Refused:
		return "refused"
	default:
		return "retry"
	}
}

func (s *session) eventStored(seq uint64, size int, exempt bool, ack plugin.Ack) {
	s.mu.Lock()
	if exempt {
		s.up.exempt--
	} else {
		s.up.events--
		s.up.bytes -= size
	}
	s.out.acks.push(&pluginv1.EventAck{
		Seq: seq, Status: wire.FromAckStatus(ack.Status), Code: ack.Code,
		ConversationId: ack.Conversation.String(), LogSeq: ack.Seq,
	})
	s.mu.Unlock()
	s.poke()
}

// beginRetry is the pause before a Begin that could not be recorded is tried again.
const beginRetry = 200 * time.Millisecond

// begin records that the plugin is about to call its provider. If the Begin is refused, this
// generation may no longer send the command. A repeated Begin gets the same answer as the first.
func (s *session) begin(b *pluginv1.Begin) {
	id, err := wire.ParseCommandID(b.GetCommandId())
	s.mu.Lock()
	d := s.window.flight[id]
	if err != nil || d == nil || !d.sent || d.begun {
		s.answerBegin(b, err == nil && d != nil && d.begun)
		s.mu.Unlock()
		s.poke()
		return
	}
	asked := d.asked
	d.asked = true
	s.mu.Unlock()
	if asked {
		return
	}
	// Bounded by the command window, since each command under way has one at most.
	s.wg.Go(func() { s.recordBegin(b, d) })
}

func (s *session) recordBegin(b *pluginv1.Begin, d *dispatch) {
	for {
		granted, err := s.core.Begin(s.ctx, d.account, d.id, s.instance)
		if err != nil {
			if !sleep(s.ctx, beginRetry) {
				return
			}
			continue
		}
		s.mu.Lock()
		d.begun = granted
		if !granted {
			s.refused[d.id] = struct{}{}
		}
		s.answerBegin(b, granted)
		s.mu.Unlock()
		s.poke()
		if !granted {
			s.commandSettled(d.id) // the core has taken the command back
		}
		return
	}
}

// answerBegin queues the answer. The caller holds the mutex.
func (s *session) answerBegin(b *pluginv1.Begin, granted bool) {
	s.out.begins.push(&pluginv1.BeginAck{Seq: b.GetSeq(), CommandId: b.GetCommandId(), Refused: !granted})
}

func (s *session) customerSignal(g *pluginv1.Signal) {
	var account conversation.AccountID
	kind, known := wire.ToSignalKind(g.GetKind())
	if !known || wire.ParseID(&account, g.GetAccount()) != nil || !s.owns(account) {
		s.meters.unknownFrames.Inc()
		return
	}
	out := plugin.CustomerSignal{Account: account, Thread: g.GetThread(), Kind: kind, On: g.GetOn()}
	if s.said.Bot && g.GetThread() == "" && wire.ParseID(&out.Bot, g.GetConversation()) != nil {
		s.meters.unknownFrames.Inc()
		return
	}
	s.meters.signals.Inc()
	s.core.Signal(out)
}

func (s *session) accountStatus(a *pluginv1.AccountStatus) {
	var account conversation.AccountID
	if wire.ParseID(&account, a.GetAccount()) != nil || !s.owns(account) {
		s.meters.unknownFrames.Inc()
		return
	}
	s.status(a)
	s.core.AccountStatus(account, a.GetOk(), a.GetCode(), a.GetText())
}

func (s *session) templates(l *pluginv1.TemplateList) {
	var account conversation.AccountID
	if s.said.Minor == 0 || wire.ParseID(&account, l.GetAccount()) != nil || !s.owns(account) {
		s.meters.unknownFrames.Inc()
		return
	}
	list, err := wire.ToTemplates(l)
	if err != nil {
		s.meters.unknownFrames.Inc()
		s.log.Warn("templates of an account refused, the earlier ones stay", "account_id", account.String(), "code", wire.Code(err), "err", err)
		return
	}
	s.core.Templates(account, list)
}

// sleep waits for d; false means that ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
