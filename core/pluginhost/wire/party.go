package wire

import (
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func toParty(p *pluginv1.Party) (out plugin.Party, err error) {
	out.Name = p.GetName()
	if err := within(maxField, out.Name); err != nil {
		return out, err
	}
	switch k := conversation.AuthorKind(p.GetKind()); k {
	case conversation.Customer:
		out.Who.Kind = k
	case conversation.Agent, conversation.Supervisor:
		out.Who.Kind = k
		err = ParseID(&out.Who.Agent, p.GetId())
	case conversation.Bot:
		out.Who.Kind = k
		err = ParseID(&out.Who.Bot, p.GetId())
	case conversation.Outside:
		out.Who.Kind = k
	default:
		return out, invalid("party of unknown kind")
	}
	if err != nil {
		return out, fmt.Errorf("party: %w", err)
	}
	return out, nil
}

// fromParty converts a party of a call: one without an author is somebody outside. The system is no
// party.
func fromParty(p plugin.Party) *pluginv1.Party {
	out := &pluginv1.Party{Kind: string(p.Who.Kind), Name: p.Name}
	switch p.Who.Kind {
	case "":
		out.Kind = string(conversation.Outside)
	case conversation.Agent, conversation.Supervisor:
		out.Id = p.Who.Agent.String()
	case conversation.Bot:
		out.Id = p.Who.Bot.String()
	case conversation.System:
		return nil
	case conversation.Customer, conversation.Outside:
	}
	return out
}

// fromSomebody converts a party that may be nobody.
func fromSomebody(p plugin.Party) *pluginv1.Party {
	if p == (plugin.Party{}) {
		return nil
	}
	return fromParty(p)
}
