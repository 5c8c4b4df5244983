package router_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// wrote appends what a node of another version might have written: an event of type typ, and the
// conversation's row as edit leaves it. Then it publishes a hint, as a node does.
func (w *world) wrote(id conversation.ConversationID, typ, head string, edit func(state []byte) []byte) uint64 {
	w.t.Helper()
	ctx := context.Background()
	row, err := w.log.Conversation(ctx, eventlog.StreamID(id))
	must(w.t, err)
	recs, err := w.log.Read(ctx, eventlog.StreamID(id), 0, 0)
	must(w.t, err)
	seq := uint64(len(recs))
	b := eventlog.Batch{}
	if typ != "" {
		seq++
		b.Streams = []eventlog.StreamAppend{{Stream: eventlog.StreamID(id), Expect: seq - 1,
			Events: []eventlog.Event{{Type: typ, At: time.Now(), Head: []byte(head)}}}}
	}
	if edit != nil {
		row.Seq, row.State = seq, edit(row.State)
		b.Conversations = []eventlog.ConversationRow{row}
	}
	_, err = w.log.Append(ctx, &b)
	must(w.t, err)
	w.bus.Publish(bus.Hint{Node: "another", Kind: bus.Conversation, Stream: id, Seq: seq})
	return seq
}

func (w *world) rowOf(id conversation.ConversationID) []byte {
	w.t.Helper()
	row, err := w.log.Conversation(context.Background(), eventlog.StreamID(id))
	must(w.t, err)
	return row.State
}

// numberless returns a row without its opening brace and fold number.
func numberless(state []byte) []byte {
	_, rest, _ := bytes.Cut(state, []byte(","))
	return rest
}

// fold returns a function that gives a row another fold number.
func fold(n int) func([]byte) []byte {
	return func(state []byte) []byte {
		return append(fmt.Appendf(nil, `{"fold":%d,"of_the_future":true,`, n), numberless(state)...)
	}
}

// joined makes Ana a participant of a chat.
func (w *world) joined(r *router.Router, th string) conversation.ConversationID {
	w.t.Helper()
	ctx, ana := context.Background(), w.agents["ana"]
	must(w.t, r.AgentConnected(ctx, ana))
	must(w.t, r.Ready(ctx, ana))
	id := w.startChat(r, th, "", "hi").Conversation
	_, _, err := r.Accept(ctx, ana, offerTo(w.t, r, ana).Offer)
	must(w.t, err)
	return id
}

// FT34: an older node leaves a conversation alone that a newer node keeps: commands for it are
// refused for now, its row stays as it is, and readers still get its events.
func TestOlderNodeLeavesNewerRowsAlone(t *testing.T) {
	for name, newer := range map[string]func(w *world, id conversation.ConversationID) uint64{
		"row of a newer fold": func(w *world, id conversation.ConversationID) uint64 {
			return w.wrote(id, string(conversation.TypeFlagSet), `{"by":"`+w.agents["ben"].String()+`"}`, fold(conversation.FoldNumber+1))
		},
		"event of an unknown type": func(w *world, id conversation.ConversationID) uint64 {
			return w.wrote(id, "future.thing/1", `{"a":1}`, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := w.start("old")
			ctx, ana := context.Background(), w.agents["ana"]
			id := w.joined(r, "v")
			f := r.NewFeed(ana, conversation.AudienceAgent, func() {})
			defer f.Close()
			f.Add(id, 0)
			seq := newer(w, id)
			row := w.rowOf(id)
			check := func(r *router.Router) {
				t.Helper()
				_, err := r.Send(ctx, router.SendRequest{Conversation: id, Agent: ana, ClientID: "c", Parts: textParts("text")})
				if !errors.Is(err, router.ErrNewer) || router.Code(err) != "unavailable" {
					t.Errorf("an agent's message: got %v, want ErrNewer, to be tried again", err)
				}
				if a := w.message(r, "v", "m", "text"); a.Status != plugin.Retry {
					t.Errorf("a customer's message: got %+v, want it to come again", a)
				}
				if a := w.startChat(r, "other", "", "hi"); a.Status == plugin.Retry {
					t.Errorf("another conversation: got %+v, want it to go on", a)
				}
				if got := w.rowOf(id); !bytes.Equal(got, row) {
					t.Errorf("the row is now %s, want it left alone: %s", got, row)
				}
				recs, err := r.Records(ctx, id, conversation.AudienceAudit, 0, 1000)
				if err != nil || uint64(len(recs)) != seq {
					t.Errorf("readers get %d events (%v), want all %d", len(recs), err, seq)
				}
			}
			check(r)
			more := w.wrote(id, string(conversation.TypeFlagCleared), `{"by":"`+w.agents["ben"].String()+`"}`, nil)
			eventually(t, "what the newer node writes in an open feed", func() bool {
				items, err := f.Poll(ctx, 64)
				must(t, err)
				for _, it := range items {
					if it.Record != nil && it.Record.Type == "future.thing/1" {
						t.Error("an agent sees an event of which nobody knows who may")
					}
					if it.Record != nil && it.Record.Seq == more {
						return true
					}
				}
				return false
			})
			seq = more
			w.stop(r)
			again := w.start("old")
			must(t, again.AgentConnected(ctx, ana))
			check(again)
		})
	}
}

