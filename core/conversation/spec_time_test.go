package conversation_test

import (
	"testing"
	"time"

	. "github.com/parley-gateway/parley/core/conversation"
)

const week = 7 * 24 * time.Hour

// deadline fails unless Tick is next due at d after t0.
func (c *scene) deadline(d time.Duration) *scene {
	c.t.Helper()
	at, ok := c.s.NextDeadline()
	if !ok || !at.Equal(t0.Add(d)) {
		c.t.Fatalf("NextDeadline() = %v, %t; want %v", at, ok, t0.Add(d))
	}
	return c
}

func (c *scene) noDeadline() *scene {
	c.t.Helper()
	if at, ok := c.s.NextDeadline(); ok {
		c.t.Fatalf("NextDeadline() = %v, want none", at)
	}
	return c
}

const minute = time.Minute

func TestQ1_Q2_WarningAtHalfThenEnd(t *testing.T) {
	c := webActive(t).deadline(5 * minute)
	c.after(5*minute).gives(Tick{Warning: []byte(`{"text":"?"}`)}, TypeInactivityWarned).deadline(10 * minute)
	if got := last[*InactivityWarned](c).EndsAt; !got.Equal(t0.Add(10 * minute)) {
		t.Fatalf("warning names %v", got)
	}
	c.after(5*minute).gives(Tick{}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted)
	if c.s.EndCause != CauseInactivity || c.s.EndedBy.Kind != System {
		t.Fatalf("ended by %v, cause %q", c.s.EndedBy, c.s.EndCause)
	}
}

func TestQ3_InactivityClock(t *testing.T) {
	t.Run("runs only while an agent has joined", func(t *testing.T) {
		c := web(t).noDeadline().after(3 * minute)
		c.do(Join{Agent: agent(1)})
		c.deadline(8 * minute)
		c.do(Requeue{Agent: agent(1), Request: request(9)})
		c.noDeadline()
	})
	t.Run("an agent's message does not reset it", func(t *testing.T) {
		c := webActive(t).after(minute)
		c.do(post(2, agentAuthor(1)))
		c.deadline(5 * minute)
	})
	t.Run("the customer's message does, and cancels the warning", func(t *testing.T) {
		c := webActive(t).after(5 * minute)
		c.do(Tick{})
		c.after(minute).gives(post(2, customer), TypeMessage).deadline(11 * minute)
	})
	t.Run("typing moves it without an event", func(t *testing.T) {
		c := webActive(t).after(minute).gives(Touch{})
		c.s.Touch(c.now)
		c.deadline(6 * minute).after(4 * minute).gives(Tick{}) // 5 minutes after the customer's typing the warning is not yet due
	})
	t.Run("typing cancels a warning by an event", func(t *testing.T) {
		c := webActive(t).after(5 * minute)
		c.do(Tick{})
		c.after(minute).gives(Touch{}, TypeInactivityOff).deadline(11 * minute).gives(Touch{})
	})
	t.Run("a page visit is activity", func(t *testing.T) {
		c := webActive(t).after(5 * minute)
		c.do(Tick{})
		c.after(minute).gives(Visit{Body: []byte(`{}`)}, TypeInactivityOff, TypePageVisited).deadline(11 * minute)
	})
	t.Run("warned late, the customer still gets the time", func(t *testing.T) {
		c := webActive(t).after(60*minute).gives(Tick{}, TypeInactivityWarned).deadline(65 * minute)
		c.shows(DisplayActive)
	})
	t.Run("own warning time, and none", func(t *testing.T) {
		for warn, want := range map[Millis]time.Duration{60_000: minute, -1: 10 * minute, 600_000: 10 * minute} {
			start := startWeb()
			start.Rules.InactivityWarn = warn
			c := newScene(t)
			c.do(start)
			c.do(Join{Agent: agent(1)})
			c.deadline(want)
		}
	})
	t.Run("an unanswered conversation of an agent's has its own", func(t *testing.T) {
		c := sms(t)
		c.s.Rules.ParkAfter = 0
		c.deadline(60*minute).after(60*minute).gives(Tick{}, TypeEnded, TypeParticipantLeft, TypeWrapupStarted)
		if c.s.EndCause != CauseUnanswered {
			t.Fatalf("end cause %q, want %q", c.s.EndCause, CauseUnanswered)
		}
		answered := sms(t)
		answered.s.Rules.ParkAfter = 0
		answered.do(post(2, customer))
		answered.noDeadline()
	})
}

