package sdk

import (
	"fmt"
	"math"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file converts calls, in both directions.

func partyToWire(p Party) *pluginv1.Party {
	if p == (Party{}) {
		return nil
	}
	return &pluginv1.Party{Kind: p.Kind, Id: p.ID, Name: p.Name}
}

func partyFromWire(w *pluginv1.Party) Party {
	return Party{Kind: w.GetKind(), ID: w.GetId(), Name: w.GetName()}
}

func legToWire(l *Leg) *pluginv1.CallLeg {
	return &pluginv1.CallLeg{
		Leg: string(l.ID), Party: partyToWire(l.Party), Kind: pluginv1.LegKind(l.Kind), State: pluginv1.LegState(l.State),
		Audio: l.Audio, Video: l.Video, Muted: l.Muted, Cause: l.Cause, Code: l.Code,
	}
}

func legFromWire(w *pluginv1.CallLeg) Leg {
	return Leg{
		ID: LegID(w.GetLeg()), Party: partyFromWire(w.GetParty()), Kind: LegKind(w.GetKind()), State: LegState(w.GetState()),
		Audio: w.GetAudio(), Video: w.GetVideo(), Muted: w.GetMuted(), Cause: w.GetCause(), Code: w.GetCode(),
	}
}

// callEventToWire encodes an event of a call; its caller has chosen the kinds.
func callEventToWire(body EventBody) *pluginv1.CallEvent {
	out := &pluginv1.CallEvent{}
	switch b := body.(type) {
	case CallIncoming:
		out.Session = string(b.Session)
		out.Event = &pluginv1.CallEvent_Incoming{Incoming: &pluginv1.CallIncoming{
			From: addressToWire(b.From), Called: b.Called, Leg: legToWire(&b.Leg), Attributes: attributesToWire(b.Attributes), Locale: b.Locale,
		}}
	case CallLeg:
		out.Session = string(b.Session)
		out.Event = &pluginv1.CallEvent_Leg{Leg: legToWire(&b.Leg)}
	case CallDigits:
		out.Session = string(b.Session)
		out.Event = &pluginv1.CallEvent_Digits{Digits: &pluginv1.CallDigits{Leg: string(b.Leg), Digits: b.Digits}}
	case CallRecording:
		out.Session = string(b.Session)
		out.Event = &pluginv1.CallEvent_Recording{Recording: &pluginv1.CallRecording{
			File: fileToWire(b.File), Begun: micros(b.Begun), DurationMs: uint64(max(b.Duration, 0) / time.Millisecond),
		}}
	case CallState:
		out.Session = string(b.Session)
		out.Event = &pluginv1.CallEvent_State{State: &pluginv1.CallState{State: pluginv1.SessionState(b.State)}}
	case CallPlayed:
		out.Session = string(b.Session)
		out.Event = &pluginv1.CallEvent_Played{Played: &pluginv1.CallPlayed{
			Leg: string(b.Leg), CommandId: string(b.Command), Digits: b.Digits, Cancelled: b.Cancelled,
		}}
	case CallEnded:
		out.Session = string(b.Session)
		ended := &pluginv1.CallEnded{Cause: b.Cause, Code: b.Code}
		for _, q := range b.Quality {
			ended.Quality = append(ended.Quality, &pluginv1.LegQuality{
				Leg: string(q.Leg), Loss: q.Loss, JitterMs: millis(q.Jitter), RoundTripMs: millis(q.RoundTrip), Mos: q.MOS,
			})
		}
		out.Event = &pluginv1.CallEvent_Ended{Ended: ended}
	}
	return out
}

func callEventFromWire(w *pluginv1.CallEvent) (EventBody, error) {
	session := SessionID(w.GetSession())
	switch k := w.GetEvent().(type) {
	case *pluginv1.CallEvent_Incoming:
		return CallIncoming{
			Session: session, From: addressFromWire(k.Incoming.GetFrom()), Called: k.Incoming.GetCalled(), Leg: legFromWire(k.Incoming.GetLeg()),
			Attributes: attributesFromWire(k.Incoming.GetAttributes()), Locale: k.Incoming.GetLocale(),
		}, nil
	case *pluginv1.CallEvent_Leg:
		return CallLeg{Session: session, Leg: legFromWire(k.Leg)}, nil
	case *pluginv1.CallEvent_Digits:
		return CallDigits{Session: session, Leg: LegID(k.Digits.GetLeg()), Digits: k.Digits.GetDigits()}, nil
	case *pluginv1.CallEvent_Recording:
		ms := min(k.Recording.GetDurationMs(), math.MaxInt64/uint64(time.Millisecond))
		return CallRecording{
			Session: session, File: fileFromWire(k.Recording.GetFile()), Begun: timeOf(k.Recording.GetBegun()),
			Duration: time.Duration(ms) * time.Millisecond,
		}, nil
	case *pluginv1.CallEvent_State:
		return CallState{Session: session, State: SessionState(k.State.GetState())}, nil
	case *pluginv1.CallEvent_Played:
		return CallPlayed{
			Session: session, Leg: LegID(k.Played.GetLeg()), Command: CommandID(k.Played.GetCommandId()),
			Digits: k.Played.GetDigits(), Cancelled: k.Played.GetCancelled(),
		}, nil
	case *pluginv1.CallEvent_Ended:
		out := CallEnded{Session: session, Cause: k.Ended.GetCause(), Code: k.Ended.GetCode()}
		for _, q := range k.Ended.GetQuality() {
			out.Quality = append(out.Quality, LegQuality{
				Leg: LegID(q.GetLeg()), Loss: q.GetLoss(), Jitter: durationOf(q.GetJitterMs()), RoundTrip: durationOf(q.GetRoundTripMs()), MOS: q.GetMos(),
			})
		}
		return out, nil
	default:
		return nil, fmt.Errorf("call event %T: %w", k, errUnknownKind)
	}
}

// callActionName is the name of the field of CallCommand.command that carries an action.
func callActionName(a CallAction) string {
	w := &pluginv1.CallCommand{}
	if !fillCall(w, a) {
		return ""
	}
	return callName(w)
}

// callName returns the name of the field of CallCommand.command that is set; "" = none.
func callName(w *pluginv1.CallCommand) string {
	m := w.ProtoReflect()
	if fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("command")); fd != nil {
		return string(fd.Name())
	}
	return ""
}

