package misbehave

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Session implements PluginService. It has no goroutine for writing and sends while it holds the
// lock; that works because the kit always reads.
func (p *plugin) Session(stream grpc.BidiStreamingServer[pluginv1.HostFrame, pluginv1.PluginFrame]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := p.begin(stream, first.GetHello()); err != nil {
		return err
	}
	for {
		f, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the host went away
		}
		if err := p.frame(f); err != nil {
			return err
		}
	}
}

func (p *plugin) begin(stream grpc.BidiStreamingServer[pluginv1.HostFrame, pluginv1.PluginFrame], hello *pluginv1.HostHello) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions++
	if p.sessions > 1 && p.fault == "one-session" {
		return errors.New("one session is enough")
	}
	if p.fault == "leaks-descriptors" {
		for range 2 {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			openFile(f)
		}
	}
	p.stream, p.seq, p.used, p.lastSeq = stream, 0, 0, 0
	p.window = int(hello.GetEventWindow())
	p.waiting, p.bySeq = nil, map[uint64]string{}
	for id, ch := range p.begins {
		ch <- false
		delete(p.begins, id)
	}
	if p.fault == "no-hello" {
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_AccountStatuses{AccountStatuses: &pluginv1.AccountStatuses{
			Statuses: []*pluginv1.AccountStatus{{Account: "account-1", Ok: true}},
		}}})
	}
	p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Hello{Hello: &pluginv1.PluginHello{Minor: hello.GetMinor()}}})
	p.beginNewer()
	again := p.order
	p.order = nil
	for _, id := range again {
		if ev := p.unacked[id]; ev != nil {
			delete(p.unacked, id)
			if p.fault != "forgets-unacknowledged" {
				p.emit(ev)
			}
		}
	}
	return nil
}

// openFile keeps a file open and out of the garbage collector's reach.
func openFile(f *os.File) { go func() { _, _ = f.Read(nil); select {} }() }

// send sends a frame; the caller holds the lock.
func (p *plugin) send(f *pluginv1.PluginFrame) {
	if p.stream != nil {
		_ = p.stream.Send(f)
	}
}

func (p *plugin) frame(f *pluginv1.HostFrame) error {
	switch k := f.GetFrame().(type) {
	case *pluginv1.HostFrame_Ping:
		id := k.Ping.GetId()
		if p.fault == "wrong-pong" {
			id++
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.flushHeld()
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Pong{Pong: &pluginv1.Pong{Id: id}}})
	case *pluginv1.HostFrame_EventAcks:
		p.acks(k.EventAcks.GetAcks())
	case *pluginv1.HostFrame_BeginAck:
		p.mu.Lock()
		defer p.mu.Unlock()
		if ch := p.begins[k.BeginAck.GetCommandId()]; ch != nil {
			delete(p.begins, k.BeginAck.GetCommandId())
			ch <- !k.BeginAck.GetRefused()
		}
	case *pluginv1.HostFrame_Commands:
		for _, c := range k.Commands.GetCommands() {
			p.command(c)
		}
	case *pluginv1.HostFrame_Hooks:
		for _, h := range k.Hooks.GetHooks() {
			p.hook(h)
		}
	case *pluginv1.HostFrame_BotNotices:
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, n := range k.BotNotices.GetNotices() {
			p.botNotice(n)
		}
	case *pluginv1.HostFrame_Records:
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, b := range k.Records.GetBatches() {
			p.botRecords(b)
		}
	case nil:
		if p.fault == "fails-on-unknown-frame" {
			return errors.New("what is this?")
		}
	}
	return nil
}

