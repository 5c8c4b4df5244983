package pluginhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// errUnsupported marks an event of a kind that this host does not know.
var errUnsupported = errors.New("unsupported kind")

// errNotUTF8 marks an event whose thread or dedupe key had bytes replaced: the replacement might
// make two exchanges, or two messages, look like one.
var errNotUTF8 = errors.New("thread or dedupe key is not UTF-8")

// isMended reports whether the codec had to replace bytes of a text.
func isMended(name string) bool { return strings.IndexByte(name, contract.Substitute) >= 0 }

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func parseCommandID(s string) ([16]byte, error) {
	if len(s) != 36 {
		return [16]byte{}, errors.New("command id: want a UUID of 36 characters")
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return [16]byte{}, errors.New("command id: want a UUID of 36 characters")
	}
	return id, nil
}

// parseID reads a required id into a variable, whose type is the id's type.
func parseID[K any](id *conversation.ID[K], s string) error {
	if s == "" {
		return errors.New("id: empty")
	}
	return id.UnmarshalText([]byte(s))
}

// toInbound converts an event. The caller has parsed the account already.
func toInbound(id string, account conversation.AccountID, e *pluginv1.Event) (plugin.Inbound, error) {
	in := plugin.Inbound{
		Plugin: id, Account: account, Thread: e.GetThread(), DedupeKey: e.GetDedupeKey(),
		ProviderAt: fromMicros(e.GetProviderTime()), ReceivedAt: fromMicros(e.GetReceivedTime()),
	}
	var err error
	switch k := e.GetKind().(type) {
	case *pluginv1.Event_Message:
		in.Message, err = toInboundMessage(k.Message)
	case *pluginv1.Event_Result:
		in.Result, err = toCommandResult(k.Result)
	case *pluginv1.Event_Status:
		in.Status, err = toDeliveryStatus(k.Status)
	case *pluginv1.Event_Receipt:
		in.Receipt, err = toInboundReceipt(k.Receipt)
	case *pluginv1.Event_Action:
		in.Action, err = toCustomerAction(k.Action)
	case *pluginv1.Event_Deferred:
		in.Deferred = k.Deferred.GetOpaque()
		if in.Deferred == nil {
			in.Deferred = []byte{}
		}
	default:
		err = errUnsupported
	}
	return in, err
}

func toInboundMessage(m *pluginv1.Message) (*plugin.InboundMessage, error) {
	parts, err := toParts(m.GetParts())
	if err != nil {
		return nil, err
	}
	var reply conversation.MessageID
	if err := reply.UnmarshalText([]byte(m.GetReplyTo())); err != nil {
		return nil, fmt.Errorf("reply_to: %w", err)
	}
	return &plugin.InboundMessage{
		ClientID: m.GetClientId(), Address: m.GetFrom().GetAddress(), Name: m.GetFrom().GetName(),
		Parts: parts, ReplyTo: reply, ProviderIDs: m.GetProviderIds(),
	}, nil
}

func toCommandResult(r *pluginv1.Result) (*plugin.CommandResult, error) {
	id, err := parseCommandID(r.GetCommandId())
	if err != nil {
		return nil, err
	}
	out := &plugin.CommandResult{
		Command: id, ProviderIDs: r.GetProviderIds(), Kind: errorKind(r.GetErrorKind()),
		Code: r.GetCode(), Text: r.GetText(), Retryable: r.GetRetryable(),
		RetryAfter: time.Duration(r.GetRetryAfterMs()) * time.Millisecond,
	}
	switch r.GetOutcome() {
	case pluginv1.Outcome_OUTCOME_SENT:
		out.Outcome = conversation.StatusSent
	case pluginv1.Outcome_OUTCOME_FAILED:
		out.Outcome = conversation.StatusFailed
	default: // also for an outcome of a newer plugin: the message was neither surely sent nor surely failed
		out.Outcome = conversation.StatusUnknown
	}
	return out, nil
}

func errorKind(k pluginv1.ErrorKind) string {
	switch k {
	case pluginv1.ErrorKind_ERROR_KIND_TEMPORARY:
		return "temporary"
	case pluginv1.ErrorKind_ERROR_KIND_THROTTLED:
		return "throttled"
	case pluginv1.ErrorKind_ERROR_KIND_ADDRESS:
		return "address"
	case pluginv1.ErrorKind_ERROR_KIND_AUTH:
		return "auth"
	case pluginv1.ErrorKind_ERROR_KIND_CONTENT:
		return "content"
	case pluginv1.ErrorKind_ERROR_KIND_INTERNAL:
		return "internal"
	default:
		return ""
	}
}

