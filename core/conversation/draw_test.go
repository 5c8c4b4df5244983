package conversation_test

import (
	"encoding/json"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/conversation"
)

// Small pools of ids, so that random commands often concern the same things.

func drawAgent(t *rapid.T) conversation.AgentID {
	return agent(byte(rapid.IntRange(1, 3).Draw(t, "agent")))
}

func drawRules(t *rapid.T) conversation.Rules {
	ms := func(name string, values ...conversation.Millis) conversation.Millis {
		return rapid.SampledFrom(values).Draw(t, name)
	}
	return conversation.Rules{
		OfferTimeout:   ms("offer", 0, 20_000, 20_000),
		InactivityWarn: ms("warn", 0, -1, 100_000, 700_000),
		InactivityEnd:  ms("end", 0, 600_000, 1, 333_333, 1<<62),
		UnansweredEnd:  ms("unanswered", 0, 900_000),
		WrapupLimit:    ms("wrapup", 0, -1, 60_000),
		ParkAfter:      ms("park", 0, 300_000),
		OwnerFirst:     ms("owner", 0, 120_000),
		ParkedEnd:      ms("parked end", 0, -1, 240_000),
		BotSilence:     ms("bot", 0, -1, 90_000),

		DispositionNeeded: rapid.Bool().Draw(t, "disposition"),
	}
}

func drawStart(t *rapid.T, r *run) conversation.Start {
	kinds := []conversation.Kind{conversation.Inbound, conversation.Inbound, conversation.Outbound, conversation.Internal, "x"}
	caps := []conversation.Capabilities{webCaps, smsCaps, {Text: true, ReplyWindow: 1}, {Calls: true}}
	c := conversation.Start{
		ID: conv(1), Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Channel: "ch",
		Capabilities: rapid.SampledFrom(caps).Draw(t, "caps"), Rules: drawRules(t),
		ReceivedAt: r.now, ProviderAt: time.Now(),
		Request: request(r.fresh()),
	}
	if rapid.IntRange(0, 3).Draw(t, "bot") == 0 {
		c.Bot = robot.Bot
	}
	if rapid.Bool().Draw(t, "service") {
		c.Service = service(1)
	}
	if rapid.Bool().Draw(t, "owned") {
		c.Owner = drawAgent(t)
	}
	if rapid.Bool().Draw(t, "page") {
		c.Page = json.RawMessage(`{}`)
	}
	if rapid.Bool().Draw(t, "first") {
		c.First = drawPost(t, r)
	}
	return c
}

func drawAuthor(t *rapid.T) conversation.Author {
	return rapid.SampledFrom([]conversation.Author{
		customer, customer, agentAuthor(1), agentAuthor(2), agentAuthor(3),
		{Kind: conversation.System}, robot, {Kind: conversation.Bot}, {Kind: conversation.Supervisor, Agent: agent(3)}, {},
	}).Draw(t, "author")
}

func drawPost(t *rapid.T, r *run) *conversation.Post {
	kinds := []conversation.PartKind{conversation.PartText, conversation.PartFile, conversation.PartTemplate, conversation.PartEdit}
	return &conversation.Post{
		ID: message(r.fresh()), Author: drawAuthor(t), Request: request(r.fresh()),
		ClientID:   rapid.SampledFrom([]string{"", "c-1", `<"ü`}).Draw(t, "client"),
		Kinds:      rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 2).Draw(t, "kinds"),
		Endpoint:   rapid.SampledFrom([]int{0, 0, 0, 1, -1}).Draw(t, "endpoint"),
		OwnerAway:  rapid.Bool().Draw(t, "away"),
		ReceivedAt: rapid.SampledFrom([]time.Time{{}, r.now, t0.AddDate(9000, 0, 0), time.Now()}).Draw(t, "received"),
		Blobs:      rapid.SampledFrom([][]conversation.BlobID{nil, {}, {{7}, {8}}}).Draw(t, "blobs"),
		ReplyTo:    rapid.SampledFrom([]conversation.MessageID{{}, message(1)}).Draw(t, "reply"),
		Refs: rapid.SampledFrom([][]conversation.Ref{nil, {{Message: message(1), Author: customer}},
			{{Message: message(1), Author: customer}, {Message: message(1), Kind: conversation.PartEdit, Author: customer}}}).Draw(t, "refs"),
	}
}

