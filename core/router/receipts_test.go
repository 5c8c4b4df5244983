package router_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// carrier is a text plugin that the test plays, with Ana in a conversation.
type carrier struct {
	*world
	r    *router.Router
	port *port
	conv conversation.ConversationID
	n    int // number of messages sent
}

func newCarrier(t *testing.T) *carrier {
	w := newWorld(t, nil)
	r := w.start("n1")
	c := &carrier{world: w, r: r, port: newPort(textInfo())}
	r.PluginReady("text", "g1", c.port)
	c.conv = w.textChat(r)
	return c
}

// sends lets Ana write a message and the plugin begin it (Begin).
func (c *carrier) sends(t *testing.T) plugin.Outbound {
	t.Helper()
	c.say(c.r, c.conv, fmt.Sprint("m", c.n))
	cmd := c.port.next(t, c.n)
	c.n++
	if ok, err := c.r.Begin(context.Background(), c.text.ID, cmd.Command, "g1"); !ok || err != nil {
		t.Fatalf("begin: %v, %v", ok, err)
	}
	return cmd
}

func (c *carrier) said(st plugin.DeliveryStatus) plugin.Ack {
	return ingest(c.r, plugin.Inbound{Plugin: "text", Account: c.text.ID, DedupeKey: fmt.Sprintf("%s/%x/%s", st.ProviderID, st.Command, st.Status), Status: &st})
}

// fate returns the status that a message ended up with.
func (c *carrier) fate(t *testing.T, cmd plugin.Outbound) conversation.Status {
	t.Helper()
	info, err := c.r.Info(context.Background(), c.conv)
	must(t, err)
	for _, m := range info.State.Pending {
		if m.ID == conversation.MessageID(cmd.Command) {
			return m.Status
		}
	}
	t.Fatalf("message %x is not followed", cmd.Command)
	return ""
}

func (c *carrier) parked(t *testing.T, id string) int {
	t.Helper()
	list, err := c.log.EarlyReceipts(context.Background(), eventlog.StreamID(c.text.ID), c.vault.MAC("external", c.text.ID[:], []byte(id)))
	must(t, err)
	return len(list)
}

// report is one report of a carrier: the answer to the send, or a callback.
type report struct {
	name string
	tell func(*carrier, plugin.Outbound, string) plugin.Ack
}

func answer(ids ...string) report {
	return report{"answer", func(c *carrier, cmd plugin.Outbound, p string) plugin.Ack {
		res := plugin.CommandResult{Outcome: conversation.StatusSent}
		for _, id := range ids {
			res.ProviderIDs = append(res.ProviderIDs, p+id)
		}
		return c.result(c.r, cmd, res)
	}}
}

func callback(status conversation.Status, id string, command bool) report {
	return report{fmt.Sprintf("%s(%s,%t)", status, id, command), func(c *carrier, cmd plugin.Outbound, p string) plugin.Ack {
		st := plugin.DeliveryStatus{Status: status, Code: "30003", Text: "Unreachable handset"}
		if id != "" {
			st.ProviderID = p + id
		}
		if command {
			st.Command = cmd.Command
		}
		return c.said(st)
	}}
}

func permutations(in []report) (out [][]report) {
	if len(in) < 2 {
		return [][]report{slices.Clone(in)}
	}
	for i := range in {
		rest := append(slices.Clone(in[:i]), in[i+1:]...)
		for _, p := range permutations(rest) {
			out = append(out, append([]report{in[i]}, p...))
		}
	}
	return out
}

