package wirehost

import (
	"fmt"
	"sync"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Ledger stands in for the log: it commits each event once per account and dedupe key, across any
// number of sessions. The zero value is ready to use.
type Ledger struct {
	mu      sync.Mutex
	seen    map[string]*pluginv1.EventAck // by account and key
	threads map[string]uint64             // last log_seq
	events  []*pluginv1.Event             // committed, in order
	repeats int
}

// Commit acknowledges ev as the log would.
func (l *Ledger) Commit(ev *pluginv1.Event) *pluginv1.EventAck {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen, l.threads = map[string]*pluginv1.EventAck{}, map[string]uint64{}
	}
	key := identityOf(ev)
	if before := l.seen[key]; before != nil && key != "" {
		l.repeats++
		return &pluginv1.EventAck{
			Seq: ev.GetSeq(), Status: pluginv1.AckStatus_ACK_STATUS_DUPLICATE,
			ConversationId: before.GetConversationId(), LogSeq: before.GetLogSeq(),
		}
	}
	thread := ev.GetAccount() + "\x00" + ev.GetThread()
	l.threads[thread]++
	ack := &pluginv1.EventAck{
		Seq: ev.GetSeq(), Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED,
		ConversationId: fmt.Sprintf("conversation of %s", ev.GetThread()), LogSeq: l.threads[thread],
	}
	l.events = append(l.events, ev)
	if key != "" {
		l.seen[key] = ack
	}
	return ack
}

// identityOf is the key by which a repeated event is recognised: the command id and outcome of a
// result, else the dedupe key, else "", which never repeats.
func identityOf(ev *pluginv1.Event) string {
	if r := ev.GetResult(); r != nil {
		return fmt.Sprintf("result\x00%s\x00%s", r.GetCommandId(), r.GetOutcome())
	}
	if ev.GetDedupeKey() == "" {
		return ""
	}
	return ev.GetAccount() + "\x00" + ev.GetDedupeKey()
}

// Events returns what was committed, in order.
func (l *Ledger) Events() []*pluginv1.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*pluginv1.Event(nil), l.events...)
}

// Repeats is how many events came again after they were committed.
func (l *Ledger) Repeats() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repeats
}
