package wire

import (
	"fmt"

	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func (p *Plugin) toBotAction(b *pluginv1.BotAction) (*plugin.BotAction, error) {
	out := &plugin.BotAction{}
	err := ParseID(&out.Conversation, b.GetConversation())
	if err != nil {
		return nil, fmt.Errorf("bot: conversation: %w", err)
	}
	switch k := b.GetAction().(type) {
	case *pluginv1.BotAction_Post:
		out.Post, err = p.toBotPost(k.Post)
	case *pluginv1.BotAction_HandOver:
		out.HandOver = &plugin.BotHandOver{Service: k.HandOver.GetService(), Reason: k.HandOver.GetReason()}
		err = within(maxField, out.HandOver.Service, out.HandOver.Reason)
	case *pluginv1.BotAction_End:
		out.End = &plugin.BotEnd{Reason: k.End.GetReason()}
		err = within(maxField, out.End.Reason)
	case *pluginv1.BotAction_Attributes:
		if out.Attributes, err = checkedAttributes(k.Attributes.GetAttributes()); err == nil && out.Attributes == nil {
			err = invalid("bot: no attributes")
		}
	default:
		err = ErrUnsupported
	}
	return out, err
}

func (p *Plugin) toBotPost(m *pluginv1.BotPost) (*plugin.BotPost, error) {
	out := &plugin.BotPost{ClientID: m.GetClientId()}
	if out.ClientID == "" || len(out.ClientID) > maxClientID {
		return nil, invalid("bot: client_id: want 1 to 64 bytes")
	}
	if err := out.ReplyTo.UnmarshalText([]byte(m.GetReplyTo())); err != nil {
		return nil, fmt.Errorf("bot: reply_to: %w", err)
	}
	var err error
	if out.Parts, err = ToParts(p.Minor, m.GetParts()); err != nil {
		return nil, err
	}
	if len(out.Parts) == 0 {
		return nil, invalid("bot: message without parts")
	}
	return out, nil
}

// FromBotNotice converts a notice for a bot.
func FromBotNotice(n plugin.BotNotice) *pluginv1.BotNotice {
	return &pluginv1.BotNotice{
		Account: n.Account.String(), Conversation: n.Conversation.String(), Left: n.Left, Seq: n.Seq,
	}
}