func TestN16_Parking(t *testing.T) {
	parked := func(t *testing.T) *scene {
		t.Helper()
		c := sms(t).deadline(15 * minute)
		return c.after(15*minute).gives(Tick{}, TypeParticipantLeft, TypeParked).shows(DisplayParked).deadline(15*minute + week)
	}
	t.Run("idle, then a reply goes to the owner, then to the queue", func(t *testing.T) {
		c := parked(t).after(minute)
		c.gives(post(2, customer), TypeMessage, TypeUnparked, TypeRoutingRequested).shows(DisplayQueued).deadline(21 * minute)
		if q := c.s.Request(request(102)); q.Target.Agent != agent(1) || q.Personal() {
			t.Fatalf("request %+v, want one to the owner that is no invitation", q)
		}
		c.after(5*minute).gives(Tick{}, TypeRoutingRequested).noDeadline()
		if q := c.s.Request(request(102)); q.Target.Service != service(1) || !q.WaitingSince.Equal(t0.Add(16*minute)) {
			t.Fatalf("request %+v, want the service's queue at the reply's clock", q)
		}
	})
	t.Run("the owner accepts", func(t *testing.T) {
		c := parked(t)
		c.do(post(2, customer))
		c.do(Offer{Request: request(102), Offer: offer(1), Agent: agent(1)})
		c.gives(Accept{Offer: offer(1), Agent: agent(1)}, TypeJoinedBy, TypeParticipantJoined).shows(DisplayActive)
	})
	t.Run("the owner rejects: straight to the queue", func(t *testing.T) {
		c := parked(t)
		c.do(post(2, customer))
		c.do(Offer{Request: request(102), Offer: offer(1), Agent: agent(1)})
		c.gives(Decline{Offer: offer(1), Agent: agent(1), Cause: CauseRejected}, TypeRoutingDeclined, TypeRoutingRequested)
		if q := c.s.Request(request(102)); q.Target.Service != service(1) || len(q.DeclinedBy) != 1 {
			t.Fatalf("request %+v, want the service's queue without the owner", q)
		}
	})
	t.Run("the owner's line is lost: still the owner's", func(t *testing.T) {
		c := parked(t)
		c.do(post(2, customer))
		c.do(Offer{Request: request(102), Offer: offer(1), Agent: agent(1)})
		c.gives(Decline{Offer: offer(1), Agent: agent(1), Cause: CauseConnection}, TypeRoutingDeclined).deadline(20 * minute)
	})
	t.Run("no owner first: straight to the queue", func(t *testing.T) {
		c := parked(t)
		c.s.Rules.OwnerFirst = 0
		p := post(2, customer)
		p.OwnerAway = true
		c.gives(p, TypeMessage, TypeUnparked, TypeRoutingRequested)
		if q := c.s.Request(request(102)); q.Target.Service != service(1) || last[*Unparked](c).Cause != CauseOwnerAway {
			t.Fatalf("request %+v, unparked %+v", q, last[*Unparked](c))
		}
	})
	t.Run("the owner logs out", func(t *testing.T) {
		sms(t).gives(Park{Owner: agent(1), Cause: CauseLogout}, TypeParticipantLeft, TypeParked).
			refuses(Park{Owner: agent(1)}, ErrNotJoined)
	})
	t.Run("the owner takes it up by hand (N6)", func(t *testing.T) {
		c := parked(t).refuses(post(2, agentAuthor(1)), ErrNotJoined)
		c.gives(Join{Agent: agent(1)}, TypeUnparked, TypeParticipantJoined).gives(post(2, agentAuthor(1)), TypeMessage)
	})
	t.Run("web chats are not parked by idling", func(t *testing.T) {
		start := startWeb()
		start.Rules = Rules{ParkAfter: 1_000}
		c := newScene(t)
		c.do(start)
		c.do(Join{Agent: agent(1)})
		c.noDeadline()
	})
}

