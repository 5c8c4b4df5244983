package plugin

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// CallCommand says what a call is to do. Exactly one of the pointers is set. Its JSON is the payload
// of the command's outbox row.
type CallCommand struct {
	Session conversation.SessionID `json:"session"`

	Dial     *CallDial     `json:"dial,omitempty"`
	Invite   *CallInvite   `json:"invite,omitempty"`
	Ring     *CallRing     `json:"ring,omitempty"`
	Answer   *CallAnswer   `json:"answer,omitempty"`
	Hear     *CallHearing  `json:"hear,omitempty"`
	Hold     *CallHold     `json:"hold,omitempty"`
	Mute     *CallMute     `json:"mute,omitempty"`
	Video    *CallVideo    `json:"video,omitempty"`
	Digits   *CallDigits   `json:"digits,omitempty"`
	Transfer *CallTransfer `json:"transfer,omitempty"`
	Play     *CallPlay     `json:"play,omitempty"`
	Stop     *CallStop     `json:"stop,omitempty"`
	Record   *CallRecord   `json:"record,omitempty"`
	HangUp   *CallHangUp   `json:"hang_up,omitempty"`
}

// Name is the name that the contract has for the command; "" = the command is empty.
func (c *CallCommand) Name() string {
	switch {
	case c.Dial != nil:
		return "dial"
	case c.Invite != nil:
		return "invite"
	case c.Ring != nil:
		return "ring"
	case c.Answer != nil:
		return "answer"
	case c.Hear != nil:
		return "hear"
	case c.Hold != nil:
		return "hold"
	case c.Mute != nil:
		return "mute"
	case c.Video != nil:
		return "video"
	case c.Digits != nil:
		return "digits"
	case c.Transfer != nil:
		return "transfer"
	case c.Play != nil:
		return "play"
	case c.Stop != nil:
		return "stop"
	case c.Record != nil:
		return "record"
	case c.HangUp != nil:
		return "hang_up"
	}
	return ""
}

// Leg is the leg that the command concerns, one that it begins included; zero: all legs, or none.
func (c *CallCommand) Leg() conversation.LegID {
	switch {
	case c.Dial != nil:
		return c.Dial.Leg
	case c.Invite != nil:
		return c.Invite.Leg
	case c.Ring != nil:
		return c.Ring.Leg
	case c.Answer != nil:
		return c.Answer.Leg
	case c.Hold != nil:
		return c.Hold.Leg
	case c.Mute != nil:
		return c.Mute.Leg
	case c.Video != nil:
		return c.Video.Leg
	case c.Digits != nil:
		return c.Digits.Leg
	case c.Transfer != nil:
		return c.Transfer.Leg
	case c.Play != nil:
		return c.Play.Leg
	case c.Stop != nil:
		return c.Stop.Leg
	case c.HangUp != nil:
		return c.HangUp.Leg
	}
	return conversation.LegID{}
}

// Party is somebody who takes part in a call or uses a tool.
type Party struct {
	Who  conversation.Author `json:"who"` // of kind conversation.Outside, or zero: somebody outside
	Name string              `json:"name,omitempty"`
}

// CallDial calls somebody outside: a new leg.
type CallDial struct {
	Leg        conversation.LegID `json:"leg"`
	Party      Party              `json:"party"`
	To         string             `json:"to"`                // E.164 with plus, or a SIP address
	From       string             `json:"from,omitempty"`    // caller id; "" = the account's
	RingMS     uint32             `json:"ring_ms,omitempty"` // how long it may ring; 0 = 60,000
	Video      bool               `json:"video,omitempty"`
	Attributes map[string]string  `json:"attributes,omitempty"` // allow-listed headers
}

// CallInvite invites a browser to open a leg with a grant.
type CallInvite struct {
	Leg    conversation.LegID `json:"leg"`
	Party  Party              `json:"party"`
	Video  bool               `json:"video,omitempty"`
	RingMS uint32             `json:"ring_ms,omitempty"` // 0 = 60,000
}

// CallRing tells a caller that it rings.
type CallRing struct {
	Leg        conversation.LegID `json:"leg"`
	EarlyMedia bool               `json:"early_media,omitempty"`
}

// CallAnswer takes a caller's call.
type CallAnswer struct {
	Leg conversation.LegID `json:"leg"`
}

// CallHearing says who hears whom, for all legs of the call at once. A leg that is not listed hears
// nobody.
type CallHearing struct {
	Legs []LegHears `json:"legs"`
}

