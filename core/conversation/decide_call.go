package conversation

import (
	"fmt"
	"time"
)

// call finds a live call.
func (d *decision) call(id SessionID) (*Session, error) {
	x := d.s.Session(id)
	switch {
	case x == nil:
		return nil, ErrNoSuchSession
	case x.Kind != SessionCall:
		return nil, fmt.Errorf("%w: this is no call", ErrInvalid)
	}
	return x, nil
}

func (d *decision) hearDigits(c HearDigits) error {
	x, err := d.call(c.Session)
	if err != nil {
		return err
	}
	if l := x.leg(c.Leg); l != nil && l.Circle > AudienceAgent {
		return nil // bots and agents may not learn that the leg is there
	}
	d.emit(&SessionDigits{Session: c.Session, Leg: c.Leg, Play: c.Play, Cancelled: c.Cancelled}, c.Body)
	return nil
}

func (d *decision) commandCall(c CommandCall) error {
	x, err := d.call(c.Session)
	switch {
	case err != nil:
		return err
	case c.Command.IsZero() || c.What == "" || c.By.Kind == "":
		return fmt.Errorf("%w: command without an id, name or author", ErrInvalid)
	case c.By.Kind != System && d.s.ear(c.By) == 0:
		return ErrNotJoined
	}
	l := x.leg(c.Leg)
	switch {
	case !c.Leg.IsZero() && c.What != CallDial && c.What != CallInvite && (l == nil || l.State == LegEnded || !d.s.knowsLeg(c.By, l)):
		return fmt.Errorf("%w: no such leg", ErrInvalid)
	case !d.s.mayCommand(x, &c):
		return ErrDenied
	}
	h := &SessionCommand{Session: c.Session, Command: c.Command, What: c.What, Leg: c.Leg, By: c.By}
	if c.By.Kind == Supervisor || c.Party.Kind == Supervisor || l != nil && l.Party.Kind == Supervisor {
		h.Circle = AudienceSupervisor
	}
	d.emit(h, nil)
	return nil
}

func (d *decision) failCallCommand(c FailCallCommand) error {
	if c.Session.IsZero() || c.Command.IsZero() || c.What == "" {
		return fmt.Errorf("%w: failure of no command", ErrInvalid)
	}
	d.emit(&SessionCommandFailed{Session: c.Session, Command: c.Command, What: c.What, Kind: c.Kind, Code: c.Code, Circle: c.Circle}, nil)
	return nil
}

func (d *decision) addRecording(c AddRecording) error {
	if c.Session.IsZero() || c.Blob.IsZero() || c.Body == nil {
		return fmt.Errorf("%w: recording without a session, file or body", ErrInvalid)
	}
	d.emit(&SessionRecorded{Session: c.Session, Blob: c.Blob, Begun: clean(c.Begun), Duration: c.Duration}, c.Body)
	return nil
}

// requestExpires is when a session ends by itself that no plugin has answered for; zero: it has
// been answered. Without this a session whose request was lost together with the process that made
// it would stay for ever.
func (s *Session) requestExpires() (at time.Time) {
	if s.State == SessionStateRequested {
		at = s.RequestedAt.Add(requestLimit)
	}
	return at
}

// requestLimit is how long a plugin has to answer for a session that was asked for. It is longer
// than all attempts to ask the plugin together.
const requestLimit = time.Minute