func callToWire(c *CallCommand) (*pluginv1.Command, error) {
	call := &pluginv1.CallCommand{Session: string(c.Session)}
	if !fillCall(call, c.Do) {
		return nil, fmt.Errorf("call command %T: %w", c.Do, errUnknownKind)
	}
	out := infoToWire(&c.CommandInfo)
	out.Kind = &pluginv1.Command_Call{Call: call}
	return out, nil
}

func fillCall(w *pluginv1.CallCommand, action CallAction) bool {
	switch a := action.(type) {
	case CallDial:
		w.Command = &pluginv1.CallCommand_Dial{Dial: &pluginv1.CallDial{
			Leg: string(a.Leg), Party: partyToWire(a.Party), To: a.To, From: a.From, RingMs: millis(a.Ring), Video: a.Video,
			Attributes: attributesToWire(a.Attributes),
		}}
	case CallInvite:
		w.Command = &pluginv1.CallCommand_Invite{Invite: &pluginv1.CallInvite{
			Leg: string(a.Leg), Party: partyToWire(a.Party), Video: a.Video, RingMs: millis(a.Ring),
		}}
	case CallRing:
		w.Command = &pluginv1.CallCommand_Ring{Ring: &pluginv1.CallRing{Leg: string(a.Leg), EarlyMedia: a.EarlyMedia}}
	case CallAnswer:
		w.Command = &pluginv1.CallCommand_Answer{Answer: &pluginv1.CallAnswer{Leg: string(a.Leg)}}
	case CallHearing:
		hearing := &pluginv1.CallHearing{}
		for _, l := range a.Legs {
			hearing.Legs = append(hearing.Legs, &pluginv1.LegHears{Leg: string(l.Leg), Hears: textsOf(l.Hears)})
		}
		w.Command = &pluginv1.CallCommand_Hear{Hear: hearing}
	case CallHold:
		w.Command = &pluginv1.CallCommand_Hold{Hold: &pluginv1.CallHold{Leg: string(a.Leg), On: a.On, Music: string(a.Music)}}
	case CallMute:
		w.Command = &pluginv1.CallCommand_Mute{Mute: &pluginv1.CallMute{Leg: string(a.Leg), On: a.On}}
	case CallVideo:
		w.Command = &pluginv1.CallCommand_Video{Video: &pluginv1.CallVideo{Leg: string(a.Leg), On: a.On}}
	case CallSendDigits:
		w.Command = &pluginv1.CallCommand_Digits{Digits: &pluginv1.CallSendDigits{Leg: string(a.Leg), Digits: a.Digits, ToneMs: millis(a.Tone)}}
	case CallTransfer:
		w.Command = &pluginv1.CallCommand_Transfer{Transfer: &pluginv1.CallTransfer{
			Leg: string(a.Leg), To: a.To, AttendedLeg: string(a.AttendedLeg),
		}}
	case CallPlay:
		w.Command = &pluginv1.CallCommand_Play{Play: &pluginv1.CallPlay{
			Leg: string(a.Leg), Blobs: textsOf(a.Blobs), Prompt: a.Prompt, Loop: a.Loop, Digits: a.Digits, EndDigit: a.EndDigit,
			DigitsMs: millis(a.DigitsWait),
		}}
	case CallStop:
		w.Command = &pluginv1.CallCommand_Stop{Stop: &pluginv1.CallStop{Leg: string(a.Leg)}}
	case CallRecord:
		w.Command = &pluginv1.CallCommand_Record{Record: &pluginv1.CallRecord{Action: pluginv1.RecordAction(a.Action)}}
	case CallHangUp:
		w.Command = &pluginv1.CallCommand_HangUp{HangUp: &pluginv1.CallHangUp{Leg: string(a.Leg), Cause: a.Cause}}
	default:
		return false
	}
	return true
}

