package sdk

import (
	"context"
	"time"
)

// CallCommander carries out what calls are to do (minor 1). Name the commands in
// Manifest.Calls.Commands: the SDK answers all others itself with a failure. ctx ends at the
// command's deadline, which is seconds away. Commands of one call come one after another, in order;
// those of different calls side by side, and apart from the messages of the thread. The Result says
// that the command was carried out (Sent) or was not; what it leads to is emitted as CallLeg,
// CallState, CallPlayed and CallEnded.
type CallCommander interface {
	Call(ctx context.Context, cmd *CallCommand) Result
}

// CallFunc adapts a function to CallCommander.
type CallFunc func(ctx context.Context, cmd *CallCommand) Result

// Call calls f.
func (f CallFunc) Call(ctx context.Context, cmd *CallCommand) Result { return f(ctx, cmd) }

// CallCommand asks for something in a call.
type CallCommand struct {
	CommandInfo
	Session SessionID
	Do      CallAction

	barrier func(ctx context.Context) error
}

// Begin is SendCommand.Begin, for a CallDial that must not be repeated unnoticed. Commands for calls
// that the plugin holds do not need it: they are never sent to another process.
func (c *CallCommand) Begin(ctx context.Context) error {
	if c.barrier == nil {
		return nil
	}
	return c.barrier(ctx)
}

// CallAction is what a call is to do: CallDial, CallInvite, CallRing, CallAnswer, CallHearing,
// CallHold, CallMute, CallVideo, CallSendDigits, CallTransfer, CallPlay, CallStop, CallRecord or
// CallHangUp.
type CallAction interface{ isCallAction() }

// CallDial calls somebody outside: a new leg. If the plugin knows no call with this session, it is a
// new call.
type CallDial struct {
	Leg        LegID
	Party      Party
	To         string        // E.164 with plus, or a SIP address
	From       string        // caller id; "" = the account's
	Ring       time.Duration // how long it may ring, in whole milliseconds; 0 = 60 s
	Video      bool
	Attributes []Attribute // allow-listed headers
}

// CallInvite invites a browser: the party opens the leg with a grant at the plugin's own route.
type CallInvite struct {
	Leg   LegID
	Party Party
	Video bool
	Ring  time.Duration // 0 = 60 s
}

// CallRing tells a caller that it rings.
type CallRing struct {
	Leg        LegID
	EarlyMedia bool
}

// CallAnswer takes a caller's call.
type CallAnswer struct{ Leg LegID }

// CallHearing says who hears whom, for all legs of the call at once. A leg that is not listed hears
// nobody.
type CallHearing struct{ Legs []LegHears }

// LegHears lists the legs that a leg hears.
type LegHears struct {
	Leg   LegID
	Hears []LegID
}

// CallHold puts a leg on hold, or takes it back.
type CallHold struct {
	Leg   LegID
	On    bool
	Music BlobID // "" = the account's
}

// CallMute keeps a leg's sound from the others, or lets it through again.
type CallMute struct {
	Leg LegID
	On  bool
}

// CallVideo switches a leg's picture on or off.
type CallVideo struct {
	Leg LegID
	On  bool
}

// CallSendDigits sends DTMF tones to a leg.
type CallSendDigits struct {
	Leg    LegID
	Digits string        // of 0-9 * # A-D
	Tone   time.Duration // how long each is; 0 = 100 ms
}

// CallTransfer hands a leg to somebody else at the provider: blind, or attended with the leg that
// was called before.
type CallTransfer struct {
	Leg         LegID
	To          string
	AttendedLeg LegID // "" = blind
}

// CallPlay plays to a leg, until it is over, stopped, or a digit comes. Report its end with
// CallPlayed under the command's id.
type CallPlay struct {
	Leg        LegID // "" = all
	Blobs      []BlobID
	Prompt     string // name of a prompt of the account; "" = none
	Loop       bool
	Digits     uint32        // how many to collect; 0 = none
	EndDigit   string        // "#"; "" = none
	DigitsWait time.Duration // how long to wait for them; 0 = 5 s
}

// CallStop stops what plays.
type CallStop struct{ Leg LegID } // "" = on all legs

// CallRecord starts or stops recording the call. Report what was recorded with CallRecording.
type CallRecord struct{ Action RecordAction }

// RecordAction is what a recording is to do.
type RecordAction int

// What a recording is to do.
const (
	RecordStart RecordAction = iota + 1
	RecordPause
	RecordResume
	RecordStop
)

