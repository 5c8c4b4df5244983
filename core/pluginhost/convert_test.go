package pluginhost_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func everyPart() []conversation.Part {
	id := conversation.MessageID(uuid.New())
	return []conversation.Part{
		{Kind: conversation.PartText, Text: "a"},
		{Kind: conversation.PartRichText, HTML: "<b>a</b>"},
		{Kind: conversation.PartFile, File: &conversation.File{Blob: conversation.BlobID(uuid.New()), Name: "n", MIME: "m", Size: 1, Width: 2, Height: 3}},
		{Kind: conversation.PartLocation, Location: &conversation.Location{Latitude: 1, Longitude: 2, Name: "n", Address: "a"}},
		{Kind: conversation.PartContact, Contact: &conversation.ContactCard{Name: "n", Phones: []string{"+1"}, Emails: []string{"e"}}},
		{Kind: conversation.PartChoices, Choices: &conversation.Choices{Text: "t", Options: []conversation.Choice{{ID: "1", Title: "t", Description: "d"}}}},
		{Kind: conversation.PartAnswer, Answer: &conversation.Answer{Choice: "1", Title: "t"}},
		{Kind: conversation.PartTemplate, Template: &conversation.Template{Name: "n", Language: "de", Values: []string{"v"}}},
		{Kind: conversation.PartReaction, Reaction: &conversation.Reaction{Message: id, Emoji: "👍"}},
		{Kind: conversation.PartEdit, Edit: &conversation.Edit{Message: id, Text: "t"}},
		{Kind: conversation.PartRevoke, Revoke: &conversation.Revoke{Message: id}},
		{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "k", Data: json.RawMessage(`{"a":1}`)}},
	}
}

// Every kind of part must survive the way to a plugin and back, and the test must cover every kind
// in the contract.
func TestPartsRoundTrip(t *testing.T) {
	parts := everyPart()
	wire := pluginhost.FromParts(parts)
	got, err := pluginhost.ToParts(wire)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parts, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	seen := map[protoreflect.Name]bool{}
	oneof := (&pluginv1.Part{}).ProtoReflect().Descriptor().Oneofs().ByName("part")
	for _, p := range wire {
		if f := p.ProtoReflect().WhichOneof(oneof); f != nil {
			seen[f.Name()] = true
			noneEmpty(t, string(f.Name()), p.ProtoReflect().Get(f).Message())
		}
	}
	for i := range oneof.Fields().Len() {
		if name := oneof.Fields().Get(i).Name(); !seen[name] {
			t.Errorf("part %s of the contract is not covered", name)
		}
	}
	raw := pluginhost.FromParts([]conversation.Part{{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "k", Data: json.RawMessage(`"3q2+7w=="`)}}})
	if b := raw[0].GetUnsupported().GetRaw(); string(b) != "\xde\xad\xbe\xef" {
		t.Errorf("raw bytes: got %x, want deadbeef", b)
	}
}

// noneEmpty fails for each field that the conversion left zero.
func noneEmpty(t *testing.T, path string, m protoreflect.Message) {
	t.Helper()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			t.Errorf("%s.%s is left empty", path, f.Name())
			continue
		}
		if f.Kind() == protoreflect.MessageKind && !f.IsList() {
			noneEmpty(t, path+"."+string(f.Name()), m.Get(f).Message())
		}
	}
}

func TestToInbound(t *testing.T) {
	account, command, conv := newAccount(), uuid.New(), conversation.ConversationID(uuid.New())
	at := time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
	base := plugin.Inbound{Plugin: "p", Account: account, Thread: "t", DedupeKey: "d", ProviderAt: at, ReceivedAt: at.Add(time.Second)}
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
			ClientId: "c", From: &pluginv1.Address{Address: "+1", Name: "n"}, ReplyTo: conv.String(), ProviderIds: []string{"x"},
		}}}, with(func(in *plugin.Inbound) {
			in.Message = &plugin.InboundMessage{ClientID: "c", Address: "+1", Name: "n", ReplyTo: conversation.MessageID(conv), ProviderIDs: []string{"x"}}
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
			got, err := pluginhost.ToInbound("p", account, tt.e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			covered[fmt.Sprintf("%T", tt.e.GetKind())] = true
		})
	}
	if len(covered) != kinds {
		t.Errorf("kinds of events: %d of %d are covered", len(covered), kinds)
	}
}

func action(a *pluginv1.CustomerAction) *pluginv1.Event {
	return &pluginv1.Event{Kind: &pluginv1.Event_Action{Action: a}}
}

func TestSchemaSplit(t *testing.T) {
	split, err := pluginhost.CompileSchema(`{"type":"object","properties":{
		"name":{"type":"string"},
		"auth":{"type":"object","properties":{"user":{"type":"string"},"key":{"type":"string","x-secret":true,"minLength":8}}},
		"pins":{"type":"array","x-secret":true},
		"site":{"type":"string","format":"uri"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	text, secrets, problems := split(`{"name":"a","auth":{"user":"u","key":"long enough"},"pins":[1,2]}`)
	if len(problems) > 0 {
		t.Fatalf("problems: got %v", problems)
	}
	if want := `{"auth":{"user":"u"},"name":"a"}`; text != want {
		t.Errorf("settings: got %s, want %s", text, want)
	}
	got := map[string]string{}
	for _, s := range secrets {
		got[s.GetName()] = s.GetValue()
	}
	if diff := cmp.Diff(map[string]string{"auth/key": "long enough", "pins": "[1,2]"}, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	for _, settings := range []string{`{"auth":{"key":"canary"}}`, `{"site":"canary no uri"}`} {
		_, _, problems = split(settings)
		if len(problems) != 1 || strings.Contains(fmt.Sprint(problems), "canary") {
			t.Errorf("settings %s: got %v, want one problem that does not quote the value", settings, problems)
		}
	}
	for _, bad := range []string{`{`, `{"type":"nonsense"}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"https://example.com/x"}`} {
		if _, err := pluginhost.CompileSchema(bad); err == nil {
			t.Errorf("schema %s: got no error", bad)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 250 * time.Millisecond, 1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 3: time.Second,
		7: 16 * time.Second, 8: 30 * time.Second, 1000: 30 * time.Second,
	} {
		for range 20 {
			if got := pluginhost.Backoff(n); got < want*8/10 || got > want*12/10 {
				t.Errorf("backoff after %d failures: got %v, want %v +-20 %%", n, got, want)
			}
		}
	}
}
