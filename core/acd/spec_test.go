package acd_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

const (
	rejected     = conversation.CauseRejected
	expired      = conversation.CauseExpired
	withdrawn    = conversation.CauseWithdrawn
	abandoned    = conversation.CauseAbandoned
	customerLeft = conversation.CauseCustomerLeft
	ended        = conversation.CauseEnded
)

func TestA1_OnlyReadyAgentsAreOffered(t *testing.T) {
	c := newScene(t).is(StatusLoggedOut, "").refuses(chat(1), ErrLoggedOut).refuses(BeReady{}, ErrLoggedOut)
	c.gives(Login{}, TypeLoggedIn).is(StatusNotReady, ReasonLogin).gives(Login{}).refuses(chat(1), ErrUnavailable)
	c.gives(BeReady{}, TypeReady).is(StatusReady, "").gives(BeReady{})
	c.gives(chat(1), TypeOffered)
	c.refuses(chat(2), ErrOfferPending).refuses(invitation(2), ErrOfferPending)
}

func TestA2_BusyFromTheOfferOn(t *testing.T) {
	c := ready(t).gives(chat(1), TypeOffered).is(StatusBusy, "")
	c.gives(Accepted{Offer: offer(1)}, TypeOfferEnded, TypeEngaged).is(StatusBusy, "")
	c.refuses(Accepted{Offer: offer(1)}, ErrOfferGone)
}

func TestA8_A9_RefusedWithNothingElse(t *testing.T) {
	for cause, reason := range map[conversation.Cause]Reason{expired: ReasonExpired, rejected: ReasonRejected} {
		c := ready(t).gives(chat(1), TypeOffered)
		c.gives(EndOffer{Offer: offer(1), Cause: cause}, TypeOfferEnded, TypeNotReady).is(StatusNotReady, reason)
		c.refuses(chat(2), ErrUnavailable).gives(BeReady{}, TypeReady).is(StatusReady, "")
	}
}

func TestA10_A14_RefusedWithOtherChats(t *testing.T) {
	for cause, reason := range map[conversation.Cause]Reason{expired: ReasonExpired, rejected: ReasonRejected} {
		c := chatting(t, 2).gives(chat(3), TypeOffered)
		c.gives(EndOffer{Offer: offer(3), Cause: cause}, TypeOfferEnded, TypePendingNotReady).is(StatusBusy, "").pending(reason)
		c.refuses(chat(4), ErrUnavailable)
		c.gives(Release{Conversation: conv(1), Cause: ended}, TypeReleased).is(StatusBusy, "")
		c.gives(Release{Conversation: conv(2), Cause: ended}, TypeReleased, TypeNotReady).is(StatusNotReady, reason).pending()
	}
}

func TestA12_PresetNotReady(t *testing.T) {
	c := chatting(t, 1).gives(BeNotReady{Reason: "break"}, TypePendingNotReady).is(StatusBusy, "").pending("break")
	c.gives(BeNotReady{Reason: "break"}).refuses(chat(2), ErrUnavailable)
	c.gives(BeReady{}, TypePendingCleared).pending().gives(BeNotReady{}, TypePendingNotReady).pending(ReasonManual)
	c.gives(Release{Conversation: conv(1)}, TypeReleased, TypeNotReady).is(StatusNotReady, ReasonManual)
	c.gives(BeNotReady{Reason: "lunch"}, TypeNotReady).is(StatusNotReady, "lunch").gives(BeNotReady{Reason: "lunch"})

	t.Run("while an offer is presented", func(t *testing.T) {
		c := ready(t).gives(chat(1), TypeOffered).gives(BeNotReady{Reason: "break"}, TypePendingNotReady)
		c.gives(EndOffer{Offer: offer(1), Cause: customerLeft}, TypeOfferEnded, TypeNotReady).is(StatusNotReady, "break")
	})
	t.Run("nothing in hand", func(t *testing.T) {
		ready(t).gives(BeNotReady{Reason: "break"}, TypeNotReady).is(StatusNotReady, "break")
	})
}

func TestA15_WrapupThenNotReady_NeverReady(t *testing.T) {
	c := chatting(t, 1).gives(chat(2), TypeOffered).gives(EndOffer{Offer: offer(2), Cause: rejected}, TypeOfferEnded, TypePendingNotReady)
	c.gives(BeNotReady{Reason: "break"}, TypePendingNotReady).pending(ReasonRejected, "break")
	c.gives(StartWrapup{Conversation: conv(1)}, TypeWrapupStarted).gives(StartWrapup{Conversation: conv(1)}).is(StatusACW, "")
	c.gives(Release{Conversation: conv(1), Cause: conversation.CauseFinished}, TypeReleased, TypeNotReady).is(StatusNotReady, ReasonRejected)
	want := &NotReady{Reason: ReasonRejected, Also: []Reason{"break"}}
	if d := cmp.Diff(conversation.Head(want), c.log[len(c.log)-1].Head); d != "" {
		t.Fatalf("both causes (-want +got):\n%s", d)
	}
}

