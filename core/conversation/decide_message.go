package conversation

import (
	"fmt"
	"slices"
	"time"
)

func decidePost(s *State, c *Post, now time.Time) ([]Event, error) {
	if s.Phase != PhaseOpen {
		return nil, s.endedFor(c.Author.Agent)
	}
	if err := c.check(s, now); err != nil {
		return nil, err
	}
	// A direct number's exchange stays parked: its messages are counted in the owner's Recent, and
	// no agent is asked (O1).
	if s.Parking != nil && c.Author.Kind == Customer && !s.Service.IsZero() {
		return decideReply(s, c, now)
	}
	return []Event{{Seq: s.Seq + 1, At: now, Head: c.head(), Body: c.Body}}, nil
}

// decideReply adds a reply to a parked exchange and takes the exchange up again (N16).
func decideReply(s *State, c *Post, now time.Time) ([]Event, error) {
	d := &decision{s: s.Clone(), now: now}
	owner, cause := s.Parking.Owner, CauseReply
	if c.OwnerAway {
		cause = CauseOwnerAway
	}
	d.emit(c.head(), c.Body)
	d.emit(&Unparked{Owner: owner, Cause: cause}, nil)
	if err := d.askOwnerOrQueue(owner, c.Request, CauseReply); err != nil {
		return nil, err
	}
	return d.events, d.err
}

func (c *Post) check(s *State, now time.Time) error {
	switch {
	case c.ID.IsZero():
		return fmt.Errorf("%w: message without an id", ErrInvalid)
	case len(c.Kinds) == 0:
		return fmt.Errorf("%w: message without parts", ErrInvalid)
	case c.Endpoint < 0 || c.Endpoint >= len(s.Endpoints):
		return fmt.Errorf("%w: message to an unknown endpoint", ErrInvalid)
	}
	switch c.Author.Kind { // checked before the references, so that only participants learn which messages exist
	case Agent, Supervisor, Bot:
		if !s.joined(c.Author) {
			return ErrNotJoined
		}
	default:
	}
	if err := c.checkRefs(); err != nil {
		return err
	}
	switch c.Author.Kind {
	case Customer:
		if !c.Author.Agent.IsZero() {
			return fmt.Errorf("%w: customer with an agent id", ErrInvalid)
		}
		return nil
	case System:
		return nil
	case Agent, Supervisor, Bot:
		return c.checkChannel(s, now)
	case Outside:
	}
	return fmt.Errorf("%w: message of unknown author kind", ErrInvalid)
}

// checkRefs refuses references to messages outside this conversation, and edits and revocations of
// other authors' messages.
func (c *Post) checkRefs() error {
	if !c.ReplyTo.IsZero() && !c.refers("") {
		return fmt.Errorf("%w: reply to an unknown message", ErrNoSuchMessage)
	}
	for _, k := range c.Kinds {
		switch k {
		case PartEdit, PartRevoke, PartReaction:
			if !c.refers(k) {
				return fmt.Errorf("%w: %s of an unknown message", ErrNoSuchMessage, k)
			}
		default:
		}
	}
	for i := range c.Refs {
		switch r := &c.Refs[i]; {
		case r.Author.Kind == "":
			return fmt.Errorf("%w: not a message of this conversation", ErrNoSuchMessage)
		case (r.Kind == PartEdit || r.Kind == PartRevoke) && r.Author != c.Author:
			return fmt.Errorf("%w: %s", ErrNotAuthor, r.Kind)
		}
	}
	return nil
}

func (c *Post) refers(k PartKind) bool {
	return slices.ContainsFunc(c.Refs, func(r Ref) bool { return r.Kind == k })
}

// checkChannel refuses what the endpoint's channel cannot carry (X4).
func (c *Post) checkChannel(s *State, now time.Time) error {
	caps := s.Capabilities
	if c.Endpoint > 0 {
		caps = s.EndpointCapabilities(c.Endpoint)
	}
	if s.OptedOut && !caps.Connected {
		return ErrOptedOut
	}
	if !caps.Connected && s.tooManyUnsent() {
		return ErrTooManyUnsent
	}
	for _, k := range c.Kinds {
		if !caps.carries(k) {
			return fmt.Errorf("%w: %s", ErrUnsupported, k)
		}
	}
	return c.checkWindow(s, now)
}

// carries reports whether a message for the customer may have a part of this kind. Every channel
// carries text; kinds for which there is no capability are allowed too.
func (c *Capabilities) carries(k PartKind) bool {
	switch k {
	case PartRichText:
		return c.RichText
	case PartFile:
		return c.Files
	case PartLocation:
		return c.Location
	case PartChoices:
		return c.Choices
	case PartTemplate:
		return c.Template
	case PartReaction:
		return c.Reaction
	case PartEdit:
		return c.Edit
	case PartRevoke:
		return c.Revoke
	default:
		return true
	}
}

func (c *Post) head() *MessagePosted {
	return &MessagePosted{
		ID: c.ID, Author: c.Author, ClientID: c.ClientID, Kinds: c.Kinds, Blobs: c.Blobs,
		ReplyTo: c.ReplyTo, Endpoint: c.Endpoint,
		ProviderAt: clean(c.ProviderAt), ReceivedAt: clean(c.ReceivedAt),
	}
}