// drawRequest prefers a live request to a random id.
func drawRequest(t *rapid.T, r *run) conversation.RequestID {
	if n := len(r.live.Requests); n > 0 && rapid.IntRange(0, 9).Draw(t, "live request") > 0 {
		return r.live.Requests[rapid.IntRange(0, n-1).Draw(t, "request")].ID
	}
	return request(r.fresh())
}

// drawOffer prefers a live offer, with its agent, to random ids.
func drawOffer(t *rapid.T, r *run) (conversation.OfferID, conversation.AgentID) {
	for _, q := range r.live.Requests {
		if q.State == conversation.Offered && rapid.IntRange(0, 4).Draw(t, "live offer") > 0 {
			return q.Offer, q.Agent
		}
	}
	return offer(r.fresh()), drawAgent(t)
}

func drawCause(t *rapid.T) conversation.Cause {
	return rapid.SampledFrom([]conversation.Cause{
		"", conversation.CauseRejected, conversation.CauseExpired, conversation.CauseWithdrawn,
		conversation.CauseLogout, conversation.CauseConnection, conversation.CauseCustomerLeft,
	}).Draw(t, "cause")
}

func drawTarget(t *rapid.T) conversation.Target {
	return rapid.SampledFrom([]conversation.Target{
		{Kind: conversation.TargetAgent, Agent: agent(1)}, {Kind: conversation.TargetAgent, Agent: agent(2)},
		{Kind: conversation.TargetAgent, Agent: agent(3)}, {Kind: conversation.TargetService, Service: service(2)},
		{Kind: conversation.TargetDirectory, Service: service(3)}, {Kind: conversation.TargetService}, {},
	}).Draw(t, "target")
}

