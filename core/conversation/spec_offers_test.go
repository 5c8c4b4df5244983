package conversation_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/parley-gateway/parley/core/conversation"
)

func TestB1_FirstMessageStandsBeforeTheRequest(t *testing.T) {
	newScene(t).gives(startWeb(), TypeStarted, TypeAssigned, TypeMessage, TypeRoutingRequested).shows(DisplayQueued)
}

func TestA5_Accept(t *testing.T) {
	c := web(t)
	c.gives(Offer{Request: request(1), Offer: offer(1), Agent: agent(1), Epoch: 7}, TypeRoutingOffered).shows(DisplayOffered)
	want := RoutingOffered{Request: request(1), Offer: offer(1), Agent: agent(1), ExpiresAt: t0.Add(20 * time.Second), Epoch: 7}
	if d := cmp.Diff(want, *last[*RoutingOffered](c)); d != "" {
		t.Fatalf("offer (-want +got):\n%s", d)
	}
	c.refuses(Offer{Request: request(1), Offer: offer(2), Agent: agent(2)}, ErrAlreadyOffered)
	c.refuses(Accept{Offer: offer(1), Agent: agent(2)}, ErrOfferGone)
	c.gives(Accept{Offer: offer(1), Agent: agent(1)}, TypeJoinedBy, TypeParticipantJoined).shows(DisplayActive)
	c.refuses(Accept{Offer: offer(1), Agent: agent(1)}, ErrOfferGone)
}

func TestA8_OfferExpires(t *testing.T) {
	c := web(t)
	c.do(Offer{Request: request(1), Offer: offer(1), Agent: agent(1)})
	c.after(19 * time.Second).gives(Tick{}).shows(DisplayOffered)
	c.after(time.Second).gives(Tick{}, TypeRoutingDeclined).shows(DisplayQueued)
	if got := last[*RoutingDeclined](c).Cause; got != CauseExpired {
		t.Fatalf("cause %q, want %q", got, CauseExpired)
	}
	c.refuses(Accept{Offer: offer(1), Agent: agent(1)}, ErrOfferGone)
}

func TestA16_DeclinedKeepsItsWaitClockAndSkipsTheAgent(t *testing.T) {
	for _, tc := range []struct {
		name  string
		cause Cause
		want  []AgentID
	}{
		{"rejected", CauseRejected, []AgentID{agent(1)}},
		{"expired", CauseExpired, []AgentID{agent(1)}},
		{"connection lost", CauseConnection, nil},
		{"logged out", CauseLogout, nil},
		{"withdrawn", CauseWithdrawn, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := web(t).after(time.Minute)
			c.do(Offer{Request: request(1), Offer: offer(1), Agent: agent(1)})
			c.gives(Decline{Offer: offer(1), Agent: agent(1), Cause: tc.cause}, TypeRoutingDeclined).shows(DisplayQueued)
			q := c.s.Request(request(1))
			if !q.WaitingSince.Equal(t0) {
				t.Errorf("waiting since %v, want %v", q.WaitingSince, t0)
			}
			if d := cmp.Diff(tc.want, q.DeclinedBy); d != "" {
				t.Errorf("declined by (-want +got):\n%s", d)
			}
		})
	}
}

func TestA19_CustomerLeavesDuringAnOffer(t *testing.T) {
	c := web(t)
	c.do(Offer{Request: request(1), Offer: offer(1), Agent: agent(1)})
	c.gives(CustomerEnd{Cause: CauseCustomerLeft}, TypeRoutingCancelled, TypeEnded, TypeConcluded).shows(DisplayConcluded)
	want := RoutingCancelled{Request: request(1), Offer: offer(1), Agent: agent(1), Cause: CauseAbandoned}
	if d := cmp.Diff(want, *last[*RoutingCancelled](c)); d != "" {
		t.Fatalf("cancelled (-want +got):\n%s", d)
	}
	if c.s.EndCause != CauseAbandoned {
		t.Fatalf("end cause %q, want %q", c.s.EndCause, CauseAbandoned)
	}
}