// LegHears lists the legs that a leg hears.
type LegHears struct {
	Leg   conversation.LegID   `json:"leg"`
	Hears []conversation.LegID `json:"hears,omitempty"`
}

// CallHold puts a leg on hold, or takes it back.
type CallHold struct {
	Leg   conversation.LegID  `json:"leg"`
	On    bool                `json:"on"`
	Music conversation.BlobID `json:"music,omitzero"` // zero: the account's
}

// CallMute takes a leg's sound away from the others, or gives it back.
type CallMute struct {
	Leg conversation.LegID `json:"leg"`
	On  bool               `json:"on"`
}

// CallVideo adds a leg's picture, or takes it away.
type CallVideo struct {
	Leg conversation.LegID `json:"leg"`
	On  bool               `json:"on"`
}

// CallDigits sends DTMF digits to a leg.
type CallDigits struct {
	Leg    conversation.LegID `json:"leg"`
	Digits string             `json:"digits"`            // of 0-9 * # A-D
	ToneMS uint32             `json:"tone_ms,omitempty"` // 0 = 100
}

// CallTransfer hands a leg to somebody else at the provider (REFER), blind or, with AttendedLeg,
// attended.
type CallTransfer struct {
	Leg         conversation.LegID `json:"leg"`
	To          string             `json:"to,omitempty"`
	AttendedLeg conversation.LegID `json:"attended_leg,omitzero"`
}

// CallPlay plays to a leg until it is over, stopped, or a digit comes.
type CallPlay struct {
	Leg      conversation.LegID    `json:"leg,omitzero"` // zero: all
	Blobs    []conversation.BlobID `json:"blobs,omitempty"`
	Prompt   string                `json:"prompt,omitempty"` // name of one of the account's; "" = none
	Loop     bool                  `json:"loop,omitempty"`
	Digits   uint32                `json:"digits,omitempty"`    // how many to collect; 0 = none
	EndDigit string                `json:"end_digit,omitempty"` // "" = none
	DigitsMS uint32                `json:"digits_ms,omitempty"` // how long to wait for digits; 0 = 5,000
}

// CallStop stops what plays.
type CallStop struct {
	Leg conversation.LegID `json:"leg,omitzero"` // zero: all
}

// RecordAction is what to do with a call's recording.
type RecordAction string

// Actions of CallRecord.
const (
	RecordStart  RecordAction = "start"
	RecordPause  RecordAction = "pause"
	RecordResume RecordAction = "resume"
	RecordStop   RecordAction = "stop"
)

// CallRecord records the call.
type CallRecord struct {
	Action RecordAction `json:"action"`
}

// CallHangUp ends a leg or the call.
type CallHangUp struct {
	Leg   conversation.LegID `json:"leg,omitzero"` // zero: the whole call
	Cause conversation.Cause `json:"cause,omitempty"`
}

// CallEvent is what happened in a call. Exactly one of the pointers is set.
type CallEvent struct {
	Session conversation.SessionID // made by the plugin for calls that came in, else by the gateway

	Incoming  *CallIncoming
	Leg       *conversation.Leg
	LegName   string // with Leg: the party's name, "" = unknown
	Digits    *CallDigits
	Played    *CallPlayed
	Recording *CallRecording
	State     conversation.SessionState // with all pointers nil: how far the call has come
	Ended     *CallEnded
}

// CallIncoming: a call has come in. It begins a conversation, or a call inside the one that is open
// on the event's thread.
type CallIncoming struct {
	Address, Name string // the caller's
	Called        string // the number or name that was called (DID)
	Leg           conversation.Leg
	Attributes    map[string]string
	Locale        string // BCP 47
}

// CallPlayed: a CallPlay is over.
type CallPlayed struct {
	Leg       conversation.LegID
	Command   [16]byte
	Digits    string
	Cancelled bool
}

// CallRecording: a recording has been stored.
type CallRecording struct {
	File     conversation.File
	Begun    time.Time
	Duration time.Duration
}

// CallEnded: the call is over.
type CallEnded struct {
	Cause   conversation.Cause
	Code    string // the provider's
	Quality []LegQuality
}

// LegQuality is how good a leg's media were.
type LegQuality struct {
	Leg       conversation.LegID
	Loss      float64 // share of packets, 0 to 1
	Jitter    time.Duration
	RoundTrip time.Duration
	MOS       float64 // 1 to 5; 0: not known
}
