package sessionwork

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Limits of what people ask of calls.
const (
	maxClientID = 64 // bytes
	maxTo       = 256
	maxTone     = 10_000  // milliseconds that one tone lasts
	maxRing     = 600_000 // milliseconds that a leg rings
	maxBlobs    = 16      // of one play command
)

// CallRequest asks for something that a live call is to do.
type CallRequest struct {
	Conversation conversation.ConversationID
	Agent        conversation.AgentID // who takes part, or a supervisor who has barged in
	Do           plugin.CallCommand   // of the call Do.Session. The id of a leg that it begins is made here
	Within       time.Duration        // how long it is worth carrying out; 0, and more than that, is 15 seconds
	ClientID     string               // at most 64 bytes; a retry under the same id is the same command; "" = none
}

// Called answers a CallRequest after the commit.
type Called struct {
	Command conversation.MessageID
	Seq     uint64 // of the event about the command
}

// Command has a live call do something. It returns when that is durable; what comes of it shows in the
// conversation. The command goes to the process that has the call, on whatever node that is. Agents command
// the customer's leg, those of people outside and their own. Errors: ErrInvalid, ErrDenied, ErrNoLeg,
// ErrWrongState, and those of conversation: ErrNoSuchSession, ErrNotJoined, ErrEnded, ErrUnsupported
// (the plugin does not do this).
func (w *Work) Command(ctx context.Context, r CallRequest) (Called, error) {
	name := r.Do.Name()
	if len(r.ClientID) > maxClientID || !validCommand(&r.Do) {
		return Called{}, fmt.Errorf("call command: %w", ErrInvalid)
	}
	if d := r.Do.Dial; d != nil { // the caller's stays as it is
		one := *d
		one.Leg, one.Party = conversation.NewID[conversation.LegID](), plugin.Party{Who: outside}
		r.Do.Dial = &one
	}
	id := conversation.NewID[conversation.MessageID]()
	st := Step{Decide: func(s *conversation.State) (Plan, error) { return w.command(s, &r, id) }}
	if r.ClientID != "" {
		st.Account, st.Keys = conversation.AccountID(r.Agent), []eventlog.Key{w.vault.MAC("client-call", r.Agent[:], r.Conversation[:], []byte(r.ClientID))}
	}
	out, err := w.convs.Do(ctx, r.Conversation, st)
	if w.refusal(err) { // a repeat may be refused, since what it asked for has been done
		if before, ok := w.before(ctx, st); ok {
			out, err = before, nil
		}
	}
	switch {
	case err != nil:
		if w.refusal(err) {
			w.metrics.asked.WithLabelValues(name, "refused").Inc()
		}
		return Called{}, err
	case !out.Duplicate:
		w.metrics.asked.WithLabelValues(name, "given").Inc()
		return Called{Command: id, Seq: out.First}, nil
	}
	h, err := w.convs.Head(ctx, out.Conversation, out.First)
	if err != nil {
		return Called{}, err
	}
	was, ok := h.(*conversation.SessionCommand)
	if !ok {
		return Called{}, fmt.Errorf("call command: client id is in use: %w", ErrInvalid)
	}
	return Called{Command: was.Command, Seq: out.First}, nil
}

// refusal reports whether err is a refusal, so that trying again does not help.
func (w *Work) refusal(err error) bool {
	return conversation.Code(err) != "" || errors.Is(err, ErrWrongState) || errors.Is(err, ErrNoLeg) || errors.Is(err, ErrDenied) || errors.Is(err, ErrInvalid)
}

// CallCommands are the names of the commands for calls that people may give and that a plugin carries out, in
// the plugin's order. None: the plugin does not run on this node, or has no calls.
func (w *Work) CallCommands(id string) []string {
	info, _ := w.convs.Plugin(id)
	return slices.DeleteFunc(slices.Clone(info.Calls), func(name string) bool {
		return name == conversation.CallInvite || name == "ring" || name == conversation.CallHear
	})
}

var outside = conversation.Author{Kind: conversation.Outside}