func TestA20_LostAgentRequeuesAtTheOriginalClock(t *testing.T) {
	c := webActive(t).after(10 * time.Minute)
	c.gives(Requeue{Agent: agent(1), Cause: CauseConnection, Request: request(2)},
		TypeParticipantLeft, TypeRoutingRequested).shows(DisplayQueued)
	if got := c.s.Request(request(2)).WaitingSince; !got.Equal(t0) {
		t.Fatalf("waiting since %v, want the first wait's %v", got, t0)
	}
	t.Run("texts are parked", func(t *testing.T) {
		sms(t).gives(Requeue{Agent: agent(1), Request: request(9)}, TypeParticipantLeft, TypeParked).shows(DisplayParked)
	})
	t.Run("others go on", func(t *testing.T) {
		c := withSecondAgent(t)
		c.gives(Requeue{Agent: agent(1)}, TypeParticipantLeft).shows(DisplayActive)
	})
	t.Run("after-call work ends", func(t *testing.T) {
		c := webActive(t)
		c.do(CustomerEnd{})
		c.gives(Requeue{Agent: agent(1), Cause: CauseLogout}, TypeWrapupEnded, TypeConcluded)
	})
	t.Run("a pending invitation does not hold it", func(t *testing.T) {
		c := webActive(t)
		c.do(inviteAgent(2))
		c.gives(Requeue{Agent: agent(1), Request: request(9)}, TypeRoutingCancelled, TypeParticipantLeft, TypeRoutingRequested)
	})
}

func TestX4_OnlyWhatTheChannelCarries(t *testing.T) {
	c := sms(t)
	p := post(2, agentAuthor(1))
	p.Kinds = []PartKind{PartText, PartFile}
	c.refuses(p, ErrUnsupported)
	p.Kinds = []PartKind{PartText}
	c.gives(p, TypeMessage)

	c.s.Capabilities.ReplyWindow = 24
	c.refuses(p, ErrReplyWindow) // refused, since the customer has never written
	c.do(post(3, customer))
	c.gives(p, TypeMessage)
	c.after(25*time.Hour).refuses(p, ErrReplyWindow)
	p.Kinds = []PartKind{PartTemplate}
	c.refuses(p, ErrUnsupported)
	c.s.Capabilities.Template = true
	c.gives(p, TypeMessage)
}

func TestA17_BotFirst(t *testing.T) {
	start := startWeb()
	start.Bot = robot.Bot
	c := newScene(t).gives(start, TypeStarted, TypeAssigned, TypeMessage, TypeParticipantJoined).shows(DisplayBot)
	c.gives(post(2, robot), TypeMessage)
	c.gives(BotLeave{Request: request(2)}, TypeParticipantLeft, TypeRoutingRequested).shows(DisplayQueued)
	c.refuses(post(3, robot), ErrNotJoined)
}

// webBot is a web chat of service 1 that a bot handles.
func webBot(t *testing.T) *scene {
	t.Helper()
	start := startWeb()
	start.Bot = robot.Bot
	c := newScene(t)
	c.do(start)
	return c
}

// A17: a bot that leaves the customer without an answer for too long hands over to the queue.
func TestA17_SilentBotHandsOver(t *testing.T) {
	tick := Tick{Request: request(7)}
	t.Run("it never says a word", func(t *testing.T) {
		c := webBot(t).deadline(minute)
		c.after(minute).gives(tick, TypeParticipantLeft, TypeRoutingRequested).shows(DisplayQueued).noDeadline()
		if h := last[*ParticipantLeft](c); h.Cause != CauseExpired || h.Who != robot {
			t.Errorf("left %+v", h)
		}
	})
	t.Run("it stops answering", func(t *testing.T) {
		c := webBot(t)
		c.do(post(2, robot))
		c.deadline(week).after(10 * minute).do(post(3, customer))
		c.after(minute / 2).do(post(4, customer)) // the clock goes on from the first
		c.deadline(11*minute).after(minute/2).gives(tick, TypeParticipantLeft, TypeRoutingRequested)
	})
	t.Run("the customer has said nothing yet", func(t *testing.T) {
		start := startWeb()
		start.Bot, start.First = robot.Bot, nil
		c := newScene(t)
		c.do(start)
		c.deadline(week)
	})
	t.Run("by the service's rule", func(t *testing.T) {
		c := webBot(t)
		c.s.Rules.BotSilence = 5_000
		c.deadline(minute / 12)
		c.s.Rules.BotSilence = -1
		c.deadline(week)
	})
	t.Run("not while an agent is in or asked", func(t *testing.T) {
		c := webBot(t)
		c.do(Join{Agent: agent(1)})
		c.deadline(5 * minute) // the warning
	})
}

