package conversation

import (
	"encoding/json"
	"fmt"
	"time"
)

// Decide turns a command into the events that carry it out, numbered from
// s.Seq+1 and dated now (UTC, whole milliseconds, so that a time survives any
// store). The caller appends them and then applies them to s.
//
// Decide is pure: it does not change s, keeps no reference to s, and reads no clock and no body. It
// never panics. No events and no error means that the state is already as the command asks. Errors
// are the sentinels of this package, wrapped or not; see Code. Slices and bodies of the command go
// into the events as they are: the caller must not change them afterwards.
func Decide(s *State, cmd Command, now time.Time) ([]Event, error) {
	now = clean(now)
	if s == nil {
		s = &State{}
	}
	if c, ok := cmd.(Start); ok {
		return decideStart(s, &c, now)
	}
	if c, ok := cmd.(Several); ok {
		return decideSeveral(s, c, now)
	}
	if s.Phase == "" {
		return nil, ErrNotStarted
	}
	switch c := cmd.(type) {
	case *Post:
		if c == nil {
			return nil, fmt.Errorf("%w: no post", ErrInvalid)
		}
		return decidePost(s, c, now)
	case Mark:
		return decideMark(s, c, now)
	case SetStatus:
		return decideStatus(s, c, now)
	}
	d := &decision{s: s.Clone(), now: now}
	if err := d.run(cmd); err != nil {
		return nil, err
	}
	return d.events, d.err
}

// decideSeveral decides commands one after the other.
func decideSeveral(s *State, cmds Several, now time.Time) (events []Event, err error) {
	s = s.Clone()
	for _, cmd := range cmds {
		next, err := Decide(s, cmd, now)
		if err != nil {
			return nil, err
		}
		for i := range next {
			if err := s.Apply(next[i]); err != nil {
				return nil, err
			}
		}
		events = append(events, next...)
	}
	return events, nil
}

// decision is the working memory of one Decide. Rules emit events into a copy of the state, so that
// each later step of the same decision sees the earlier ones.
type decision struct {
	s      *State
	now    time.Time
	events []Event
	err    error // an error of Apply, which can only be a fault of this package
}

func (d *decision) emit(h Head, body json.RawMessage) {
	ev := Event{Seq: d.s.Seq + 1, At: d.now, Head: h, Body: body}
	if err := d.s.Apply(ev); err != nil && d.err == nil {
		d.err = err
	}
	d.events = append(d.events, ev)
}

// run carries out every command that works on the copy of the state.
func (d *decision) run(cmd Command) error {
	// Commands that an ended conversation still takes.
	switch c := cmd.(type) {
	case UpdateCustomer:
		return d.updateCustomer(c)
	case LinkContact:
		return d.linkContact(c)
	case FinishWrapup:
		return d.finishWrapup(c)
	case Tick:
		return d.tick(c)
	case Settle:
		return d.settle(c)
	case Requeue:
		return d.requeue(c)
	case LoseSessions:
		return d.loseSessions(c)
	case AddRecording:
		return d.addRecording(c)
	case FailCallCommand:
		return d.failCallCommand(c)
	}
	if d.s.Phase != PhaseOpen {
		return d.s.endedFor(authorOf(cmd))
	}
	switch c := cmd.(type) {
	case SetReplyWindow:
		return d.setReplyWindow(c)
	case Visit:
		return d.visit(c)
	case AddEndpoint:
		return d.addEndpoint(c)
	case Touch:
		return d.touch()
	case ChangeConsent:
		return d.changeConsent(c)
	case CustomerEnd:
		return d.customerEnd(c)
	case Offer:
		return d.offer(c)
	case Accept:
		return d.accept(c)
	case Decline:
		return d.decline(c)
	case Invite:
		return d.invite(c)
	case CancelInvite:
		return d.cancelInvite(c)
	case Join:
		return d.join(c)
	case BotJoin:
		return d.botJoin(c)
	case BotLeave:
		return d.botLeave(c)
	case Leave:
		return d.leave(c)
	case Park:
		return d.park(c)
	case Flag:
		return d.flag(c)
	case End:
		return d.endBy(c)
	case Supervise:
		return d.supervise(c)
	case AddNote:
		return d.addNote(c)
	}
	return d.session(cmd)
}

// session carries out the commands that concern calls and tools.
func (d *decision) session(cmd Command) error {
	switch c := cmd.(type) {
	case RequestSession:
		return d.requestSession(c)
	case ChangeSession:
		return d.changeSession(c)
	case EndSession:
		return d.endSession(c)
	case SetLeg:
		return d.setLeg(c)
	case ShowPanel:
		return d.showPanel(c)
	case ShowCustomerPanel:
		return d.showCustomerPanel(c)
	case NoteSession:
		return d.noteSession(c)
	case HearDigits:
		return d.hearDigits(c)
	case CommandCall:
		return d.commandCall(c)
	}
	return fmt.Errorf("%w: unknown command %T", ErrInvalid, cmd)
}

// authorOf is the agent who gives a command that only a participant may give; zero for other
// commands.
func authorOf(cmd Command) (a AgentID) {
	switch c := cmd.(type) {
	case Leave:
		return c.Agent
	case Invite:
		return c.By
	case CancelInvite:
		return c.By
	case Flag:
		return c.By
	case RequestSession:
		return c.By.Agent
	case EndSession:
		return c.By.Agent
	case CommandCall:
		return c.By.Agent
	case Supervise:
		return c.Agent
	case AddNote:
		return c.Author.Agent
	}
	return a
}

// endedFor is the refusal of a command for an ended conversation. Who never took part or supervised gets
// ErrNotJoined, as for an open one, and so does not learn that the conversation has ended.
func (s *State) endedFor(a AgentID) error {
	if !a.IsZero() && s.Participant(a) == nil && s.supervisor(a) == nil && !s.WaitsFor(a) {
		return ErrNotJoined
	}
	return ErrEnded
}

// clean makes a time that is the same after a round trip through JSON and any store: UTC, no
// monotonic reading, whole milliseconds. A time that RFC 3339 cannot express (years before 1 or
// after 9999, as broken devices send) becomes zero, which means unknown.
func clean(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	t = t.UTC().Truncate(time.Millisecond)
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t
}
