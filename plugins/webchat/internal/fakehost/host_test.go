package fakehost_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/parley-gateway/parley/plugins/contract/hosttest"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/webchat/internal/fakehost"
)

// TestHost runs the suite of the hosts of plugins against the web chat's double. The double is
// reached through the SDK, so only the suite's cases of events run.
func TestHost(t *testing.T) {
	hosttest.Run(t, func(t *testing.T, _ *hosttest.Plugin) *hosttest.Host {
		t.Helper()
		host := fakehost.New(slog.New(slog.DiscardHandler), "")
		t.Cleanup(host.Close)
		h := &hosttest.Host{
			Account: "0190aaaa-0000-7000-8000-0000000000a1", Staffed: "0190aaaa-0000-7000-8000-0000000000a2",
			Disabled: "0190aaaa-0000-7000-8000-0000000000a3",
			Emit:     func(tb testing.TB, ev *pluginv1.Event) *pluginv1.EventAck { tb.Helper(); return emit(tb, host, ev) },
		}
		host.Configure([]sdk.Account{{ID: sdk.AccountID(h.Account), Enabled: true}, {ID: sdk.AccountID(h.Staffed), Enabled: true}, {ID: sdk.AccountID(h.Disabled)}})
		h.End = func(tb testing.TB, thread string) {
			tb.Helper()
			if !host.End(sdk.AccountID(h.Staffed), sdk.ThreadID(thread)) {
				tb.Fatalf("nothing to end on %s", thread)
			}
		}
		return h
	}, pluginv1.Delivery_DELIVERY_CONNECTED)
}

func emit(tb testing.TB, host sdk.Host, wire *pluginv1.Event) *pluginv1.EventAck {
	tb.Helper()
	ev, err := sdk.Wire{}.Event(wire)
	if err != nil {
		tb.Skipf("no plugin can say that through the SDK: %v", err)
	}
	ack, err := host.Emit(tb.Context(), ev)
	var refused *sdk.RefusedError
	switch {
	case errors.As(err, &refused):
		return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_REFUSED, Code: refused.Code}
	case err != nil:
		tb.Fatal(err)
	}
	out := &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_COMMITTED, ConversationId: string(ack.Conversation), LogSeq: ack.Seq}
	if ack.Duplicate {
		out.Status = pluginv1.AckStatus_ACK_STATUS_DUPLICATE
	}
	return out
}