func toDeliveryStatus(s *pluginv1.DeliveryStatus) (*plugin.DeliveryStatus, error) {
	out := &plugin.DeliveryStatus{ProviderID: s.GetProviderId(), Code: s.GetCode(), Text: s.GetText()}
	switch s.GetStatus() {
	case pluginv1.MessageStatus_MESSAGE_STATUS_SENT:
		out.Status = conversation.StatusSent
	case pluginv1.MessageStatus_MESSAGE_STATUS_DELIVERED:
		out.Status = conversation.StatusDelivered
	case pluginv1.MessageStatus_MESSAGE_STATUS_READ:
		out.Status = conversation.StatusRead
	case pluginv1.MessageStatus_MESSAGE_STATUS_FAILED:
		out.Status = conversation.StatusFailed
	default:
		return nil, errUnsupported
	}
	if s.GetCommandId() != "" {
		id, err := parseCommandID(s.GetCommandId())
		if err != nil {
			return nil, fmt.Errorf("status: %w", err)
		}
		out.Command = id
	}
	if out.ProviderID == "" && out.Command == [16]byte{} {
		return nil, errors.New("status: neither provider_id nor command_id")
	}
	return out, nil
}

func toInboundReceipt(r *pluginv1.Receipt) (*plugin.InboundReceipt, error) {
	var id conversation.ConversationID
	if err := parseID(&id, r.GetConversation()); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return &plugin.InboundReceipt{Conversation: id, Delivered: r.GetDeliveredSeq(), Read: r.GetReadSeq()}, nil
}

func toCustomerAction(a *pluginv1.CustomerAction) (*plugin.CustomerAction, error) {
	switch k := a.GetAction().(type) {
	case *pluginv1.CustomerAction_Start:
		start, err := toStart(k.Start)
		return &plugin.CustomerAction{Start: start}, err
	case *pluginv1.CustomerAction_Page:
		return &plugin.CustomerAction{Page: toPage(k.Page)}, nil
	case *pluginv1.CustomerAction_End:
		return &plugin.CustomerAction{End: true}, nil
	case *pluginv1.CustomerAction_Left:
		return &plugin.CustomerAction{Left: true}, nil
	case *pluginv1.CustomerAction_Attributes:
		return &plugin.CustomerAction{Attributes: toAttributes(k.Attributes.GetAttributes())}, nil
	case *pluginv1.CustomerAction_OptOut:
		return &plugin.CustomerAction{OptOut: &plugin.OptOut{Out: k.OptOut.GetOut(), Keyword: k.OptOut.GetKeyword()}}, nil
	default:
		return nil, errUnsupported
	}
}

func toStart(s *pluginv1.Start) (*plugin.StartAction, error) {
	parts, err := toParts(s.GetParts())
	if err != nil {
		return nil, err
	}
	body := conversation.StartedBody{
		Address: s.GetFrom().GetAddress(), Name: s.GetFrom().GetName(),
		FirstName: s.GetFirstName(), LastName: s.GetLastName(), Email: s.GetEmail(), Phone: s.GetPhone(),
		Locale: s.GetLocale(), Subject: s.GetSubject(),
	}
	if s.GetPage() != nil {
		body.Page = toPage(s.GetPage())
	}
	if len(s.GetAttributes()) > 0 {
		body.Attributes = toAttributes(s.GetAttributes())
	}
	return &plugin.StartAction{Body: body, ClientID: s.GetClientId(), Parts: parts}, nil
}

func toPage(p *pluginv1.Page) *conversation.PageBody {
	return &conversation.PageBody{URL: p.GetUrl(), Title: p.GetTitle()}
}

func toAttributes(list []*pluginv1.Attribute) map[string]string {
	out := make(map[string]string, len(list))
	for _, a := range list {
		out[a.GetName()] = a.GetValue()
	}
	return out
}

