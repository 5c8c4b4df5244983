package sessionwork

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Limits of what plugins say of calls.
const (
	maxName       = 4 << 10 // bytes of a name, address or attribute
	maxDigits     = 64
	maxAttributes = 64
	maxRecording  = 7 * 24 * time.Hour
)

// CalledAttribute is the attribute of a conversation, begun by a call, that names what was called (DID).
const CalledAttribute = "called"

// Begins returns what is known of a caller, if the event is a call that has come in; nil: it is not.
func Begins(in *plugin.Inbound) *conversation.StartedBody {
	if in.Call == nil || in.Call.Incoming == nil {
		return nil
	}
	c := in.Call.Incoming
	body := &conversation.StartedBody{Address: c.Address, Name: c.Name, Locale: c.Locale, Attributes: maps.Clone(c.Attributes)}
	if c.Called != "" {
		if body.Attributes == nil {
			body.Attributes = map[string]string{}
		}
		body.Attributes[CalledAttribute] = c.Called
	}
	return body
}

// recording records that a recording of a call is stored. The call and the conversation may be over.
func (w *Work) recording(s *conversation.State, in *plugin.Inbound, call *plugin.CallEvent) (Plan, error) {
	ctx := w.runner.Running()
	if err := w.hadCall(s, in.Account, call.Session); err != nil {
		return Plan{}, err
	}
	f, named, err := w.convs.File(ctx, s.ID, in, call.Recording.File.Blob)
	if err != nil {
		return Plan{}, fmt.Errorf("recording: %w", err)
	}
	if named != 0 {
		h, err := w.convs.Head(ctx, s.ID, named)
		if err != nil {
			return Plan{}, fmt.Errorf("recording: %w", err)
		}
		if r, ok := h.(*conversation.SessionRecorded); ok && r.Session == call.Session {
			return Plan{}, &RecordedError{s.ID, named}
		}
		return Plan{}, fmt.Errorf("recording: the file is in use: %w", ErrInvalid)
	}
	duration := conversation.Millis(call.Recording.Duration.Milliseconds())
	return Plan{Reported: true, Blobs: []conversation.BlobID{f.Blob}, Commands: []conversation.Command{conversation.AddRecording{
		Session: call.Session, Blob: f.Blob, Begun: call.Recording.Begun, Duration: duration, Body: encode(conversation.RecordingBody{File: f}),
	}}}, nil
}

// hadCall reports whether a conversation has, or had, an account's call. If it is or was another's the error is that of
// an event that has come to the wrong conversation.
func (w *Work) hadCall(s *conversation.State, account conversation.AccountID, id conversation.SessionID) error {
	if x := s.Session(id); x != nil && (x.Account != account || x.Kind != conversation.SessionCall) {
		return ErrUnknownSession
	} else if x != nil {
		return nil
	}
	stream, seq, err := w.log.External(w.runner.Running(), eventlog.StreamID(account), w.Key(account, id))
	switch {
	case err != nil && !errors.Is(err, eventlog.ErrNotFound):
		return fmt.Errorf("call of a recording: %w", err)
	case err == nil && conversation.ConversationID(stream) == s.ID:
		h, err := w.convs.Head(w.runner.Running(), s.ID, seq)
		if err != nil {
			return fmt.Errorf("call of a recording: %w", err)
		}
		if q, ok := h.(*conversation.SessionRequested); !ok || q.Kind != conversation.SessionCall {
			return ErrUnknownSession
		}
		return nil
	case s.Phase != conversation.PhaseOpen:
		return conversation.ErrEnded
	}
	return conversation.ErrNoSuchSession
}

// callStep turns what a plugin says of a call into a step for the call's conversation.
func (w *Work) callStep(in *plugin.Inbound) Step {
	if !validCall(in.Call) {
		return refused(ErrInvalid)
	}
	call := *in.Call
	pin := conversation.Pin{Node: w.node, Instance: in.Instance}
	id, account := in.Plugin, in.Account
	return Step{Decide: func(s *conversation.State) (Plan, error) {
		x := s.Session(call.Session)
		if call.Incoming != nil {
			if x != nil && (x.Account != account || x.Kind != conversation.SessionCall) {
				return Plan{}, fmt.Errorf("call: session id is in use: %w", ErrInvalid)
			}
			return Plan{Reported: true, Commands: incoming(s, &call, id, account, pin)}, nil
		}
		if call.Recording != nil {
			return w.recording(s, in, &call)
		}
		switch {
		case x == nil && s.Phase != conversation.PhaseOpen:
			return Plan{}, conversation.ErrEnded
		case x == nil:
			return Plan{}, conversation.ErrNoSuchSession
		case x.Account != account || x.Kind != conversation.SessionCall:
			return Plan{}, ErrUnknownSession
		}
		return Plan{Reported: true, Commands: callNews(x, &call, pin)}, nil
	}}
}

