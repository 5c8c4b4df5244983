package sessionwork

import (
	"errors"

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

// After is what follows the commit of a step: it is given the acknowledgement, and calls done once.
type After func(conv conversation.ConversationID, ack plugin.Ack, done func(plugin.Ack))

// Arrival turns a customer's event that concerns a session, or what a plugin reports of a call, into a step
// for the conversation of its thread. ok is false for other events. after may be nil.
func (w *Work) Arrival(in *plugin.Inbound) (st Step, after After, ok bool) {
	if in.Call != nil {
		return w.callStep(in), nil, true
	}
	switch a := in.Action; {
	case a == nil:
		return Step{}, nil, false
	case a.Tool != nil && a.Tool.Action == "start":
		b := &beginning{account: a.Tool.Account, by: customer, arguments: a.Tool.Values, id: conversation.NewID[conversation.SessionID]()}
		st, after = w.request(b), w.beginAfter(b)
		if !isJSON(a.Tool.Values) {
			st = refused(ErrInvalid)
		}
		return st, after, true
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
	}
	return Step{}, nil, false
}

func refused(err error) Step {
	return Step{Decide: func(*conversation.State) (Plan, error) { return Plan{}, err }}
}

// beginAfter starts a tool that a customer has asked for. The customer's event is acknowledged at once; what
// becomes of the session shows in the conversation.
func (w *Work) beginAfter(b *beginning) After {
	return func(conv conversation.ConversationID, ack plugin.Ack, done func(plugin.Ack)) {
		done(ack)
		w.runner.Go(func() {
			var fault *Fault
			if _, err := w.begin(conv, b); err != nil && !errors.As(err, &fault) {
				w.logger.Warn("tool that a customer asked for could not be started", "conversation_id", conv, "session_id", b.id, "err", err)
			}
		})
	}
}

// customerAct brings a customer's act to a tool whose session the customer knows of. The event is acknowledged
// when the tool has answered: one without an answer comes again, as the same act.
func (w *Work) customerAct(in *plugin.Inbound, act plugin.ToolAct) (Step, After) {
	var v viewer
	act.Act = conversation.NewID[conversation.MessageID]()
	if in.DedupeKey != "" {
		mac := w.vault.MAC("act", in.Account[:], []byte(in.DedupeKey))
		copy(act.Act[:], mac[:])
	}
	st := Step{Decide: func(s *conversation.State) (Plan, error) {
		x := s.Session(act.Session)
		switch {
		case s.Phase != conversation.PhaseOpen:
			return Plan{}, conversation.ErrEnded
		case x == nil || x.Kind != conversation.SessionTool || x.Circle != conversation.AudienceCustomer:
			return Plan{}, conversation.ErrNoSuchSession
		}
		v = viewer{party: plugin.Party{Who: customer}, plugin: x.Plugin, account: x.Account, instance: x.Pin.Instance}
		return Plan{}, nil
	}}
	return st, func(conv conversation.ConversationID, ack plugin.Ack, done func(plugin.Ack)) {
		if !w.runner.Go(func() { done(w.actFor(conv, v, act, ack)) }) {
			done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
		}
	}
}

func (w *Work) actFor(conv conversation.ConversationID, v viewer, act plugin.ToolAct, ack plugin.Ack) plugin.Ack {
	if w.host() == nil {
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	}
	act.Viewer = v.party
	a, err := w.act(w.runner.Running(), conv, v, act)
	var fault *Fault
	switch {
	case errors.As(err, &fault):
		return plugin.Ack{Status: plugin.Refused, Code: "tool_fault", Conversation: conv}
	case errors.Is(err, plugin.ErrInstanceGone): // the session is lost, or is taken up by the next generation
		return plugin.Ack{Status: plugin.Refused, Code: conversation.Code(conversation.ErrNoSuchSession), Conversation: conv}
	case err != nil:
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	}
	ack.Seq = a.Seq
	return ack
}
