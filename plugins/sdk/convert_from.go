package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// errUnknownKind: a newer peer sent, or a plugin made, something for which this version has no
// type.
var errUnknownKind = errors.New("unknown kind")

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func durationOf(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond }

func manifestFromWire(d *pluginv1.DescribeResponse) Manifest {
	c := d.GetCapabilities()
	m := Manifest{
		ID:             d.GetId(),
		Name:           d.GetName(),
		Version:        d.GetVersion(),
		SettingsSchema: d.GetSettingsSchema(),
		AccountSchema:  d.GetAccountSchema(),
		Delivery:       Delivery(d.GetDelivery()),
		Capabilities: Capabilities{
			Text:             c.GetText(),
			RichText:         c.GetRichText(),
			Files:            c.GetFiles(),
			Location:         c.GetLocation(),
			Choices:          c.GetChoices(),
			Template:         c.GetTemplate(),
			Reaction:         c.GetReaction(),
			Edit:             c.GetEdit(),
			Revoke:           c.GetRevoke(),
			Typing:           c.GetTyping(),
			Read:             c.GetRead(),
			Receipts:         c.GetReceipts(),
			Links:            c.GetLinks(),
			Page:             c.GetPage(),
			Panels:           c.GetPanels(),
			Calls:            c.GetCalls(),
			OutboundFirst:    c.GetOutboundFirst(),
			ReplyWindowHours: c.GetReplyWindowHours(),
			Counter:          c.GetCounter(),
			MaxLength:        c.GetMaxLength(),
			OfferTitle:       c.GetOfferTitle(),
			Medium:           c.GetMedium(),
			Icon:             c.GetIcon(),
			AddressKind:      c.GetAddressKind(),
		},
		IdempotentSend: d.GetIdempotentSend(),
		CanLookup:      d.GetCanLookup(),
		Exclusive:      d.GetExclusive(),
		SingleNode:     d.GetSingleNode(),
		EgressHosts:    d.GetEgressHosts(),
	}
	for _, r := range d.GetRoutes() {
		m.Routes = append(m.Routes, Route{
			Path: r.GetPath(), Access: Access(r.GetAccess()), Upgrade: r.GetUpgrade(), MaxBody: r.GetMaxBody(),
		})
	}
	if h := d.GetHook(); h != nil {
		m.Hook = &HookInfo{Budget: durationOf(h.GetBudgetMs()), Methods: h.GetMethods(), MaxBody: h.GetMaxBody()}
	}
	return m
}

func configFromWire(c *pluginv1.ConfigureRequest) *Config {
	out := &Config{
		Revision:       c.GetRevision(),
		Settings:       rawOf(c.GetSettings()),
		Secrets:        secretsFromWire(c.GetSecrets()),
		ValidateOnly:   c.GetValidateOnly(),
		BaseURL:        c.GetBaseUrl(),
		VisitorKey:     NewSecret(string(c.GetVisitorKey())),
		FrameAncestors: c.GetFrameAncestors(),
	}
	for _, a := range c.GetAccounts() {
		out.Accounts = append(out.Accounts, Account{
			ID: AccountID(a.GetId()), Name: a.GetName(), Settings: rawOf(a.GetSettings()),
			Secrets: secretsFromWire(a.GetSecrets()), HookURL: a.GetHookUrl(), Enabled: a.GetEnabled(),
		})
	}
	return out
}