// A row of an older fold is folded anew from the events, and written with the new fold at the next
// event. A row without a fold number is of the first fold.
func TestOlderRowsAreFoldedAnew(t *testing.T) {
	for name, edit := range map[string]func([]byte) []byte{
		"older fold": func([]byte) []byte { return []byte(`{"fold":0,"phase":"open","requests":[]}`) },
		"no number": func(state []byte) []byte {
			return append([]byte(`{`), numberless(state)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := w.start("n1")
			id := w.joined(r, "v")
			for i := range 300 {
				w.message(r, "v", fmt.Sprint(i), "text")
			}
			w.stop(r)
			w.wrote(id, "", "", edit)
			r = w.start("n1")
			info, err := r.Info(context.Background(), id)
			must(t, err)
			if !info.State.JoinedAgent(w.agents["ana"]) || info.State.Seq < 300 {
				t.Errorf("state is at seq %d, Ana joined: %t; want all that the events say", info.State.Seq, info.State.JoinedAgent(w.agents["ana"]))
			}
			must(t, r.SetFlag(context.Background(), w.agents["ana"], id, true))
			s, err := conversation.DecodeState(w.rowOf(id))
			if err != nil || !s.Flagged || !s.JoinedAgent(w.agents["ana"]) {
				t.Errorf("the row after the next event: %v, %s", err, w.rowOf(id))
			}
			if !bytes.HasPrefix(w.rowOf(id), fmt.Appendf(nil, `{"fold":%d,`, conversation.FoldNumber)) {
				t.Errorf("the row carries no number: %.60s", w.rowOf(id))
			}
		})
	}
}

// FT34: a node goes on past an event that says it is ignorable.
func TestIgnorableEvents(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx, ana := context.Background(), w.agents["ana"]
	id := w.joined(r, "v")
	seq := w.wrote(id, "future.thing/1", `{"ignorable":true,"audience":"agent","a":1}`, nil)
	if a := w.message(r, "v", "m", "text"); a.Status != plugin.Committed || a.Seq != seq+1 {
		t.Errorf("a message after it: got %+v, want committed at %d", a, seq+1)
	}
	recs, err := r.Records(ctx, id, conversation.AudienceAgent, seq-1, 2)
	must(t, err)
	if len(recs) != 2 || recs[0].Type != "future.thing/1" || recs[1].Prev != seq {
		t.Errorf("agents get %+v, want the event and the message after it", recs)
	}
	_, err = w.log.Append(ctx, &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: eventlog.StreamID(ana), Expect: eventlog.ExpectAny,
		Events: []eventlog.Event{{Type: "agent.future/1", At: time.Now(), Head: []byte(`{"ignorable":true}`)}}}}})
	must(t, err)
	if err := r.NotReady(ctx, ana, "break"); err != nil {
		t.Errorf("the agent's command after it: %v", err)
	}
}

// FT34: rows of agents that other versions wrote are treated like those of conversations.
func TestAgentsOfOtherVersions(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana, ben := w.agents["ana"], w.agents["ben"]
	for _, id := range []conversation.AgentID{ana, ben} {
		must(t, r.AgentConnected(ctx, id))
		must(t, r.Ready(ctx, id))
	}
	w.stop(r)
	put := func(id conversation.AgentID, edit func([]byte) []byte) (state []byte) {
		row, err := w.log.Agent(ctx, eventlog.StreamID(id))
		must(t, err)
		row.State = edit(row.State)
		_, err = w.log.Append(ctx, &eventlog.Batch{Agents: []eventlog.AgentRow{row}})
		must(t, err)
		return row.State
	}
	newer := put(ana, fold(acd.FoldNumber+1))
	put(ben, func([]byte) []byte { return []byte(`{"fold":0}`) })

	r = w.start("n1")
	if err := r.NotReady(ctx, ana, "break"); !errors.Is(err, router.ErrNewer) || router.Code(err) != "unavailable" {
		t.Errorf("a command of the agent with the newer row: got %v, want ErrNewer", err)
	}
	if row, err := w.log.Agent(ctx, eventlog.StreamID(ana)); err != nil || !bytes.Equal(row.State, newer) {
		t.Errorf("the newer row: %s (%v), want it left alone", row.State, err)
	}
	if s := agentOf(t, r, ana); !s.Ready {
		t.Errorf("the newer row shows as %+v, want what can be read of it", s)
	}
	if s := agentOf(t, r, ben); !s.Ready || !s.LoggedIn {
		t.Errorf("the older row: %+v, want what the events say", s)
	}
	eventually(t, "word that Ben's socket is gone", func() bool { return agentOf(t, r, ben).Disconnected }) // after this no event comes by itself
	must(t, r.NotReady(ctx, ben, "break"))
	row, err := w.log.Agent(ctx, eventlog.StreamID(ben))
	must(t, err)
	var n struct{ Fold int }
	must(t, json.Unmarshal(row.State, &n))
	if n.Fold != acd.FoldNumber {
		t.Errorf("the row carries fold %d after the next event, want %d", n.Fold, acd.FoldNumber)
	}
	// A newer node writes while this one runs and has the agent in memory.
	put(ben, fold(acd.FoldNumber+1))
	seq := row.Seq + 1
	_, err = w.log.Append(ctx, &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: eventlog.StreamID(ben), Expect: row.Seq,
		Events: []eventlog.Event{{Type: "agent.ready/1", At: time.Now(), Head: []byte(`{}`)}}}}})
	must(t, err)
	w.bus.Publish(bus.Hint{Node: "another", Kind: bus.Agent, Stream: ben, Seq: seq})
	if err := r.NotReady(ctx, ben, "lunch"); !errors.Is(err, router.ErrNewer) {
		t.Errorf("a command after a newer node wrote: got %v, want ErrNewer", err)
	}
}