// N7, N16, O1: an exchange that nobody attends to ends by rule, and its owner still finds the
// messages that wait.
func TestParkedEnd(t *testing.T) {
	ends := func(c *scene, types ...Type) {
		c.t.Helper()
		at, ok := c.s.NextDeadline()
		if !ok {
			c.t.Fatal("no deadline")
		}
		c.now = at.Add(-time.Millisecond)
		c.gives(Tick{}).after(time.Millisecond).gives(Tick{}, types...)
		if c.s.EndCause != CauseInactivity || c.s.EndedBy.Kind != System {
			c.t.Fatalf("ended by %v, cause %q, want the system after inactivity", c.s.EndedBy, c.s.EndCause)
		}
	}
	direct := func(t *testing.T) *scene {
		c := newScene(t)
		c.do(Start{ID: conv(1), Kind: Inbound, Channel: "sms", Capabilities: smsCaps, Owner: agent(1), First: post(1, customer)})
		return c
	}
	bot := func(t *testing.T, caps Capabilities) *scene {
		c := newScene(t)
		c.do(Start{ID: conv(1), Kind: Inbound, Channel: "sms", Capabilities: caps, Bot: robot.Bot, First: post(1, customer)})
		return c
	}
	t.Run("parked in a service, by its rule", func(t *testing.T) {
		c := sms(t)
		c.s.Rules.ParkedEnd = 120_000
		c.do(Park{Owner: agent(1)})
		ends(c.deadline(2*minute), TypeEnded, TypeConcluded)
		c.refuses(post(2, customer), ErrEnded).noDeadline() // refused, so that the message opens another conversation (N7)
	})
	t.Run("0 is the default, as in rows of earlier versions; negative is never", func(t *testing.T) {
		c := sms(t)
		c.do(Park{Owner: agent(1)})
		c.deadline(week)
		c.s.Rules.ParkedEnd = -1
		c.noDeadline()
	})
	t.Run("what somebody does with it, or says, puts it off", func(t *testing.T) {
		c := sms(t).after(minute)
		c.do(Park{Owner: agent(1)})
		c.deadline(week + minute).after(minute).do(Join{Agent: agent(1)})
		c.after(minute).do(Park{Owner: agent(1)})
		c.deadline(week + 3*minute)
	})
	t.Run("a direct number keeps what was not seen", func(t *testing.T) {
		c := direct(t).deadline(week).after(minute)
		c.do(post(2, customer))
		ends(c.deadline(week+minute), TypeEnded)
		if u := c.s.Unread; u == nil || u.Count != 2 || !c.s.WaitsFor(agent(1)) {
			t.Fatalf("unread %+v, want both messages for their owner", u)
		}
		c.gives(Mark{By: agentAuthor(1), Read: 1}, TypeReceipt).shows(DisplayEnded).noDeadline()
		c.gives(Mark{By: agentAuthor(1), Read: c.s.Seq}, TypeReceipt, TypeConcluded).noDeadline()
		if c.s.Unread != nil || !c.s.WaitsFor(agent(1)) {
			t.Fatalf("unread %+v, still the owner's: %t", c.s.Unread, c.s.WaitsFor(agent(1)))
		}
		c.refuses(Join{Agent: agent(1)}, ErrEnded)
	})
	t.Run("after-call work and messages that wait are both seen to", func(t *testing.T) {
		c := direct(t)
		c.s.Rules.WrapupLimit = -1
		c.do(Join{Agent: agent(1)})
		c.do(Join{Agent: agent(2)})
		c.do(Leave{Agent: agent(2)})
		c.do(Park{Owner: agent(1)})
		c.do(post(2, customer))
		ends(c, TypeEnded)
		c.gives(FinishWrapup{Agent: agent(2)}, TypeWrapupEnded).shows(DisplayEnded)
		c.gives(Mark{By: agentAuthor(1), Read: c.s.Seq}, TypeReceipt, TypeConcluded)
	})
	t.Run("a direct number that its owner leaves open on the desk", func(t *testing.T) {
		c := direct(t)
		c.after(minute).do(Join{Agent: agent(1)})
		ends(c.deadline(week+minute), TypeEnded, TypeParticipantLeft, TypeConcluded)
	})
	t.Run("a bot alone, of every channel, whatever the bot says", func(t *testing.T) {
		for _, caps := range []Capabilities{smsCaps, webCaps} {
			c := bot(t, caps).after(minute)
			c.do(post(2, robot))
			ends(c.deadline(week), TypeEnded, TypeParticipantLeft, TypeConcluded)
		}
		c := bot(t, smsCaps).after(minute)
		c.do(post(2, customer))
		c.deadline(week + minute)
	})
	t.Run("whom somebody attends to, or who waits for somebody, is left alone", func(t *testing.T) {
		c := sms(t)
		c.s.Rules = Rules{}
		c.noDeadline()
		web(t).noDeadline()
	})
}

