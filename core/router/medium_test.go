package router_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// ruled stores a service, for everybody, with rules as MakeRules makes them.
func (w *world) ruled(s directory.Service, common directory.RulesRecord, media map[conversation.Medium]directory.RulesRecord) directory.Service {
	w.t.Helper()
	s.Rules, s.Media = directory.MakeRules(common, media)
	s.Users = []conversation.AgentID{w.agents["ana"], w.agents["ben"], w.agents["cem"]}
	s, err := w.dir.PutService(context.Background(), s)
	must(w.t, err)
	return s
}

func lasting(d time.Duration) *directory.Duration {
	ms := directory.Duration(d.Milliseconds())
	return &ms
}

// textsBy is the text channel with a medium.
func textsBy(medium string) plugin.Info {
	info := textInfo()
	info.Capabilities.Medium = medium
	return info
}

// DESIGN.md 3, Q2, N16, R3, R4: of one service, a chat ends when its customer is silent, while a text
// exchange is parked and its owner asked first; after-call work follows the chat only.
func TestRulesByMedium(t *testing.T) {
	w := newWorld(t, nil)
	w.service = w.ruled(w.service, directory.RulesRecord{WrapupLimit: lasting(2 * time.Minute)}, map[conversation.Medium]directory.RulesRecord{
		conversation.MediumChat: {InactivityEnd: lasting(4 * time.Minute)},
		conversation.MediumSMS:  {ParkAfter: lasting(20 * time.Minute), WrapupLimit: lasting(0)},
	})
	w.inBubble(t, func(t *testing.T, b *bubble) {
		b.r.PluginReady("text", "g", &port{info: textsBy("sms"), room: -1})
		ana, chat := b.accepted("ana")
		text := b.inbound(b.r, "+15005550006", "t1").Conversation
		synctest.Wait()
		_, _, err := b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
		must(t, err)
		want := func(when string, chatIs, textIs conversation.Display) {
			t.Helper()
			if c, x := b.display(chat), b.display(text); c != chatIs || x != textIs {
				t.Errorf("%s: chat %s, text %s; want %s, %s", when, c, x, chatIs, textIs)
			}
		}
		b.after(4*time.Minute - time.Second)
		want("before the chat's end", conversation.DisplayActive, conversation.DisplayActive)
		b.after(2 * time.Second)
		want("after it", conversation.DisplayWrapup, conversation.DisplayActive)
		if info, err := b.r.Info(t.Context(), chat); err != nil || info.State.EndCause != conversation.CauseInactivity {
			t.Errorf("the chat ended for %q, %v", info.State.EndCause, err)
		}
		b.after(2 * time.Minute)
		want("after the wrap-up", conversation.DisplayConcluded, conversation.DisplayActive)
		b.after(14 * time.Minute)
		want("after 20 minutes", conversation.DisplayConcluded, conversation.DisplayParked)
		if s := agentOf(t, b.r, ana); s.Load() != 0 {
			t.Errorf("a parked exchange takes %d percent", s.Load())
		}
		must(t, b.r.Ready(t.Context(), ana))
		b.ready("ben")
		b.inbound(b.r, "+15005550006", "t2") // N16: its owner is asked, for the medium's default of five minutes
		b.after(time.Second)
		if o := agentOf(t, b.r, ana).Offer; o == nil || o.Conversation != text {
			t.Fatalf("the owner of the reply holds %v, want an offer of it", o)
		}
		_, _, err = b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
		must(t, err)
		_, err = b.r.Leave(t.Context(), ana, text, false)
		must(t, err)
		want("after End Chat, without after-call work", conversation.DisplayConcluded, conversation.DisplayConcluded)
	})
}

// DESIGN.md 3, T3, A18: a transfer and an invitation are offered, and go on, by the other service's rules
// for the medium of the conversation; an exchange that an agent begins has those of its channel.
// Conversations that are open when a service's rules change keep the rules that they began with.
func TestRulesByMediumOfAnotherService(t *testing.T) {
	w := newWorld(t, nil)
	other := w.ruled(directory.Service{Name: "Support"}, directory.RulesRecord{}, map[conversation.Medium]directory.RulesRecord{
		conversation.MediumChat: {InactivityEnd: lasting(3 * time.Minute)},
		conversation.MediumSMS:  {Share: new(10), OfferTimeout: lasting(2 * time.Minute)},
	})
	r := w.start("n1")
	w.texting(r)
	r.PluginReady("text", "g-sms", newPort(textsBy("sms")))
	ctx := context.Background()
	ana, ben := w.agents["ana"], w.agents["ben"]
	for _, id := range []conversation.AgentID{ana, ben} {
		must(t, r.AgentConnected(ctx, id))
	}
	must(t, r.Ready(ctx, ana))
	began := w.service.Rules
	w.startChat(r, "v", "", "hello")
	chat, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
	must(t, err)
	w.service = w.ruled(w.service, directory.RulesRecord{}, nil) // while the chat is open
	out, err := w.begin(r, "ana", "+15005550006", "hello", "")
	must(t, err)
	rules := func(conv conversation.ConversationID, want conversation.Rules, what string) {
		t.Helper()
		info, err := r.Info(ctx, conv)
		if must(t, err); info.State.Rules != want {
			t.Errorf("%s: rules %+v, want %+v", what, info.State.Rules, want)
		}
	}
	rules(chat, began, "a chat that was open when the rules changed")
	rules(out.Conversation, w.service.RulesFor(conversation.MediumSMS), "an exchange that an agent began")

	must(t, r.NotReady(ctx, ana, ""))
	must(t, r.Ready(ctx, ben))
	for conv, medium := range map[conversation.ConversationID]conversation.Medium{chat: conversation.MediumChat, out.Conversation: conversation.MediumSMS} {
		_, err = r.Invite(ctx, ana, conv, conversation.Target{Kind: conversation.TargetService, Service: other.ID}, true)
		must(t, err)
		o := offerTo(t, r, ben)
		if need := acd.NeedOf(new(other.RulesFor(medium))); o.Share != need.Share || o.Medium != "chat" {
			t.Errorf("%s: the offer takes %d percent of %s, want %d of chat", medium, o.Share, o.Medium, need.Share)
		}
		_, _, err = r.Accept(ctx, ben, o.Offer)
		must(t, err)
		rules(conv, other.RulesFor(medium), "transferred "+string(medium))
	}
}

// A plugin may name a medium that this build does not know: its conversations are chats, and the log
// says so once, however often the plugin restarts.
func TestUnknownMedium(t *testing.T) {
	w := newWorld(t, nil)
	w.service = w.ruled(w.service, directory.RulesRecord{}, nil)
	var log bytes.Buffer
	r, err := router.New(router.Options{Node: "n1", Log: w.log, Vault: w.vault, Directory: w.dir, Bus: w.bus, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	must(t, r.Start(t.Context()))
	for _, medium := range []string{"fax\nforged=1", "fax\nforged=1", "fax\nforged=1"} {
		r.PluginReady("text", "g", newPort(textsBy(medium)))
	}
	ack := w.inbound(r, "+15005550006", "t1")
	info, err := r.Info(t.Context(), ack.Conversation)
	must(t, err)
	if want := w.service.RulesFor(conversation.MediumChat); info.State.Rules != want {
		t.Errorf("rules %+v, want those of a chat, %+v", info.State.Rules, want)
	}
	w.stop(r)
	if n := strings.Count(log.String(), "medium that does not exist"); n != 1 {
		t.Errorf("warned %d times, want once:\n%s", n, log.String())
	}
}
