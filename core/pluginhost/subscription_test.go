package pluginhost_test

import (
	"testing"
	"testing/synctest"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func (p *peer) subscribe(id uint64, account conversation.AccountID, thread string, credit uint32) {
	p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Subscribe{Subscribe: &pluginv1.Subscribe{
		Subscription: id, Account: account.String(), Thread: thread, Credit: credit,
	}}})
}

func (c *fakeCore) reader(i int) *fakeReader {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i >= len(c.subs) {
		return nil
	}
	return c.subs[i]
}

func (r *fakeReader) state() (credit int, closed bool) {
	r.core.mu.Lock()
	defer r.core.mu.Unlock()
	return r.credit, r.closed
}

func records(from, n int) []plugin.Record {
	out := make([]plugin.Record, n)
	for i := range out {
		out[i] = plugin.Record{Seq: uint64(from + i), Type: conversation.TypeMessage, Head: []byte(`{}`), Body: []byte(`{"parts":[]}`)}
	}
	return out
}

var connected = &pluginv1.DescribeResponse{Id: "test", Delivery: pluginv1.Delivery_DELIVERY_CONNECTED, Abilities: []string{contract.AbilitySignals}}

func TestSubscription(t *testing.T) {
	a := newAccount()
	inSession(t, connected, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		p.subscribe(7, a, "visitor", 100)
		synctest.Wait()
		r := core.reader(0)
		if r == nil || r.spec.Thread != "visitor" || r.spec.Credit != 100 || r.spec.Audience != conversation.AudienceCustomer {
			t.Fatalf("subscription at the core: got %+v", r)
		}
		r.sink.Records(records(1, 100), true)
		var got []uint64
		live := false
		for len(got) < 100 {
			for _, b := range p.next().GetRecords().GetBatches() {
				if b.GetSubscription() != 7 || len(b.GetRecords()) > contract.MaxFrameItems {
					t.Fatalf("batch: got %d records of subscription %d", len(b.GetRecords()), b.GetSubscription())
				}
				for _, rec := range b.GetRecords() {
					got = append(got, rec.GetSeq())
				}
				if live {
					t.Error("live before the last batch")
				}
				live = b.GetLive()
			}
		}
		for i, seq := range got {
			if seq != uint64(i+1) {
				t.Fatalf("record %d: got seq %d", i, seq)
			}
		}
		if !live {
			t.Error("the last batch is not live")
		}
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_RecordCredit{RecordCredit: &pluginv1.RecordCredit{Subscription: 7, Credit: 50}}})
		r.sink.Signal(plugin.AgentSignal{Kind: plugin.SignalTyping, On: true, Name: "Ana"})
		sig := p.next().GetSignals().GetSignals()
		if len(sig) != 1 || sig[0].GetThread() != "visitor" || sig[0].GetName() != "Ana" {
			t.Errorf("signal: got %v", sig)
		}
		synctest.Wait()
		if credit, _ := r.state(); credit != 150 {
			t.Errorf("credit: got %d, want 150", credit)
		}
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Unsubscribe{Unsubscribe: &pluginv1.Unsubscribe{Subscription: 7}}})
		synctest.Wait()
		if _, closed := r.state(); !closed {
			t.Error("reader after Unsubscribe is open")
		}
		r.sink.Records(records(101, 1), true)
		p.none()
	})
}

func TestSubscriptionRefused(t *testing.T) {
	a := newAccount()
	inSession(t, connected, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		p.subscribe(1, a, "visitor", 1)
		synctest.Wait()
		for _, tt := range []struct {
			name    string
			id      uint64
			account conversation.AccountID
			thread  string
			want    string
		}{
			{"strange account", 2, newAccount(), "x", "unknown_account"},
			{"same number", 1, a, "x", "duplicate"},
			{"by the core", 3, a, "refused", "ended"},
		} {
			p.subscribe(tt.id, tt.account, tt.thread, 1)
			if end := p.next().GetSubscriptionEnd(); end.GetSubscription() != tt.id || end.GetCode() != tt.want {
				t.Errorf("%s: got %v, want the end of %d with %s", tt.name, end, tt.id, tt.want)
			}
		}
		// The first subscription must still work.
		core.reader(0).sink.Records(records(1, 1), true)
		if b := p.next().GetRecords().GetBatches(); len(b) != 1 || b[0].GetSubscription() != 1 {
			t.Errorf("records: got %v", b)
		}
		// The core ends the subscription after the last records.
		core.reader(0).sink.Records(records(2, 1), false)
		core.reader(0).sink.End("over")
		if b := p.next().GetRecords().GetBatches(); len(b) != 1 {
			t.Errorf("records before the end: got %v", b)
		}
		if end := p.next().GetSubscriptionEnd(); end.GetCode() != "over" {
			t.Errorf("end: got %v, want over", end)
		}
	})
}

// When a session is lost its readers must be closed.
func TestSubscriptionsEndWithSession(t *testing.T) {
	a := newAccount()
	inSession(t, connected, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, s *pluginhost.TestSession, p *peer) {
		for id := range uint64(200) {
			p.subscribe(id, a, "visitor", 1)
		}
		synctest.Wait()
		s.Cut()
		for i := range 200 {
			if r := core.reader(i); r == nil {
				t.Fatalf("reader %d was never opened", i)
			} else if _, closed := r.state(); !closed {
				t.Fatalf("reader %d is open after the session", i)
			}
		}
	})
}

// If too many signals wait, the oldest must be dropped. Customers' signals must reach the core only
// for the plugin's own accounts.
func TestSignals(t *testing.T) {
	a := newAccount()
	inSession(t, connected, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, _ *pluginhost.TestSession, p *peer) {
		for _, account := range []conversation.AccountID{a, newAccount()} {
			p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Signals{Signals: &pluginv1.Signals{Signals: []*pluginv1.Signal{
				{Account: account.String(), Thread: "v", Kind: pluginv1.SignalKind_SIGNAL_KIND_TYPING, On: true},
				{Account: account.String(), Thread: "v", Kind: pluginv1.SignalKind_SIGNAL_KIND_QUEUE},
			}}}})
		}
		p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_AccountStatuses{AccountStatuses: &pluginv1.AccountStatuses{Statuses: []*pluginv1.AccountStatus{
			{Account: a.String(), Code: "unauthorized"},
		}}}})
		synctest.Wait()
		core.mu.Lock()
		defer core.mu.Unlock()
		if len(core.signals) != 1 || core.signals[0].Kind != plugin.SignalTyping || !core.signals[0].On {
			t.Errorf("signals at the core: got %+v, want one typing", core.signals)
		}
		if core.statuses[a] != "unauthorized" {
			t.Errorf("account status: got %q", core.statuses[a])
		}
	})
	inSession(t, plain, []conversation.AccountID{a}, func(t *testing.T, core *fakeCore, _ *pluginhost.TestSession, p *peer) {
		p.subscribe(1, a, "v", 1)
		synctest.Wait()
		core.reader(0).sink.Signal(plugin.AgentSignal{Kind: plugin.SignalTyping})
		p.none() // the plugin did not ask for signals
	})
}