func callFromWire(c *pluginv1.Command, w *pluginv1.CallCommand) (*CallCommand, error) {
	out := &CallCommand{CommandInfo: infoFromWire(c), Session: SessionID(w.GetSession())}
	switch k := w.GetCommand().(type) {
	case *pluginv1.CallCommand_Dial:
		out.Do = CallDial{
			Leg: LegID(k.Dial.GetLeg()), Party: partyFromWire(k.Dial.GetParty()), To: k.Dial.GetTo(), From: k.Dial.GetFrom(),
			Ring: durationOf(k.Dial.GetRingMs()), Video: k.Dial.GetVideo(), Attributes: attributesFromWire(k.Dial.GetAttributes()),
		}
	case *pluginv1.CallCommand_Invite:
		out.Do = CallInvite{
			Leg: LegID(k.Invite.GetLeg()), Party: partyFromWire(k.Invite.GetParty()), Video: k.Invite.GetVideo(), Ring: durationOf(k.Invite.GetRingMs()),
		}
	case *pluginv1.CallCommand_Ring:
		out.Do = CallRing{Leg: LegID(k.Ring.GetLeg()), EarlyMedia: k.Ring.GetEarlyMedia()}
	case *pluginv1.CallCommand_Answer:
		out.Do = CallAnswer{Leg: LegID(k.Answer.GetLeg())}
	case *pluginv1.CallCommand_Hear:
		hearing := CallHearing{}
		for _, l := range k.Hear.GetLegs() {
			hearing.Legs = append(hearing.Legs, LegHears{Leg: LegID(l.GetLeg()), Hears: idsOf[LegID](l.GetHears())})
		}
		out.Do = hearing
	case *pluginv1.CallCommand_Hold:
		out.Do = CallHold{Leg: LegID(k.Hold.GetLeg()), On: k.Hold.GetOn(), Music: BlobID(k.Hold.GetMusic())}
	case *pluginv1.CallCommand_Mute:
		out.Do = CallMute{Leg: LegID(k.Mute.GetLeg()), On: k.Mute.GetOn()}
	case *pluginv1.CallCommand_Video:
		out.Do = CallVideo{Leg: LegID(k.Video.GetLeg()), On: k.Video.GetOn()}
	case *pluginv1.CallCommand_Digits:
		out.Do = CallSendDigits{Leg: LegID(k.Digits.GetLeg()), Digits: k.Digits.GetDigits(), Tone: durationOf(k.Digits.GetToneMs())}
	case *pluginv1.CallCommand_Transfer:
		out.Do = CallTransfer{Leg: LegID(k.Transfer.GetLeg()), To: k.Transfer.GetTo(), AttendedLeg: LegID(k.Transfer.GetAttendedLeg())}
	case *pluginv1.CallCommand_Play:
		out.Do = CallPlay{
			Leg: LegID(k.Play.GetLeg()), Blobs: idsOf[BlobID](k.Play.GetBlobs()), Prompt: k.Play.GetPrompt(), Loop: k.Play.GetLoop(),
			Digits: k.Play.GetDigits(), EndDigit: k.Play.GetEndDigit(), DigitsWait: durationOf(k.Play.GetDigitsMs()),
		}
	case *pluginv1.CallCommand_Stop:
		out.Do = CallStop{Leg: LegID(k.Stop.GetLeg())}
	case *pluginv1.CallCommand_Record:
		out.Do = CallRecord{Action: RecordAction(k.Record.GetAction())}
	case *pluginv1.CallCommand_HangUp:
		out.Do = CallHangUp{Leg: LegID(k.HangUp.GetLeg()), Cause: k.HangUp.GetCause()}
	default:
		return nil, fmt.Errorf("call command %T: %w", k, errUnknownKind)
	}
	return out, nil
}

func textsOf[ID ~string](ids []ID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

func idsOf[ID ~string](texts []string) []ID {
	var out []ID
	for _, t := range texts {
		out = append(out, ID(t))
	}
	return out
}
