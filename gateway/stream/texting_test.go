package stream_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

func command(name string, fields map[string]any) map[string]any {
	out := map[string]any{"t": "cmd", "id": "x", "cmd": name}
	for k, v := range fields {
		out[k] = v
	}
	return out
}

// N2, N17: beginning an exchange over the socket.
func TestBeginText(t *testing.T) {
	d := newDesk(t, stream.Options{})
	d.sessions.grant("ana", directory.PrivilegeSMS)
	c := d.hello("ana", nil)
	svc := streamtest.Service()
	c.Say(command("text", map[string]any{"service": svc, "to": "+15005550006", "client_id": "c1", "parts": []any{map[string]any{"kind": "text", "text": "hi"}}}))
	ack, joined := c.Both("ack", "joined")
	if ack["ok"] != true || ack.Str("conversation") == "" || ack.Str("message") == "" || ack.Str("seq") == "" {
		t.Fatalf("text = %v", ack)
	}
	req := d.router.Texting.Requests[0]
	if req.Agent != d.ana.User || req.Service != svc || req.To != "+15005550006" || req.ClientID != "c1" || len(req.Parts) != 1 || req.Parts[0].Text != "hi" {
		t.Errorf("asked of the router: %+v", req)
	}
	if joined.Str("conversation") != ack.Str("conversation") {
		t.Errorf("joined = %v", joined)
	}
	c.Say(command("text", map[string]any{"to": "+15005550006"}))
	again := c.Until("ack")
	e, _ := json.Marshal(again["error"])
	want := fmt.Sprintf(`{"code":"thread_open","conversation":%q,"joinable":true,"message":"an exchange with this number is open already","owner":{"id":%q,"name":""}}`, ack.Str("conversation"), d.ana.User)
	if string(e) != want {
		t.Errorf("second = %s, want %s", e, want)
	}
	c.Say(command("text", map[string]any{"to": "+15005550007"}))
	if ack := c.Until("ack"); ack["ok"] != true || ack["message"] != nil {
		t.Errorf("without a message = %v", ack)
	}
}

func TestTextRefusals(t *testing.T) {
	d := newDesk(t, stream.Options{})
	d.sessions.grant("ana", directory.PrivilegeSMS)
	c, sue := d.hello("ana", nil), d.hello("sue", nil)
	text := func(change map[string]any) map[string]any {
		f := command("text", map[string]any{"to": "+15005550006"})
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	conv, msg := d.router.Open(streamtest.Service(), streamtest.Account()), conversation.NewID[conversation.MessageID]()
	for name, tc := range map[string]struct {
		frame map[string]any
		fail  error
		code  string
	}{
		"no number":        {text(map[string]any{"to": ""}), nil, "invalid_address"},
		"long number":      {text(map[string]any{"to": strings.Repeat("1", 65)}), nil, "invalid_address"},
		"not a number":     {text(nil), router.ErrInvalidAddress, "invalid_address"},
		"no sender":        {text(nil), router.ErrNoSender, "no_sender"},
		"not one's own":    {text(nil), router.ErrDenied, "denied"},
		"client id":        {text(map[string]any{"client_id": strings.Repeat("c", 65)}), nil, "invalid"},
		"empty part":       {text(map[string]any{"parts": []any{map[string]any{"kind": "text", "text": " "}}}), nil, "invalid"},
		"many parts":       {text(map[string]any{"parts": make([]map[string]any, 11)}), nil, "invalid"},
		"unknown field":    {text(map[string]any{"from": "x"}), nil, "malformed"},
		"bad service":      {text(map[string]any{"service": "7"}), nil, "malformed"},
		"opted out":        {command("send", map[string]any{"conversation": conv, "client_id": "c", "parts": []any{map[string]any{"kind": "text", "text": "x"}}}), conversation.ErrOptedOut, "opted_out"},
		"join nothing":     {command("join", nil), nil, "not_found"},
		"join denied":      {command("join", map[string]any{"conversation": conv}), router.ErrDenied, "denied"},
		"join twice":       {command("join", map[string]any{"conversation": conv}), conversation.ErrAlreadyJoined, "already_joined"},
		"join what ended":  {command("join", map[string]any{"conversation": conv}), conversation.ErrEnded, "ended"},
		"settle nothing":   {command("settle", map[string]any{"conversation": conv, "outcome": "sent"}), nil, "not_found"},
		"settle somehow":   {command("settle", map[string]any{"conversation": conv, "message": msg, "outcome": "lost"}), nil, "invalid"},
		"settle the known": {command("settle", map[string]any{"conversation": conv, "message": msg, "outcome": "sent"}), conversation.ErrNotUnknown, "not_unknown"},
		"seen, with more":  {command("recent_seen", map[string]any{"all": true}), nil, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			d.router.Mu.Lock()
			d.router.Fail = tc.fail
			d.router.Mu.Unlock()
			c.Say(tc.frame)
			if ack := c.Until("ack"); ack.Str("error", "code") != tc.code || ack["ok"] == true || ack["conversation"] != nil || ack["seq"] != nil {
				t.Errorf("%v = %v, want code %q", tc.frame, ack, tc.code)
			}
		})
	}
	sue.Say(text(nil)) // sue lacks the privilege, which her role does not replace: N1
	if ack := sue.Until("ack"); ack.Str("error", "code") != "denied" {
		t.Errorf("without the privilege = %v, want denied", ack)
	}
	if n := len(d.router.Texting.Requests); n != 0 {
		t.Errorf("%d requests reached the router, want none", n)
	}
}

