package conversation_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/conversation"
)

// run drives one conversation with random commands and checks the invariants after each of them.
type run struct {
	live   *conversation.State // events applied as they were decided
	folded *conversation.State // events applied after a round trip through their form in the log
	now    time.Time
	next   byte // next fresh id; wraps around
}

func (r *run) fresh() byte { r.next++; return r.next }

func TestRandomCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &run{live: &conversation.State{}, folded: &conversation.State{}, now: t0}
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for range steps {
			r.step(t)
		}
	})
}

func (r *run) step(t *rapid.T) {
	switch rapid.IntRange(0, 9).Draw(t, "clock") {
	case 0, 1, 2:
		r.now = r.now.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "seconds")) * time.Second)
	case 3:
		if at, ok := r.live.NextDeadline(); ok && at.After(r.now) {
			r.now = at
		}
	}
	cmd := drawCommand(t, r)
	before := row(r.live)
	events, err := conversation.Decide(r.live, cmd, r.now)
	if got := row(r.live); got != before {
		t.Fatalf("Decide(%T%+v) changed the state: %s", cmd, cmd, cmp.Diff(before, got))
	}
	if err != nil {
		if conversation.Code(err) == "" {
			t.Fatalf("Decide(%T%+v): %v has no code", cmd, cmd, err)
		}
		return
	}
	r.apply(t, events)
	if _, ok := cmd.(conversation.Touch); ok {
		r.live.Touch(r.now)
	}
	if rapid.IntRange(0, 19).Draw(t, "reload") == 0 {
		r.reload(t)
	}
	r.check(t)
	r.checkTick(t)
}

// apply adds events to the live state and, after encoding and decoding, to the folded one.
func (r *run) apply(t *rapid.T, events []conversation.Event) {
	for _, ev := range events {
		head, err := conversation.Encode(ev)
		if err != nil {
			t.Fatalf("Encode(%s): %v", ev.Head.Type(), err)
		}
		if std, err := json.Marshal(ev.Head); err != nil || string(std) != string(head) {
			t.Fatalf("Encode(%s) = %s, encoding/json gives %s, %v", ev.Head.Type(), head, std, err)
		}
		h, err := conversation.DecodeHead(ev.Head.Type(), head)
		if err != nil {
			t.Fatalf("DecodeHead(%s, %s): %v", ev.Head.Type(), head, err)
		}
		if err := r.live.Apply(ev); err != nil {
			t.Fatalf("Apply(%s): %v", ev.Head.Type(), err)
		}
		if err := r.folded.Apply(conversation.Event{Seq: ev.Seq, At: ev.At, Head: h}); err != nil {
			t.Fatalf("Apply(decoded %s): %v", ev.Head.Type(), err)
		}
	}
	if d := cmp.Diff(row(r.live), row(r.folded)); d != "" {
		t.Fatalf("fold of the log differs from the live state (-live +fold):\n%s", d)
	}
}

// reload replaces the folded state by what its row decodes to.
func (r *run) reload(t *rapid.T) {
	var s conversation.State
	if err := json.Unmarshal([]byte(row(r.folded)), &s); err != nil {
		t.Fatalf("decode row: %v", err)
	}
	if d := cmp.Diff(row(r.folded), row(&s)); d != "" {
		t.Fatalf("row changes in a round trip:\n%s", d)
	}
	r.folded = &s
}

