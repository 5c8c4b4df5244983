package acd_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// scene is an agent under test, with the time that the test sets.
type scene struct {
	t   *testing.T
	a   *acd.AgentState
	now time.Time
	log []conversation.Event
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return &scene{t: t, a: &acd.AgentState{ID: agent(1)}, now: t0}
}

// ready is a scene with an agent who is Ready.
func ready(t *testing.T) *scene {
	t.Helper()
	return newScene(t).gives(acd.Login{}, acd.TypeLoggedIn).gives(acd.BeReady{}, acd.TypeReady)
}

// chatting is a scene with an agent who handles chats 1..n.
func chatting(t *testing.T, n int) *scene {
	t.Helper()
	c := ready(t)
	for i := 1; i <= n; i++ {
		c.gives(chat(i), acd.TypeOffered).gives(acd.Accepted{Offer: offer(i)}, acd.TypeOfferEnded, acd.TypeEngaged)
	}
	return c
}

func chat(n int) acd.Present {
	return acd.Present{Offer: offer(n), Conversation: conv(n), Request: request(n), Medium: acd.MediumChat, Share: 25, Spare: 25}
}

func invitation(n int) acd.Present {
	p := chat(n)
	p.Invite = true
	return p
}

func (c *scene) after(d time.Duration) *scene { c.now = c.now.Add(d); return c }

// gives fails unless cmd leads to exactly these events.
func (c *scene) gives(cmd acd.Command, want ...conversation.Type) *scene {
	c.t.Helper()
	events, err := acd.Decide(c.a, cmd, c.now)
	if err != nil {
		c.t.Fatalf("Decide(%T%+v): %v", cmd, cmd, err)
	}
	var got []conversation.Type
	for _, ev := range events {
		if err := c.a.Apply(ev); err != nil {
			c.t.Fatalf("Apply(%s): %v", ev.Head.Type(), err)
		}
		got = append(got, ev.Head.Type())
	}
	c.log = append(c.log, events...)
	if d := cmp.Diff(want, got); d != "" {
		c.t.Fatalf("Decide(%T%+v) events (-want +got):\n%s", cmd, cmd, d)
	}
	return c
}

func (c *scene) refuses(cmd acd.Command, want error) *scene {
	c.t.Helper()
	if events, err := acd.Decide(c.a, cmd, c.now); !errors.Is(err, want) || events != nil {
		c.t.Fatalf("Decide(%T%+v) = %d events, %v; want %v", cmd, cmd, len(events), err, want)
	}
	return c
}

// is fails unless the agent has this status and this Not Ready reason.
func (c *scene) is(want acd.Status, reason acd.Reason) *scene {
	c.t.Helper()
	if got := c.a.Status(); got != want || c.a.Reason != reason {
		c.t.Fatalf("status %s (%s), want %s (%s)", got, c.a.Reason, want, reason)
	}
	return c
}

func (c *scene) pending(want ...acd.Reason) *scene {
	c.t.Helper()
	if d := cmp.Diff(want, c.a.Pending); d != "" {
		c.t.Fatalf("pending reasons (-want +got):\n%s", d)
	}
	return c
}
