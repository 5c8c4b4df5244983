package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Plugin is what a generation of a plugin has said of itself, as far as it decides what the generation
// may say.
type Plugin struct {
	ID, Instance     string
	Minor            uint32 // version of the contract on which both sides agreed
	Tool, Bot, Calls bool   // it is a tool, can be a bot, takes call commands
}

// ToInbound converts an event of an account that is the plugin's. Its errors have a Code.
func (p *Plugin) ToInbound(account conversation.AccountID, e *pluginv1.Event) (plugin.Inbound, error) {
	in := plugin.Inbound{
		Plugin: p.ID, Instance: p.Instance, Account: account, Thread: e.GetThread(), DedupeKey: e.GetDedupeKey(),
		ProviderAt: FromMicros(e.GetProviderTime()), ReceivedAt: FromMicros(e.GetReceivedTime()),
	}
	if IsMended(in.Thread) || IsMended(in.DedupeKey) {
		return in, errNotUTF8
	}
	var err error
	switch k := e.GetKind().(type) {
	case *pluginv1.Event_Message:
		in.Message, err = p.toInboundMessage(k.Message)
	case *pluginv1.Event_Result:
		in.Result, err = toCommandResult(k.Result)
	case *pluginv1.Event_Status:
		in.Status, err = toDeliveryStatus(k.Status)
	case *pluginv1.Event_Receipt:
		in.Receipt, err = p.toInboundReceipt(k.Receipt)
	case *pluginv1.Event_Action:
		in.Action, err = p.toCustomerAction(k.Action)
	case *pluginv1.Event_Deferred:
		in.Deferred = k.Deferred.GetOpaque()
		if in.Deferred == nil {
			in.Deferred = []byte{}
		}
	default:
		err = p.toMinor1(&in, e)
	}
	return in, err
}

// toMinor1 converts the kinds of events that only minor 1 has.
func (p *Plugin) toMinor1(in *plugin.Inbound, e *pluginv1.Event) (err error) {
	if p.Minor == 0 {
		return ErrUnsupported
	}
	switch k := e.GetKind().(type) {
	case *pluginv1.Event_ReplyWindow:
		in.ReplyWindow = &plugin.ReplyWindow{Expires: FromMicros(k.ReplyWindow.GetExpires())}
	case *pluginv1.Event_Call:
		if !p.Calls {
			return ErrUnsupported
		}
		in.Call, err = toCallEvent(k.Call)
	case *pluginv1.Event_Tool:
		if !p.Tool {
			return ErrUnsupported
		}
		if in.Thread != "" {
			return invalid("event of a tool with a thread")
		}
		in.Tool, err = p.ToToolSession(k.Tool.GetSession())
	case *pluginv1.Event_Bot:
		if !p.Bot {
			return ErrUnsupported
		}
		if in.Thread != "" {
			return invalid("event of a bot with a thread")
		}
		in.Bot, err = p.toBotAction(k.Bot)
	default:
		return ErrUnsupported
	}
	return err
}

func (p *Plugin) toInboundMessage(m *pluginv1.Message) (*plugin.InboundMessage, error) {
	parts, err := ToParts(p.Minor, m.GetParts())
	if err != nil {
		return nil, err
	}
	if p.Minor == 0 && m.GetReplyToProviderId() != "" {
		return nil, ErrUnsupported
	}
	if err := within(maxField, m.GetReplyToProviderId()); err != nil {
		return nil, err
	}
	var reply conversation.MessageID
	if err := reply.UnmarshalText([]byte(m.GetReplyTo())); err != nil {
		return nil, fmt.Errorf("reply_to: %w", err)
	}
	return &plugin.InboundMessage{
		ClientID: m.GetClientId(), Address: m.GetFrom().GetAddress(), Name: m.GetFrom().GetName(),
		Parts: parts, ReplyTo: reply, ProviderIDs: m.GetProviderIds(), ReplyToProviderID: m.GetReplyToProviderId(),
	}, nil
}

func toCommandResult(r *pluginv1.Result) (*plugin.CommandResult, error) {
	id, err := ParseCommandID(r.GetCommandId())
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
		return nil, ErrUnsupported
	}
	if s.GetCommandId() != "" {
		id, err := ParseCommandID(s.GetCommandId())
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

func (p *Plugin) toInboundReceipt(r *pluginv1.Receipt) (*plugin.InboundReceipt, error) {
	out := &plugin.InboundReceipt{
		Delivered: r.GetDeliveredSeq(), Read: r.GetReadSeq(),
		DeliveredID: r.GetDeliveredProviderId(), ReadID: r.GetReadProviderId(),
	}
	if out.DeliveredID == "" && out.ReadID == "" {
		if err := ParseID(&out.Conversation, r.GetConversation()); err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
		return out, nil
	}
	switch {
	case p.Minor == 0:
		return nil, ErrUnsupported
	case r.GetConversation() != "" || out.Delivered != 0 || out.Read != 0:
		return nil, invalid("receipt both by sequence and by the provider's id")
	}
	return out, within(maxField, out.DeliveredID, out.ReadID)
}

// FromAckStatus converts the outcome of an event; an unknown one is a Retry.
func FromAckStatus(s plugin.AckStatus) pluginv1.AckStatus {
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
