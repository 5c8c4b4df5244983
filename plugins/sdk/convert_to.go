package sdk

import (
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file turns the SDK's structs into messages of the contract;
// convert_from.go goes the other way. convert_test.go fails when either
// leaves a field out.

// micros encodes a time: microseconds since the Unix epoch, 0 = none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// millis encodes a duration, rounded up, so that a short one does not become 0, which means none.
func millis(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min((d+time.Millisecond-1)/time.Millisecond, 1<<32-1))
}

func problemsToWire(ps Problems) []*pluginv1.ConfigProblem {
	out := make([]*pluginv1.ConfigProblem, len(ps))
	for i, p := range ps {
		out[i] = &pluginv1.ConfigProblem{Account: string(p.Account), Path: p.Path, Code: p.Code, Text: p.Text}
	}
	return out
}

func configToWire(c *Config) *pluginv1.ConfigureRequest {
	out := &pluginv1.ConfigureRequest{
		Revision:       c.Revision,
		Settings:       string(c.Settings),
		Secrets:        secretsToWire(c.Secrets),
		ValidateOnly:   c.ValidateOnly,
		BaseUrl:        c.BaseURL,
		VisitorKey:     []byte(c.VisitorKey.Reveal()),
		FrameAncestors: c.FrameAncestors,
	}
	for _, a := range c.Accounts {
		out.Accounts = append(out.Accounts, &pluginv1.Account{
			Id: string(a.ID), Name: a.Name, Settings: string(a.Settings), Secrets: secretsToWire(a.Secrets),
			HookUrl: a.HookURL, Enabled: a.Enabled, Standby: a.Standby,
		})
	}
	return out
}

func secretsToWire(secrets map[string]Secret) []*pluginv1.Secret {
	var out []*pluginv1.Secret
	for name, s := range secrets {
		out = append(out, &pluginv1.Secret{Name: name, Value: s.Reveal()})
	}
	slices.SortFunc(out, func(a, b *pluginv1.Secret) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// eventToWire encodes an event without its Seq, which is set when the event is written.
func eventToWire(ev *Event) (*pluginv1.Event, error) {
	if !utf8.ValidString(string(ev.Thread)) || !utf8.ValidString(ev.DedupeKey) {
		return nil, ErrNotUTF8
	}
	out := &pluginv1.Event{
		Account:      string(ev.Account),
		Thread:       string(ev.Thread),
		DedupeKey:    ev.DedupeKey,
		ProviderTime: micros(ev.ProviderTime),
		ReceivedTime: micros(ev.ReceivedTime),
	}
	switch b := ev.Body.(type) {
	case Message:
		parts, err := partsToWire(b.Parts)
		if err != nil {
			return nil, err
		}
		out.Kind = &pluginv1.Event_Message{Message: &pluginv1.Message{
			ClientId: b.ClientID, From: addressToWire(b.From), Parts: parts,
			ReplyTo: string(b.ReplyTo), ProviderIds: b.ProviderIDs, ReplyToProviderId: b.ReplyToProviderID,
		}}
	case LateResult:
		out.Kind = &pluginv1.Event_Result{Result: resultToWire(b.Command, &b.Result)}
	case DeliveryStatus:
		out.Kind = &pluginv1.Event_Status{Status: &pluginv1.DeliveryStatus{
			ProviderId: b.ProviderID, Status: pluginv1.MessageStatus(b.Status), Code: b.Code, Text: b.Text,
			CommandId: string(b.Command),
		}}
	case Receipt:
		out.Kind = &pluginv1.Event_Receipt{Receipt: &pluginv1.Receipt{
			Conversation: string(b.Conversation), DeliveredSeq: b.DeliveredSeq, ReadSeq: b.ReadSeq,
			DeliveredProviderId: b.DeliveredProviderID, ReadProviderId: b.ReadProviderID,
		}}
	case Start:
		start, err := startToWire(&b)
		if err != nil {
			return nil, err
		}
		out.Kind = actionToWire(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Start{Start: start}})
	case Page:
		out.Kind = actionToWire(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Page{Page: pageToWire(&b)}})
	case End:
		out.Kind = actionToWire(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_End{End: &pluginv1.End{}}})
	case Left:
		out.Kind = actionToWire(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Left{Left: &pluginv1.Left{Reason: b.Reason}}})
	case Attributes:
		out.Kind = actionToWire(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Attributes{
			Attributes: &pluginv1.Attributes{Attributes: attributesToWire(b.Attributes)},
		}})
	case OptOut:
		out.Kind = actionToWire(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_OptOut{
			OptOut: &pluginv1.OptOut{Out: b.Out, Keyword: b.Keyword},
		}})
	case Deferred:
		out.Kind = &pluginv1.Event_Deferred{Deferred: &pluginv1.Deferred{Opaque: b.Opaque}}
	case ReplyWindow:
		out.Kind = &pluginv1.Event_ReplyWindow{ReplyWindow: &pluginv1.ReplyWindow{Expires: micros(b.Expires)}}
	case ToolEvent:
		session, err := toolSessionToWire(&b.Session)
		if err != nil {
			return nil, err
		}
		out.Kind = &pluginv1.Event_Tool{Tool: &pluginv1.ToolEvent{Session: session}}
	case CustomerTool, CustomerCall, Satisfaction, FormAnswer:
		out.Kind = usedToWire(b)
	case CallIncoming, CallLeg, CallDigits, CallRecording, CallState, CallPlayed, CallEnded:
		out.Kind = &pluginv1.Event_Call{Call: callEventToWire(b)}
	case BotPost, BotHandOver, BotEnd, BotAttributes:
		bot, err := botActionToWire(b)
		if err != nil {
			return nil, err
		}
		out.Kind = &pluginv1.Event_Bot{Bot: bot}
	default:
		return nil, fmt.Errorf("event body %T: %w", ev.Body, errUnknownKind)
	}
	return out, nil
}