// command decides a CallRequest.
func (w *Work) command(s *conversation.State, r *CallRequest, id conversation.MessageID) (Plan, error) {
	by := conversation.Author{Kind: conversation.Agent, Agent: r.Agent}
	if !s.JoinedAgent(r.Agent) {
		if s.ModeOf(r.Agent) != conversation.ModeBarge {
			return Plan{}, gone(s, r.Agent)
		}
		by.Kind = conversation.Supervisor
	}
	x := s.Session(r.Do.Session)
	if x == nil || x.Kind != conversation.SessionCall {
		if s.Phase != conversation.PhaseOpen {
			return Plan{}, conversation.ErrEnded
		}
		return Plan{}, conversation.ErrNoSuchSession
	}
	name := r.Do.Name()
	// What a plugin does is known where it runs. Elsewhere the command goes to the call's node, whose plugin
	// answers for it.
	info, ok := w.convs.Plugin(x.Plugin)
	switch {
	case ok && !slices.Contains(info.Calls, name):
		return Plan{}, fmt.Errorf("the plugin does not do this: %w", conversation.ErrUnsupported)
	case !ok && (x.Pin.Node == "" || x.Pin.Node == w.node):
		return Plan{}, fmt.Errorf("call command: %w", ErrUnavailable)
	}
	leg, err := legFor(x, &r.Do, by)
	if err != nil {
		return Plan{}, fmt.Errorf("call command %s: %w", name, err)
	}
	do := r.Do
	return Plan{
		Commands: []conversation.Command{conversation.CommandCall{Session: x.ID, Command: id, What: name, Leg: leg, By: by}},
		Calls:    []CallOut{{Command: id, Account: x.Account, Pin: x.Pin, Do: &do, Within: r.Within}},
	}, nil
}

// legFor returns the leg that a command's event names, and checks that the leg and the call can do
// what is asked.
func legFor(x *conversation.Session, do *plugin.CallCommand, by conversation.Author) (conversation.LegID, error) {
	if do.Dial != nil {
		if x.State == conversation.SessionStateRequested {
			return conversation.LegID{}, ErrWrongState
		}
		return conversation.LegID{}, nil // the leg is still to begin
	}
	id := do.Leg()
	if id.IsZero() {
		if x.State == conversation.SessionStateRequested && do.HangUp == nil {
			return id, ErrWrongState
		}
		return id, nil
	}
	leg, err := commandable(x, id, by)
	if err != nil {
		return id, err
	}
	up, held := leg.State == conversation.LegUp, leg.State == conversation.LegHeld
	ok := leg.State != conversation.LegEnded
	switch {
	case do.Answer != nil:
		ok = ok && !up && !held
	case do.Hold != nil:
		ok = do.Hold.On && up || !do.Hold.On && held
	case do.Digits != nil, do.Play != nil, do.Stop != nil, do.Video != nil:
		ok = up || held
	case do.Transfer != nil:
		if ok = up || held; ok && !do.Transfer.AttendedLeg.IsZero() {
			other, err := commandable(x, do.Transfer.AttendedLeg, by)
			if err != nil {
				return id, err
			}
			ok = other.ID != id && (other.State == conversation.LegUp || other.State == conversation.LegHeld)
		}
	}
	if !ok {
		return id, ErrWrongState
	}
	return id, nil
}

// commandable finds a leg that somebody may command.
func commandable(x *conversation.Session, id conversation.LegID, by conversation.Author) (*conversation.Leg, error) {
	i := slices.IndexFunc(x.Legs, func(l conversation.Leg) bool { return l.ID == id })
	if i < 0 {
		return nil, ErrNoLeg
	}
	leg := &x.Legs[i]
	if by.Kind == conversation.Agent && leg.Party != by && !conversation.AudienceAgent.Sees(leg.Audience()) {
		return nil, ErrNoLeg // agents may not learn that the leg is there
	}
	if k := leg.Party.Kind; by.Kind == conversation.Agent && k != conversation.Customer && k != conversation.Outside && leg.Party != by {
		return nil, ErrDenied
	}
	return leg, nil
}

