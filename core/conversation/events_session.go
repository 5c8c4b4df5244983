package conversation

// Event types of the sessions inside a conversation.
const (
	TypeSessionRequested Type = "session.requested/1"
	TypeSessionChanged   Type = "session.changed/1"
	TypeSessionEnded     Type = "session.ended/1"
	TypeSessionLeg       Type = "session.leg/1"
	TypeSessionPanel     Type = "session.panel/1"
)

// SessionRequested: somebody asked for a call or a tool. The audience named here
// is that of all events of the session, except those of its legs and its panel.
type SessionRequested struct {
	Session SessionID   `json:"session"`
	Kind    SessionKind `json:"kind"`
	Plugin  string      `json:"plugin"`
	Account AccountID   `json:"account,omitzero"`
	Pin     Pin         `json:"pin,omitzero"`
	By      Author      `json:"by"`
	For     Author      `json:"for,omitzero"`
	Circle  Audience    `json:"audience"`
}

// SessionChanged: a session has come to a later state, or has moved to another process.
type SessionChanged struct {
	Session SessionID    `json:"session"`
	State   SessionState `json:"state"`
	Pin     Pin          `json:"pin,omitzero"`
	Circle  Audience     `json:"audience"`
}

// SessionEnded: a session is over. With cause "lost" the process that held it is gone.
type SessionEnded struct {
	Session SessionID   `json:"session"`
	Kind    SessionKind `json:"kind"`
	By      Author      `json:"by"`
	Cause   Cause       `json:"cause"`
	Code    string      `json:"code,omitempty"` // the provider's code
	Circle  Audience    `json:"audience"`
}

// SessionLeg: a leg of a call has changed, and is now as Leg says.
type SessionLeg struct {
	Session SessionID `json:"session"`
	Leg     Leg       `json:"leg"`
}

// SessionPanel: a tool shows agents a new panel. Body: PanelBody.
type SessionPanel struct {
	Session  SessionID `json:"session"`
	Revision uint64    `json:"revision"` // grows with each panel; clients show the newest
}

// Type implements Head.
func (*SessionRequested) Type() Type { return TypeSessionRequested }

// Audience implements Head.
func (h *SessionRequested) Audience() Audience { return h.Circle.or(TypeSessionRequested) }

// Type implements Head.
func (*SessionChanged) Type() Type { return TypeSessionChanged }

// Audience implements Head.
func (h *SessionChanged) Audience() Audience { return h.Circle.or(TypeSessionChanged) }

// Type implements Head.
func (*SessionEnded) Type() Type { return TypeSessionEnded }

// Audience implements Head.
func (h *SessionEnded) Audience() Audience { return h.Circle.or(TypeSessionEnded) }

// Type implements Head.
func (*SessionLeg) Type() Type { return TypeSessionLeg }

// Audience implements Head.
func (*SessionLeg) Audience() Audience { return types[TypeSessionLeg].audience }

// Type implements Head.
func (*SessionPanel) Type() Type { return TypeSessionPanel }

// Audience implements Head.
func (*SessionPanel) Audience() Audience { return types[TypeSessionPanel].audience }
