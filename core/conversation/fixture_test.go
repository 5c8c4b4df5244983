package conversation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
)

var t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// Ids whose first byte tells in a failure message what they stand for.
func conv(n byte) conversation.ConversationID { return conversation.ConversationID{0xc0, 15: n} }
func agent(n byte) conversation.AgentID       { return conversation.AgentID{0xa0, 15: n} }
func service(n byte) conversation.ServiceID   { return conversation.ServiceID{0x5e, 15: n} }
func request(n byte) conversation.RequestID   { return conversation.RequestID{0x4e, 15: n} }
func offer(n byte) conversation.OfferID       { return conversation.OfferID{0x0f, 15: n} }
func message(n byte) conversation.MessageID   { return conversation.MessageID{0x3e, 15: n} }

var (
	customer = conversation.Author{Kind: conversation.Customer}
	robot    = conversation.Author{Kind: conversation.Bot, Bot: conversation.AccountID{0xb0, 15: 1}}
)

func agentAuthor(n byte) conversation.Author {
	return conversation.Author{Kind: conversation.Agent, Agent: agent(n)}
}

// webRules are the rules of a web chat service, smsRules those of a store-and-forward service.
var (
	webRules = conversation.Rules{
		OfferTimeout: 20_000, InactivityEnd: 600_000, WrapupLimit: 60_000, DispositionNeeded: true,
	}
	smsRules = conversation.Rules{
		OfferTimeout: 20_000, UnansweredEnd: 3_600_000, ParkAfter: 900_000, OwnerFirst: 300_000, WrapupLimit: 60_000,
	}
	webCaps = conversation.Capabilities{Text: true, Files: true, Connected: true, Receipts: true}
	smsCaps = conversation.Capabilities{Text: true, OutboundFirst: true}
)

// scene is a conversation under test with a clock.
type scene struct {
	t      *testing.T
	s      *conversation.State
	now    time.Time
	events []conversation.Event // all events so far
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return &scene{t: t, s: &conversation.State{}, now: t0}
}

func (c *scene) after(d time.Duration) *scene { c.now = c.now.Add(d); return c }

// do decides and applies a command, and returns the types of the new events.
func (c *scene) do(cmd conversation.Command) []conversation.Type {
	c.t.Helper()
	events, err := conversation.Decide(c.s, cmd, c.now)
	if err != nil {
		c.t.Fatalf("Decide(%T%+v): %v", cmd, cmd, err)
	}
	types := []conversation.Type{}
	for _, ev := range events {
		if err := c.s.Apply(ev); err != nil {
			c.t.Fatalf("Apply(%s): %v", ev.Head.Type(), err)
		}
		types = append(types, ev.Head.Type())
	}
	c.events = append(c.events, events...)
	return types
}

// gives fails unless cmd leads to exactly these events.
func (c *scene) gives(cmd conversation.Command, want ...conversation.Type) *scene {
	c.t.Helper()
	if want == nil {
		want = []conversation.Type{}
	}
	if d := cmp.Diff(want, c.do(cmd)); d != "" {
		c.t.Fatalf("Decide(%T%+v) events (-want +got):\n%s", cmd, cmd, d)
	}
	return c
}

// refuses fails unless cmd is refused with this error.
func (c *scene) refuses(cmd conversation.Command, want error) *scene {
	c.t.Helper()
	events, err := conversation.Decide(c.s, cmd, c.now)
	if !errors.Is(err, want) || events != nil {
		c.t.Fatalf("Decide(%T%+v) = %d events, %v; want %v", cmd, cmd, len(events), err, want)
	}
	return c
}

// shows fails unless the displayed state is want.
func (c *scene) shows(want conversation.Display) *scene {
	c.t.Helper()
	if got := c.s.Display(); got != want {
		c.t.Fatalf("Display() = %q, want %q", got, want)
	}
	return c
}

// last returns the head of the newest event whose head is an H.
func last[H conversation.Head](c *scene) H {
	c.t.Helper()
	for i := len(c.events) - 1; i >= 0; i-- {
		if h, ok := c.events[i].Head.(H); ok {
			return h
		}
	}
	var h H
	c.t.Fatalf("no %T among %d events", h, len(c.events))
	return h
}

// web starts a web chat in service 1, with request 1.
func web(t *testing.T) *scene {
	t.Helper()
	c := newScene(t)
	c.do(startWeb())
	return c
}

func startWeb() conversation.Start {
	return conversation.Start{
		ID: conv(1), Kind: conversation.Inbound, Channel: "webchat", Capabilities: webCaps,
		Service: service(1), Rules: webRules, Request: request(1), Body: json.RawMessage(`{}`),
		First: post(1, customer),
	}
}

// webActive is a web chat that agent 1 has accepted.
func webActive(t *testing.T) *scene {
	t.Helper()
	c := web(t)
	c.do(conversation.Offer{Request: request(1), Offer: offer(1), Agent: agent(1)})
	c.do(conversation.Accept{Offer: offer(1), Agent: agent(1)})
	return c
}

// sms starts an exchange that agent 1 began.
func sms(t *testing.T) *scene {
	t.Helper()
	c := newScene(t)
	c.do(conversation.Start{
		ID: conv(1), Kind: conversation.Outbound, Channel: "sms", Capabilities: smsCaps,
		Service: service(1), Rules: smsRules, Owner: agent(1), First: post(1, agentAuthor(1)),
	})
	return c
}

func post(n byte, by conversation.Author) *conversation.Post {
	return &conversation.Post{
		ID: message(n), Author: by, Kinds: []conversation.PartKind{conversation.PartText},
		Request: request(100 + n), Body: json.RawMessage(`{"parts":[{"kind":"text","text":"hi"}]}`),
	}
}

func row(s *conversation.State) string {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Sprintf("unencodable state: %v", err)
	}
	return string(b)
}