// PR5, FT32: all permutations of a carrier's reports on a message, the answer to the send among
// them, end with the same status, also when each is repeated and when all come at once.
func TestReportsInAnyOrder(t *testing.T) {
	for name, c := range map[string]struct {
		reports []report
		want    conversation.Status
	}{
		"by the provider's id": {[]report{
			answer("SM1", "SM2"), callback("sent", "SM1", false), callback("delivered", "SM2", false), callback("read", "SM1", false),
		}, conversation.StatusRead},
		"failed, by the provider's id": {[]report{
			answer("SM1"), callback("sent", "SM1", false), callback("failed", "SM1", false),
		}, conversation.StatusFailed},
		"by our command": {[]report{
			answer("SM1", "SM2"), callback("sent", "SM1", true), callback("delivered", "SM1", true), callback("failed", "SM2", true),
		}, conversation.StatusDelivered},
		"by either": {[]report{
			answer("SM1", "SM2"), callback("sent", "SM2", false), callback("delivered", "", true), callback("failed", "SM1", false),
		}, conversation.StatusDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			car := newCarrier(t)
			for _, order := range permutations(c.reports) {
				var names []string
				check := func(cmd plugin.Outbound, prefix string) {
					t.Helper()
					if got := car.fate(t, cmd); got != c.want {
						t.Errorf("%v: message is %s, want %s", names, got, c.want)
					}
					if got := car.rowState(cmd); got != eventlog.OutboxSettled {
						t.Errorf("%v: row is %s, want settled", names, got)
					}
					for _, id := range []string{"SM1", "SM2"} {
						if n := car.parked(t, prefix+id); n != 0 {
							t.Errorf("%v: %d words left for %s", names, n, id)
						}
					}
				}
				tell := func(rep report, cmd plugin.Outbound, prefix string) {
					if a := rep.tell(car, cmd, prefix); a.Status != plugin.Committed && a.Status != plugin.Duplicate {
						t.Errorf("%v: %s: got %+v, want it taken", names, rep.name, a)
					}
				}
				for _, rep := range order {
					names = append(names, rep.name)
				}
				cmd, prefix := car.sends(t), fmt.Sprintf("p%d-", car.n)
				for _, rep := range order {
					tell(rep, cmd, prefix)
					tell(rep, cmd, prefix)
				}
				check(cmd, prefix)

				names = []string{"at once"}
				cmd, prefix = car.sends(t), fmt.Sprintf("p%d-", car.n)
				var wg sync.WaitGroup
				for _, rep := range append(order, order...) {
					wg.Go(func() { tell(rep, cmd, prefix) })
				}
				wg.Wait()
				check(cmd, prefix)
			}
		})
	}
}

// An early receipt keeps the carrier's code and text, over a restart.
func TestEarlyReceiptOverRestart(t *testing.T) {
	c := newCarrier(t)
	cmd := c.sends(t)
	if a := c.said(plugin.DeliveryStatus{ProviderID: "SM9", Status: conversation.StatusFailed, Code: "30003", Text: "Unreachable handset"}); a.Status != plugin.Committed {
		t.Fatalf("early callback: %+v", a)
	}
	rows, err := c.log.EarlyReceipts(context.Background(), eventlog.StreamID(c.text.ID), c.vault.MAC("external", c.text.ID[:], []byte("SM9")))
	must(t, err)
	if len(rows) != 1 || len(rows[0].Body) == 0 || slices.Contains([]string{"Unreachable handset"}, string(rows[0].Body)) {
		t.Fatalf("parked: %+v, want one with a sealed body", rows)
	}
	c.stop(c.r)
	c.r = c.start("n1")
	if a := c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"SM9"}}); a.Status != plugin.Committed {
		t.Fatalf("result: %+v", a)
	}
	recs, err := c.r.Records(context.Background(), c.conv, conversation.AudienceAgent, 0, 100)
	must(t, err)
	last := recs[len(recs)-1]
	var h conversation.MessageStatus
	var b conversation.StatusBody
	unmarshal(t, last.Head, &h)
	unmarshal(t, last.Body, &b)
	if last.Type != conversation.TypeMessageStatus || h.Status != conversation.StatusFailed || h.Code != "30003" || b.Text != "Unreachable handset" {
		t.Errorf("last event %s %s %s, want the carrier's failure", last.Type, last.Head, last.Body)
	}
}

