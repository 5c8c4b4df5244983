package wire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// everything is a plugin that may say whatever the contract has.
var everything = wire.Plugin{ID: "p", Instance: "p.1", Minor: 1, Tool: true, Bot: true, Calls: true}

func TestToInbound(t *testing.T) {
	account, command, conv := conversation.NewID[conversation.AccountID](), uuid.New(), conversation.ConversationID(uuid.New())
	at := time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
	base := plugin.Inbound{Plugin: "p", Instance: "p.1", Account: account, Thread: "t", DedupeKey: "d", ProviderAt: at, ReceivedAt: at.Add(time.Second)}
	with := func(f func(*plugin.Inbound)) plugin.Inbound {
		in := base
		f(&in)
		return in
	}
	page := &pluginv1.Page{Url: "u", Title: "t"}
	attributes := []*pluginv1.Attribute{{Name: "a", Value: "b"}}
	tests := []struct {
		name string
		e    *pluginv1.Event
		want plugin.Inbound
	}{
		{"message", &pluginv1.Event{Kind: &pluginv1.Event_Message{Message: &pluginv1.Message{
			ClientId: "c", From: &pluginv1.Address{Address: "+1", Name: "n"}, ReplyTo: conv.String(), ProviderIds: []string{"x"}, ReplyToProviderId: "y",
		}}}, with(func(in *plugin.Inbound) {
			in.Message = &plugin.InboundMessage{ClientID: "c", Address: "+1", Name: "n", ReplyTo: conversation.MessageID(conv), ProviderIDs: []string{"x"}, ReplyToProviderID: "y"}
		})},
		{"result", &pluginv1.Event{Kind: &pluginv1.Event_Result{Result: &pluginv1.Result{
			CommandId: command.String(), Outcome: pluginv1.Outcome_OUTCOME_FAILED, ProviderIds: []string{"x"},
			ErrorKind: pluginv1.ErrorKind_ERROR_KIND_THROTTLED, Code: "c", Text: "t", Retryable: true, RetryAfterMs: 1500,
		}}}, with(func(in *plugin.Inbound) {
			in.Result = &plugin.CommandResult{
				Command: command, Outcome: conversation.StatusFailed, ProviderIDs: []string{"x"}, Kind: "throttled",
				Code: "c", Text: "t", Retryable: true, RetryAfter: 1500 * time.Millisecond,
			}
		})},
		{"status", &pluginv1.Event{Kind: &pluginv1.Event_Status{Status: &pluginv1.DeliveryStatus{
			ProviderId: "x", Status: pluginv1.MessageStatus_MESSAGE_STATUS_DELIVERED, Code: "c", Text: "t",
		}}}, with(func(in *plugin.Inbound) {
			in.Status = &plugin.DeliveryStatus{ProviderID: "x", Status: conversation.StatusDelivered, Code: "c", Text: "t"}
		})},
		{"receipt", &pluginv1.Event{Kind: &pluginv1.Event_Receipt{Receipt: &pluginv1.Receipt{
			Conversation: conv.String(), DeliveredSeq: 4, ReadSeq: 3,
		}}}, with(func(in *plugin.Inbound) {
			in.Receipt = &plugin.InboundReceipt{Conversation: conv, Delivered: 4, Read: 3}
		})},
		{"start", action(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Start{Start: &pluginv1.Start{
			From: &pluginv1.Address{Address: "web:1", Name: "n"}, FirstName: "f", LastName: "l", Email: "e", Phone: "p",
			Locale: "de", Subject: "s", ClientId: "c", Page: page, Attributes: attributes,
		}}}), with(func(in *plugin.Inbound) {
			in.Action = &plugin.CustomerAction{Start: &plugin.StartAction{ClientID: "c", Body: conversation.StartedBody{
				Address: "web:1", Name: "n", FirstName: "f", LastName: "l", Email: "e", Phone: "p", Locale: "de", Subject: "s",
				Page: &conversation.PageBody{URL: "u", Title: "t"}, Attributes: map[string]string{"a": "b"},
			}}}
		})},
		{"page", action(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Page{Page: page}}), with(func(in *plugin.Inbound) {
			in.Action = &plugin.CustomerAction{Page: &conversation.PageBody{URL: "u", Title: "t"}}
		})},
		{"end", action(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_End{}}), with(func(in *plugin.Inbound) {
			in.Action = &plugin.CustomerAction{End: true}
		})},
		{"left", action(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Left{}}), with(func(in *plugin.Inbound) {
			in.Action = &plugin.CustomerAction{Left: true}
		})},
		{"attributes", action(&pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Attributes{
			Attributes: &pluginv1.Attributes{Attributes: attributes},
		}}), with(func(in *plugin.Inbound) {
			in.Action = &plugin.CustomerAction{Attributes: map[string]string{"a": "b"}}
		})},
		{"deferred", &pluginv1.Event{Kind: &pluginv1.Event_Deferred{Deferred: &pluginv1.Deferred{Opaque: []byte("x")}}}, with(func(in *plugin.Inbound) {
			in.Deferred = []byte("x")
		})},
	}
	kinds := (&pluginv1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields().Len()
	covered := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.e.Thread, tt.e.DedupeKey = "t", "d"
			tt.e.ProviderTime, tt.e.ReceivedTime = at.UnixMicro(), at.Add(time.Second).UnixMicro()
			got, err := everything.ToInbound(account, tt.e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			covered[fmt.Sprintf("%T", tt.e.GetKind())] = true
		})
	}
	for _, tt := range minor1Events() {
		covered[fmt.Sprintf("%T", tt.e.GetKind())] = true
	}
	if len(covered) != kinds {
		t.Errorf("kinds of events: %d of %d are covered", len(covered), kinds)
	}
}

func action(a *pluginv1.CustomerAction) *pluginv1.Event {
	return &pluginv1.Event{Kind: &pluginv1.Event_Action{Action: a}}
}