// validCommand reports whether a command is one that people give, with all that it needs.
func validCommand(c *plugin.CallCommand) bool {
	leg := !c.Leg().IsZero()
	switch {
	case c.Dial != nil:
		return c.Dial.To != "" && shortText(c.Dial.To) && shortText(c.Dial.From) && c.Dial.RingMS <= maxRing && len(c.Dial.Attributes) == 0
	case c.Answer != nil, c.Hold != nil, c.Mute != nil, c.Video != nil:
		return leg
	case c.Digits != nil:
		d := c.Digits.Digits
		return leg && d != "" && len(d) <= maxDigits && strings.Trim(d, "0123456789*#ABCD") == "" && c.Digits.ToneMS <= maxTone
	case c.Transfer != nil:
		return leg && shortText(c.Transfer.To) && (c.Transfer.To == "") != c.Transfer.AttendedLeg.IsZero()
	case c.Play != nil:
		p := c.Play
		return (p.Prompt == "") != (len(p.Blobs) == 0) && shortText(p.Prompt) && len(p.Blobs) <= maxBlobs && p.Digits <= maxDigits
	case c.Record != nil:
		return slices.Contains([]plugin.RecordAction{plugin.RecordStart, plugin.RecordPause, plugin.RecordResume, plugin.RecordStop}, c.Record.Action)
	case c.Stop != nil, c.HangUp != nil:
		return true
	}
	return false // who hears whom, who is invited and when it rings is the gateway's business
}

// shortText reports whether s may be a number, an address or a name: in SIP and in vendors' requests a control
// character, such as a line break, would begin something else.
func shortText(s string) bool {
	return len(s) <= maxTo && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// FailedCall is a command for a call that ended for good without success.
type FailedCall struct {
	Command conversation.MessageID
	Do      *plugin.CallCommand
	Result  plugin.CommandResult
	Gone    string                // the process that had the call and is gone with it; "" = none
	Circle  conversation.Audience // that of the command's event; zero: its type's
}

// CallFailed makes the step that tells a conversation of a command that failed. If it was to begin a call, that
// call ends; and with a process that is gone, its calls.
func (w *Work) CallFailed(f FailedCall) Step {
	do, res, gone := f.Do, f.Result, f.Gone != ""
	return Step{Decide: func(s *conversation.State) (Plan, error) {
		x := s.Session(do.Session)
		if x == nil && (do.Hear != nil || do.HangUp != nil && (gone || !do.HangUp.Leg.IsZero())) {
			return Plan{Reported: true}, nil // the call is over, as a hang-up asked, and nobody hears anybody
		}
		p := Plan{Reported: true}
		if !gone || do.Hear == nil { // who hears whom is of no interest in a call that is lost
			p.Commands = append(p.Commands, conversation.FailCallCommand{
				Session: do.Session, Command: f.Command, What: do.Name(), Kind: cut(res.Kind, maxCode), Code: cut(res.Code, maxCode), Circle: failureCircle(x, &f),
			})
		}
		switch {
		case s.Phase != conversation.PhaseOpen:
		case gone:
			p.Commands = append(p.Commands, conversation.LoseSessions{Pin: conversation.Pin{Instance: f.Gone}})
		case x != nil && do.Dial != nil && x.State == conversation.SessionStateRequested:
			end := conversation.EndSession{Session: x.ID, By: system, Cause: conversation.CauseFailed, Code: cut(res.Code, maxCode)}
			if res.Outcome == conversation.StatusUnknown { // the process was lost while it began the call
				end.Cause, end.Code = conversation.CauseLost, ""
			}
			p.Commands = append(p.Commands, end)
		}
		return p, nil
	}}
}

// CallFailureTold counts a command that failed, after its conversation was told.
func (w *Work) CallFailureTold(f FailedCall) {
	outcome := "failed"
	if f.Gone != "" {
		outcome = "lost"
	}
	w.metrics.asked.WithLabelValues(f.Do.Name(), outcome).Inc()
}

// HangUpOf returns the command that ends a call at its plugin, after the conversation has ended it; nil: the
// plugin need not be told, since it said so itself (reported), or its process is gone, or no plugin ever
// answered for the call.
func HangUpOf(x *conversation.Session, h *conversation.SessionEnded, reported bool) *CallOut {
	switch {
	case x == nil || x.Kind != conversation.SessionCall || x.Account.IsZero(), reported, h.Cause == conversation.CauseLost:
		return nil
	case x.Pin == (conversation.Pin{}) && h.Code == conversation.CodeNoAnswer:
		return nil
	}
	return &CallOut{
		Command: conversation.NewID[conversation.MessageID](), Account: x.Account, Pin: x.Pin,
		Do: &plugin.CallCommand{Session: x.ID, HangUp: &plugin.CallHangUp{Cause: conversation.CauseHangup}},
	}
}
