package conversation

import "fmt"

// Most sessions that one conversation holds, and most legs of one call.
const (
	maxSessions = 8
	maxLegs     = 32 // of one call, including legs that have ended
)

func (d *decision) requestSession(c RequestSession) error {
	if err := c.check(); err != nil {
		return err
	}
	if x := d.s.Session(c.Session); x != nil {
		if x.Kind != c.Kind || x.Plugin != c.Plugin {
			return fmt.Errorf("%w: session id is in use", ErrInvalid)
		}
		return nil
	}
	switch {
	case d.s.Parking != nil:
		return ErrParked
	case !d.s.mayAct(c.By) || !d.s.mayAct(c.For):
		return ErrNotJoined
	case c.Kind == SessionCall && !d.s.MayBeginCall(c.By):
		return ErrDenied
	case len(d.s.Sessions) >= maxSessions:
		return ErrTooManySessions
	}
	d.emit(&SessionRequested{
		Session: c.Session, Kind: c.Kind, Plugin: c.Plugin, Account: c.Account, Pin: c.Pin,
		By: c.By, For: c.For, Circle: c.Audience,
	}, nil)
	return nil
}

func (c *RequestSession) check() error {
	switch {
	case c.Session.IsZero() || c.Plugin == "":
		return fmt.Errorf("%w: session without an id or plugin", ErrInvalid)
	case c.Kind != SessionCall && c.Kind != SessionTool:
		return fmt.Errorf("%w: session of unknown kind", ErrInvalid)
	case c.By.Kind == "":
		return fmt.Errorf("%w: session asked for by nobody", ErrInvalid)
	case !c.Audience.known():
		return fmt.Errorf("%w: session for no audience", ErrInvalid)
	}
	return nil
}

// mayAct reports whether an author may ask for a session or end it: agents and bots only
// while they take part, supervisors while others see them, others always. The zero Author stands for nobody in particular.
func (s *State) mayAct(who Author) bool {
	switch who.Kind {
	case Agent, Bot:
		return s.joined(who)
	case Supervisor:
		m := s.ModeOf(who.Agent)
		return m == ModeCoach || m == ModeBarge
	case Customer, System, Outside:
	}
	return true
}

func (d *decision) changeSession(c ChangeSession) error {
	x := d.s.Session(c.Session)
	switch {
	case x == nil:
		return ErrNoSuchSession
	case c.State != "" && c.State.rank() == 0:
		return fmt.Errorf("%w: unknown state of a session", ErrInvalid)
	}
	state := x.State
	if c.State.rank() > state.rank() {
		state = c.State
	}
	if state == x.State && (c.Pin == (Pin{}) || c.Pin == x.Pin) {
		return nil
	}
	if x.Kind == SessionCall && state == SessionStateActive {
		if err := d.touch(); err != nil { // a customer who talks is active, so a warning of inactivity is taken back
			return err
		}
	}
	d.emit(&SessionChanged{Session: c.Session, State: state, Pin: c.Pin, Circle: x.Circle}, nil)
	return nil
}

func (d *decision) endSession(c EndSession) error {
	x := d.s.Session(c.Session)
	switch {
	case x == nil:
		return ErrNoSuchSession
	case c.By.Kind == "":
		return fmt.Errorf("%w: end of a session by nobody", ErrInvalid)
	case !d.s.mayAct(c.By):
		return ErrNotJoined
	case c.By.Kind == Supervisor && x.Circle < AudienceAgent && d.s.ModeOf(c.By.Agent) != ModeBarge:
		return ErrDenied // customers and bots would learn of the supervisor (H3, H4)
	}
	cause := c.Cause
	if cause == "" {
		cause = CauseFinished
	}
	d.sessionOver(x, c.By, cause, c.Code)
	return nil
}

func (d *decision) sessionOver(x *Session, by Author, cause Cause, code string) {
	d.emit(&SessionEnded{Session: x.ID, Kind: x.Kind, By: by, Cause: cause, Code: code, Circle: x.Circle}, nil)
}

// endSessions ends every live session that match names.
func (d *decision) endSessions(by Author, cause Cause, match func(*Session) bool) {
	for i := 0; i < len(d.s.Sessions); {
		if x := &d.s.Sessions[i]; match(x) {
			d.sessionOver(x, by, cause, "") // takes it out of the list
			continue
		}
		i++
	}
}