// PR4: a message whose outcome is unknown is settled by a callback that names our command.
func TestUnknownSettledByCallback(t *testing.T) {
	c := newCarrier(t)
	cmd := c.sends(t)
	c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown, Kind: "temporary", Code: "timeout"})
	if got := c.rowState(cmd); got != eventlog.OutboxUnknown {
		t.Fatalf("row is %s, want unknown", got)
	}
	other := plugin.DeliveryStatus{Command: cmd.Command, ProviderID: "SM1", Status: conversation.StatusDelivered}
	if a := ingest(c.r, plugin.Inbound{Plugin: "chat", Account: c.chat.ID, Status: &other}); a.Status != plugin.Refused || a.Code != "unknown_command" {
		t.Errorf("another account's word: got %+v, want refused unknown_command", a)
	}
	if got := c.fate(t, cmd); got != conversation.StatusUnknown {
		t.Errorf("message is %s after another account's word, want unknown", got)
	}
	if a := c.said(other); a.Status != plugin.Committed {
		t.Fatalf("callback: %+v", a)
	}
	if row, fate := c.rowState(cmd), c.fate(t, cmd); row != eventlog.OutboxSettled || fate != conversation.StatusDelivered {
		t.Errorf("row %s, message %s, want settled and delivered", row, fate)
	}
	// The provider id of the callback is bound to the message from now on.
	if a := c.said(plugin.DeliveryStatus{ProviderID: "SM1", Status: conversation.StatusRead}); a.Status != plugin.Committed || a.Conversation != c.conv {
		t.Errorf("by the id: got %+v", a)
	}
	if got := c.fate(t, cmd); got != conversation.StatusRead {
		t.Errorf("message is %s, want read", got)
	}
}

// A Result that comes after a callback has settled its command changes nothing.
func TestResultAfterCallback(t *testing.T) {
	for name, res := range map[string]plugin.CommandResult{
		"unknown":   {Outcome: conversation.StatusUnknown, Code: "timeout"},
		"retryable": {Outcome: conversation.StatusFailed, Retryable: true, Code: "reset"},
		"failed":    {Outcome: conversation.StatusFailed, Code: "reset"},
		"sent":      {Outcome: conversation.StatusSent, ProviderIDs: []string{"SM1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCarrier(t)
			cmd := c.sends(t)
			c.said(plugin.DeliveryStatus{Command: cmd.Command, ProviderID: "SM1", Status: conversation.StatusDelivered})
			if a := c.result(c.r, cmd, res); a.Status != plugin.Committed && a.Status != plugin.Duplicate {
				t.Errorf("result: got %+v, want it taken", a)
			}
			if row, fate := c.rowState(cmd), c.fate(t, cmd); row != eventlog.OutboxSettled || fate != conversation.StatusDelivered {
				t.Errorf("row %s, message %s, want settled and delivered", row, fate)
			}
			next := c.sends(t) // no command waits behind the settled one
			if next.Command == cmd.Command {
				t.Error("it was sent again")
			}
		})
	}
}

// A command that a callback settled before the plugin began it must not be sent.
func TestCallbackBeforeBegin(t *testing.T) {
	c := newCarrier(t)
	c.say(c.r, c.conv, "a")
	cmd := c.port.next(t, 0)
	c.said(plugin.DeliveryStatus{Command: cmd.Command, Status: conversation.StatusSent})
	if ok, err := c.r.Begin(context.Background(), c.text.ID, cmd.Command, "g1"); ok || err != nil {
		t.Errorf("begin after the carrier has it: got %v, %v, want no leave", ok, err)
	}
}

// An early receipt whose id never becomes known is deleted after 7 days (DESIGN.md 5).
func TestEarlyReceiptsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		r := w.start("n1")
		st := plugin.DeliveryStatus{ProviderID: "nobody's", Status: conversation.StatusSent}
		if a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Status: &st}); a.Status != plugin.Committed {
			t.Fatalf("callback: %+v", a)
		}
		c := &carrier{world: w, r: r}
		<-time.After(7*24*time.Hour - time.Minute)
		if n := c.parked(t, "nobody's"); n != 1 {
			t.Errorf("%d parked before 7 days, want 1", n)
		}
		<-time.After(2 * time.Hour)
		synctest.Wait()
		if n := c.parked(t, "nobody's"); n != 0 {
			t.Errorf("%d parked after 7 days, want none", n)
		}
	})
}