func capabilities(d *pluginv1.DescribeResponse) conversation.Capabilities {
	c := d.GetCapabilities()
	return conversation.Capabilities{
		Text: c.GetText(), RichText: c.GetRichText(), Files: c.GetFiles(), Location: c.GetLocation(),
		Choices: c.GetChoices(), Template: c.GetTemplate(), Reaction: c.GetReaction(), Edit: c.GetEdit(),
		Revoke: c.GetRevoke(), Typing: c.GetTyping(), Read: c.GetRead(), Receipts: c.GetReceipts(),
		Links: c.GetLinks(), Page: c.GetPage(), Panels: c.GetPanels(), Calls: c.GetCalls(),
		OutboundFirst: c.GetOutboundFirst(), ReplyWindow: int(c.GetReplyWindowHours()),
		Counter: c.GetCounter(), MaxLength: int(c.GetMaxLength()), OfferTitle: c.GetOfferTitle(),
		Medium: c.GetMedium(), Icon: c.GetIcon(), AddressKind: c.GetAddressKind(),
		Connected: d.GetDelivery() == pluginv1.Delivery_DELIVERY_CONNECTED,
	}
}

func fromOutbound(o *plugin.Outbound) *pluginv1.Command {
	c := &pluginv1.Command{
		CommandId: uuid.UUID(o.Command).String(), Account: o.Account.String(), Thread: o.Thread,
		Conversation: o.Conversation.String(), Attempt: uint32(max(o.Attempt, 0)), MaybeSent: o.MaybeSent,
		Deadline: toMicros(o.Deadline),
	}
	switch {
	case o.Send != nil:
		c.Kind = &pluginv1.Command_Send{Send: &pluginv1.Send{
			MessageId: o.Send.Message.String(), To: o.Send.To, Parts: fromParts(o.Send.Parts),
			Author: o.Send.Author, ReplyToProviderId: o.Send.ReplyToProviderID,
		}}
	case o.Lookup != nil:
		c.Kind = &pluginv1.Command_Lookup{Lookup: &pluginv1.Lookup{MessageId: o.Lookup.Message.String()}}
	default:
		c.Kind = &pluginv1.Command_Process{Process: &pluginv1.Process{Opaque: o.Process}}
	}
	return c
}

func fromRecord(r *plugin.Record) *pluginv1.Record {
	return &pluginv1.Record{
		Conversation: r.Conversation.String(), Seq: r.Seq, Prev: r.Prev, Time: toMicros(r.At),
		Type: string(r.Type), Head: r.Head, Body: r.Body,
	}
}

func fromAgentSignal(account, thread string, g plugin.AgentSignal) *pluginv1.Signal {
	return &pluginv1.Signal{
		Account: account, Thread: thread, Conversation: g.Conversation.String(), Kind: fromSignalKind(g.Kind),
		On: g.On, Name: g.Name, Position: uint32(max(g.Position, 0)), WaitMs: uint32(max(g.Waited.Milliseconds(), 0)),
	}
}

func fromSignalKind(k plugin.SignalKind) pluginv1.SignalKind {
	switch k {
	case plugin.SignalTyping:
		return pluginv1.SignalKind_SIGNAL_KIND_TYPING
	case plugin.SignalPresence:
		return pluginv1.SignalKind_SIGNAL_KIND_PRESENCE
	case plugin.SignalQueue:
		return pluginv1.SignalKind_SIGNAL_KIND_QUEUE
	default:
		return pluginv1.SignalKind_SIGNAL_KIND_UNSPECIFIED
	}
}

// toSignalKind converts a kind of signal that a customer may send; false: no such kind.
func toSignalKind(k pluginv1.SignalKind) (plugin.SignalKind, bool) {
	switch k {
	case pluginv1.SignalKind_SIGNAL_KIND_TYPING:
		return plugin.SignalTyping, true
	case pluginv1.SignalKind_SIGNAL_KIND_PRESENCE:
		return plugin.SignalPresence, true
	default:
		return "", false
	}
}

func fromAckStatus(s plugin.AckStatus) pluginv1.AckStatus {
	switch s {
	case plugin.Committed:
		return pluginv1.AckStatus_ACK_STATUS_COMMITTED
	case plugin.Duplicate:
		return pluginv1.AckStatus_ACK_STATUS_DUPLICATE
	case plugin.Refused:
		return pluginv1.AckStatus_ACK_STATUS_REFUSED
	default:
		return pluginv1.AckStatus_ACK_STATUS_RETRY
	}
}

// rawJSON makes any bytes fit for a JSON field: valid JSON stays unchanged, other bytes become a
// base64 string.
func rawJSON(b []byte) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	if json.Valid(b) {
		return b
	}
	text, err := json.Marshal(b)
	if err != nil { // encoding a []byte never fails
		return nil
	}
	return text
}
