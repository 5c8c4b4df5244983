package wirehost

import (
	"fmt"
	"sync"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Ledger stands in for the log: it commits each event once per account, dedupe key and provider's
// id, across any number of sessions. The zero value is ready to use.
type Ledger struct {
	mu      sync.Mutex
	seen    map[string]*pluginv1.EventAck // by account and key or id
	threads map[string]uint64             // last log_seq of each thread
	events  []*pluginv1.Event             // committed events, in order
	repeats int
}

// Commit acknowledges ev as the log would.
func (l *Ledger) Commit(ev *pluginv1.Event) *pluginv1.EventAck {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen, l.threads = map[string]*pluginv1.EventAck{}, map[string]uint64{}
	}
	keys := identitiesOf(ev)
	for _, key := range keys {
		if before := l.seen[key]; before != nil {
			l.repeats++
			return &pluginv1.EventAck{
				Seq: ev.GetSeq(), Status: pluginv1.AckStatus_ACK_STATUS_DUPLICATE,
				ConversationId: before.GetConversationId(), LogSeq: before.GetLogSeq(),
			}
		}
	}
	thread := ev.GetAccount() + "\x00" + ev.GetThread()
	l.threads[thread]++
	ack := &pluginv1.EventAck{
		Seq: ev.GetSeq(), Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED,
		ConversationId: fmt.Sprintf("conversation of %s", ev.GetThread()), LogSeq: l.threads[thread],
	}
	l.events = append(l.events, ev)
	for _, key := range keys {
		l.seen[key] = ack
	}
	return ack
}

// identitiesOf are the keys by which a repeated event is recognised, each of them by itself: the
// command id and outcome of a result, else the dedupe key and the provider's ids of a message.
func identitiesOf(ev *pluginv1.Event) (keys []string) {
	if r := ev.GetResult(); r != nil {
		return []string{fmt.Sprintf("result\x00%s\x00%s", r.GetCommandId(), r.GetOutcome())}
	}
	for _, id := range append([]string{ev.GetDedupeKey()}, ev.GetMessage().GetProviderIds()...) {
		if id != "" {
			keys = append(keys, ev.GetAccount()+"\x00"+id)
		}
	}
	return keys
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