func rawOf(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func secretsFromWire(secrets []*pluginv1.Secret) map[string]Secret {
	out := make(map[string]Secret, len(secrets))
	for _, s := range secrets {
		out[s.GetName()] = NewSecret(s.GetValue())
	}
	return out
}

func problemsFromWire(ps []*pluginv1.ConfigProblem) Problems {
	var out Problems
	for _, p := range ps {
		out = append(out, Problem{Account: AccountID(p.GetAccount()), Path: p.GetPath(), Code: p.GetCode(), Text: p.GetText()})
	}
	return out
}

func eventFromWire(ev *pluginv1.Event) (Event, error) {
	out := Event{
		Account: AccountID(ev.GetAccount()), Thread: ThreadID(ev.GetThread()), DedupeKey: ev.GetDedupeKey(),
		ProviderTime: timeOf(ev.GetProviderTime()), ReceivedTime: timeOf(ev.GetReceivedTime()),
	}
	switch k := ev.GetKind().(type) {
	case *pluginv1.Event_Message:
		parts, err := partsFromWire(k.Message.GetParts())
		if err != nil {
			return Event{}, err
		}
		out.Body = Message{
			ClientID: k.Message.GetClientId(), From: addressFromWire(k.Message.GetFrom()), Parts: parts,
			ReplyTo: MessageID(k.Message.GetReplyTo()), ProviderIDs: k.Message.GetProviderIds(),
		}
	case *pluginv1.Event_Result:
		out.Body = LateResult{Command: CommandID(k.Result.GetCommandId()), Result: resultFromWire(k.Result)}
	case *pluginv1.Event_Status:
		out.Body = DeliveryStatus{
			ProviderID: k.Status.GetProviderId(), Status: MessageStatus(k.Status.GetStatus()),
			Code: k.Status.GetCode(), Text: k.Status.GetText(), Command: CommandID(k.Status.GetCommandId()),
		}
	case *pluginv1.Event_Receipt:
		out.Body = Receipt{
			Conversation: ConversationID(k.Receipt.GetConversation()),
			DeliveredSeq: k.Receipt.GetDeliveredSeq(), ReadSeq: k.Receipt.GetReadSeq(),
		}
	case *pluginv1.Event_Deferred:
		out.Body = Deferred{Opaque: k.Deferred.GetOpaque()}
	case *pluginv1.Event_Action:
		body, err := actionFromWire(k.Action)
		if err != nil {
			return Event{}, err
		}
		out.Body = body
	default:
		return Event{}, fmt.Errorf("event %T: %w", k, errUnknownKind)
	}
	return out, nil
}

func actionFromWire(a *pluginv1.CustomerAction) (EventBody, error) {
	switch k := a.GetAction().(type) {
	case *pluginv1.CustomerAction_Start:
		return startFromWire(k.Start)
	case *pluginv1.CustomerAction_Page:
		return Page{URL: k.Page.GetUrl(), Title: k.Page.GetTitle()}, nil
	case *pluginv1.CustomerAction_End:
		return End{}, nil
	case *pluginv1.CustomerAction_Left:
		return Left{Reason: k.Left.GetReason()}, nil
	case *pluginv1.CustomerAction_OptOut:
		return OptOut{Out: k.OptOut.GetOut(), Keyword: k.OptOut.GetKeyword()}, nil
	case *pluginv1.CustomerAction_Attributes:
		return Attributes{Attributes: attributesFromWire(k.Attributes.GetAttributes())}, nil
	default:
		return nil, fmt.Errorf("customer action %T: %w", k, errUnknownKind)
	}
}

func startFromWire(s *pluginv1.Start) (EventBody, error) {
	parts, err := partsFromWire(s.GetParts())
	if err != nil {
		return nil, err
	}
	out := Start{
		From: addressFromWire(s.GetFrom()), FirstName: s.GetFirstName(), LastName: s.GetLastName(),
		Email: s.GetEmail(), Phone: s.GetPhone(), Locale: s.GetLocale(), Subject: s.GetSubject(), Parts: parts,
		ClientID: s.GetClientId(), Attributes: attributesFromWire(s.GetAttributes()),
	}
	if p := s.GetPage(); p != nil {
		out.Page = &Page{URL: p.GetUrl(), Title: p.GetTitle()}
	}
	return out, nil
}

func attributesFromWire(as []*pluginv1.Attribute) []Attribute {
	var out []Attribute
	for _, a := range as {
		out = append(out, Attribute{Name: a.GetName(), Value: a.GetValue()})
	}
	return out
}

func addressFromWire(a *pluginv1.Address) Address {
	return Address{Address: a.GetAddress(), Name: a.GetName()}
}

func partsFromWire(parts []*pluginv1.Part) ([]Part, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	out := make([]Part, len(parts))
	for i, p := range parts {
		part, err := partFromWire(p)
		if err != nil {
			return nil, err
		}
		out[i] = part
	}
	return out, nil
}

func partFromWire(p *pluginv1.Part) (Part, error) {
	switch k := p.GetPart().(type) {
	case *pluginv1.Part_Text:
		return Text{Text: k.Text.GetText()}, nil
	case *pluginv1.Part_RichText:
		return RichText{HTML: k.RichText.GetHtml()}, nil
	case *pluginv1.Part_File:
		return fileFromWire(k.File), nil
	case *pluginv1.Part_Location:
		return Location{
			Latitude: k.Location.GetLatitude(), Longitude: k.Location.GetLongitude(),
			Name: k.Location.GetName(), Address: k.Location.GetAddress(),
		}, nil
	case *pluginv1.Part_Contact:
		return ContactCard{Name: k.Contact.GetName(), Phones: k.Contact.GetPhones(), Emails: k.Contact.GetEmails()}, nil
	case *pluginv1.Part_Choices:
		c := Choices{Text: k.Choices.GetText()}
		for _, o := range k.Choices.GetOptions() {
			c.Options = append(c.Options, Choice{ID: o.GetId(), Title: o.GetTitle(), Description: o.GetDescription()})
		}
		return c, nil
	case *pluginv1.Part_Answer:
		return Answer{Choice: k.Answer.GetChoice(), Title: k.Answer.GetTitle()}, nil
	case *pluginv1.Part_Template:
		return Template{Name: k.Template.GetName(), Language: k.Template.GetLanguage(), Values: k.Template.GetValues()}, nil
	case *pluginv1.Part_Reaction:
		return Reaction{Message: MessageID(k.Reaction.GetMessage()), Emoji: k.Reaction.GetEmoji()}, nil
	case *pluginv1.Part_Edit:
		return Edit{Message: MessageID(k.Edit.GetMessage()), Text: k.Edit.GetText()}, nil
	case *pluginv1.Part_Revoke:
		return Revoke{Message: MessageID(k.Revoke.GetMessage())}, nil
	case *pluginv1.Part_Unsupported:
		return Unsupported{Kind: k.Unsupported.GetKind(), Raw: k.Unsupported.GetRaw()}, nil
	default:
		return nil, fmt.Errorf("part %T: %w", k, errUnknownKind)
	}
}

func fileFromWire(f *pluginv1.File) File {
	return File{
		Blob: BlobID(f.GetBlob()), Name: f.GetName(), MIME: f.GetMime(), Size: f.GetSize(),
		Width: f.GetWidth(), Height: f.GetHeight(),
	}
}

func resultFromWire(r *pluginv1.Result) Result {
	return Result{
		Outcome: Outcome(r.GetOutcome()), ProviderIDs: r.GetProviderIds(), ErrorKind: ErrorKind(r.GetErrorKind()),
		Code: r.GetCode(), Text: r.GetText(), Retryable: r.GetRetryable(), RetryAfter: durationOf(r.GetRetryAfterMs()),
	}
}

func infoFromWire(c *pluginv1.Command) CommandInfo {
	return CommandInfo{
		ID: CommandID(c.GetCommandId()), Account: AccountID(c.GetAccount()), Thread: ThreadID(c.GetThread()),
		Conversation: ConversationID(c.GetConversation()), Attempt: c.GetAttempt(), MaybeSent: c.GetMaybeSent(),
		Deadline: timeOf(c.GetDeadline()),
	}
}

// sendFromWire returns an error for a message with parts of an unknown kind; the command then fails
// because of its content, and the plugin never sees it.
func sendFromWire(c *pluginv1.Command, s *pluginv1.Send) (*SendCommand, error) {
	parts, err := partsFromWire(s.GetParts())
	if err != nil {
		return nil, err
	}
	return &SendCommand{
		CommandInfo: infoFromWire(c), MessageID: MessageID(s.GetMessageId()), To: s.GetTo(), Parts: parts,
		Author: s.GetAuthor(), ReplyToProviderID: s.GetReplyToProviderId(),
	}, nil
}

func lookupFromWire(c *pluginv1.Command, l *pluginv1.Lookup) *LookupCommand {
	return &LookupCommand{CommandInfo: infoFromWire(c), MessageID: MessageID(l.GetMessageId())}
}

func processFromWire(c *pluginv1.Command, p *pluginv1.Process) *ProcessCommand {
	return &ProcessCommand{CommandInfo: infoFromWire(c), Opaque: p.GetOpaque()}
}

func headersFromWire(hs []*pluginv1.Header) http.Header {
	out := make(http.Header, len(hs))
	for _, h := range hs {
		out.Add(h.GetName(), h.GetValue())
	}
	return out
}

func hookFromWire(h *pluginv1.Hook) *HookRequest {
	return &HookRequest{
		Account: AccountID(h.GetAccount()), Method: h.GetMethod(), URL: h.GetUrl(),
		Header: headersFromWire(h.GetHeaders()), Body: h.GetBody(), RemoteIP: h.GetRemoteIp(),
		ReceivedTime: timeOf(h.GetReceivedTime()),
	}
}

func hookResultFromWire(r *pluginv1.HookResult) (HookResponse, error) {
	out := HookResponse{
		Status: int(r.GetStatus()), Header: headersFromWire(r.GetHeaders()), Body: r.GetBody(), Reason: r.GetReason(),
	}
	for _, w := range r.GetEvents() {
		ev, err := eventFromWire(w)
		if err != nil {
			return HookResponse{}, err
		}
		out.Events = append(out.Events, ev)
	}
	return out, nil
}

func signalFromWire(s *pluginv1.Signal) Signal {
	return Signal{
		Account: AccountID(s.GetAccount()), Thread: ThreadID(s.GetThread()),
		Conversation: ConversationID(s.GetConversation()), Kind: SignalKind(s.GetKind()), On: s.GetOn(),
		Name: s.GetName(), Position: s.GetPosition(), Wait: durationOf(s.GetWaitMs()),
	}
}

func statusFromWire(s *pluginv1.AccountStatus) AccountStatus {
	return AccountStatus{Account: AccountID(s.GetAccount()), OK: s.GetOk(), Code: s.GetCode(), Text: s.GetText()}
}

func recordFromWire(r *pluginv1.Record) Record {
	return Record{
		Conversation: ConversationID(r.GetConversation()), Seq: r.GetSeq(), Prev: r.GetPrev(), Time: timeOf(r.GetTime()),
		Type: r.GetType(), Head: r.GetHead(), Body: r.GetBody(),
	}
}