func TestO1_DirectNumber(t *testing.T) {
	c := newScene(t)
	c.gives(Start{
		ID: conv(1), Kind: Inbound, Channel: "sms", Capabilities: smsCaps, Owner: agent(1), First: post(1, customer),
	}, TypeStarted, TypeParked, TypeMessage).shows(DisplayParked)
	c.gives(post(2, customer), TypeMessage).shows(DisplayParked) // the message is counted in Recent, and no agent is asked
	c.gives(Join{Agent: agent(1)}, TypeUnparked, TypeParticipantJoined)
	c.gives(Requeue{Agent: agent(1), Cause: CauseLogout}, TypeParticipantLeft, TypeParked)
}

func TestN4_N5_OutboundExchange(t *testing.T) {
	c := sms(t).shows(DisplayActive)
	c.gives(SetStatus{Message: message(1), Status: StatusDelivered}, TypeMessageStatus)
	c.gives(SetStatus{Message: message(1), Status: StatusSent})
	c.refuses(SetStatus{Message: message(9), Status: StatusSent}, ErrNoSuchMessage)
	c.gives(post(2, customer), TypeMessage).refuses(SetStatus{Message: message(2), Status: StatusSent}, ErrNoSuchMessage)
	for n := byte(3); n < 120; n++ {
		c.do(post(n, agentAuthor(1)))
		c.do(SetStatus{Message: message(n), Status: StatusSent})
	}
	if got := len(c.s.Pending); got != 100 {
		t.Fatalf("%d followed messages, want at most 100", got)
	}
	c.refuses(SetStatus{Message: message(1), Status: StatusRead}, ErrNoSuchMessage) // the settled message was the first to be dropped
	c.do(Leave{Agent: agent(1)})
	c.gives(SetStatus{Message: message(119), Status: StatusFailed, Kind: "address", Code: "30003"}, TypeMessageStatus)
}

func TestReceipts(t *testing.T) {
	c := webActive(t)
	c.gives(Mark{By: customer, Read: 2}, TypeReceipt).gives(Mark{By: customer, Delivered: 2})
	c.gives(Mark{By: customer, Delivered: 1 << 60}, TypeReceipt)
	if got := last[*Receipt](c); got.Delivered >= c.s.Seq || got.Read != 2 {
		t.Fatalf("receipt %+v at seq %d", got, c.s.Seq)
	}
	c.refuses(Mark{By: agentAuthor(2), Read: 1}, ErrNotJoined).refuses(Mark{By: Author{Kind: Bot}}, ErrInvalid)
	c.do(CustomerEnd{})
	c.gives(Mark{By: customer, Read: 5}, TypeReceipt)
}