// Incoming returns the commands for a call that begins a conversation, to follow its Start.
func (w *Work) Incoming(in *plugin.Inbound) ([]conversation.Command, error) {
	if !validCall(in.Call) {
		return nil, fmt.Errorf("call: %w", ErrInvalid)
	}
	return incoming(&conversation.State{}, in.Call, in.Plugin, in.Account, conversation.Pin{Node: w.node, Instance: in.Instance}), nil
}

func incoming(s *conversation.State, call *plugin.CallEvent, id string, account conversation.AccountID, pin conversation.Pin) []conversation.Command {
	if s.Session(call.Session) != nil {
		return nil
	}
	leg := call.Incoming.Leg
	if leg.Party.Kind == "" || leg.Party.Kind == conversation.Outside { // who calls is the customer of the conversation
		leg.Party = customer
	}
	return []conversation.Command{
		conversation.RequestSession{Session: call.Session, Kind: conversation.SessionCall, Plugin: id, Account: account, Pin: pin, By: customer, Audience: conversation.AudienceCustomer},
		conversation.ChangeSession{Session: call.Session, State: conversation.SessionStateWaiting, Pin: pin},
		conversation.SetLeg{Session: call.Session, Leg: leg, Body: nameBody(call.Incoming.Name)},
	}
}

// callNews are the commands for what is said of a live call. A call that no process had is the reporting
// one's from then on.
func callNews(x *conversation.Session, call *plugin.CallEvent, pin conversation.Pin) (cmds []conversation.Command) {
	change := conversation.ChangeSession{Session: x.ID, State: call.State}
	if x.Pin == (conversation.Pin{}) {
		change.Pin = pin
	}
	if x.State == conversation.SessionStateRequested && change.State == "" {
		change.State = conversation.SessionStateWaiting
	}
	if call.Ended == nil && change != (conversation.ChangeSession{Session: x.ID}) {
		cmds = append(cmds, change)
	}
	switch {
	case call.Leg != nil:
		cmds = append(cmds, conversation.SetLeg{Session: x.ID, Leg: *call.Leg, Body: nameBody(call.LegName)})
	case call.Digits != nil:
		cmds = append(cmds, conversation.HearDigits{Session: x.ID, Leg: call.Digits.Leg, Body: digitsBody(call.Digits.Digits)})
	case call.Played != nil:
		p := call.Played
		cmds = append(cmds, conversation.HearDigits{Session: x.ID, Leg: p.Leg, Play: conversation.MessageID(p.Command), Cancelled: p.Cancelled, Body: digitsBody(p.Digits)})
	case call.Ended != nil:
		cause := call.Ended.Cause
		if cause == "" {
			cause = conversation.CauseHangup
		}
		cmds = append(cmds, conversation.EndSession{Session: x.ID, By: system, Cause: cause, Code: cut(call.Ended.Code, maxCode)})
	}
	return cmds
}

func nameBody(name string) []byte {
	if name == "" {
		return nil
	}
	return encode(conversation.NameBody{Name: name})
}

func digitsBody(digits string) []byte {
	if digits == "" {
		return nil
	}
	return encode(conversation.DigitsBody{Digits: digits})
}

// validCall reports whether an event of a call is within its limits.
func validCall(c *plugin.CallEvent) bool {
	texts := []string{}
	var digits string
	switch {
	case c.Incoming != nil:
		texts = append(texts, c.Incoming.Address, c.Incoming.Name, c.Incoming.Called, c.Incoming.Locale)
		for k, v := range c.Incoming.Attributes {
			texts = append(texts, k, v)
		}
		if len(c.Incoming.Attributes) > maxAttributes || c.Incoming.Leg.ID.IsZero() {
			return false
		}
	case c.Leg != nil:
		texts = append(texts, c.LegName)
		if len(c.Leg.Code) > maxCode || len(c.Leg.Cause) > 64 {
			return false
		}
	case c.Digits != nil:
		digits = c.Digits.Digits
	case c.Played != nil:
		digits = c.Played.Digits
	case c.Recording != nil:
		if c.Recording.File.Blob.IsZero() || c.Recording.Duration < 0 || c.Recording.Duration > maxRecording {
			return false
		}
	case c.Ended != nil:
		if len(c.Ended.Cause) > 64 {
			return false
		}
	}
	for _, t := range texts {
		if len(t) > maxName || !utf8.ValidString(t) {
			return false
		}
	}
	return !c.Session.IsZero() && len(digits) <= maxDigits && strings.Trim(digits, "0123456789*#ABCD") == ""
}