func TestA18_Capacity(t *testing.T) {
	call := chat(9)
	call.Medium, call.Share, call.Spare = MediumVoice, 100, 50
	chatting(t, 4).refuses(chat(5), ErrNoCapacity).refuses(call, ErrNoCapacity)
	chatting(t, 3).refuses(call, ErrNoCapacity).gives(chat(4), TypeOffered)
	c := chatting(t, 2).gives(call, TypeOffered).gives(Accepted{Offer: offer(9)}, TypeOfferEnded, TypeEngaged)
	if c.a.Load() != 150 {
		t.Fatalf("load %d, want 150", c.a.Load())
	}
	c.refuses(chat(5), ErrNoCapacity)

	within := func(p Present, l Limits) Present { p.Limits = l; return p }
	chatting(t, 2).refuses(within(chat(3), Limits{Percent: 50}), ErrNoCapacity)
	chatting(t, 4).refuses(within(call, Limits{Percent: 149}), ErrNoCapacity).gives(within(call, Limits{Percent: 150}), TypeOffered)
	chatting(t, 2).refuses(within(chat(3), Limits{Max: map[string]int{MediumChat: 2}}), ErrNoCapacity).
		gives(within(chat(3), Limits{Max: map[string]int{MediumChat: 3}}), TypeOffered)
	chatting(t, 2).gives(within(call, Limits{Max: map[string]int{MediumChat: 2}}), TypeOffered)
	ready(t).refuses(within(chat(1), Limits{Max: map[string]int{MediumChat: 0}}), ErrNoCapacity)
	wrap := chatting(t, 2).gives(StartWrapup{Conversation: conv(1)}, TypeWrapupStarted) // chat 1 keeps its share of capacity
	wrap.refuses(within(chat(3), Limits{Max: map[string]int{MediumChat: 2}}), ErrNoCapacity)

	for _, tc := range []struct {
		rules conversation.Rules
		want  Need
	}{
		{conversation.Rules{}, Need{Medium: MediumChat, Share: 25, Spare: 25}},
		{conversation.Rules{Medium: "sms"}, Need{Medium: "sms", Share: 25, Spare: 25}},
		{conversation.Rules{Medium: MediumVoice}, Need{Medium: MediumVoice, Share: 100, Spare: 50}},
		{conversation.Rules{Medium: MediumEmail}, Need{Medium: MediumEmail, Share: 100, Spare: 100}},
		{conversation.Rules{Share: 10, Spare: 20}, Need{Medium: MediumChat, Share: 10, Spare: 20}},
	} {
		if got := NeedOf(&tc.rules); got != tc.want {
			t.Errorf("NeedOf(%+v) = %+v, want %+v", tc.rules, got, tc.want)
		}
	}
}

func TestA19_BackToTheFormerState(t *testing.T) {
	for _, cause := range []conversation.Cause{customerLeft, abandoned, withdrawn, ended} {
		c := ready(t).after(time.Minute).gives(chat(1), TypeOffered)
		idle := c.a.IdleSince
		c.after(time.Second).gives(EndOffer{Offer: offer(1), Cause: cause}, TypeOfferEnded).is(StatusReady, "")
		if !c.a.IdleSince.Equal(idle) {
			t.Errorf("%s: the agent lost its place among the idle", cause)
		}
		busy := chatting(t, 1).gives(chat(2), TypeOffered).gives(EndOffer{Offer: offer(2), Cause: cause}, TypeOfferEnded)
		busy.is(StatusBusy, "").pending().gives(EndOffer{Offer: offer(2), Cause: rejected})
	}
}

func TestA20_LostConnection(t *testing.T) {
	c := chatting(t, 1).gives(chat(2), TypeOffered).gives(Disconnect{}, TypeDisconnected).gives(Disconnect{})
	if at, ok := c.a.NextDeadline(); !ok || !at.Equal(t0.Add(30*time.Second)) {
		t.Fatalf("NextDeadline() = %v, %t, want 30 s later", at, ok)
	}
	c.after(29*time.Second).gives(Tick{}).is(StatusBusy, "")
	// The conversation must end the offer in the same append.
	c.after(time.Second).refuses(Tick{}, ErrOfferPending).gives(EndOffer{Offer: offer(2), Cause: conversation.CauseConnection}, TypeOfferEnded)
	c.gives(Tick{}, TypeNotReady).is(StatusBusy, ReasonConnection).gives(Tick{})
	if c.a.Offer != nil || c.a.DisconnectedAt != t0 {
		t.Fatalf("offer %v, disconnected at %v", c.a.Offer, c.a.DisconnectedAt)
	}
	c.gives(Release{Conversation: conv(1), Cause: conversation.CauseConnection}, TypeReleased).is(StatusNotReady, ReasonConnection)
	c.gives(Login{}, TypeConnected).gives(Connect{}).gives(BeReady{}, TypeReady).is(StatusReady, "")

	t.Run("back in time", func(t *testing.T) {
		c := ready(t).gives(Disconnect{}, TypeDisconnected).refuses(chat(1), ErrUnavailable).refuses(invitation(1), ErrUnavailable)
		c.after(20*time.Second).gives(Connect{}, TypeConnected).after(time.Minute).gives(Tick{}).is(StatusReady, "")
		c.gives(chat(1), TypeOffered)
	})
}