// usedToWire encodes what customers do with tools, calls and forms.
func usedToWire(body EventBody) *pluginv1.Event_Action {
	var a pluginv1.CustomerAction
	switch b := body.(type) {
	case CustomerTool:
		a.Action = &pluginv1.CustomerAction_Tool{Tool: &pluginv1.CustomerTool{
			Session: string(b.Session), Account: string(b.Account), Action: b.Action, Values: string(b.Values), Revision: b.Revision,
		}}
	case CustomerCall:
		a.Action = &pluginv1.CustomerAction_Call{Call: &pluginv1.CustomerCall{Session: string(b.Session), Action: b.Action}}
	case Satisfaction:
		a.Action = &pluginv1.CustomerAction_Satisfaction{Satisfaction: &pluginv1.Satisfaction{
			Conversation: string(b.Conversation), Score: b.Score, Comment: b.Comment,
		}}
	case FormAnswer:
		a.Action = &pluginv1.CustomerAction_Form{Form: &pluginv1.FormAnswer{
			Session: string(b.Session), Sealed: b.Sealed, Cancelled: b.Cancelled,
		}}
	}
	return actionToWire(&a)
}

func actionToWire(a *pluginv1.CustomerAction) *pluginv1.Event_Action {
	return &pluginv1.Event_Action{Action: a}
}

func startToWire(s *Start) (*pluginv1.Start, error) {
	parts, err := partsToWire(s.Parts)
	if err != nil {
		return nil, err
	}
	out := &pluginv1.Start{
		From: addressToWire(s.From), FirstName: s.FirstName, LastName: s.LastName, Email: s.Email, Phone: s.Phone,
		Locale: s.Locale, Subject: s.Subject, Parts: parts, ClientId: s.ClientID,
		Attributes: attributesToWire(s.Attributes),
	}
	if s.Page != nil {
		out.Page = pageToWire(s.Page)
	}
	return out, nil
}

func pageToWire(p *Page) *pluginv1.Page { return &pluginv1.Page{Url: p.URL, Title: p.Title} }

func attributesToWire(as []Attribute) []*pluginv1.Attribute {
	var out []*pluginv1.Attribute
	for _, a := range as {
		out = append(out, &pluginv1.Attribute{Name: a.Name, Value: a.Value})
	}
	return out
}

func addressToWire(a Address) *pluginv1.Address {
	return &pluginv1.Address{Address: a.Address, Name: a.Name}
}

