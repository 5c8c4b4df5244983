package conversation

import (
	"encoding/json"
	"time"
)

// ShowCustomerPanel is ShowPanel for the panel that the customer sees.
type ShowCustomerPanel struct {
	Session  SessionID
	Revision uint64
	Body     json.RawMessage
}

// NoteSession adds a line about a session, for those who know of the session. A tool's session may have ended
// meanwhile (State.EndedTools). Body: NoticeBody.
type NoteSession struct {
	Session SessionID
	// Revision is that of the tool's session to which the line belongs; one that is not above that of the
	// last line is a repeat, and changes nothing. 0: the line is new.
	Revision uint64
	Body     json.RawMessage
}

// HearDigits records digits that a party of a call has pressed, or that a play command is over. Body:
// DigitsBody, nil when no digits came.
type HearDigits struct {
	Session   SessionID
	Leg       LegID
	Play      MessageID // the play command that collected the digits; zero: none
	Cancelled bool      // the play was stopped before its end
	Body      json.RawMessage
}

// AddRecording records that a recording of a call is stored. The call and the conversation may have
// ended meanwhile. Whether the call was this conversation's is the caller's to know. Body: RecordingBody.
type AddRecording struct {
	Session  SessionID
	Blob     BlobID
	Begun    time.Time // zero: not known
	Duration Millis
	Body     json.RawMessage
}

// CommandCall records that somebody has a call do something. What the command says beyond What is
// in its outbox row.
type CommandCall struct {
	Session SessionID
	Command MessageID // id of the command
	What    string    // name of the command in the contract: "hold"
	Leg     LegID     // zero: the whole call, or a leg that is still to begin
	By      Author
	Party   Author     // of CallDial and CallInvite: who is brought in; zero: somebody outside
	Hears   []LegHears // of CallHear: who hears whom
}

// FailCallCommand records that a command for a call was not carried out. The call may have ended
// meanwhile.
type FailCallCommand struct {
	Session SessionID
	Command MessageID
	What    string
	Kind    string   // error class, see MessageStatus
	Code    string   // the provider's code
	Circle  Audience // that of the SessionCommand; zero: its type's
}

// Several carries out commands one after the other, all or none of them: each is decided on the
// state that the earlier ones lead to. The first may be a Start.
type Several []Command

func (ShowCustomerPanel) command() {}
func (NoteSession) command()       {}
func (HearDigits) command()        {}
func (AddRecording) command()      {}
func (CommandCall) command()       {}
func (FailCallCommand) command()   {}
func (Several) command()           {}