func TestJoinAndSettle(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	c := d.hello("ana", nil)
	c.Say(command("join", map[string]any{"conversation": conv}))
	if ack, _ := c.Both("ack", "joined"); ack["ok"] != true || ack.Str("seq") == "" {
		t.Errorf("join = %v", ack)
	}
	for _, o := range []conversation.Outcome{"sent", "failed", "resend"} {
		c.Say(command("settle", map[string]any{"conversation": conv, "message": conversation.NewID[conversation.MessageID](), "outcome": o}))
		if ack := c.Until("ack"); ack["ok"] != true || ack.Str("seq") != "7" {
			t.Errorf("settle %s = %v", o, ack)
		}
	}
	if got := fmt.Sprint(d.router.Texting.Settled); got != "[sent failed resend]" {
		t.Errorf("settled %s", got)
	}
}

// O1, O2: the count of unread messages comes after hello and at each change, to all of the agent's
// sockets.
func TestRecentFrames(t *testing.T) {
	d := newDesk(t, stream.Options{})
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	conv := conversation.NewID[conversation.ConversationID]()
	d.router.Wait(d.ana.User, readers.Recent{Unread: 2, Items: []readers.RecentItem{{Conversation: conv, Unread: 2, At: at}}})
	one, two, sue := d.hello("ana", nil), d.hello("ana", nil), d.hello("sue", nil)
	want := func(what string, c *streamtest.Client, unread string, items int) {
		t.Helper()
		f := c.Until("recent")
		list, ok := f["items"].([]any)
		if !ok || f.Str("unread") != unread || len(list) != items {
			t.Errorf("%s: %v, want %s unread in %d items", what, f, unread, items)
		}
		if items > 0 {
			if i := streamtest.Frame(list[0].(map[string]any)); i.Str("conversation") != conv.String() || i.Str("unread") != unread || i.Str("at") != "2026-11-23T09:00:00Z" {
				t.Errorf("%s: item %v", what, i)
			}
		}
	}
	want("after hello", one, "2", 1)
	want("after hello", two, "2", 1)
	want("somebody else's", sue, "0", 0)
	d.router.Wait(d.ana.User, readers.Recent{Unread: 3, Items: []readers.RecentItem{{Conversation: conv, Unread: 3, At: at}}})
	want("one more", one, "3", 1)
	want("one more", two, "3", 1)
	one.Say(command("recent_seen", nil))
	want("seen here", one, "0", 0)
	want("seen there", two, "0", 0)
}

// A long list is cut; the unread count covers all of it.
func TestRecentIsBounded(t *testing.T) {
	d := newDesk(t, stream.Options{})
	rec := readers.Recent{Unread: 500}
	for range 500 {
		rec.Items = append(rec.Items, readers.RecentItem{Conversation: conversation.NewID[conversation.ConversationID](), Unread: 1, At: time.Now()})
	}
	d.router.Wait(d.ana.User, rec)
	f := d.hello("ana", nil).Until("recent")
	if list := f["items"].([]any); f.Str("unread") != "500" || len(list) != 200 {
		t.Errorf("%s unread in %d items, want 500 in 200", f.Str("unread"), len(list))
	}
}

// A customer who texts is known by a phone number, which the offer shows (N8). On channels whose
// addresses are tokens the offer shows no address (A3).
func TestOfferShowsTheNumber(t *testing.T) {
	d := newDesk(t, stream.Options{})
	c := d.hello("ana", nil)
	for kind, want := range map[string]string{"": "", "phone": "+15005550006"} {
		conv := d.router.Open(streamtest.Service(), streamtest.Account())
		d.router.Mu.Lock()
		info := &d.router.Convs[conv].Info
		info.State.Capabilities.AddressKind, info.Started.Address = kind, "+15005550006"
		d.router.Mu.Unlock()
		d.router.Offer(d.ana.User, conv, 0)
		if got := c.Until("offer").Str("address"); got != want {
			t.Errorf("offer of address kind %q: address = %q, want %q", kind, got, want)
		}
		d.router.Withdraw(d.ana.User, conversation.CauseWithdrawn)
		c.Until("offer_end")
	}
}