// decideStatus works in every phase, since a provider's report may come after the end.
func decideStatus(s *State, c SetStatus, now time.Time) ([]Event, error) {
	if c.Status.rank() == 0 {
		return nil, fmt.Errorf("%w: unknown message status", ErrInvalid)
	}
	p := s.pending(c.Message)
	if p == nil {
		if c.Through > 0 {
			return decideThrough(s, c, nil, now)
		}
		return nil, ErrNoSuchMessage
	}
	events := statusOf(s, c, p, now)
	if c.Through > 0 {
		return decideThrough(s, c, events, now)
	}
	return events, nil
}

// statusOf makes the event of a followed message; nil if there is nothing new.
func statusOf(s *State, c SetStatus, p *PendingMessage, now time.Time) []Event {
	if !c.Status.After(p.Status) {
		if c.Named == nil {
			return nil
		}
		h := &MessageNamed{Message: c.Message, Circle: AudienceAgent, Ignorable: true}
		return []Event{{Seq: s.Seq + 1, At: now, Head: h, Body: c.Named}}
	}
	h := &MessageStatus{Message: c.Message, Status: c.Status, Kind: c.Kind, Code: c.Code}
	return []Event{{Seq: s.Seq + 1, At: now, Head: h, Body: c.Body}}
}

// decideThrough adds to events, which concern the message itself, that the customer has received or read all
// that came before it, too. A message that failed, or is not known to be sent, is not among that.
func decideThrough(s *State, c SetStatus, events []Event, now time.Time) ([]Event, error) {
	if c.Status != StatusDelivered && c.Status != StatusRead {
		return nil, fmt.Errorf("%w: only what is delivered or read holds for earlier messages", ErrInvalid)
	}
	add := func(h Head) { events = append(events, Event{Seq: s.Seq + uint64(len(events)) + 1, At: now, Head: h}) }
	for i := range s.Pending {
		if p := &s.Pending[i]; p.ID != c.Message && p.Seq <= c.Through && (p.Status == StatusSent || p.Status == StatusDelivered) && c.Status.After(p.Status) {
			add(&MessageStatus{Message: p.ID, Status: c.Status})
		}
	}
	m := Mark{By: Author{Kind: Customer}, Delivered: c.Through}
	if c.Status == StatusRead {
		m.Read = c.Through
	}
	marks, err := decideMark(s, m, now)
	if err != nil {
		return nil, err
	}
	for i := range marks {
		add(marks[i].Head)
	}
	return events, nil
}

// settle works in every phase; only sending again needs an open conversation.
func (d *decision) settle(c Settle) error {
	p := d.s.pending(c.Message)
	switch {
	case c.By.IsZero():
		return fmt.Errorf("%w: settled by nobody", ErrInvalid)
	case p == nil:
		return ErrNoSuchMessage
	case p.Status != StatusUnknown:
		return ErrNotUnknown
	}
	status := StatusSent
	switch c.Outcome {
	case OutcomeSent:
	case OutcomeFailed:
		status = StatusFailed
	case OutcomeResend:
		if d.s.Phase != PhaseOpen {
			return ErrEnded
		}
		if d.s.OptedOut {
			return ErrOptedOut
		}
		d.emit(&MessageSettled{Message: c.Message, Outcome: c.Outcome, By: c.By}, nil)
		return nil
	default:
		return fmt.Errorf("%w: unknown outcome", ErrInvalid)
	}
	d.emit(&MessageSettled{Message: c.Message, Outcome: c.Outcome, By: c.By}, nil)
	d.emit(&MessageStatus{Message: c.Message, Status: status, Kind: "manual"}, nil)
	return nil
}

// decideMark works in every phase, since the last messages may be read after the end.
func decideMark(s *State, c Mark, now time.Time) ([]Event, error) {
	switch {
	case c.By == Author{Kind: Customer}:
	case c.By.Kind == Agent && (s.Participant(c.By.Agent) != nil || s.WaitsFor(c.By.Agent)):
	case c.By.Kind == Agent:
		return nil, ErrNotJoined
	default:
		return nil, fmt.Errorf("%w: receipt of unknown author", ErrInvalid)
	}
	var old ReadMark
	if m := s.mark(c.By); m != nil {
		old = *m
	}
	// A receipt never goes beyond the last event, and a message that was read counts as delivered.
	read := min(c.Read, s.Seq)
	delivered := min(max(c.Delivered, read, old.Delivered), s.Seq)
	read = max(read, old.Read)
	if delivered <= old.Delivered && read <= old.Read {
		return nil, nil
	}
	events := []Event{{Seq: s.Seq + 1, At: now, Head: &Receipt{By: c.By, Delivered: delivered, Read: read}}}
	if s.Phase == PhaseEnded && s.Unread.seenBy(c.By, read) && !s.inWrapup() { // the unread messages were the reason not to conclude
		events = append(events, Event{Seq: s.Seq + 2, At: now, Head: &Concluded{}})
	}
	return events, nil
}