func (p *plugin) hook(h *pluginv1.Hook) {
	if p.fault == "blocks-reader" {
		time.Sleep(20 * time.Millisecond)
	}
	r := &pluginv1.HookResult{Id: h.GetId(), Status: 200}
	var in struct{ ID, From, Text, Media string }
	p.mu.Lock()
	defer p.mu.Unlock()
	err := json.Unmarshal(h.GetBody(), &in)
	switch {
	case !p.accounts[h.GetAccount()]:
		if p.fault == "dies-of-account" {
			os.Exit(2)
		}
		r.Status, r.Reason = 404, "account"
	case err != nil || in.ID == "" || in.From == "":
		if p.fault == "dies-of-garbage" {
			os.Exit(2)
		}
		r.Status, r.Reason = 400, "malformed"
	case p.fault == "hook-without-events":
	default:
		ev := &pluginv1.Event{Account: h.GetAccount(), Thread: in.From, DedupeKey: p.key(in.ID), ReceivedTime: h.GetReceivedTime()}
		ev.Kind = &pluginv1.Event_Message{Message: message(in.From, in.Text)}
		if in.Media != "" {
			ev.Kind = &pluginv1.Event_Deferred{Deferred: &pluginv1.Deferred{Opaque: h.GetBody()}}
		}
		r.Events = append(r.Events, ev)
	}
	if p.fault == "huge-frames" {
		p.held = append(p.held, r)
		return
	}
	p.sendHooks(r)
	if p.fault == "answers-hook-twice" {
		p.sendHooks(r)
	}
}

func (p *plugin) flushHeld() {
	if len(p.held) > 0 {
		p.sendHooks(p.held...)
		p.held = nil
	}
}

func (p *plugin) sendHooks(rs ...*pluginv1.HookResult) {
	p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_HookResults{HookResults: &pluginv1.HookResults{Results: rs}}})
}

// key is the dedupe key for a provider's id: the id itself, unless a fault changes it.
func (p *plugin) key(id string) string {
	switch p.fault {
	case "hook-reads-clock":
		return fmt.Sprintf("%s-%d", id, time.Now().UnixNano())
	case "keys-of-process":
		return fmt.Sprintf("%s-%d", id, os.Getpid())
	case "hook-without-key":
		return ""
	}
	return id
}

func message(from, text string) *pluginv1.Message {
	return &pluginv1.Message{
		From:  &pluginv1.Address{Address: from},
		Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: text}}}},
	}
}

// emit sends an event and keeps it until it is acknowledged; the caller holds the lock.
func (p *plugin) emit(ev *pluginv1.Event) {
	metered := ev.GetResult() == nil || p.fault == "results-need-credit"
	if metered && p.fault != "ignores-window" {
		if p.used >= p.window {
			p.waiting = append(p.waiting, ev)
			return
		}
		p.used++
	}
	p.seq++
	ev.Seq = p.seq
	if p.fault == "seq-from-zero" {
		ev.Seq--
	}
	id := ev.GetDedupeKey() + ev.GetBot().GetPost().GetClientId()
	if r := ev.GetResult(); r != nil {
		id = "result " + r.GetCommandId()
	}
	if p.unacked[id] == nil {
		p.order = append(p.order, id)
	}
	p.unacked[id] = ev
	p.bySeq[ev.Seq] = id
	p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Events{Events: &pluginv1.Events{Events: []*pluginv1.Event{ev}}}})
}

func (p *plugin) acks(acks []*pluginv1.EventAck) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range acks {
		id := p.bySeq[a.GetSeq()]
		ev := p.unacked[id]
		if ev == nil {
			continue
		}
		delete(p.unacked, id)
		if ev.GetResult() == nil || p.fault == "results-need-credit" {
			p.used--
		}
		if a.GetStatus() == pluginv1.AckStatus_ACK_STATUS_RETRY && p.fault != "ignores-retry" {
			p.emit(ev)
		}
	}
	waiting := p.waiting
	p.waiting = nil
	for _, ev := range waiting {
		p.emit(ev)
	}
}