func resultToWire(id CommandID, r *Result) *pluginv1.Result {
	return &pluginv1.Result{
		CommandId: string(id), Outcome: pluginv1.Outcome(r.Outcome), ProviderIds: r.ProviderIDs,
		ErrorKind: pluginv1.ErrorKind(r.ErrorKind), Code: r.Code, Text: r.Text,
		Retryable: r.Retryable, RetryAfterMs: millis(r.RetryAfter),
	}
}

func infoToWire(c *CommandInfo) *pluginv1.Command {
	return &pluginv1.Command{
		CommandId: string(c.ID), Account: string(c.Account), Thread: string(c.Thread),
		Conversation: string(c.Conversation), Attempt: c.Attempt, MaybeSent: c.MaybeSent, Deadline: micros(c.Deadline),
	}
}

func sendToWire(c *SendCommand) (*pluginv1.Command, error) {
	parts, err := partsToWire(c.Parts)
	if err != nil {
		return nil, err
	}
	out := infoToWire(&c.CommandInfo)
	out.Kind = &pluginv1.Command_Send{Send: &pluginv1.Send{
		MessageId: string(c.MessageID), To: c.To, Parts: parts, Author: c.Author,
		ReplyToProviderId: c.ReplyToProviderID,
	}}
	return out, nil
}

func lookupToWire(c *LookupCommand) *pluginv1.Command {
	out := infoToWire(&c.CommandInfo)
	out.Kind = &pluginv1.Command_Lookup{Lookup: &pluginv1.Lookup{MessageId: string(c.MessageID)}}
	return out
}

func processToWire(c *ProcessCommand) *pluginv1.Command {
	out := infoToWire(&c.CommandInfo)
	out.Kind = &pluginv1.Command_Process{Process: &pluginv1.Process{Opaque: c.Opaque}}
	return out
}

func headersToWire(h http.Header) []*pluginv1.Header {
	var out []*pluginv1.Header
	for name, values := range h {
		for _, v := range values {
			out = append(out, &pluginv1.Header{Name: name, Value: v})
		}
	}
	return out
}

func hookToWire(r *HookRequest) *pluginv1.Hook {
	return &pluginv1.Hook{
		Account: string(r.Account), Method: r.Method, Url: r.URL, Headers: headersToWire(r.Header),
		Body: r.Body, RemoteIp: r.RemoteIP, ReceivedTime: micros(r.ReceivedTime),
	}
}

// hookResultToWire encodes a hook's answer; its events get the account and time of the hook where
// they have none.
func hookResultToWire(hook *pluginv1.Hook, r *HookResponse) (*pluginv1.HookResult, error) {
	out := &pluginv1.HookResult{
		Id: hook.GetId(), Status: uint32(max(r.Status, 0)), Headers: headersToWire(r.Header), Body: r.Body, Reason: r.Reason,
	}
	if out.Status == 0 {
		out.Status = http.StatusOK
	}
	for i := range r.Events {
		ev, err := eventToWire(&r.Events[i])
		if err != nil {
			return nil, err
		}
		if ev.Account == "" {
			ev.Account = hook.GetAccount()
		}
		if ev.ReceivedTime == 0 {
			ev.ReceivedTime = hook.GetReceivedTime()
		}
		out.Events = append(out.Events, ev)
	}
	return out, nil
}

func signalToWire(s *Signal) *pluginv1.Signal {
	return &pluginv1.Signal{
		Account: string(s.Account), Thread: string(s.Thread), Conversation: string(s.Conversation),
		Kind: pluginv1.SignalKind(s.Kind), On: s.On, Name: s.Name, Position: s.Position, WaitMs: millis(s.Wait),
	}
}

func statusToWire(s AccountStatus) *pluginv1.AccountStatus {
	return &pluginv1.AccountStatus{Account: string(s.Account), Ok: s.OK, Code: s.Code, Text: s.Text}
}

func recordToWire(r *Record) *pluginv1.Record {
	return &pluginv1.Record{
		Conversation: string(r.Conversation), Seq: r.Seq, Prev: r.Prev, Time: micros(r.Time), Type: r.Type,
		Head: r.Head, Body: r.Body,
	}
}