func TestBotsJoinAndLeave(t *testing.T) {
	other := AccountID{0xb0, 15: 2}
	c := webActive(t).gives(BotJoin{Bot: robot.Bot}, TypeParticipantJoined).refuses(BotJoin{Bot: other}, ErrAlreadyJoined)
	c.refuses(post(2, Author{Kind: Bot, Bot: other}), ErrNotJoined).gives(post(2, robot), TypeMessage)
	c.refuses(BotLeave{Bot: other}, ErrNotJoined).gives(BotLeave{Bot: robot.Bot}, TypeParticipantLeft).refuses(BotLeave{}, ErrNotJoined)
	c.refuses(BotJoin{}, ErrInvalid)
	sms(t).gives(Park{Owner: agent(1)}, TypeParticipantLeft, TypeParked).refuses(BotJoin{Bot: other}, ErrParked)
	webBot(t).refuses(BotLeave{}, ErrInvalid) // no id for the request
}

// A17, A3: a bot hands over to another service, whose rules hold once its agent has joined; agents read
// why, the customer does not. A bot can end the conversation too.
func TestBotHandsOverElsewhere(t *testing.T) {
	billing := ServiceID{0x77}
	note := BotLeave{Request: request(2), Service: billing, Rules: &Rules{OfferTimeout: 45_000}, Note: []byte(`{"parts":[]}`), NoteID: message(9)}
	c := webBot(t).gives(note, TypeNote, TypeParticipantLeft, TypeRoutingRequested).shows(DisplayQueued)
	if n := last[*Note](c); n.Author != robot || n.Audience() != AudienceAgent {
		t.Errorf("note by %+v for %v", n.Author, n.Audience())
	}
	c.gives(Offer{Request: request(2), Offer: offer(1), Agent: agent(1), Epoch: 1}, TypeRoutingOffered)
	c.gives(Accept{Offer: offer(1), Agent: agent(1)}, TypeJoinedBy, TypeAssigned, TypeParticipantJoined)
	if c.s.Service != billing || c.s.Rules.OfferTimeout != 45_000 {
		t.Errorf("service %v, offers take %d ms", c.s.Service, c.s.Rules.OfferTimeout)
	}
	webBot(t).refuses(BotLeave{Request: request(2), Note: []byte(`{}`)}, ErrInvalid) // no id for the note
	over := webBot(t).gives(BotLeave{End: true}, TypeEnded, TypeParticipantLeft, TypeConcluded)
	if over.s.EndedBy != robot || over.s.EndCause != CauseBot {
		t.Errorf("ended by %+v, cause %q", over.s.EndedBy, over.s.EndCause)
	}
}

// A conversation that a bot has, and no service, ends when the bot leaves it.
func TestBotWithoutServiceEnds(t *testing.T) {
	start := startWeb()
	start.Bot, start.Service = robot.Bot, ServiceID{}
	c := newScene(t).gives(start, TypeStarted, TypeAssigned, TypeMessage, TypeParticipantJoined)
	c.gives(BotLeave{Bot: robot.Bot}, TypeEnded, TypeParticipantLeft, TypeConcluded)
	if c.s.EndedBy != robot || c.s.EndCause != CauseBot {
		t.Errorf("ended by %+v, cause %q", c.s.EndedBy, c.s.EndCause)
	}
}
