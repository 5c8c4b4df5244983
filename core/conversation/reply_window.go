package conversation

import (
	"fmt"
	"slices"
	"time"
)

// TypeWindowChanged is the type of WindowChanged.
const TypeWindowChanged Type = "window.changed/1"

// WindowChanged: the provider says until when the customer may be written to freely on an endpoint. After
// that, the channel takes only templates.
type WindowChanged struct {
	Endpoint   int       `json:"endpoint,omitempty"`
	Expires    time.Time `json:"expires,omitzero"` // zero: no window is open
	ProviderAt time.Time `json:"provider_at,omitzero"`
}

// Type implements Head.
func (*WindowChanged) Type() Type { return TypeWindowChanged }

// Audience implements Head.
func (*WindowChanged) Audience() Audience { return types[TypeWindowChanged].audience }

// ReplyWindow is what the provider of an endpoint has said last: see WindowChanged.
type ReplyWindow struct {
	Endpoint   int       `json:"endpoint,omitempty"`
	Expires    time.Time `json:"expires,omitzero"`
	ProviderAt time.Time `json:"provider_at,omitzero"`
}

func (s *State) window(endpoint int) *ReplyWindow {
	for i := range s.Windows {
		if s.Windows[i].Endpoint == endpoint {
			return &s.Windows[i]
		}
	}
	return nil
}

// WindowOf returns until when the customer may be written to freely on an endpoint, the first of which is 0:
// as the provider has said, or else by the channel's hours since the customer's last message. limited is
// false where there is no such limit; a zero time means that no window is open.
func (s *State) WindowOf(endpoint int) (until time.Time, limited bool) {
	if w := s.window(endpoint); w != nil {
		return w.Expires, true
	}
	hours := s.EndpointCapabilities(endpoint).ReplyWindow
	if hours <= 0 || s.CustomerAt.IsZero() {
		return time.Time{}, hours > 0
	}
	return s.CustomerAt.Add((Millis(hours) * 3_600_000).Duration()), true
}

func (d *decision) setReplyWindow(c SetReplyWindow) error {
	if c.Endpoint < 0 || c.Endpoint >= len(d.s.Endpoints) {
		return fmt.Errorf("%w: window of an unknown endpoint", ErrInvalid)
	}
	h := &WindowChanged{Endpoint: c.Endpoint, Expires: clean(c.Expires), ProviderAt: clean(c.ProviderAt)}
	if h.Expires.IsZero() != c.Expires.IsZero() {
		return fmt.Errorf("%w: window until a time that cannot be written", ErrInvalid)
	}
	if w := d.s.window(c.Endpoint); w != nil {
		newer := h.ProviderAt.After(w.ProviderAt)
		if !newer && (h.Expires.Equal(w.Expires) || !h.ProviderAt.IsZero() && h.ProviderAt.Before(w.ProviderAt)) {
			return nil
		}
	}
	d.emit(h, nil)
	return nil
}

func (s *State) applyWindow(h *WindowChanged) {
	w := ReplyWindow{Endpoint: h.Endpoint, Expires: h.Expires, ProviderAt: h.ProviderAt}
	if old := s.window(h.Endpoint); old != nil {
		*old = w
		return
	}
	s.Windows = append(s.Windows, w)
}

// checkWindow refuses a message to an endpoint whose window is not open; one of templates alone passes.
func (c *Post) checkWindow(s *State, now time.Time) error {
	if len(c.Kinds) > 0 && !slices.ContainsFunc(c.Kinds, func(k PartKind) bool { return k != PartTemplate }) {
		return nil
	}
	if until, limited := s.WindowOf(c.Endpoint); limited && (until.IsZero() || now.After(until)) {
		return ErrReplyWindow
	}
	return nil
}