// command runs a command after the last one of its thread.
func (p *plugin) command(c *pluginv1.Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastSeq = c.GetSeq()
	p.threads[c.GetThread()] = true
	if c.GetAttempt() > 1 && p.fault == "drops-second-attempts" {
		return
	}
	if p.known[c.GetCommandId()] && p.fault != "repeats-sends" {
		return // its Result is on its way, or was acknowledged
	}
	p.known[c.GetCommandId()] = true
	before, done := p.chains[c.GetThread()], make(chan struct{})
	p.chains[c.GetThread()] = done
	p.running++
	go func() {
		defer close(done)
		if p.fault == "loses-order" {
			time.Sleep(time.Duration(100-c.GetSeq()) * time.Millisecond)
		} else if before != nil {
			<-before
		}
		p.settle(c, p.run(c))
	}()
}

func (p *plugin) run(c *pluginv1.Command) *pluginv1.Result {
	if p.fault == "drains-too-early" {
		time.Sleep(100 * time.Millisecond)
	}
	switch k := c.GetKind().(type) {
	case *pluginv1.Command_Send:
		if p.fault == "logs-text" {
			_, _ = fmt.Fprintln(os.Stderr, "sending", k.Send.GetParts()[0].GetText().GetText())
		}
		if refersToNothing(k.Send.GetParts()) && p.fault != "edits-nothing" {
			return &pluginv1.Result{Outcome: pluginv1.Outcome_OUTCOME_FAILED, ErrorKind: pluginv1.ErrorKind_ERROR_KIND_CONTENT}
		}
		if p.fault != "skips-begin" && !p.barrier(c) && p.fault != "ignores-refusal" {
			return &pluginv1.Result{
				Outcome: pluginv1.Outcome_OUTCOME_FAILED, ErrorKind: pluginv1.ErrorKind_ERROR_KIND_TEMPORARY, Retryable: true,
			}
		}
		return &pluginv1.Result{Outcome: pluginv1.Outcome_OUTCOME_SENT, ProviderIds: []string{"p-" + k.Send.GetMessageId()}}
	case *pluginv1.Command_Lookup:
		if p.fault == "ignores-lookup" {
			return nil
		}
		return &pluginv1.Result{Outcome: pluginv1.Outcome_OUTCOME_UNKNOWN}
	case *pluginv1.Command_Process:
		key := "processed " + string(k.Process.GetOpaque()) + c.GetThread()
		if p.fault == "random-keys" {
			key = fmt.Sprint(time.Now().UnixNano())
		}
		if p.fault == "ignores-window" || p.window < contract.EventWindow {
			key += c.GetCommandId() // the check of the window needs many different keys
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.emit(&pluginv1.Event{
			Account: c.GetAccount(), Thread: c.GetThread(), DedupeKey: key,
			Kind: &pluginv1.Event_Message{Message: message(c.GetThread(), strings.ToUpper("media"))},
		})
		return &pluginv1.Result{Outcome: pluginv1.Outcome_OUTCOME_SENT}
	}
	if r := p.passing(c); r != nil {
		return r
	}
	if p.fault == "ignores-unknown-command" {
		return nil
	}
	return &pluginv1.Result{Outcome: pluginv1.Outcome_OUTCOME_FAILED, ErrorKind: pluginv1.ErrorKind_ERROR_KIND_INTERNAL}
}

func (p *plugin) settle(c *pluginv1.Command, r *pluginv1.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if r == nil {
		return
	}
	r.CommandId = c.GetCommandId()
	ev := &pluginv1.Event{Account: c.GetAccount(), Thread: c.GetThread(), Kind: &pluginv1.Event_Result{Result: r}}
	p.emit(ev)
	if p.fault == "doubles-results" {
		p.emit(&pluginv1.Event{Account: c.GetAccount(), Thread: c.GetThread(), Kind: &pluginv1.Event_Result{Result: r}})
	}
}

// barrier asks the host for Begin and reports whether the provider may be called.
func (p *plugin) barrier(c *pluginv1.Command) bool {
	ch := make(chan bool, 1)
	p.mu.Lock()
	p.begins[c.GetCommandId()] = ch
	p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Begin{
		Begin: &pluginv1.Begin{Seq: c.GetSeq(), CommandId: c.GetCommandId()},
	}})
	p.mu.Unlock()
	return <-ch
}
