package router_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// H2-H4: a supervisor speaks to agents by notes and to everybody in barge, and in no other mode; a
// retry is the same note; who is no supervisor any more only leaves; the end of the conversation ends it all.
func TestSupervise(t *testing.T) {
	w := newWorld(t, nil)
	ctx := context.Background()
	sue, err := w.dir.PutUser(ctx, directory.User{Login: "sue", Name: "Sue", Role: directory.RoleSupervisor})
	must(t, err)
	r := w.start("n1")
	must(t, r.AgentConnected(ctx, sue.ID))
	x := w.talk(t, r, "ana", "v")
	customer, _ := w.subscribe(r, "v", 1000, conversation.ConversationID{}, 0)
	supervise := func(mode conversation.Mode) error {
		_, err := r.Supervise(ctx, sue.ID, x.conv, mode)
		return err
	}
	note := func(by conversation.AgentID, id, text string) (router.Sent, error) {
		return r.AddNote(ctx, router.SendRequest{Conversation: x.conv, Agent: by, ClientID: id, Parts: textParts(text)})
	}
	say := func(id string) error {
		_, err := r.Send(ctx, router.SendRequest{Conversation: x.conv, Agent: sue.ID, ClientID: id, Parts: textParts(id)})
		return err
	}
	for _, c := range []struct {
		mode       conversation.Mode
		note, send error
	}{
		{"", conversation.ErrNotJoined, conversation.ErrNotJoined},
		{conversation.ModeMonitor, conversation.ErrNotJoined, conversation.ErrNotJoined},
		{conversation.ModeCoach, nil, conversation.ErrNotJoined},
		{conversation.ModeBarge, nil, nil},
		{conversation.ModeMonitor, conversation.ErrNotJoined, conversation.ErrNotJoined},
	} {
		must(t, supervise(c.mode))
		if _, err := note(sue.ID, "note in "+string(c.mode), "x"); !errors.Is(err, c.note) {
			t.Errorf("note in mode %q: %v, want %v", c.mode, err, c.note)
		}
		if err := say("said in " + string(c.mode)); !errors.Is(err, c.send) {
			t.Errorf("message in mode %q: %v, want %v", c.mode, err, c.send)
		}
	}
	first, err := note(x.agent, "n", "for us")
	must(t, err)
	again, err := note(x.agent, "n", "for us")
	if err != nil || again != first {
		t.Errorf("a retry is %+v, %v; want %+v", again, err, first)
	}
	if m, err := r.Send(ctx, router.SendRequest{Conversation: x.conv, Agent: x.agent, ClientID: "n", Parts: textParts("for everybody")}); err != nil || m.Message == first.Message {
		t.Errorf("a message under the client id of a note: %+v, %v", m, err)
	}
	if _, err := r.Send(ctx, router.SendRequest{Conversation: x.conv, Agent: x.agent, ClientID: "q", ReplyTo: first.Message, Parts: textParts("quote")}); !errors.Is(err, conversation.ErrNoSuchMessage) {
		t.Errorf("a message for the customer that quotes a note: %v", err)
	}
	if _, err := r.Supervise(ctx, w.agents["ben"], x.conv, conversation.ModeCoach); !errors.Is(err, router.ErrDenied) {
		t.Errorf("an agent supervises: %v", err)
	}
	if _, err := r.Supervise(ctx, w.agents["ben"], conversation.NewID[conversation.ConversationID](), ""); !errors.Is(err, router.ErrDenied) {
		t.Errorf("an agent asks about a conversation that is not there: %v", err)
	}
	must(t, supervise(conversation.ModeCoach))
	sue.Role = directory.RoleAgent
	_, err = w.dir.PutUser(ctx, sue)
	must(t, err)
	if _, err := note(sue.ID, "late", "x"); !errors.Is(err, conversation.ErrNotJoined) {
		t.Errorf("a note of somebody who was a supervisor: %v", err)
	}
	must(t, supervise(""))
	if err := supervise(conversation.ModeMonitor); !errors.Is(err, router.ErrDenied) {
		t.Errorf("supervised by an agent: %v", err)
	}
	ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", Action: &plugin.CustomerAction{End: true}})
	sue.Role = directory.RoleSupervisor
	_, err = w.dir.PutUser(ctx, sue)
	must(t, err)
	if err := supervise(conversation.ModeMonitor); !errors.Is(err, conversation.ErrEnded) {
		t.Errorf("supervision of an ended conversation: %v", err)
	}
	eventually(t, "the customer's messages", func() bool { return customer.messages() == 4 }) // hello, hi, in barge, for everybody
	for _, rec := range customer.recs {
		if rec.Type == conversation.TypeNote {
			t.Errorf("the customer read a note at seq %d", rec.Seq)
		}
	}
}
