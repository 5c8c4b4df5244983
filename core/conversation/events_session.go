package conversation

import "time"

// Event types of the sessions inside a conversation.
const (
	TypeSessionRequested Type = "session.requested/1"
	TypeSessionChanged   Type = "session.changed/1"
	TypeSessionEnded     Type = "session.ended/1"
	TypeSessionLeg       Type = "session.leg/1"
	TypeSessionPanel     Type = "session.panel/1"

	TypeSessionCustomerPanel Type = "session.customer_panel/1"
	TypeSessionNoted         Type = "session.noted/1"
	TypeSessionDigits        Type = "session.digits/1"
	TypeSessionRecorded      Type = "session.recorded/1"
	TypeSessionCommand       Type = "session.command/1"
	TypeSessionCommandFailed Type = "session.command_failed/1"
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

// CodeNoAnswer is the code of the end of a session that no plugin answered for.
const CodeNoAnswer = "no_answer"

// SessionLeg: a leg of a call has changed, and is now as Leg says. Its audience is the leg's. When the audience
// changes, since a supervisor goes on in another mode, the leg ends for the old one, with the cause supervisor, and begins
// for the new one. Body: NameBody, if the party's name is known.
type SessionLeg struct {
	Session SessionID `json:"session"`
	Leg     Leg       `json:"leg"`
}

// SessionPanel: a tool shows agents a new panel. Body: PanelBody.
type SessionPanel struct {
	Session  SessionID `json:"session"`
	Revision uint64    `json:"revision"` // grows with each panel; clients show the newest
}

// SessionCustomerPanel: a tool shows the customer a new panel. Body: PanelBody.
type SessionCustomerPanel struct {
	Session  SessionID `json:"session"`
	Revision uint64    `json:"revision"`
}

// SessionNoted: a line about a session, for all who know of it. It is not a message: carriers never send
// it. Body: NoticeBody.
type SessionNoted struct {
	Session  SessionID `json:"session"`
	Revision uint64    `json:"revision,omitempty"` // of the tool's session to which the line belongs; 0: not known
	Circle   Audience  `json:"audience"`
}

// SessionDigits: a party of a call has pressed digits, or something that was played is over. The
// digits may be confidential, so they are in the body alone. Body: DigitsBody, if there are any.
type SessionDigits struct {
	Session   SessionID `json:"session"`
	Leg       LegID     `json:"leg,omitzero"`
	Play      MessageID `json:"play,omitzero"` // the play command that is over; zero: none
	Cancelled bool      `json:"cancelled,omitempty"`
}

// SessionRecorded: a recording of a call is stored, perhaps after the end of the call or the
// conversation. Body: RecordingBody.
type SessionRecorded struct {
	Session  SessionID `json:"session"`
	Blob     BlobID    `json:"blob"`
	Begun    time.Time `json:"begun,omitzero"`
	Duration Millis    `json:"duration,omitempty"`
}

// SessionCommand: somebody has a call do something. Digits, numbers and the like are not in the log.
type SessionCommand struct {
	Session SessionID `json:"session"`
	Command MessageID `json:"command"`
	What    string    `json:"what"` // name of the command in the contract: "hold"
	Leg     LegID     `json:"leg,omitzero"`
	By      Author    `json:"by"`
	// Circle is set where a supervisor gave the command or is its object: then only supervisors learn of it.
	Circle Audience `json:"audience,omitzero"`
}

// SessionCommandFailed: a command for a call was not carried out, whoever gave it.
type SessionCommandFailed struct {
	Session SessionID `json:"session"`
	Command MessageID `json:"command"`
	What    string    `json:"what"`
	Kind    string    `json:"kind,omitempty"`    // error class, see MessageStatus
	Code    string    `json:"code,omitempty"`    // the provider's code
	Circle  Audience  `json:"audience,omitzero"` // that of the SessionCommand; zero: its type's
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
func (h *SessionLeg) Audience() Audience { return h.Leg.Circle.or(TypeSessionLeg) }

// Type implements Head.
func (*SessionPanel) Type() Type { return TypeSessionPanel }

// Audience implements Head.
func (*SessionPanel) Audience() Audience { return types[TypeSessionPanel].audience }

// Type implements Head.
func (*SessionCustomerPanel) Type() Type { return TypeSessionCustomerPanel }

// Audience implements Head.
func (*SessionCustomerPanel) Audience() Audience { return types[TypeSessionCustomerPanel].audience }

// Type implements Head.
func (*SessionDigits) Type() Type { return TypeSessionDigits }

// Audience implements Head.
func (*SessionDigits) Audience() Audience { return types[TypeSessionDigits].audience }

// Type implements Head.
func (*SessionRecorded) Type() Type { return TypeSessionRecorded }

// Audience implements Head.
func (*SessionRecorded) Audience() Audience { return types[TypeSessionRecorded].audience }

// Type implements Head.
func (*SessionCommand) Type() Type { return TypeSessionCommand }

// Audience implements Head.
func (h *SessionCommand) Audience() Audience { return h.Circle.or(TypeSessionCommand) }

// Type implements Head.
func (*SessionCommandFailed) Type() Type { return TypeSessionCommandFailed }

// Audience implements Head.
func (h *SessionCommandFailed) Audience() Audience { return h.Circle.or(TypeSessionCommandFailed) }

// Type implements Head.
func (*SessionNoted) Type() Type { return TypeSessionNoted }

// Audience implements Head.
func (h *SessionNoted) Audience() Audience { return h.Circle.or(TypeSessionNoted) }
