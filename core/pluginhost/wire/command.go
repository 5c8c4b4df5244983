package wire

import (
	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// FromOutbound converts a command for a plugin of a minor version. The caller has asked Sendable.
func FromOutbound(minor uint32, o *plugin.Outbound) *pluginv1.Command {
	c := &pluginv1.Command{
		CommandId: uuid.UUID(o.Command).String(), Account: o.Account.String(), Thread: o.Thread,
		Conversation: o.Conversation.String(), Attempt: uint32(max(o.Attempt, 0)), MaybeSent: o.MaybeSent,
		Deadline: ToMicros(o.Deadline),
	}
	switch {
	case o.Send != nil:
		c.Kind = &pluginv1.Command_Send{Send: &pluginv1.Send{
			MessageId: o.Send.Message.String(), To: o.Send.To, Parts: FromParts(minor, o.Send.Parts),
			Author: o.Send.Author, ReplyToProviderId: o.Send.ReplyToProviderID,
		}}
	case o.Lookup != nil:
		c.Kind = &pluginv1.Command_Lookup{Lookup: &pluginv1.Lookup{MessageId: o.Lookup.Message.String()}}
	case o.MarkRead != nil:
		m := &pluginv1.MarkRead{MessageId: o.MarkRead.Message.String(), ProviderIds: o.MarkRead.ProviderIDs}
		if len(m.ProviderIds) > 0 {
			m.ProviderId = m.ProviderIds[0]
		}
		c.Kind = &pluginv1.Command_MarkRead{MarkRead: m}
	case o.Typing != nil:
		c.Kind = &pluginv1.Command_Typing{Typing: &pluginv1.Typing{On: o.Typing.On, ProviderId: o.Typing.ProviderID}}
	case o.Call != nil:
		c.Kind = &pluginv1.Command_Call{Call: fromCallCommand(o.Call)}
	default:
		c.Kind = &pluginv1.Command_Process{Process: &pluginv1.Process{Opaque: o.Process}}
	}
	return c
}

// Sendable reports whether a message to a plugin of a minor version loses nothing that the customer
// should get: a plugin of minor 0 knows no captions, no values by place, and no messages that only
// the provider's id names.
func Sendable(minor uint32, parts []conversation.Part) bool {
	if minor > 0 {
		return true
	}
	for i := range parts {
		p := &parts[i]
		switch {
		case p.File != nil && p.File.Caption != "",
			p.Template != nil && len(p.Template.Placed) > 0,
			p.Reaction != nil && p.Reaction.Message.IsZero(),
			p.Edit != nil && p.Edit.Message.IsZero(),
			p.Revoke != nil && p.Revoke.Message.IsZero():
			return false
		}
	}
	return true
}

// FromRecord converts a record for a customer or a bot. It shares the record's bytes, except that providers'
// ids are taken out of messages, and nodes and processes out of sessions.
func FromRecord(r *plugin.Record) *pluginv1.Record {
	out := &pluginv1.Record{
		Conversation: r.Conversation.String(), Seq: r.Seq, Prev: r.Prev, Time: ToMicros(r.At),
		Type: string(r.Type), Head: r.Head, Body: r.Body,
	}
	switch r.Type {
	case conversation.TypeSessionRequested, conversation.TypeSessionChanged:
		head, err := conversation.WithoutPin(r.Head)
		if err != nil {
			head = nil
		}
		out.Head = head
	case conversation.TypeMessage:
		body, err := conversation.WithoutProviderIDs(r.Body)
		if err != nil {
			body = nil // a body that cannot be read is shown as one whose key is lost
		}
		out.Body = body
	}
	return out
}