// A carrier's code and text are shortened and made valid UTF-8 before they are kept.
func TestLongReceipt(t *testing.T) {
	c := newCarrier(t)
	cmd := c.sends(t)
	text := string(slices.Repeat([]byte("é"), 4000)) + "\xff"
	c.said(plugin.DeliveryStatus{Command: cmd.Command, Status: conversation.StatusFailed, Code: text, Text: text})
	recs, err := c.r.Records(context.Background(), c.conv, conversation.AudienceAgent, 0, 100)
	must(t, err)
	last := recs[len(recs)-1]
	var h conversation.MessageStatus
	unmarshal(t, last.Head, &h)
	if len(h.Code) > 256 || len(last.Body) > 5000 || !json.Valid(last.Body) || h.Code == "" {
		t.Errorf("kept a code of %d and a body of %d bytes", len(h.Code), len(last.Body))
	}
}

// readCounter counts the reads of the log.
type readCounter struct {
	eventlog.Log
	n atomic.Int64
}

func (l *readCounter) OutboxRow(ctx context.Context, command [16]byte) (eventlog.OutboxRow, error) {
	l.n.Add(1)
	return l.Log.OutboxRow(ctx, command)
}

func (l *readCounter) EarlyReceipts(ctx context.Context, account eventlog.StreamID, key eventlog.Key) ([]eventlog.EarlyReceipt, error) {
	l.n.Add(1)
	return l.Log.EarlyReceipts(ctx, account, key)
}

func (l *readCounter) External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, uint64, error) {
	l.n.Add(1)
	return l.Log.External(ctx, account, key)
}

func (l *readCounter) Conversation(ctx context.Context, id eventlog.StreamID) (eventlog.ConversationRow, error) {
	l.n.Add(1)
	return l.Log.Conversation(ctx, id)
}

func (l *readCounter) Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	l.n.Add(1)
	return l.Log.Read(ctx, stream, after, limit)
}

// Most callbacks are about messages that were sent a moment ago. For these nothing is read from the
// log, and no id is bound a second time.
func TestStatusesWithoutLookingUp(t *testing.T) {
	log := &readCounter{Log: memlog.New()}
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	r := w.start("n1")
	c := &carrier{world: w, r: r, port: newPort(textInfo())}
	r.PluginReady("text", "g1", c.port)
	c.conv = w.textChat(r)
	cmd := c.sends(t)
	if a := c.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"SM1"}}); a.Status != plugin.Committed {
		t.Fatalf("result: %+v", a)
	}
	before := log.n.Load()
	for _, s := range []conversation.Status{conversation.StatusSent, conversation.StatusDelivered, conversation.StatusDelivered, conversation.StatusRead} {
		st := plugin.DeliveryStatus{ProviderID: "SM1", Command: cmd.Command, Status: s}
		if a := c.said(st); a.Status != plugin.Committed {
			t.Errorf("%s: got %+v, want it taken", s, a)
		}
	}
	if n := log.n.Load() - before; n != 0 {
		t.Errorf("%d look-ups in the log for four callbacks, want none", n)
	}
	if got := c.fate(t, cmd); got != conversation.StatusRead {
		t.Errorf("message is %s, want read", got)
	}
	if a := c.said(plugin.DeliveryStatus{ProviderID: "SM1", Command: [16]byte{1}, Status: conversation.StatusSent}); a.Status != plugin.Committed {
		t.Errorf("another command's id with a known provider id: got %+v", a)
	}
	if n := log.n.Load() - before; n == 0 {
		t.Error("a command that memory does not know was not looked up")
	}
}