// CallHangUp ends a leg or the call.
type CallHangUp struct {
	Leg   LegID // "" = the whole call
	Cause string
}

func (CallDial) isCallAction()       {}
func (CallInvite) isCallAction()     {}
func (CallRing) isCallAction()       {}
func (CallAnswer) isCallAction()     {}
func (CallHearing) isCallAction()    {}
func (CallHold) isCallAction()       {}
func (CallMute) isCallAction()       {}
func (CallVideo) isCallAction()      {}
func (CallSendDigits) isCallAction() {}
func (CallTransfer) isCallAction()   {}
func (CallPlay) isCallAction()       {}
func (CallStop) isCallAction()       {}
func (CallRecord) isCallAction()     {}
func (CallHangUp) isCallAction()     {}

// CallCommands returns the names of commands for Manifest.Calls.Commands:
//
//	Calls: &sdk.CallInfo{Commands: sdk.CallCommands(sdk.CallDial{}, sdk.CallAnswer{}, sdk.CallHangUp{})}
func CallCommands(actions ...CallAction) []string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = callActionName(a)
	}
	return names
}

// Party is somebody who takes part.
type Party struct {
	Kind string // "customer", "agent", "bot", "supervisor", "outside"; "" = nobody
	ID   string // an agent's id, a bot's account; "" = the customer, or somebody outside
	Name string // as others see it
}

// Leg is one party's part in a call, as it is now.
type Leg struct {
	ID    LegID // made by whoever began the leg
	Party Party
	Kind  LegKind
	State LegState
	Audio bool
	Video bool
	Muted bool
	Cause string // why it ended: "busy", "no_answer", "rejected", "cancelled", "hangup", "failed", ...
	Code  string // the provider's: "486"
}

// LegKind is how a party is connected.
type LegKind int

// Kinds of legs.
const (
	LegSIP LegKind = iota + 1
	LegWeb         // a browser, by WebRTC
)

// LegState is how far a leg is.
type LegState int

// States of a leg.
const (
	LegDialling LegState = iota + 1
	LegRinging
	LegEarly // early media
	LegUp
	LegHeld
	LegEnded
)

// SessionState is how far a call or a tool's session is.
type SessionState int

// States of sessions.
const (
	SessionRequested SessionState = iota + 1
	SessionWaiting                // for the other side
	SessionActive
	SessionEnded
)

// The events of calls (minor 1). Their thread is that of the call's conversation. The session's id
// is a UUID: the plugin makes it for a call that comes in, the host for a call that it asks for.

// CallIncoming: a call has come in. It begins a conversation of its own, or, where one is open on
// the thread, a call inside that one.
type CallIncoming struct {
	Session    SessionID
	From       Address
	Called     string // the number or name that was called
	Leg        Leg    // the caller's
	Attributes []Attribute
	Locale     string // BCP 47; "" = not known
}

// CallLeg: a leg has changed.
type CallLeg struct {
	Session SessionID
	Leg     Leg
}

// CallDigits: somebody pressed keys.
type CallDigits struct {
	Session SessionID
	Leg     LegID
	Digits  string // of 0-9 * # A-D
}

// CallRecording: a recording is stored as a blob.
type CallRecording struct {
	Session  SessionID
	File     File
	Begun    time.Time
	Duration time.Duration
}

// CallState: how far the call has come. It is active from when two parties are connected.
type CallState struct {
	Session SessionID
	State   SessionState
}

// CallPlayed: a CallPlay is over.
type CallPlayed struct {
	Session   SessionID
	Leg       LegID
	Command   CommandID
	Digits    string
	Cancelled bool
}

// CallEnded: the call is over.
type CallEnded struct {
	Session SessionID
	Cause   string // "hangup", "busy", "no_answer", "rejected", "cancelled", "failed", "lost", ...
	Code    string // the provider's
	Quality []LegQuality
}

// LegQuality is how well a leg was heard.
type LegQuality struct {
	Leg       LegID
	Loss      float64 // share of packets, 0 to 1
	Jitter    time.Duration
	RoundTrip time.Duration
	MOS       float64 // 1 to 5; 0 = not known
}

func (CallIncoming) isEventBody()  {}
func (CallLeg) isEventBody()       {}
func (CallDigits) isEventBody()    {}
func (CallRecording) isEventBody() {}
func (CallState) isEventBody()     {}
func (CallPlayed) isEventBody()    {}
func (CallEnded) isEventBody()     {}
