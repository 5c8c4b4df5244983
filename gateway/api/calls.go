package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Calls is what the API needs of the session router for calls inside conversations. A command is committed when
// Call returns.
type Calls interface {
	CallCommands(plugin string) []string
	Call(ctx context.Context, req sessionwork.CallRequest) (sessionwork.Called, error)
}

type callsOutput struct {
	Body struct {
		Calls []callView `json:"calls" doc:"Live calls"`
	}
}

type callView struct {
	ID       conversation.SessionID    `json:"id" format:"uuid"`
	Account  conversation.AccountID    `json:"account" format:"uuid"`
	Plugin   string                    `json:"plugin"`
	State    conversation.SessionState `json:"state" enum:"requested,waiting,active"`
	Commands []string                  `json:"commands" doc:"What the reader may have the call do: names of members of a command. None for those who only look"`
	Legs     []legView                 `json:"legs" doc:"Ended ones included, as far as the reader may know of them"`
}

type legView struct {
	ID    conversation.LegID      `json:"id" format:"uuid"`
	Party conversation.AuthorKind `json:"party" enum:"customer,agent,supervisor,bot,system,outside" doc:"Whose leg it is; outside: somebody who is no customer"`
	Agent *AgentRef               `json:"agent,omitempty" doc:"Of an agent's or supervisor's leg"`
	Kind  conversation.LegKind    `json:"kind" enum:"sip,web"`
	State conversation.LegState   `json:"state" enum:"dialling,ringing,early,up,held,ended"`
	Audio bool                    `json:"audio"`
	Video bool                    `json:"video"`
	Muted bool                    `json:"muted"`
	Cause conversation.Cause      `json:"cause,omitempty" doc:"Why it ended"`
	Code  string                  `json:"code,omitempty" doc:"The provider's code for its end"`
}

type callCommandInput struct {
	ID      string `path:"id" format:"uuid"`
	Session string `path:"session" format:"uuid"`
	Body    callCommandBody
}

// callCommandBody has the members of the contract's CallCommand that people give. What they may not choose
// (files, the parties and ids of legs) has no field.
type callCommandBody struct {
	ClientID string `json:"client_id,omitempty" maxLength:"64" doc:"A retry under the same id is the same command"`

	Answer   *callLeg      `json:"answer,omitempty" doc:"Take a call that has come in"`
	Hold     *callSwitch   `json:"hold,omitempty" doc:"Put a leg on hold, or take it back"`
	Mute     *callSwitch   `json:"mute,omitempty" doc:"Take a leg's sound away from the others, or give it back"`
	Video    *callSwitch   `json:"video,omitempty" doc:"Add a leg's picture, or take it away"`
	Digits   *callDigits   `json:"digits,omitempty" doc:"Send DTMF digits to a leg"`
	Dial     *callDial     `json:"dial,omitempty" doc:"Call somebody outside: a new leg"`
	Transfer *callTransfer `json:"transfer,omitempty" doc:"Hand a leg to somebody else at the provider"`
	Play     *callPlay     `json:"play,omitempty" doc:"Play a prompt"`
	Stop     *callMaybeLeg `json:"stop,omitempty" doc:"Stop what plays"`
	Record   *callRecord   `json:"record,omitempty" doc:"Record the call"`
	HangUp   *callMaybeLeg `json:"hang_up,omitempty" doc:"End a leg, or the whole call"`
}

type callLeg struct {
	Leg string `json:"leg" format:"uuid"`
}

type callMaybeLeg struct {
	Leg string `json:"leg,omitempty" format:"uuid" doc:"Absent: the whole call"`
}

type callSwitch struct {
	Leg string `json:"leg" format:"uuid"`
	On  bool   `json:"on"`
}

type callDigits struct {
	Leg    string `json:"leg" format:"uuid"`
	Digits string `json:"digits" pattern:"^[0-9*#A-D]{1,64}$"`
	ToneMS uint32 `json:"tone_ms,omitempty" maximum:"10000" doc:"How long each tone lasts; 0: 100"`
}

type callDial struct {
	To     string `json:"to" minLength:"1" maxLength:"256" doc:"A number with its country, such as +15551234567, or a SIP address"`
	From   string `json:"from,omitempty" maxLength:"256" doc:"Caller id; absent: the account's"`
	RingMS uint32 `json:"ring_ms,omitempty" maximum:"600000" doc:"How long it may ring; 0: 60,000"`
	Video  bool   `json:"video,omitempty"`
}

type callTransfer struct {
	Leg         string `json:"leg" format:"uuid"`
	To          string `json:"to,omitempty" maxLength:"256" doc:"Blind, to a number or SIP address"`
	AttendedLeg string `json:"attended_leg,omitempty" format:"uuid" doc:"Attended, to who is on this leg. Either this or to"`
}

type callPlay struct {
	Leg    string `json:"leg,omitempty" format:"uuid" doc:"Absent: all"`
	Prompt string `json:"prompt" minLength:"1" maxLength:"256" doc:"Name of one of the account's"`
	Loop   bool   `json:"loop,omitempty"`
	Digits uint32 `json:"digits,omitempty" maximum:"64" doc:"How many digits to collect; 0: none"`
}

type callRecord struct {
	Action plugin.RecordAction `json:"action" enum:"start,pause,resume,stop"`
}

type callCommandOutput struct {
	Body struct {
		Command conversation.MessageID `json:"command" format:"uuid" doc:"By which events name it"`
		Seq     uint64                 `json:"seq" doc:"Sequence of the event about it"`
	}
}

