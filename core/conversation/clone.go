package conversation

import "slices"

// Clone makes an independent copy. Two things are shared, since nobody changes them in place: the
// Rules of a request, and Unread.
func (s *State) Clone() *State {
	c := *s
	c.Endpoints = slices.Clone(s.Endpoints)
	c.Added = slices.Clone(s.Added)
	c.Participants = slices.Clone(s.Participants)
	c.Marks = slices.Clone(s.Marks)
	c.Pending = slices.Clone(s.Pending)
	c.Windows = slices.Clone(s.Windows)
	c.Requests = slices.Clone(s.Requests)
	for i := range c.Requests {
		c.Requests[i].DeclinedBy = slices.Clone(c.Requests[i].DeclinedBy)
	}
	c.EndedTools = slices.Clone(s.EndedTools)
	c.Sessions = slices.Clone(s.Sessions)
	for i := range c.Sessions {
		c.Sessions[i].Legs = slices.Clone(c.Sessions[i].Legs)
	}
	if s.Parking != nil {
		p := *s.Parking
		c.Parking = &p
	}
	return &c
}