func anySession(*Session) bool { return true }

// loseSessions ends the sessions that were held by a process which is gone. Other sessions
// and the conversation itself go on.
func (d *decision) loseSessions(c LoseSessions) error {
	if c.Pin == (Pin{}) {
		return fmt.Errorf("%w: sessions lost with no process", ErrInvalid)
	}
	d.endSessions(Author{Kind: System}, CauseLost, func(x *Session) bool {
		return (c.Session.IsZero() || c.Session == x.ID) && (c.Pin.Node == "" || x.Pin.Node == c.Pin.Node) && (c.Pin.Instance == "" || x.Pin.Instance == c.Pin.Instance)
	})
	return nil
}

func (d *decision) setLeg(c SetLeg) error {
	x := d.s.Session(c.Session)
	switch {
	case x == nil:
		return ErrNoSuchSession
	case x.Kind != SessionCall:
		return fmt.Errorf("%w: leg of what is no call", ErrInvalid)
	case c.Leg.ID.IsZero() || c.Leg.State.rank() == 0 || c.Leg.Party.Kind == "":
		return fmt.Errorf("%w: leg without an id, state or party", ErrInvalid)
	case c.Leg.Kind != LegSIP && c.Leg.Kind != LegWeb:
		return fmt.Errorf("%w: leg of unknown kind", ErrInvalid)
	}
	leg := c.Leg
	if leg.State != LegEnded {
		leg.Cause, leg.Code = "", ""
	}
	old := x.leg(leg.ID)
	leg.Circle = d.s.circleOf(leg.Party)
	if old != nil && leg.Circle == 0 {
		leg.Circle = old.Circle // of a supervisor who has left
	}
	switch {
	case old == nil && len(x.Legs) >= maxLegs:
		return fmt.Errorf("%w: more than %d legs", ErrInvalid, maxLegs)
	case old == nil && !d.s.MayRing(leg.Party):
		return ErrDenied
	case old == nil:
	case old.Party != leg.Party || old.Kind != leg.Kind:
		return fmt.Errorf("%w: leg id is in use", ErrInvalid)
	case *old == leg || old.State == LegEnded || leg.State.rank() < old.State.rank():
		return nil // a repeat, or a state that has been passed already
	}
	d.emit(&SessionLeg{Session: c.Session, Leg: leg}, c.Body)
	return nil
}

func (d *decision) showPanel(c ShowPanel) error {
	x := d.s.Session(c.Session)
	switch {
	case x == nil:
		return ErrNoSuchSession
	case x.Kind != SessionTool || c.Body == nil:
		return fmt.Errorf("%w: panel of no tool, or without a body", ErrInvalid)
	case c.Revision <= x.Revision:
		return nil
	}
	d.emit(&SessionPanel{Session: c.Session, Revision: c.Revision}, c.Body)
	return nil
}

func (d *decision) showCustomerPanel(c ShowCustomerPanel) error {
	x := d.s.Session(c.Session)
	switch {
	case x == nil:
		return ErrNoSuchSession
	case x.Kind != SessionTool || c.Body == nil:
		return fmt.Errorf("%w: panel of no tool, or without a body", ErrInvalid)
	case x.Circle != AudienceCustomer:
		return fmt.Errorf("%w: panel for a customer who does not know of the session", ErrInvalid)
	case c.Revision <= x.CustomerRevision:
		return nil
	}
	d.emit(&SessionCustomerPanel{Session: c.Session, Revision: c.Revision}, c.Body)
	return nil
}

func (d *decision) noteSession(c NoteSession) error {
	var circle Audience
	var noted uint64
	if x := d.s.Session(c.Session); x != nil {
		circle, noted = x.Circle, x.NotedRevision
	} else if x := d.s.EndedTool(c.Session); x != nil {
		circle, noted = x.Circle, x.NotedRevision
	} else {
		return ErrNoSuchSession
	}
	switch {
	case c.Body == nil:
		return fmt.Errorf("%w: note without a body", ErrInvalid)
	case c.Revision != 0 && c.Revision <= noted:
		return nil
	}
	d.emit(&SessionNoted{Session: c.Session, Revision: c.Revision, Circle: circle}, c.Body)
	return nil
}