func drawCommand(t *rapid.T, r *run) conversation.Command {
	if r.live.Phase == "" && rapid.IntRange(0, 9).Draw(t, "early") > 0 {
		return drawStart(t, r)
	}
	offerID, offered := drawOffer(t, r)
	rules := drawRules(t)
	one := func(p int) bool { return rapid.IntRange(1, p).Draw(t, "rarely") == 1 }
	cmds := []func() conversation.Command{
		func() conversation.Command { return drawPost(t, r) },
		func() conversation.Command {
			return conversation.SetStatus{
				Message: message(byte(rapid.IntRange(0, 60).Draw(t, "message"))),
				Status:  rapid.SampledFrom([]conversation.Status{"sent", "read", "failed", "unknown", "x"}).Draw(t, "status"),
			}
		},
		func() conversation.Command {
			return conversation.SetStatus{
				Message: message(byte(rapid.IntRange(0, 60).Draw(t, "message"))), Status: rapid.SampledFrom([]conversation.Status{"delivered", "read", "sent"}).Draw(t, "status"),
				Named: json.RawMessage(`{}`), Through: uint64(rapid.IntRange(0, 90).Draw(t, "through")),
			}
		},
		func() conversation.Command {
			return conversation.SetReplyWindow{
				Endpoint: rapid.IntRange(-1, 1).Draw(t, "endpoint"), Expires: r.now.Add(time.Duration(rapid.IntRange(-1, 2).Draw(t, "minutes")) * time.Minute),
				ProviderAt: rapid.SampledFrom([]time.Time{{}, r.now, t0}).Draw(t, "provider's time"),
			}
		},
		func() conversation.Command {
			m := message(byte(rapid.IntRange(0, 60).Draw(t, "message")))
			for _, p := range r.live.Pending {
				if p.Status == conversation.StatusUnknown {
					m = p.ID
				}
			}
			return conversation.Settle{Message: m, By: drawAgent(t), Outcome: rapid.SampledFrom([]conversation.Outcome{"sent", "failed", "resend", "x"}).Draw(t, "outcome")}
		},
		func() conversation.Command {
			return conversation.ChangeConsent{Out: one(3), Body: json.RawMessage(`{"keyword":"STOP"}`)}
		},
		func() conversation.Command {
			return conversation.Mark{By: drawAuthor(t), Delivered: uint64(rapid.IntRange(0, 90).Draw(t, "delivered")), Read: uint64(rapid.IntRange(0, 90).Draw(t, "read"))}
		},
		func() conversation.Command { return conversation.Visit{Body: json.RawMessage(`{}`)} },
		func() conversation.Command { return conversation.UpdateCustomer{Body: json.RawMessage(`{}`)} },
		func() conversation.Command { return conversation.LinkContact{Contact: conversation.ContactID{1}} },
		func() conversation.Command {
			return conversation.AddEndpoint{Channel: "sms", Endpoint: conversation.Endpoint{Thread: "t"}, Capabilities: smsCaps}
		},
		func() conversation.Command { return conversation.Touch{} },
		func() conversation.Command { return conversation.Touch{} },
		func() conversation.Command {
			if one(4) {
				return conversation.CustomerEnd{Cause: drawCause(t)}
			}
			return conversation.Tick{Request: request(r.fresh())}
		},
		func() conversation.Command {
			return conversation.Offer{Request: drawRequest(t, r), Offer: offer(r.fresh()), Agent: drawAgent(t), Epoch: 3}
		},
		func() conversation.Command {
			return conversation.Offer{Request: drawRequest(t, r), Offer: offer(r.fresh()), Agent: drawAgent(t)}
		},
		func() conversation.Command { return conversation.Accept{Offer: offerID, Agent: offered} },
		func() conversation.Command { return conversation.Accept{Offer: offerID, Agent: offered} },
		func() conversation.Command {
			return conversation.Decline{Offer: offerID, Agent: offered, Cause: drawCause(t)}
		},
		func() conversation.Command { return conversation.Join{Agent: drawAgent(t)} },
		func() conversation.Command { return conversation.BotJoin{Bot: robot.Bot} },
		func() conversation.Command { return conversation.BotLeave{Request: request(r.fresh()), End: one(4)} },
		func() conversation.Command {
			return conversation.BotLeave{Request: request(r.fresh()), Service: conversation.ServiceID{0x77}, Rules: &rules, Note: []byte("{}"), NoteID: message(r.fresh())}
		},
		func() conversation.Command {
			return conversation.Invite{Request: request(r.fresh()), By: drawAgent(t), Target: drawTarget(t), Transfer: one(2), Rules: &rules}
		},
		func() conversation.Command {
			return conversation.CancelInvite{Request: drawRequest(t, r), By: drawAgent(t)}
		},
		func() conversation.Command {
			return conversation.Leave{Agent: drawAgent(t), Queue: one(2), Request: request(r.fresh())}
		},
		func() conversation.Command {
			return conversation.Requeue{Agent: drawAgent(t), Cause: drawCause(t), Request: request(r.fresh())}
		},
		func() conversation.Command {
			return conversation.FinishWrapup{Agent: drawAgent(t), Disposition: rapid.SampledFrom([]string{"", "sold"}).Draw(t, "code")}
		},
		func() conversation.Command { return conversation.Park{Owner: drawAgent(t)} },
		func() conversation.Command {
			m := conversation.Mark{By: drawAuthor(t), Read: r.live.Seq}
			if u := r.live.Unread; u != nil {
				m.By = conversation.Author{Kind: conversation.Agent, Agent: u.Owner}
			}
			return m
		},
		func() conversation.Command { return conversation.Flag{By: drawAgent(t), On: one(2)} },
		func() conversation.Command {
			if one(4) {
				return conversation.End{By: drawAuthor(t), Cause: drawCause(t)}
			}
			return conversation.Tick{Request: request(r.fresh())}
		},
		func() conversation.Command {
			return conversation.Tick{Warning: json.RawMessage(`{}`), Request: request(r.fresh())}
		},
		func() conversation.Command { return drawStart(t, r) },
		func() conversation.Command { return drawSession(t) },
		func() conversation.Command { return drawSession(t) },
		func() conversation.Command { return drawSession(t) },
		func() conversation.Command {
			return conversation.Supervise{Agent: drawAgent(t), Mode: rapid.SampledFrom([]conversation.Mode{"", "monitor", "coach", "barge", "x"}).Draw(t, "mode")}
		},
		func() conversation.Command {
			return conversation.AddNote{ID: message(r.fresh()), Author: drawAuthor(t), Kinds: []conversation.PartKind{conversation.PartText}, Body: json.RawMessage(`{}`)}
		},
	}
	return rapid.SampledFrom(cmds).Draw(t, "command")()
}

