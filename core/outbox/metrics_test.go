package outbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// gathered returns the outbox's series: values by name and label values.
func (h *house) gathered() map[string]float64 {
	h.t.Helper()
	reg := prometheus.NewPedanticRegistry()
	var err error
	for _, c := range h.o.Collectors() {
		err = errors.Join(err, reg.Register(c))
	}
	families, more := reg.Gather()
	if err = errors.Join(err, more); err != nil {
		h.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

// What waits is counted by kind, with the age of the oldest, and so is what has ended. There are as
// many series as kinds and outcomes, whatever rows say.
func TestMetricsByKind(t *testing.T) {
	inHouse(t, &port{}, func(t *testing.T, h *house) {
		conv := conversation.NewID[conversation.ConversationID]()
		// Ids have the time of the system, not that of the bubble, so these are made by hand.
		row := func(id byte, kind string) {
			t.Helper()
			r := eventlog.OutboxRow{CommandID: [16]byte{id}, Account: eventlog.StreamID(h.account), Conversation: eventlog.StreamID(conv), Index: -1,
				Kind: kind, State: eventlog.OutboxQueued, Attempt: 1, Deadline: time.Now().Add(time.Hour), Node: "n1", KeyID: 1}
			if _, err := h.log.Append(h.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{r}}); err != nil {
				t.Fatal(err)
			}
			h.o.AddRow(r)
		}
		h.o.PluginGone("text", "g1")
		row(1, "call")
		h.after(30 * time.Second)
		row(2, "call")
		row(3, "of a newer version")
		h.after(10 * time.Second)
		got := h.gathered()
		for name, want := range map[string]float64{
			"parley_outbox_pending call": 2, "parley_outbox_oldest_seconds call": 40, "parley_outbox_pending send": 0, "parley_outbox_oldest_seconds send": 0,
			"parley_outbox_pending other": 1, "parley_outbox_oldest_seconds other": 10,
		} {
			if v, ok := got[name]; !ok || v != want {
				t.Errorf("%s: got %v, %v, want %v", name, v, ok, want)
			}
		}
		h.o.PluginReady("text", "g2", &port{}) // the command of an unknown kind cannot be made
		h.after(time.Second)
		sent := h.post(conv, 9, "a")
		h.result(sent, plugin.CommandResult{Outcome: conversation.StatusSent})
		h.read(conv, 1, "m1")
		h.read(conv, 2, "m2")
		h.read(conv, 3, "m3")
		got = h.gathered()
		for name, want := range map[string]float64{
			"parley_outbox_ended_total send sent": 1, "parley_outbox_ended_total mark_read superseded": 1, "parley_outbox_ended_total other failed": 1,
			"parley_outbox_ended_total call failed": 2, // their payload cannot be read
			"parley_outbox_pending mark_read":       2, "parley_outbox_pending other": 0,
		} {
			if got[name] != want {
				t.Errorf("%s: got %v, want %v", name, got[name], want)
			}
		}
	})
}
