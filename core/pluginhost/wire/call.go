package wire

import (
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of what a plugin says of a call.
const (
	maxQualities = 64                 // legs whose quality is told
	maxRecording = 7 * 24 * time.Hour // of one recording
	maxMOS       = 5
)

func toCallEvent(e *pluginv1.CallEvent) (*plugin.CallEvent, error) {
	out := &plugin.CallEvent{}
	if err := ParseID(&out.Session, e.GetSession()); err != nil {
		return nil, fmt.Errorf("call: session: %w", err)
	}
	var err error
	switch k := e.GetEvent().(type) {
	case *pluginv1.CallEvent_Incoming:
		out.Incoming, err = toCallIncoming(k.Incoming)
	case *pluginv1.CallEvent_Leg:
		var leg conversation.Leg
		leg, out.LegName, err = toLeg(k.Leg)
		out.Leg = &leg
	case *pluginv1.CallEvent_Digits:
		out.Digits = &plugin.CallDigits{}
		if err = ParseID(&out.Digits.Leg, k.Digits.GetLeg()); err == nil {
			out.Digits.Digits, err = toDigits(k.Digits.GetDigits())
		}
		if err == nil && out.Digits.Digits == "" {
			err = invalid("no digits")
		}
	case *pluginv1.CallEvent_Played:
		out.Played, err = toCallPlayed(k.Played)
	case *pluginv1.CallEvent_Recording:
		out.Recording, err = toCallRecording(k.Recording)
	case *pluginv1.CallEvent_State:
		out.State, err = toSessionState(k.State.GetState())
	case *pluginv1.CallEvent_Ended:
		out.Ended, err = toCallEnded(k.Ended)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	return out, nil
}

func toCallIncoming(c *pluginv1.CallIncoming) (*plugin.CallIncoming, error) {
	out := &plugin.CallIncoming{
		Address: c.GetFrom().GetAddress(), Name: c.GetFrom().GetName(), Called: c.GetCalled(), Locale: c.GetLocale(),
	}
	if err := within(maxField, out.Address, out.Name, out.Called); err != nil {
		return nil, err
	}
	if err := within(maxLocale, out.Locale); err != nil {
		return nil, fmt.Errorf("locale: %w", err)
	}
	var err error
	if out.Leg, _, err = toLeg(c.GetLeg()); err != nil {
		return nil, err
	}
	out.Attributes, err = checkedAttributes(c.GetAttributes())
	return out, err
}

func toLeg(l *pluginv1.CallLeg) (out conversation.Leg, name string, err error) {
	out = conversation.Leg{Audio: l.GetAudio(), Video: l.GetVideo(), Muted: l.GetMuted(), Cause: toCause(l.GetCause()), Code: toCode(l.GetCode())}
	if err := ParseID(&out.ID, l.GetLeg()); err != nil {
		return out, "", fmt.Errorf("leg: %w", err)
	}
	party, err := toParty(l.GetParty())
	if err != nil {
		return out, "", err
	}
	out.Party = party.Who
	switch l.GetKind() {
	case pluginv1.LegKind_LEG_KIND_SIP:
		out.Kind = conversation.LegSIP
	case pluginv1.LegKind_LEG_KIND_WEB:
		out.Kind = conversation.LegWeb
	default:
		return out, "", ErrUnsupported
	}
	switch l.GetState() {
	case pluginv1.LegState_LEG_STATE_DIALLING:
		out.State = conversation.LegDialling
	case pluginv1.LegState_LEG_STATE_RINGING:
		out.State = conversation.LegRinging
	case pluginv1.LegState_LEG_STATE_EARLY:
		out.State = conversation.LegEarly
	case pluginv1.LegState_LEG_STATE_UP:
		out.State = conversation.LegUp
	case pluginv1.LegState_LEG_STATE_HELD:
		out.State = conversation.LegHeld
	case pluginv1.LegState_LEG_STATE_ENDED:
		out.State = conversation.LegEnded
	default:
		return out, "", ErrUnsupported
	}
	return out, party.Name, nil
}

func toCallPlayed(p *pluginv1.CallPlayed) (*plugin.CallPlayed, error) {
	out := &plugin.CallPlayed{Cancelled: p.GetCancelled()}
	if err := out.Leg.UnmarshalText([]byte(p.GetLeg())); err != nil { // "" = it was played to all
		return nil, fmt.Errorf("leg: %w", err)
	}
	var err error
	if out.Command, err = ParseCommandID(p.GetCommandId()); err != nil {
		return nil, err
	}
	out.Digits, err = toDigits(p.GetDigits())
	return out, err
}

func toCallRecording(r *pluginv1.CallRecording) (*plugin.CallRecording, error) {
	file, err := toFile(1, r.GetFile())
	if err != nil {
		return nil, err
	}
	if r.GetDurationMs() > uint64(maxRecording.Milliseconds()) {
		return nil, invalid("duration of a recording")
	}
	return &plugin.CallRecording{
		File: *file, Begun: FromMicros(r.GetBegun()), Duration: time.Duration(r.GetDurationMs()) * time.Millisecond,
	}, nil
}

func toCallEnded(e *pluginv1.CallEnded) (*plugin.CallEnded, error) {
	out := &plugin.CallEnded{Cause: toCause(e.GetCause()), Code: toCode(e.GetCode())}
	if len(e.GetQuality()) > maxQualities {
		return nil, fmt.Errorf("quality of more than %d legs: %w", maxQualities, ErrTooLarge)
	}
	for _, q := range e.GetQuality() {
		one := plugin.LegQuality{
			Loss: q.GetLoss(), MOS: q.GetMos(), Jitter: time.Duration(q.GetJitterMs()) * time.Millisecond,
			RoundTrip: time.Duration(q.GetRoundTripMs()) * time.Millisecond,
		}
		if err := ParseID(&one.Leg, q.GetLeg()); err != nil {
			return nil, fmt.Errorf("quality: %w", err)
		}
		if !(one.Loss >= 0 && one.Loss <= 1) || !(one.MOS >= 0 && one.MOS <= maxMOS) { // false for NaN, too
			return nil, invalid("quality out of range")
		}
		out.Quality = append(out.Quality, one)
	}
	return out, nil
}

func fromCallCommand(c *plugin.CallCommand) *pluginv1.CallCommand {
	out := &pluginv1.CallCommand{Session: c.Session.String()}
	switch {
	case c.Dial != nil:
		d := c.Dial
		out.Command = &pluginv1.CallCommand_Dial{Dial: &pluginv1.CallDial{
			Leg: d.Leg.String(), Party: fromParty(d.Party), To: d.To, From: d.From, RingMs: d.RingMS, Video: d.Video,
			Attributes: fromAttributes(d.Attributes),
		}}
	case c.Invite != nil:
		out.Command = &pluginv1.CallCommand_Invite{Invite: &pluginv1.CallInvite{
			Leg: c.Invite.Leg.String(), Party: fromParty(c.Invite.Party), Video: c.Invite.Video, RingMs: c.Invite.RingMS,
		}}
	case c.Ring != nil:
		out.Command = &pluginv1.CallCommand_Ring{Ring: &pluginv1.CallRing{Leg: c.Ring.Leg.String(), EarlyMedia: c.Ring.EarlyMedia}}
	case c.Answer != nil:
		out.Command = &pluginv1.CallCommand_Answer{Answer: &pluginv1.CallAnswer{Leg: c.Answer.Leg.String()}}
	case c.Hear != nil:
		hear := &pluginv1.CallHearing{}
		for _, l := range c.Hear.Legs {
			one := &pluginv1.LegHears{Leg: l.Leg.String()}
			for _, id := range l.Hears {
				one.Hears = append(one.Hears, id.String())
			}
			hear.Legs = append(hear.Legs, one)
		}
		out.Command = &pluginv1.CallCommand_Hear{Hear: hear}
	case c.Hold != nil:
		out.Command = &pluginv1.CallCommand_Hold{Hold: &pluginv1.CallHold{Leg: c.Hold.Leg.String(), On: c.Hold.On, Music: c.Hold.Music.String()}}
	case c.Mute != nil:
		out.Command = &pluginv1.CallCommand_Mute{Mute: &pluginv1.CallMute{Leg: c.Mute.Leg.String(), On: c.Mute.On}}
	case c.Video != nil:
		out.Command = &pluginv1.CallCommand_Video{Video: &pluginv1.CallVideo{Leg: c.Video.Leg.String(), On: c.Video.On}}
	case c.Digits != nil:
		out.Command = &pluginv1.CallCommand_Digits{Digits: &pluginv1.CallSendDigits{
			Leg: c.Digits.Leg.String(), Digits: c.Digits.Digits, ToneMs: c.Digits.ToneMS,
		}}
	case c.Transfer != nil:
		out.Command = &pluginv1.CallCommand_Transfer{Transfer: &pluginv1.CallTransfer{
			Leg: c.Transfer.Leg.String(), To: c.Transfer.To, AttendedLeg: c.Transfer.AttendedLeg.String(),
		}}
	case c.Play != nil:
		p := &pluginv1.CallPlay{
			Leg: c.Play.Leg.String(), Prompt: c.Play.Prompt, Loop: c.Play.Loop, Digits: c.Play.Digits,
			EndDigit: c.Play.EndDigit, DigitsMs: c.Play.DigitsMS,
		}
		for _, id := range c.Play.Blobs {
			p.Blobs = append(p.Blobs, id.String())
		}
		out.Command = &pluginv1.CallCommand_Play{Play: p}
	case c.Stop != nil:
		out.Command = &pluginv1.CallCommand_Stop{Stop: &pluginv1.CallStop{Leg: c.Stop.Leg.String()}}
	case c.Record != nil:
		out.Command = &pluginv1.CallCommand_Record{Record: &pluginv1.CallRecord{Action: recordActions[c.Record.Action]}}
	case c.HangUp != nil:
		out.Command = &pluginv1.CallCommand_HangUp{HangUp: &pluginv1.CallHangUp{Leg: c.HangUp.Leg.String(), Cause: string(c.HangUp.Cause)}}
	}
	return out
}

var recordActions = map[plugin.RecordAction]pluginv1.RecordAction{
	plugin.RecordStart:  pluginv1.RecordAction_RECORD_ACTION_START,
	plugin.RecordPause:  pluginv1.RecordAction_RECORD_ACTION_PAUSE,
	plugin.RecordResume: pluginv1.RecordAction_RECORD_ACTION_RESUME,
	plugin.RecordStop:   pluginv1.RecordAction_RECORD_ACTION_STOP,
}
