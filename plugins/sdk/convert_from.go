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
			Secrets: secretsFromWire(a.GetSecrets()), HookURL: a.GetHookUrl(), Enabled: a.GetEnabled(), Standby: a.GetStandby(),
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
			ReplyToProviderID: k.Message.GetReplyToProviderId(),
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
			DeliveredProviderID: k.Receipt.GetDeliveredProviderId(), ReadProviderID: k.Receipt.GetReadProviderId(),
		}
	case *pluginv1.Event_Deferred:
		out.Body = Deferred{Opaque: k.Deferred.GetOpaque()}
	case *pluginv1.Event_Action:
		body, err := actionFromWire(k.Action)
		if err != nil {
			return Event{}, err
		}
		out.Body = body
	case *pluginv1.Event_ReplyWindow:
		out.Body = ReplyWindow{Expires: timeOf(k.ReplyWindow.GetExpires())}
	case *pluginv1.Event_Call:
		body, err := callEventFromWire(k.Call)
		if err != nil {
			return Event{}, err
		}
		out.Body = body
	case *pluginv1.Event_Tool:
		session, err := toolSessionFromWire(k.Tool.GetSession())
		if err != nil {
			return Event{}, err
		}
		out.Body = ToolEvent{Session: session}
	case *pluginv1.Event_Bot:
		body, err := botActionFromWire(k.Bot)
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
	case *pluginv1.CustomerAction_Tool:
		return CustomerTool{
			Session: SessionID(k.Tool.GetSession()), Account: AccountID(k.Tool.GetAccount()), Action: k.Tool.GetAction(),
			Values: rawOf(k.Tool.GetValues()), Revision: k.Tool.GetRevision(),
		}, nil
	case *pluginv1.CustomerAction_Call:
		return CustomerCall{Session: SessionID(k.Call.GetSession()), Action: k.Call.GetAction()}, nil
	case *pluginv1.CustomerAction_Satisfaction:
		return Satisfaction{
			Conversation: ConversationID(k.Satisfaction.GetConversation()), Score: k.Satisfaction.GetScore(),
			Comment: k.Satisfaction.GetComment(),
		}, nil
	case *pluginv1.CustomerAction_Form:
		return FormAnswer{Session: SessionID(k.Form.GetSession()), Sealed: k.Form.GetSealed(), Cancelled: k.Form.GetCancelled()}, nil
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