func (r *run) check(t *rapid.T) {
	s := r.live
	joined, wrapup, supervisors, bot := 0, 0, 0, false
	for _, p := range s.Participants {
		switch {
		case p.State == conversation.Joined && p.Who.Kind == conversation.Bot:
			bot = true
		case p.Who.Kind == conversation.Supervisor:
			if p.State == conversation.Joined {
				supervisors++
			}
			if (p.State == conversation.Joined) != (p.Mode != "") || p.Mode != "" && s.JoinedAgent(p.Who.Agent) {
				t.Fatalf("supervisor %+v: %s", p, row(s))
			}
		case p.State == conversation.Joined:
			joined++
		case p.State == conversation.Wrapup:
			wrapup++
		}
	}
	switch s.Phase {
	case conversation.PhaseOpen:
		if !bot && joined == 0 && len(s.Requests) == 0 && s.Parking == nil {
			t.Fatalf("orphan: nobody is in or asked for the open conversation: %s", row(s))
		}
		if s.Parking != nil && (bot || joined > 0 || supervisors > 0 || len(s.Requests) > 0) {
			t.Fatalf("parked, and yet handled: %s", row(s))
		}
		idle := joined == 0 && len(s.Requests) == 0 // the conversation is parked, or only a bot takes part
		if s.CallActive() && s.Parking != nil {
			t.Fatalf("parked, and yet people talk: %s", row(s))
		}
		owes := !s.BotAsked.IsZero() && s.Rules.BotSilence >= 0 && !s.Service.IsZero()
		requested := slices.ContainsFunc(s.Sessions, func(x conversation.Session) bool { return x.State == conversation.SessionStateRequested })
		if _, ok := s.NextDeadline(); idle && wrapup == 0 && !requested && !s.CallActive() && ok != (s.Rules.ParkedEnd >= 0 || owes) {
			t.Fatalf("nobody attends, and an end to it: %t, with a rule of %d ms: %s", ok, s.Rules.ParkedEnd, row(s))
		}
	case conversation.PhaseEnded, conversation.PhaseConcluded:
		idle := s.EndCause == conversation.CauseInactivity // its owner may still have unread messages in it
		if joined > 0 || bot || len(s.Requests) > 0 || s.Parking != nil && !idle {
			t.Fatalf("ended, and yet handled: %s", row(s))
		}
		if !s.BotAsked.IsZero() {
			t.Fatalf("ended, and yet a bot owes an answer: %s", row(s))
		}
		if len(s.Sessions) > 0 || supervisors > 0 {
			t.Fatalf("ended, and yet a call, a tool or supervision goes on: %s", row(s))
		}
		if s.Unread != nil && !idle {
			t.Fatalf("ended, and yet unread: %s", row(s))
		}
		if (wrapup == 0 && s.Unread == nil) != (s.Phase == conversation.PhaseConcluded) {
			t.Fatalf("phase %s with %d in wrap-up: %s", s.Phase, wrapup, row(s))
		}
	}
	if (joined > 0) != !s.AttendedAt.IsZero() {
		t.Fatalf("%d joined, attended since %v", joined, s.AttendedAt)
	}
	if u := s.Unread; u != nil && (joined > 0 || u.Count < 1 || u.Owner.IsZero() || u.Seq > s.Seq || u.At.IsZero()) {
		t.Fatalf("unread %+v with %d joined: %s", *u, joined, row(s))
	}
	offers := map[conversation.OfferID]bool{}
	for _, q := range s.Requests {
		if (q.State == conversation.Offered) != !q.Offer.IsZero() || (q.Offer.IsZero() != q.Agent.IsZero()) {
			t.Fatalf("request half offered: %+v", q)
		}
		if !q.Offer.IsZero() && offers[q.Offer] {
			t.Fatalf("offer twice: %+v", q)
		}
		offers[q.Offer] = true
	}
	if s.Phase != "" && s.Display() == "" {
		t.Fatalf("no displayed state: %s", row(s))
	}
	if s.Seq > 0 && s.LastVisible[conversation.AudienceAudit] != s.Seq {
		t.Fatalf("LastVisible %v at seq %d: the audit sees everything", s.LastVisible, s.Seq)
	}
}

// checkTick: a Tick has no event before the deadline and has some at it, and ticks come to an end.
func (r *run) checkTick(t *rapid.T) {
	at, ok := r.live.NextDeadline()
	s := r.live.Clone()
	if !ok {
		return
	}
	early := at.Add(-time.Millisecond)
	if events, err := conversation.Decide(s, conversation.Tick{Request: request(r.fresh())}, early); err != nil || len(events) > 0 {
		t.Fatalf("Tick before the deadline %v: %d events, %v", at, len(events), err)
	}
	for range 100 {
		events, err := conversation.Decide(s, conversation.Tick{Request: request(r.fresh())}, at)
		if err != nil || len(events) == 0 {
			t.Fatalf("Tick at the deadline %v: %d events, %v; state %s", at, len(events), err, row(s))
		}
		for _, ev := range events {
			if err := s.Apply(ev); err != nil {
				t.Fatalf("Apply: %v", err)
			}
		}
		next, ok := s.NextDeadline()
		if !ok {
			return
		}
		if !next.After(at) {
			t.Fatalf("deadline %v after a Tick at %v: %s", next, at, row(s))
		}
		at = next
	}
	t.Fatalf("deadlines without end: %s", row(s))
}

// Every order of a carrier's reports, with repeats, must lead to the same status (PR5, Y4).
func TestStatusPermutations(t *testing.T) {
	all := []conversation.Status{
		conversation.StatusAccepted, conversation.StatusSent, conversation.StatusDelivered,
		conversation.StatusRead, conversation.StatusFailed, conversation.StatusUnknown,
	}
	rapid.Check(t, func(t *rapid.T) {
		reports := rapid.SliceOfN(rapid.SampledFrom(all), 1, 8).Draw(t, "reports")
		a := fates(t, reports)
		b := fates(t, rapid.Permutation(reports).Draw(t, "permuted"))
		if a != b {
			t.Fatalf("reports %v end in %s, permuted in %s", reports, a, b)
		}
	})
}

func fates(t *rapid.T, reports []conversation.Status) conversation.Status {
	s := &conversation.State{}
	apply := func(cmd conversation.Command) {
		events, err := conversation.Decide(s, cmd, t0)
		if err != nil {
			t.Fatalf("Decide(%T): %v", cmd, err)
		}
		for _, ev := range events {
			if err := s.Apply(ev); err != nil {
				t.Fatalf("Apply: %v", err)
			}
		}
	}
	apply(conversation.Start{
		ID: conv(1), Kind: conversation.Outbound, Capabilities: smsCaps, Owner: agent(1), First: post(1, agentAuthor(1)),
	})
	for _, st := range reports {
		apply(conversation.SetStatus{Message: message(1), Status: st})
	}
	return s.Pending[0].Status
}
