package ingest

import (
	"encoding/json"
	"errors"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/plugin"
)

// Wrote is what a customer has written: a message, or the first one of a start. No
// parts: nothing.
func Wrote(in *plugin.Inbound) messages.Written {
	w := messages.Written{ProviderAt: in.ProviderAt, ReceivedAt: in.ReceivedAt}
	switch {
	case in.Message != nil:
		w.Parts, w.ClientID, w.Name, w.ReplyTo = in.Message.Parts, in.Message.ClientID, in.Message.Name, in.Message.ReplyTo
	case in.Action != nil && in.Action.Start != nil:
		w.Parts, w.ClientID, w.Name = in.Action.Start.Parts, in.Action.Start.ClientID, in.Action.Start.Body.Name
	}
	return w
}

// Command is what a customer's event means for the conversation that is open on its
// thread: a *conversation.Post for what the customer has written. nil: nothing, for
// a second start without a message.
func (g *Ingest) Command(in *plugin.Inbound) (conversation.Command, error) {
	if w := Wrote(in); in.Message != nil || len(w.Parts) > 0 {
		return g.messages.FromCustomer(w)
	}
	if r := in.Receipt; r != nil {
		return conversation.Mark{By: conversation.Author{Kind: conversation.Customer}, Delivered: r.Delivered, Read: r.Read}, nil
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