// drawSession draws what happens to one of three calls and tools.
func drawSession(t *rapid.T) conversation.Command {
	id := session(byte(rapid.IntRange(1, 3).Draw(t, "session")))
	pin := rapid.SampledFrom([]conversation.Pin{{}, here, {Node: "a"}, {Node: "b", Instance: "voice-2"}}).Draw(t, "pin")
	switch rapid.IntRange(0, 11).Draw(t, "session's command") {
	case 0, 1:
		return conversation.RequestSession{
			Session: id, Kind: rapid.SampledFrom([]conversation.SessionKind{"call", "tool", "x"}).Draw(t, "kind"), Plugin: "p",
			By: drawAuthor(t), For: drawAuthor(t), Pin: pin, Audience: conversation.Audience(rapid.IntRange(0, 5).Draw(t, "audience")),
		}
	case 2, 3:
		return conversation.ChangeSession{
			Session: id, Pin: pin, State: rapid.SampledFrom([]conversation.SessionState{"", "waiting", "active", "active", "x"}).Draw(t, "state"),
		}
	case 4:
		return conversation.EndSession{Session: id, By: drawAuthor(t), Cause: drawCause(t)}
	case 5:
		return conversation.LoseSessions{Pin: pin, Session: rapid.SampledFrom([]conversation.SessionID{{}, id}).Draw(t, "lost")}
	case 6:
		return conversation.ShowPanel{Session: id, Revision: uint64(rapid.IntRange(0, 3).Draw(t, "revision")), Body: json.RawMessage(`{}`)}
	}
	switch rapid.IntRange(0, 5).Draw(t, "session's news") {
	case 0:
		return conversation.ShowCustomerPanel{Session: id, Revision: uint64(rapid.IntRange(0, 3).Draw(t, "revision")), Body: json.RawMessage(`{}`)}
	case 1:
		return conversation.NoteSession{Session: id, Body: json.RawMessage(`{}`)}
	case 2:
		return conversation.HearDigits{Session: id}
	case 3:
		return conversation.CommandCall{Session: id, Command: conversation.MessageID{1}, By: drawAuthor(t), Party: drawAuthor(t),
			What: rapid.SampledFrom([]string{"hold", "invite", "dial", "answer", "hear", "hang_up"}).Draw(t, "what"),
			Leg:  rapid.SampledFrom([]conversation.LegID{{}, leg(0), leg(1)}).Draw(t, "command's leg")}
	case 4:
		return conversation.Several{
			conversation.RequestSession{Session: id, Kind: "call", Plugin: "p", By: customer, Audience: conversation.AudienceCustomer},
			conversation.ChangeSession{Session: id, State: "waiting", Pin: pin},
		}
	}
	return conversation.SetLeg{Session: id, Leg: conversation.Leg{
		ID: leg(byte(rapid.IntRange(0, 2).Draw(t, "leg"))), Party: rapid.SampledFrom([]conversation.Author{customer, {}, agentAuthor(2), robot, supervisor(3)}).Draw(t, "party"), Kind: conversation.LegSIP,
		State: rapid.SampledFrom([]conversation.LegState{"ringing", "up", "held", "ended"}).Draw(t, "leg state"), Muted: rapid.Bool().Draw(t, "muted"),
	}}
}
