package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func everyPart() []conversation.Part {
	id := conversation.MessageID(uuid.New())
	return []conversation.Part{
		{Kind: conversation.PartText, Text: "a"},
		{Kind: conversation.PartRichText, HTML: "<b>a</b>"},
		{Kind: conversation.PartFile, File: &conversation.File{Blob: conversation.BlobID(uuid.New()), Name: "n", MIME: "m", Size: 1, Width: 2, Height: 3, Caption: "c"}},
		{Kind: conversation.PartLocation, Location: &conversation.Location{Latitude: 1, Longitude: 2, Name: "n", Address: "a"}},
		{Kind: conversation.PartContact, Contact: &conversation.ContactCard{Name: "n", Phones: []string{"+1"}, Emails: []string{"e"}}},
		{Kind: conversation.PartChoices, Choices: &conversation.Choices{Text: "t", Options: []conversation.Choice{{ID: "1", Title: "t", Description: "d"}}}},
		{Kind: conversation.PartAnswer, Answer: &conversation.Answer{Choice: "1", Title: "t"}},
		{Kind: conversation.PartTemplate, Template: &conversation.Template{Name: "n", Language: "de", Values: []string{"v"}, Rendered: "r", Placed: []conversation.TemplateValue{
			{Place: "header", Index: 1, Name: "n", File: &conversation.File{Blob: conversation.BlobID(uuid.New()), Name: "n", MIME: "m", Size: 1}},
			{Place: "header", Location: &conversation.Location{Latitude: 1, Longitude: 2}},
			{Place: "button", Index: 2, Text: "t"},
		}}},
		{Kind: conversation.PartReaction, Reaction: &conversation.Reaction{Message: id, Emoji: "👍", ProviderID: "p"}},
		{Kind: conversation.PartEdit, Edit: &conversation.Edit{Message: id, Text: "t", ProviderID: "p"}},
		{Kind: conversation.PartRevoke, Revoke: &conversation.Revoke{Message: id, ProviderID: "p"}},
		{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "k", Data: json.RawMessage(`{"a":1}`)}},
	}
}

// Every kind of part must survive the way to a plugin and back, and the test must cover every kind
// in the contract.
func TestPartsRoundTrip(t *testing.T) {
	parts := everyPart()
	sent := wire.FromParts(1, parts)
	got, err := wire.ToParts(1, sent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parts, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	seen := map[protoreflect.Name]bool{}
	oneof := (&pluginv1.Part{}).ProtoReflect().Descriptor().Oneofs().ByName("part")
	for _, p := range sent {
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
	raw := wire.FromParts(1, []conversation.Part{{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "k", Data: json.RawMessage(`"3q2+7w=="`)}}})
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

// References go down with all of the provider's ids, the first one named; a plugin of minor 0 gets our
// id only.
func TestReferencesDown(t *testing.T) {
	id := conversation.NewID[conversation.MessageID]()
	parts := []conversation.Part{
		{Kind: conversation.PartReaction, Reaction: &conversation.Reaction{Message: id, Emoji: "e", ProviderIDs: []string{"a", "b"}}},
		{Kind: conversation.PartEdit, Edit: &conversation.Edit{Message: id, ProviderID: "a"}},
		{Kind: conversation.PartRevoke, Revoke: &conversation.Revoke{Message: id}},
	}
	got := wire.FromParts(1, parts)
	if r := got[0].GetReaction(); r.GetProviderId() != "a" || len(r.GetProviderIds()) != 2 {
		t.Errorf("reaction: got %v", r)
	}
	if e := got[1].GetEdit(); e.GetProviderId() != "a" || len(e.GetProviderIds()) != 1 {
		t.Errorf("edit: got %v", e)
	}
	if r := got[2].GetRevoke(); r.GetProviderId() != "" || len(r.GetProviderIds()) != 0 {
		t.Errorf("revoke: got %v", r)
	}
	for _, p := range wire.FromParts(0, parts) {
		for _, r := range []interface {
			GetProviderId() string
			GetProviderIds() []string
		}{p.GetReaction(), p.GetEdit(), p.GetRevoke()} {
			if r.GetProviderId() != "" || len(r.GetProviderIds()) > 0 {
				t.Errorf("minor 0: got provider's ids in %v", p)
			}
		}
	}
}

// What minor 0 does not know is not taken from a plugin of minor 0, and what the customer would lose is
// not sent to one.
func TestPartsOfMinor0(t *testing.T) {
	for _, p := range everyPart() {
		var minor1 bool
		switch p.Kind {
		case conversation.PartFile, conversation.PartTemplate, conversation.PartReaction, conversation.PartEdit, conversation.PartRevoke:
			minor1 = true
		}
		_, err := wire.ToParts(0, wire.FromParts(1, []conversation.Part{p}))
		if minor1 != (err != nil) || err != nil && wire.Code(err) != "unsupported" {
			t.Errorf("%s from minor 0: got %v", p.Kind, err)
		}
	}
	for name, p := range map[string]conversation.Part{
		"caption":                {Kind: conversation.PartFile, File: &conversation.File{Caption: "c"}},
		"placed values":          {Kind: conversation.PartTemplate, Template: &conversation.Template{Placed: []conversation.TemplateValue{{Place: "body"}}}},
		"reaction to somebody's": {Kind: conversation.PartReaction, Reaction: &conversation.Reaction{ProviderID: "p"}},
		"edit of somebody's":     {Kind: conversation.PartEdit, Edit: &conversation.Edit{ProviderID: "p"}},
		"revoke of somebody's":   {Kind: conversation.PartRevoke, Revoke: &conversation.Revoke{ProviderID: "p"}},
	} {
		if parts := []conversation.Part{p}; wire.Sendable(0, parts) || !wire.Sendable(1, parts) {
			t.Errorf("%s: want it sent to minor 1 only", name)
		}
	}
	if !wire.Sendable(0, []conversation.Part{{Kind: conversation.PartText, Text: "a"}, {Kind: conversation.PartFile, File: &conversation.File{}}}) {
		t.Error("text and file: want them sent to minor 0")
	}
}
