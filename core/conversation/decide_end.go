package conversation

import (
	"encoding/json"
	"fmt"
)

func (d *decision) endBy(c End) error {
	if c.By.Kind == "" {
		return fmt.Errorf("%w: end by nobody", ErrInvalid)
	}
	cause := c.Cause
	if cause == "" {
		cause = CauseSystem
	}
	d.end(c.By, cause)
	return nil
}

// end closes the conversation: open requests are cancelled, agents go to their after-call work, and
// if there is none the conversation is concluded at once. A customer who leaves before any agent
// has joined has abandoned it (A19).
func (d *decision) end(by Author, cause Cause) {
	why := CauseEnded
	if by.Kind == Customer {
		why = CauseCustomerLeft
		if !d.s.agentJoined() && len(d.s.Requests) > 0 {
			why, cause = CauseAbandoned, CauseAbandoned
		}
	}
	d.cancelWhere(why, anyRequest)
	d.endSessions(by, CauseEnded, anySession)
	d.emit(&Ended{By: by, Cause: cause}, nil)
	d.everybodyOut(CauseEnded, true)
	d.conclude()
}

// conclude ends the conversation for good once no after-call work is left (L8) and its owner has
// seen every message (O1).
func (d *decision) conclude() {
	if d.s.Phase == PhaseEnded && d.s.over() {
		d.emit(&Concluded{}, nil)
	}
}

// over reports whether nothing is left to do for an ended conversation.
func (s *State) over() bool { return !s.inWrapup() && s.Unread == nil }

func (d *decision) finishWrapup(c FinishWrapup) error {
	p := d.s.Participant(c.Agent)
	if p == nil || p.State != Wrapup {
		return ErrNoWrapup
	}
	cause := c.Cause
	if cause == "" {
		cause = CauseFinished
	}
	if cause == CauseFinished && c.Disposition == "" && d.s.Rules.DispositionNeeded {
		return ErrDispositionNeeded
	}
	d.endWrapup(c.Agent, c.Disposition, cause, c.Body)
	return nil
}

func (d *decision) endWrapup(a AgentID, disposition string, cause Cause, body json.RawMessage) {
	d.emit(&WrapupEnded{Agent: a, Disposition: disposition, Cause: cause}, body)
	d.conclude()
}
