package wirehost

import (
	"errors"
	"testing"

	"google.golang.org/grpc"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

// sink is a plugin that reads what the host sends.
type sink struct {
	grpc.BidiStreamingClient[pluginv1.HostFrame, pluginv1.PluginFrame]
}

func (sink) Send(*pluginv1.HostFrame) error { return nil }

// A plugin whose window is full must send no further event, whatever else was acknowledged: results,
// receipts and statuses are outside the window, and an event leaves it once.
func TestWindow(t *testing.T) {
	var seq uint64
	events := func(n int, ev func() *pluginv1.Event) *pluginv1.PluginFrame {
		list := make([]*pluginv1.Event, n)
		for i := range list {
			seq++
			list[i] = ev()
			list[i].Account, list[i].Thread, list[i].Seq = "a", "t", seq
		}
		return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Events{Events: &pluginv1.Events{Events: list}}}
	}
	message := func() *pluginv1.Event { return &pluginv1.Event{Kind: &pluginv1.Event_Message{}} }
	result := func() *pluginv1.Event {
		return &pluginv1.Event{Kind: &pluginv1.Event_Result{Result: &pluginv1.Result{CommandId: "c"}}}
	}
	for name, between := range map[string]func(*Session) error{
		"nothing": func(*Session) error { return nil },
		"results": func(s *Session) error { return s.take(events(3, result)) },
		"an event twice": func(s *Session) error {
			if err := s.Acks(&pluginv1.EventAck{Seq: 1}, &pluginv1.EventAck{Seq: 1}); err != nil {
				return err
			}
			return s.take(events(1, message))
		},
	} {
		t.Run(name, func(t *testing.T) {
			seq = 0
			var ledger memgateway.Ledger
			s := newSession(sink{}, func() {}, Hello(), Policy{Ledger: &ledger, Ack: func(ev *pluginv1.Event) *pluginv1.EventAck {
				if ev.GetResult() == nil {
					return nil
				}
				return ledger.Commit(ev)
			}})
			if err := s.take(events(contract.EventWindow, message)); err != nil {
				t.Fatalf("events of a full window: %v", err)
			}
			if err := between(s); err != nil {
				t.Fatalf("acknowledged: %v", err)
			}
			if err := s.take(events(1, message)); !errors.Is(err, errWindow) {
				t.Errorf("one event more: got %v, want %v", err, errWindow)
			}
		})
	}
}
