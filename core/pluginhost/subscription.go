package pluginhost

import (
	"errors"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of subscriptions.
const (
	maxSubscriptions = 1 << 16 // per session
	maxRecordCredit  = 1024    // records in flight per subscription
	maxOpeners       = 16      // how many subscriptions are opened at once
)

// subscription is one reader of a thread; it is the core's Sink. Its fields
// are guarded by the session's mutex.
type subscription struct {
	s       *session
	id      uint64
	spec    plugin.SubscriptionSpec
	account string
	reader  plugin.Reader // nil while the reader is being opened
	credit  int           // credit given before the reader was open
	over    bool
}

// delivery is what waits for the writer: records, or the end of the subscription.
type delivery struct {
	sub     *subscription
	records []*pluginv1.Record
	live    bool
	end     bool
	code    string
}

func (s *session) subscribe(f *pluginv1.Subscribe) {
	sub := &subscription{s: s, id: f.GetSubscription(), account: f.GetAccount()}
	code := s.subscriptionSpec(f, &sub.spec)
	s.mu.Lock()
	switch {
	case code != "":
	case s.subs[sub.id] != nil:
		code = "duplicate"
	case len(s.subs) >= maxSubscriptions:
		code = "too_many"
	default:
		s.subs[sub.id] = sub
		s.openLater(sub)
	}
	if code != "" {
		s.out.records.push(&delivery{sub: &subscription{s: s, id: sub.id}, end: true, code: code})
	}
	s.mu.Unlock()
	s.poke()
}

func (s *session) subscriptionSpec(f *pluginv1.Subscribe, spec *plugin.SubscriptionSpec) (code string) {
	spec.Plugin, spec.Thread, spec.AfterSeq = s.plugin, f.GetThread(), f.GetAfterSeq()
	if wire.ParseID(&spec.Account, f.GetAccount()) != nil || !s.owns(spec.Account) {
		return "unknown_account"
	}
	if wire.IsMended(spec.Thread) || spec.After.UnmarshalText([]byte(f.GetAfterConversation())) != nil {
		return "invalid"
	}
	spec.Audience = conversation.AudienceCustomer
	switch a := f.GetAudience(); {
	case a == "" || a == "customer":
	case a == "bot" && s.said.Bot:
		if spec.Thread != "" || !spec.After.IsZero() || wire.ParseID(&spec.Bot, f.GetConversation()) != nil {
			return "invalid"
		}
		spec.Audience = conversation.AudienceBot
	default:
		return "unknown_audience"
	}
	spec.Credit = int(min(f.GetCredit(), maxRecordCredit))
	return ""
}

// openLater makes one of a few goroutines open or close the reader, since both may read the store.
// The caller holds the mutex.
func (s *session) openLater(sub *subscription) {
	s.opening = append(s.opening, sub)
	if s.openers < maxOpeners {
		s.openers++
		s.wg.Go(s.openReaders)
	}
}

func (s *session) openReaders() {
	for {
		s.mu.Lock()
		if len(s.opening) == 0 || s.ctx.Err() != nil {
			s.openers--
			s.mu.Unlock()
			return
		}
		sub := s.opening[0]
		s.opening[0] = nil
		s.opening = s.opening[1:]
		reader, over := sub.reader, sub.over
		s.mu.Unlock()
		switch {
		case reader != nil:
			reader.Close()
		case !over:
			s.openReader(sub)
		}
	}
}

func (s *session) openReader(sub *subscription) {
	reader, err := s.core.Subscribe(s.ctx, sub.spec, sub)
	if err != nil {
		code := "unavailable"
		if refused := (*plugin.SubscribeError)(nil); errors.As(err, &refused) {
			code = refused.Code
		}
		sub.End(code)
		return
	}
	s.mu.Lock()
	over, credit := sub.over, sub.credit
	if !over {
		sub.reader, sub.credit = reader, 0
	}
	s.mu.Unlock()
	if over {
		reader.Close()
		return
	}
	if credit > 0 {
		reader.Credit(credit)
	}
}

func (s *session) unsubscribe(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subs[id]
	if sub == nil {
		return
	}
	delete(s.subs, id)
	sub.over = true
	if sub.reader != nil {
		s.openLater(sub)
	}
}

func (s *session) recordCredit(f *pluginv1.RecordCredit) {
	n := int(min(f.GetCredit(), maxRecordCredit))
	s.mu.Lock()
	sub := s.subs[f.GetSubscription()]
	var reader plugin.Reader
	if sub != nil {
		if reader = sub.reader; reader == nil {
			sub.credit = min(sub.credit+n, maxRecordCredit)
		}
	}
	s.mu.Unlock()
	if reader != nil {
		reader.Credit(n)
	}
}

// closeReaders closes the readers that are left when the session's goroutines have ended.
func (s *session) closeReaders() {
	s.mu.Lock()
	var readers []plugin.Reader
	for _, sub := range s.subs {
		sub.over = true
		if sub.reader != nil {
			readers = append(readers, sub.reader)
		}
	}
	for _, sub := range s.opening { // subscriptions that the plugin ended and whose readers are not closed yet
		if sub.reader != nil {
			readers = append(readers, sub.reader)
		}
	}
	clear(s.subs)
	s.opening = nil
	s.mu.Unlock()
	for _, r := range readers {
		r.Close()
	}
}

// Records implements Sink.
func (sub *subscription) Records(recs []plugin.Record, live bool) {
	out := make([]*pluginv1.Record, len(recs))
	for i := range recs {
		out[i] = wire.FromRecord(&recs[i])
	}
	sub.push(&delivery{sub: sub, records: out, live: live})
}

// End implements Sink.
func (sub *subscription) End(code string) {
	sub.push(&delivery{sub: sub, end: true, code: code})
}

func (sub *subscription) push(d *delivery) {
	s := sub.s
	s.mu.Lock()
	if sub.over || s.over {
		s.mu.Unlock()
		return
	}
	s.out.records.push(d)
	s.mu.Unlock()
	s.poke()
}

// Signal implements Sink. If too many signals wait, the oldest are dropped.
func (sub *subscription) Signal(g plugin.AgentSignal) {
	s := sub.s
	if !s.signals {
		return
	}
	out := wire.FromAgentSignal(sub.account, sub.spec.Thread, g)
	s.mu.Lock()
	if sub.over || s.over {
		s.mu.Unlock()
		return
	}
	if s.out.signals.len() >= maxSignals {
		s.out.signals.drop()
		s.meters.shedSignals.Inc()
	}
	s.out.signals.push(out)
	s.mu.Unlock()
	s.poke()
}

// recordFrame puts the waiting records of several subscriptions into one frame, in the order of
// their arrival.
func (s *session) recordFrame() *pluginv1.HostFrame {
	var batches []*pluginv1.RecordBatch
	items, size := 0, 0
	for items < contract.MaxFrameItems && size < contract.MaxFrameBytes {
		d, ok := s.out.records.peek()
		if !ok {
			break
		}
		if d.end {
			if len(batches) > 0 {
				break
			}
			s.out.records.drop()
			return s.endFrame(d)
		}
		if d.sub.over {
			s.out.records.drop()
			continue
		}
		n := 0
		for n < len(d.records) && items < contract.MaxFrameItems {
			r := d.records[n]
			bytes := len(r.GetHead()) + len(r.GetBody()) + 96
			if items > 0 && size+bytes > contract.MaxFrameBytes {
				break
			}
			size += bytes
			items++
			n++
		}
		if n == 0 && len(d.records) > 0 {
			break
		}
		batch := &pluginv1.RecordBatch{Subscription: d.sub.id, Records: d.records[:n]}
		batches = append(batches, batch)
		if n < len(d.records) {
			d.records = d.records[n:]
			break
		}
		batch.Live = d.live
		s.out.records.drop()
		s.meters.records.Add(float64(n))
		if n == 0 {
			items++ // a batch that only says "live" counts as an item
		}
	}
	if len(batches) == 0 {
		return nil
	}
	return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Records{Records: &pluginv1.Records{Batches: batches}}}
}

// endFrame tells the plugin that a subscription has ended, and closes its reader, if there is one.
func (s *session) endFrame(d *delivery) *pluginv1.HostFrame {
	if s.subs[d.sub.id] == d.sub {
		delete(s.subs, d.sub.id)
		d.sub.over = true
		if d.sub.reader != nil {
			s.openLater(d.sub)
		}
	}
	return &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_SubscriptionEnd{
		SubscriptionEnd: &pluginv1.SubscriptionEnd{Subscription: d.sub.id, Code: d.code},
	}}
}
