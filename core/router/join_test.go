package router_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// N6, N17: which agents may join an exchange without an offer.
func TestJoin(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	ctx := context.Background()
	user := func(login string, role directory.Role) conversation.AgentID {
		u, err := w.dir.PutUser(ctx, directory.User{Login: login, Name: login, Role: role})
		must(t, err)
		must(t, r.AgentConnected(ctx, u.ID))
		return u.ID
	}
	dan, sue := user("dan", directory.RoleAgent), user("sue", directory.RoleSupervisor)
	ana, ben := w.agents["ana"], w.agents["ben"]
	out, err := w.begin(r, "ana", "+15005550006", "hello", "")
	must(t, err)
	join := func(what string, id conversation.AgentID, conv conversation.ConversationID, want error) {
		t.Helper()
		if _, err := r.Join(ctx, id, conv); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	join("who is in it", ana, out.Conversation, conversation.ErrAlreadyJoined)
	join("a stranger", dan, out.Conversation, router.ErrDenied)
	join("logged out", w.agents["cem"], out.Conversation, acd.ErrLoggedOut)
	join("nobody", conversation.NewID[conversation.AgentID](), out.Conversation, router.ErrUnknownAgent)
	join("no such exchange", ben, conversation.NewID[conversation.ConversationID](), router.ErrNotFound)
	must(t, r.Logout(ctx, ana))
	must(t, r.AgentConnected(ctx, ana))
	join("the owner takes it up again", ana, out.Conversation, nil)
	if a, _ := r.Agent(ctx, ana); a.Status() != acd.StatusBusy {
		t.Errorf("owner is %s, want busy", a.Status())
	}
	join("who serves the service", ben, out.Conversation, nil)
	join("a supervisor", sue, out.Conversation, nil)
	for _, id := range []conversation.AgentID{ana, ben, sue} {
		_, err := r.Leave(ctx, id, out.Conversation, false)
		must(t, err)
	}
	join("after the end", ben, out.Conversation, conversation.ErrEnded)

	chat := w.startChat(r, "v", "Cora", "hello").Conversation
	join("a live chat is the queue's", ben, chat, router.ErrDenied)
	join("a supervisor in a live chat", sue, chat, nil)
}

// PR4: an agent settles a message whose outcome is unknown.
func TestSettleByAPerson(t *testing.T) {
	ctx := context.Background()
	unknown := func(t *testing.T) (*carrier, plugin.Outbound) {
		c := newCarrier(t)
		cmd := c.sends(t)
		c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown, Code: "timeout"})
		return c, cmd
	}
	settle := func(c *carrier, login string, cmd plugin.Outbound, o conversation.Outcome) error {
		_, err := c.r.SettleMessage(ctx, c.agents[login], c.conv, conversation.MessageID(cmd.Command), o)
		return err
	}
	for outcome, want := range map[conversation.Outcome]conversation.Status{conversation.OutcomeSent: conversation.StatusSent, conversation.OutcomeFailed: conversation.StatusFailed} {
		t.Run(string(outcome), func(t *testing.T) {
			c, cmd := unknown(t)
			must(t, settle(c, "ana", cmd, outcome))
			if row, fate := c.rowState(cmd), c.fate(t, cmd); row != eventlog.OutboxSettled || fate != want {
				t.Errorf("row %s, message %s, want settled and %s", row, fate, want)
			}
			if err := settle(c, "ana", cmd, outcome); !errors.Is(err, conversation.ErrNotUnknown) {
				t.Errorf("twice: %v, want ErrNotUnknown", err)
			}
			if a := c.said(plugin.DeliveryStatus{Command: cmd.Command, Status: conversation.StatusDelivered}); a.Status != plugin.Committed || c.fate(t, cmd) != conversation.StatusDelivered {
				t.Errorf("a late callback: %+v, message %s", a, c.fate(t, cmd))
			}
		})
	}
	t.Run("resend", func(t *testing.T) {
		c, cmd := unknown(t)
		must(t, settle(c, "ana", cmd, conversation.OutcomeResend))
		again := c.port.next(t, c.n)
		if again.Command != cmd.Command || again.Attempt != cmd.Attempt+1 || !again.MaybeSent || !again.Deadline.After(cmd.Deadline) {
			t.Errorf("sent again as %+v after %+v, want it marked as maybe sent, with a later deadline", again, cmd)
		}
		if got := c.fate(t, cmd); got != conversation.StatusAccepted {
			t.Errorf("message is %s, want accepted", got)
		}
		c.result(c.r, again, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"SM2"}})
		if row, fate := c.rowState(cmd), c.fate(t, cmd); row != eventlog.OutboxSettled || fate != conversation.StatusSent {
			t.Errorf("row %s, message %s, want settled and sent", row, fate)
		}
	})
	t.Run("refused", func(t *testing.T) {
		c, cmd := unknown(t)
		if err := settle(c, "ben", cmd, conversation.OutcomeSent); !errors.Is(err, router.ErrDenied) {
			t.Errorf("a stranger: %v, want ErrDenied", err)
		}
		if err := settle(c, "ana", cmd, "lost"); !errors.Is(err, conversation.ErrInvalid) {
			t.Errorf("unknown outcome: %v, want ErrInvalid", err)
		}
		if err := settle(c, "ana", plugin.Outbound{Command: [16]byte{9}}, conversation.OutcomeSent); !errors.Is(err, conversation.ErrNoSuchMessage) {
			t.Errorf("no such message: %v", err)
		}
		if _, err := c.r.SettleMessage(ctx, c.agents["ana"], conversation.NewID[conversation.ConversationID](), conversation.MessageID(cmd.Command), conversation.OutcomeSent); !errors.Is(err, conversation.ErrNoSuchMessage) {
			t.Errorf("of another conversation: %v", err)
		}
		if row, fate := c.rowState(cmd), c.fate(t, cmd); row != eventlog.OutboxUnknown || fate != conversation.StatusUnknown {
			t.Errorf("row %s, message %s after refusals, want both unknown", row, fate)
		}
	})
}

// A message of an agent whose mark-up is removed completely is refused.
func TestEmptyRichText(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	must(t, r.AgentConnected(ctx, w.agents["ana"]))
	must(t, r.Ready(ctx, w.agents["ana"]))
	w.startChat(r, "v", "Cora", "hello")
	conv, _, err := r.Accept(ctx, w.agents["ana"], offerTo(t, r, w.agents["ana"]).Offer)
	must(t, err)
	_, err = r.Send(ctx, router.SendRequest{Conversation: conv, Agent: w.agents["ana"], ClientID: "x",
		Parts: []conversation.Part{{Kind: conversation.PartRichText, HTML: "<script>alert(1)</script>"}}})
	if !errors.Is(err, router.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
