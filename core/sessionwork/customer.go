package sessionwork

import (
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// maxSealed bounds the answer to a form, in bytes.
const maxSealed = 64 << 10

// Actions under which a tool gets a customer's answer to a form. The values of FormAnswered are a JSON object
// with the one member "sealed", in base64.
const (
	FormAnswered  = "form_answered"
	FormCancelled = "form_cancelled"
)

// Codes with which an event of a customer about a tool is refused for now. They are not recorded: the same event may
// come again later, and is then carried out.
const (
	CodeUnavailable = "unavailable"
	CodeRate        = "rate_limited"
)

// After is what follows the commit of a step: it is given the acknowledgement, and calls done once.
type After func(conv conversation.ConversationID, ack plugin.Ack, done func(plugin.Ack))

// Arrival turns a customer's event that concerns a session, or what a plugin reports of a call, into a step
// for the conversation of its thread, which the caller must carry out. ok is false for other events. after may be
// nil.
func (w *Work) Arrival(in *plugin.Inbound) (st Step, after After, ok bool) {
	if in.Call != nil {
		return w.callStep(in), nil, true
	}
	switch a := in.Action; {
	case a == nil:
		return Step{}, nil, false
	case a.Tool != nil && a.Tool.Action == "start":
		if !isJSON(a.Tool.Values) {
			return refused(ErrInvalid), nil, true
		}
		b := &beginning{account: a.Tool.Account, by: customer, arguments: a.Tool.Values, id: conversation.NewID[conversation.SessionID]()}
		b.begun = w.begins(b.id)
		st = w.request(b)
		st.Dropped = b.begun
		return st, w.beginAfter(b), true
	case a.Tool != nil && a.Tool.Action == "end":
		id := a.Tool.Session
		return Step{Decide: func(s *conversation.State) (Plan, error) {
			if err := known(s, id); err != nil {
				return Plan{}, err
			}
			return finish(s, id, customer)
		}}, nil, true
	case a.Tool != nil:
		st, after = w.customerAct(in, plugin.ToolAct{Session: a.Tool.Session, Action: a.Tool.Action, Values: a.Tool.Values, Revision: a.Tool.Revision})
		if !isJSON(a.Tool.Values) || a.Tool.Action == "" || len(a.Tool.Action) > 128 {
			st = refused(ErrInvalid)
		}
		return st, after, true
	case a.Form != nil:
		act := plugin.ToolAct{Session: a.Form.Session, Action: FormCancelled}
		if !a.Form.Cancelled {
			act.Action = FormAnswered
			act.Values = encode(struct {
				Sealed []byte `json:"sealed"`
			}{a.Form.Sealed})
		}
		st, after = w.customerAct(in, act)
		if len(a.Form.Sealed) > maxSealed {
			st = refused(ErrInvalid)
		}
		return st, after, true
	case a.Call != nil:
		return customerCall(*a.Call), nil, true
	}
	return Step{}, nil, false
}

// customerCall ends or declines a call for the customer (C6). Its plugin hears of the end as of every end that it did not
// report. Beginning a call, answering one and changing what passes in it are not carried out here.
func customerCall(c plugin.CustomerCall) Step {
	return Step{Decide: func(s *conversation.State) (Plan, error) {
		end := conversation.EndSession{Session: c.Session, By: customer, Cause: conversation.CauseHangup}
		x := s.Session(c.Session)
		switch {
		case s.Phase != conversation.PhaseOpen:
			return Plan{}, conversation.ErrEnded
		case c.Action == "start":
			return Plan{}, fmt.Errorf("customer's call: %w", conversation.ErrUnsupported)
		case x == nil || x.Kind != conversation.SessionCall || x.Circle != conversation.AudienceCustomer:
			return Plan{}, conversation.ErrNoSuchSession
		case c.Action == "end":
		case c.Action == "decline":
			if x.State == conversation.SessionStateActive || !s.MayAnswer(x, customer) {
				return Plan{}, conversation.ErrDenied
			}
			end.Cause = conversation.CauseRejected
		default:
			return Plan{}, fmt.Errorf("customer's call: %w", conversation.ErrUnsupported)
		}
		return Plan{Commands: []conversation.Command{end}}, nil
	}}
}

func refused(err error) Step {
	return Step{Decide: func(*conversation.State) (Plan, error) { return Plan{}, err }}
}

// beginAfter starts a tool that a customer has asked for. The customer's event is acknowledged at once; what
// becomes of the session shows in the conversation.
func (w *Work) beginAfter(b *beginning) After {
	return func(conv conversation.ConversationID, ack plugin.Ack, done func(plugin.Ack)) {
		done(ack)
		if !w.runner.Go(func() {
			var fault *Fault
			if _, err := w.begin(conv, b); err != nil && !errors.As(err, &fault) {
				w.logger.Warn("tool that a customer asked for could not be started", "conversation_id", conv, "session_id", b.id, "err", err)
			}
		}) {
			b.begun()
		}
	}
}

// known checks that the customer knows of a session.
func known(s *conversation.State, id conversation.SessionID) error {
	x := s.Session(id)
	switch {
	case s.Phase != conversation.PhaseOpen:
		return conversation.ErrEnded
	case x == nil || x.Circle != conversation.AudienceCustomer:
		return conversation.ErrNoSuchSession
	}
	return nil
}

// customerAct brings a customer's act to a tool whose session the customer knows of. The event is acknowledged
// when the tool has answered. One without an answer is refused as unavailable, and may come again as the same
// act: it must not be asked for again at once, because a channel holds back all that it has to say while
// something of it is (plugin.Retry).
func (w *Work) customerAct(in *plugin.Inbound, act plugin.ToolAct) (Step, After) {
	var v viewer
	act.Act = conversation.NewID[conversation.MessageID]()
	if in.DedupeKey != "" {
		mac := w.vault.MAC("act", in.Account[:], []byte(in.DedupeKey))
		copy(act.Act[:], mac[:])
	}
	st := Step{Decide: func(s *conversation.State) (Plan, error) {
		err := known(s, act.Session)
		if err == nil {
			v, err = w.reach(s.Session(act.Session), plugin.Party{Who: customer})
		}
		return Plan{}, err
	}}
	return st, func(conv conversation.ConversationID, ack plugin.Ack, done func(plugin.Ack)) {
		if !w.runner.Go(func() { done(w.actFor(conv, v, act, ack)) }) {
			done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
		}
	}
}

func (w *Work) actFor(conv conversation.ConversationID, v viewer, act plugin.ToolAct, ack plugin.Ack) plugin.Ack {
	if w.host() == nil {
		return plugin.Ack{Status: plugin.Refused, Code: CodeUnavailable, Conversation: conv}
	}
	act.Viewer = v.party
	a, err := w.act(w.runner.Running(), conv, v, act)
	var fault *Fault
	switch {
	case errors.As(err, &fault):
		return plugin.Ack{Status: plugin.Refused, Code: "tool_fault", Conversation: conv}
	case errors.Is(err, ErrRate):
		return plugin.Ack{Status: plugin.Refused, Code: CodeRate, Conversation: conv}
	case errors.Is(err, ErrUnavailable):
		return plugin.Ack{Status: plugin.Refused, Code: CodeUnavailable, Conversation: conv}
	case err != nil: // the store did not take what the tool answered
		return plugin.Ack{Status: plugin.Retry, Code: CodeUnavailable}
	}
	ack.Seq = a.Seq
	return ack
}