// The connection is lost only with the last node at which the agent has a socket.
func TestA20_SocketsAtTwoNodes(t *testing.T) {
	c := newScene(t).gives(Login{Node: "n1"}, TypeLoggedIn).gives(Login{Node: "n1"}).gives(Login{Node: "n2"}, TypeConnected).gives(Connect{Node: "n2"})
	c.gives(Disconnect{Node: "n3"}).gives(Disconnect{Node: "n1"}, TypeLeftNode).gives(Disconnect{Node: "n1"})
	if c.a.Disconnected || !slices.Equal(c.a.Nodes, []string{"n2"}) {
		t.Errorf("disconnected %t, nodes %v, want n2", c.a.Disconnected, c.a.Nodes)
	}
	c.gives(Disconnect{Node: "n2"}, TypeDisconnected).gives(Disconnect{Node: "n2"}).gives(Connect{Node: "n1"}, TypeConnected)
	if c.a.Disconnected || !slices.Equal(c.a.Nodes, []string{"n1"}) {
		t.Errorf("disconnected %t, nodes %v, want n1", c.a.Disconnected, c.a.Nodes)
	}
	c.gives(Logout{}, TypeLoggedOut)
	if c.a.Nodes != nil {
		t.Errorf("nodes %v of an agent who is logged out", c.a.Nodes)
	}
	// An agent whom an earlier version has recorded has no nodes: any disconnection is the last one.
	newScene(t).gives(Login{}, TypeLoggedIn).gives(Disconnect{Node: "n1"}, TypeDisconnected)
}

func TestR3_AfterTheChat(t *testing.T) {
	chatting(t, 1).gives(Release{Conversation: conv(1)}, TypeReleased).is(StatusReady, "")
	c := chatting(t, 2).gives(StartWrapup{Conversation: conv(1)}, TypeWrapupStarted).is(StatusBusy, "") // S5
	c.gives(Release{Conversation: conv(2)}, TypeReleased).is(StatusACW, "").refuses(chat(3), ErrUnavailable)
	c.gives(Release{Conversation: conv(1)}, TypeReleased).is(StatusReady, "").gives(Release{Conversation: conv(1)})
}

func TestT6_InvitationsChangeNoState(t *testing.T) {
	for _, cause := range []conversation.Cause{rejected, expired, withdrawn} {
		c := ready(t).gives(invitation(1), TypeOffered).is(StatusReady, "")
		c.gives(EndOffer{Offer: offer(1), Cause: cause}, TypeOfferEnded).is(StatusReady, "").pending()
		chatting(t, 4).gives(invitation(5), TypeOffered).gives(EndOffer{Offer: offer(5), Cause: cause}, TypeOfferEnded).is(StatusBusy, "").pending()
	}
	c := newScene(t).refuses(invitation(1), ErrLoggedOut).gives(Login{}, TypeLoggedIn)
	c.gives(invitation(1), TypeOffered).is(StatusNotReady, ReasonLogin)
	c.gives(BeNotReady{Reason: "break"}, TypeNotReady)
	c.gives(Accepted{Offer: offer(1)}, TypeOfferEnded, TypeEngaged).is(StatusBusy, "break")
	c.gives(Release{Conversation: conv(1)}, TypeReleased).is(StatusNotReady, "break")
}

func TestN6_WorkOutlivesTheSession(t *testing.T) {
	c := chatting(t, 1).gives(chat(2), TypeOffered).refuses(Logout{}, ErrOfferPending)
	c.gives(EndOffer{Offer: offer(2), Cause: conversation.CauseLogout}, TypeOfferEnded)
	c.gives(Logout{}, TypeLoggedOut).is(StatusLoggedOut, "").gives(Logout{})
	c.gives(Login{}, TypeLoggedIn).is(StatusBusy, ReasonLogin)
	c.gives(Engage{Conversation: conv(1), Share: 25}).gives(Engage{Conversation: conv(3), Medium: "sms", Share: 25}, TypeEngaged)
	if c.a.Active() != 2 || c.a.Load() != 50 {
		t.Fatalf("%d active, load %d; want 2, 50", c.a.Active(), c.a.Load())
	}
}

func TestRefusals(t *testing.T) {
	ready(t).refuses(Present{}, ErrInvalid).refuses(Engage{}, ErrInvalid).refuses(nil, ErrInvalid).
		refuses(Present{Offer: offer(1), Conversation: conv(1), Request: request(1), Share: -1}, ErrInvalid)
	if _, err := Decide(nil, Login{}, t0); err != nil {
		t.Fatalf("Decide(nil, Login): %v", err)
	}
	for err, want := range map[error]string{ErrNoCapacity: "no_capacity", ErrInvalid: "invalid", conversation.ErrEnded: ""} {
		if got := Code(err); got != want {
			t.Errorf("Code(%v) = %q, want %q", err, got, want)
		}
	}
}