// callRoutes serve calls inside a conversation (C1-C6) to agents who take part in it, and to supervisors who do.
// Others do not learn which calls there are. The conversation's log tells who gave which command.
func (a *API) callRoutes() {
	const tag, base = "calls", "/conversations/{id}/calls"
	agent := directory.RoleAgent
	register(a, op("list-calls", http.MethodGet, base, tag, "List a conversation's live calls, and their legs", agent), agent, a.listCalls)
	o := op("command-call", http.MethodPost, base+"/{session}/commands", tag, "Have a call do something: exactly one member beside client_id; 202 means that it is durable", agent)
	o.DefaultStatus, o.MaxBodyBytes = http.StatusAccepted, 16<<10
	register(a, o, agent, a.commandCall)
}

func (a *API) listCalls(ctx context.Context, id auth.Identity, in *oneInput) (*callsOutput, error) {
	st, err := a.atTools(ctx, id, in.ID, true)
	if err != nil {
		return nil, err
	}
	out := &callsOutput{}
	out.Body.Calls = []callView{}
	for i := range st.Sessions {
		if x := &st.Sessions[i]; x.Kind == conversation.SessionCall && AudienceOf(id).Sees(x.Circle) {
			out.Body.Calls = append(out.Body.Calls, a.callView(id, st, x))
		}
	}
	return out, nil
}

// callView shows a call as the user may see it, who sees at least the call itself.
func (a *API) callView(id auth.Identity, st *conversation.State, x *conversation.Session) callView {
	v := callView{ID: x.ID, Account: x.Account, Plugin: x.Plugin, State: x.State, Commands: []string{}, Legs: []legView{}}
	if takesPart(id, st) || st.ModeOf(id.User) == conversation.ModeBarge {
		v.Commands = append(v.Commands, a.opts.Calls.CallCommands(x.Plugin)...)
	}
	records := a.opts.Directory.Snapshot()
	for i := range x.Legs {
		l := &x.Legs[i]
		if !AudienceOf(id).Sees(l.Audience()) {
			continue
		}
		leg := legView{
			ID: l.ID, Party: l.Party.Kind, Kind: l.Kind, State: l.State, Audio: l.Audio, Video: l.Video, Muted: l.Muted, Cause: l.Cause, Code: l.Code,
		}
		if leg.Party == "" {
			leg.Party = conversation.Outside
		}
		if !l.Party.Agent.IsZero() {
			u, _ := records.User(l.Party.Agent)
			leg.Agent = &AgentRef{ID: l.Party.Agent, Name: u.Name}
		}
		v.Legs = append(v.Legs, leg)
	}
	return v
}

func (a *API) commandCall(ctx context.Context, id auth.Identity, in *callCommandInput) (*callCommandOutput, error) {
	do, n := in.Body.command()
	if n != 1 {
		return nil, NewFault("invalid", Detail{"body", "must have exactly one command"})
	}
	st, err := a.atTools(ctx, id, in.ID, false)
	if err != nil {
		return nil, err
	}
	do.Session = conversation.SessionID(stream(in.Session))
	got, err := a.opts.Calls.Call(ctx, sessionwork.CallRequest{Conversation: st.ID, Agent: id.User, Do: do, ClientID: in.Body.ClientID})
	if err != nil {
		return nil, err
	}
	out := &callCommandOutput{}
	out.Body.Command, out.Body.Seq = got.Command, got.Seq
	return out, nil
}

// command makes the command for a call, without its session, and counts how many commands the body has.
func (b *callCommandBody) command() (do plugin.CallCommand, n int) {
	leg := func(id string) conversation.LegID { return conversation.LegID(stream(id)) }
	if c := b.Answer; c != nil {
		n, do.Answer = n+1, &plugin.CallAnswer{Leg: leg(c.Leg)}
	}
	if c := b.Hold; c != nil {
		n, do.Hold = n+1, &plugin.CallHold{Leg: leg(c.Leg), On: c.On}
	}
	if c := b.Mute; c != nil {
		n, do.Mute = n+1, &plugin.CallMute{Leg: leg(c.Leg), On: c.On}
	}
	if c := b.Video; c != nil {
		n, do.Video = n+1, &plugin.CallVideo{Leg: leg(c.Leg), On: c.On}
	}
	if c := b.Digits; c != nil {
		n, do.Digits = n+1, &plugin.CallDigits{Leg: leg(c.Leg), Digits: c.Digits, ToneMS: c.ToneMS}
	}
	if c := b.Dial; c != nil {
		n, do.Dial = n+1, &plugin.CallDial{To: c.To, From: c.From, RingMS: c.RingMS, Video: c.Video}
	}
	if c := b.Transfer; c != nil {
		n, do.Transfer = n+1, &plugin.CallTransfer{Leg: leg(c.Leg), To: c.To, AttendedLeg: leg(c.AttendedLeg)}
	}
	if c := b.Play; c != nil {
		n, do.Play = n+1, &plugin.CallPlay{Leg: leg(c.Leg), Prompt: c.Prompt, Loop: c.Loop, Digits: c.Digits}
	}
	if c := b.Stop; c != nil {
		n, do.Stop = n+1, &plugin.CallStop{Leg: leg(c.Leg)}
	}
	if c := b.Record; c != nil {
		n, do.Record = n+1, &plugin.CallRecord{Action: c.Action}
	}
	if c := b.HangUp; c != nil {
		n, do.HangUp = n+1, &plugin.CallHangUp{Leg: leg(c.Leg), Cause: conversation.CauseHangup}
	}
	return do, n
}
