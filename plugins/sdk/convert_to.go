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

func manifestToWire(m *Manifest) *pluginv1.DescribeResponse {
	out := &pluginv1.DescribeResponse{
		Id:             m.ID,
		Name:           m.Name,
		Version:        m.Version,
		SettingsSchema: m.SettingsSchema,
		AccountSchema:  m.AccountSchema,
		Delivery:       pluginv1.Delivery(m.Delivery),
		Capabilities: &pluginv1.Capabilities{
			Text:             m.Capabilities.Text,
			RichText:         m.Capabilities.RichText,
			Files:            m.Capabilities.Files,
			Location:         m.Capabilities.Location,
			Choices:          m.Capabilities.Choices,
			Template:         m.Capabilities.Template,
			Reaction:         m.Capabilities.Reaction,
			Edit:             m.Capabilities.Edit,
			Revoke:           m.Capabilities.Revoke,
			Typing:           m.Capabilities.Typing,
			Read:             m.Capabilities.Read,
			Receipts:         m.Capabilities.Receipts,
			Links:            m.Capabilities.Links,
			Page:             m.Capabilities.Page,
			Panels:           m.Capabilities.Panels,
			Calls:            m.Capabilities.Calls,
			OutboundFirst:    m.Capabilities.OutboundFirst,
			ReplyWindowHours: m.Capabilities.ReplyWindowHours,
			Counter:          m.Capabilities.Counter,
			MaxLength:        m.Capabilities.MaxLength,
			OfferTitle:       m.Capabilities.OfferTitle,
			Medium:           m.Capabilities.Medium,
			Icon:             m.Capabilities.Icon,
			AddressKind:      m.Capabilities.AddressKind,
		},
		IdempotentSend: m.IdempotentSend,
		CanLookup:      m.CanLookup,
		Exclusive:      m.Exclusive,
		SingleNode:     m.SingleNode,
		EgressHosts:    m.EgressHosts,
	}
	for _, r := range m.Routes {
		out.Routes = append(out.Routes, &pluginv1.Route{
			Path: r.Path, Access: pluginv1.Access(r.Access), Upgrade: r.Upgrade, MaxBody: r.MaxBody,
		})
	}
	if m.Hook != nil {
		out.Hook = &pluginv1.HookInfo{
			BudgetMs: millis(m.Hook.Budget), Methods: m.Hook.Methods, MaxBody: m.Hook.MaxBody,
		}
	}
	return out
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
			HookUrl: a.HookURL, Enabled: a.Enabled,
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
			ReplyTo: string(b.ReplyTo), ProviderIds: b.ProviderIDs,
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
	default:
		return nil, fmt.Errorf("event body %T: %w", ev.Body, errUnknownKind)
	}
	return out, nil
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

func partsToWire(parts []Part) ([]*pluginv1.Part, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	out := make([]*pluginv1.Part, len(parts))
	for i, p := range parts {
		w, err := partToWire(p)
		if err != nil {
			return nil, err
		}
		out[i] = w
	}
	return out, nil
}

func partToWire(p Part) (*pluginv1.Part, error) {
	switch p := p.(type) {
	case Text:
		return &pluginv1.Part{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: p.Text}}}, nil
	case RichText:
		return &pluginv1.Part{Part: &pluginv1.Part_RichText{RichText: &pluginv1.RichText{Html: p.HTML}}}, nil
	case File:
		return &pluginv1.Part{Part: &pluginv1.Part_File{File: fileToWire(p)}}, nil
	case Location:
		return &pluginv1.Part{Part: &pluginv1.Part_Location{Location: &pluginv1.Location{
			Latitude: p.Latitude, Longitude: p.Longitude, Name: p.Name, Address: p.Address,
		}}}, nil
	case ContactCard:
		return &pluginv1.Part{Part: &pluginv1.Part_Contact{Contact: &pluginv1.ContactCard{
			Name: p.Name, Phones: p.Phones, Emails: p.Emails,
		}}}, nil
	case Choices:
		c := &pluginv1.Choices{Text: p.Text}
		for _, o := range p.Options {
			c.Options = append(c.Options, &pluginv1.Choice{Id: o.ID, Title: o.Title, Description: o.Description})
		}
		return &pluginv1.Part{Part: &pluginv1.Part_Choices{Choices: c}}, nil
	case Answer:
		return &pluginv1.Part{Part: &pluginv1.Part_Answer{Answer: &pluginv1.Answer{Choice: p.Choice, Title: p.Title}}}, nil
	case Template:
		return &pluginv1.Part{Part: &pluginv1.Part_Template{Template: &pluginv1.Template{
			Name: p.Name, Language: p.Language, Values: p.Values,
		}}}, nil
	case Reaction:
		return &pluginv1.Part{Part: &pluginv1.Part_Reaction{Reaction: &pluginv1.Reaction{
			Message: string(p.Message), Emoji: p.Emoji,
		}}}, nil
	case Edit:
		return &pluginv1.Part{Part: &pluginv1.Part_Edit{Edit: &pluginv1.Edit{Message: string(p.Message), Text: p.Text}}}, nil
	case Revoke:
		return &pluginv1.Part{Part: &pluginv1.Part_Revoke{Revoke: &pluginv1.Revoke{Message: string(p.Message)}}}, nil
	case Unsupported:
		return &pluginv1.Part{Part: &pluginv1.Part_Unsupported{Unsupported: &pluginv1.Unsupported{Kind: p.Kind, Raw: p.Raw}}}, nil
	default:
		return nil, fmt.Errorf("part %T: %w", p, errUnknownKind)
	}
}

func fileToWire(f File) *pluginv1.File {
	return &pluginv1.File{
		Blob: string(f.Blob), Name: f.Name, Mime: f.MIME, Size: f.Size, Width: f.Width, Height: f.Height,
	}
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
