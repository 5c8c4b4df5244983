package outbox_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
)

// names is a plugin that remembers by which ids the commands that it is given name other messages.
type names struct {
	port
	quotes, parts []string
}

func (p *names) Offer(o plugin.Outbound) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quotes = append(p.quotes, o.Send.ReplyToProviderID)
	id := ""
	if _, first, _ := o.Send.Parts[0].Names(); first != nil {
		id = *first
	}
	p.parts = append(p.parts, id)
	return true
}

// The ids of a message that another one names are read when that one is handed out. While they cannot be
// read it waits; one that names a message that was not sent fails.
func TestNamesAtHandOut(t *testing.T) {
	p := &names{}
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, log: memlog.New(), account: conversation.NewID[conversation.AccountID]()}
		h.open("n1")
		h.o.PluginReady("text", "g1", p)
		conv, newID := conversation.NewID[conversation.ConversationID](), conversation.NewID[conversation.MessageID]
		known, failed, elsewhere := newID(), newID(), newID()
		h.named = map[conversation.MessageID]outbox.Reference{
			known:     {ProviderIDs: []string{"p1", "p2"}, Status: conversation.StatusSent},
			failed:    {Status: conversation.StatusFailed},
			elsewhere: {ProviderIDs: []string{"other account's"}, Endpoint: 1},
		}
		seq := uint64(0)
		write := func(reply, named conversation.MessageID) *outbox.Command {
			t.Helper()
			seq++
			body := `{"parts":[{"kind":"text","text":"x"}]}`
			if !named.IsZero() {
				body = `{"parts":[{"kind":"revoke","revoke":{"message":"` + named.String() + `"}}]}`
			}
			c := h.o.Send(conv, h.account, &conversation.MessagePosted{ID: newID(), ReplyTo: reply}, &conversation.Event{Seq: seq, At: time.Now(), Body: []byte(body)})
			if _, err := h.log.Append(h.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{c.Row()}}); err != nil {
				t.Fatal(err)
			}
			h.o.Add(c)
			synctest.Wait()
			return c
		}
		sent := func(c *outbox.Command) { h.result(c, plugin.CommandResult{Outcome: conversation.StatusSent}) }
		none := conversation.MessageID{}
		h.namedErr = errors.New("no store")
		first := write(known, none)
		if len(p.quotes) != 0 {
			t.Fatal("a message went out whose references could not be read")
		}
		h.mu.Lock()
		h.namedErr = nil
		h.mu.Unlock()
		h.after(2 * time.Second)
		sent(first)
		sent(write(failed, none))
		sent(write(elsewhere, none))
		write(none, failed)
		sent(write(none, known))
		sent(write(none, elsewhere))
		sent(write(none, newID()))
		if want := []string{"p1", "", "", "", "", ""}; !slices.Equal(p.quotes, want) {
			t.Errorf("quotes %q, want %q", p.quotes, want)
		}
		if want := []string{"", "", "", "p1", "", ""}; !slices.Equal(p.parts, want) {
			t.Errorf("revocations %q, want %q", p.parts, want)
		}
		h.wantSaid("at the end", "sent ", "sent ", "sent ", "failed reference_failed", "sent ", "sent ", "sent ")
		h.close()
		_ = h.log.Close()
	})
}
