package ingest

import (
	"encoding/json"
	"errors"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/plugin"
)

// Wrote returns what a customer has written: a message, or the first message that comes with a
// start. The result has no Parts when the event brings neither.
func Wrote(in *plugin.Inbound) messages.Written {
	w := messages.Written{ProviderAt: in.ProviderAt, ReceivedAt: in.ReceivedAt}
	switch {
	case in.Message != nil:
		w.Parts, w.ClientID, w.Name, w.ReplyTo = in.Message.Parts, in.Message.ClientID, in.Message.Name, in.Message.ReplyTo
		w.ProviderIDs, w.ReplyToProviderID = in.Message.ProviderIDs, in.Message.ReplyToProviderID
	case in.Action != nil && in.Action.Start != nil:
		w.Parts, w.ClientID, w.Name = in.Action.Start.Parts, in.Action.Start.ClientID, in.Action.Start.Body.Name
	}
	return w
}

// Command translates a customer's event into a command for the conversation that is open on its
// thread. Whatever the customer has written becomes a *conversation.Post. The command is nil for a
// start without a message, which changes nothing in a conversation that is open already.
func (g *Ingest) Command(in *plugin.Inbound) (conversation.Command, error) {
	if w := Wrote(in); in.Message != nil || len(w.Parts) > 0 {
		return g.messages.FromCustomer(w)
	}
	if r := in.Receipt; r != nil {
		return conversation.Mark{By: conversation.Author{Kind: conversation.Customer}, Delivered: r.Delivered, Read: r.Read}, nil
	}
	if w := in.ReplyWindow; w != nil {
		return conversation.SetReplyWindow{Expires: w.Expires, ProviderAt: in.ProviderAt}, nil
	}
	a := in.Action
	if a == nil {
		return nil, errors.New("ingest: empty event")
	}
	switch {
	case a.Start != nil:
		return nil, nil
	case a.Page != nil:
		body, err := json.Marshal(a.Page)
		return conversation.Visit{Body: body}, err
	case a.End:
		return conversation.CustomerEnd{Cause: conversation.CauseCustomer}, nil
	case a.Left:
		return conversation.CustomerEnd{Cause: conversation.CauseCustomerLeft}, nil
	case a.OptOut != nil:
		body, err := json.Marshal(conversation.ConsentBody{Keyword: cut(a.OptOut.Keyword, maxKeyword)})
		return conversation.ChangeConsent{Out: a.OptOut.Out, Body: body}, err
	case a.Attributes != nil:
		body, err := json.Marshal(conversation.CustomerBody{Attributes: a.Attributes})
		return conversation.UpdateCustomer{Body: body}, err
	}
	return nil, errors.New("ingest: empty action")
}
