package wire

import (
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// ToParts converts the parts of a message from a plugin of a minor version. Of a plugin of minor 0
// it takes nothing that only minor 1 has (ErrUnsupported).
func ToParts(minor uint32, list []*pluginv1.Part) ([]conversation.Part, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]conversation.Part, 0, len(list))
	for i, p := range list {
		part, err := toPart(minor, p)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		out = append(out, part)
	}
	return out, nil
}

func toPart(minor uint32, p *pluginv1.Part) (conversation.Part, error) {
	switch k := p.GetPart().(type) {
	case *pluginv1.Part_Text:
		return conversation.Part{Kind: conversation.PartText, Text: k.Text.GetText()}, nil
	case *pluginv1.Part_RichText:
		return conversation.Part{Kind: conversation.PartRichText, HTML: k.RichText.GetHtml()}, nil
	case *pluginv1.Part_File:
		f, err := toFile(minor, k.File)
		return conversation.Part{Kind: conversation.PartFile, File: f}, err
	case *pluginv1.Part_Location:
		return conversation.Part{Kind: conversation.PartLocation, Location: toLocation(k.Location)}, nil
	case *pluginv1.Part_Contact:
		c := k.Contact
		return conversation.Part{Kind: conversation.PartContact, Contact: &conversation.ContactCard{
			Name: c.GetName(), Phones: c.GetPhones(), Emails: c.GetEmails(),
		}}, nil
	case *pluginv1.Part_Choices:
		out := &conversation.Choices{Text: k.Choices.GetText()}
		for _, o := range k.Choices.GetOptions() {
			out.Options = append(out.Options, conversation.Choice{ID: o.GetId(), Title: o.GetTitle(), Description: o.GetDescription()})
		}
		return conversation.Part{Kind: conversation.PartChoices, Choices: out}, nil
	case *pluginv1.Part_Answer:
		return conversation.Part{Kind: conversation.PartAnswer, Answer: &conversation.Answer{
			Choice: k.Answer.GetChoice(), Title: k.Answer.GetTitle(),
		}}, nil
	case *pluginv1.Part_Template:
		t, err := toTemplate(minor, k.Template)
		return conversation.Part{Kind: conversation.PartTemplate, Template: t}, err
	case *pluginv1.Part_Reaction:
		id, provider, err := toReference(minor, k.Reaction)
		return conversation.Part{Kind: conversation.PartReaction, Reaction: &conversation.Reaction{
			Message: id, Emoji: k.Reaction.GetEmoji(), ProviderID: provider,
		}}, err
	case *pluginv1.Part_Edit:
		id, provider, err := toReference(minor, k.Edit)
		return conversation.Part{Kind: conversation.PartEdit, Edit: &conversation.Edit{
			Message: id, Text: k.Edit.GetText(), ProviderID: provider,
		}}, err
	case *pluginv1.Part_Revoke:
		id, provider, err := toReference(minor, k.Revoke)
		return conversation.Part{Kind: conversation.PartRevoke, Revoke: &conversation.Revoke{Message: id, ProviderID: provider}}, err
	case *pluginv1.Part_Unsupported:
		return conversation.Part{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{
			Kind: k.Unsupported.GetKind(), Data: rawJSON(k.Unsupported.GetRaw()),
		}}, nil
	default: // a newer plugin's kind of part: it is shown as a part that we cannot display
		return conversation.Part{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "unknown"}}, nil
	}
}

// reference is what names an earlier message: a Reaction, an Edit or a Revoke.
type reference interface {
	GetMessage() string
	GetProviderId() string
	GetProviderIds() []string
}

// toReference reads the name of an earlier message: our id, or, of minor 1, the provider's instead.
func toReference(minor uint32, r reference) (id conversation.MessageID, provider string, err error) {
	provider = r.GetProviderId()
	if provider == "" && len(r.GetProviderIds()) > 0 {
		provider = r.GetProviderIds()[0]
	}
	if provider == "" {
		return id, "", ParseID(&id, r.GetMessage())
	}
	if minor == 0 {
		return id, "", ErrUnsupported
	}
	if err := within(maxField, provider); err != nil {
		return id, "", err
	}
	return id, provider, id.UnmarshalText([]byte(r.GetMessage()))
}

func toFile(minor uint32, f *pluginv1.File) (*conversation.File, error) {
	var id conversation.BlobID
	if err := ParseID(&id, f.GetBlob()); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if minor == 0 && f.GetCaption() != "" {
		return nil, ErrUnsupported
	}
	return &conversation.File{
		Blob: id, Name: f.GetName(), MIME: f.GetMime(), Size: int64(f.GetSize()),
		Width: int(f.GetWidth()), Height: int(f.GetHeight()), Caption: f.GetCaption(),
	}, nil
}

// FromFile converts an attachment.
func FromFile(f conversation.File) *pluginv1.File {
	return &pluginv1.File{
		Blob: f.Blob.String(), Name: f.Name, Mime: f.MIME, Size: uint64(max(f.Size, 0)),
		Width: uint32(max(f.Width, 0)), Height: uint32(max(f.Height, 0)), Caption: f.Caption,
	}
}

func toLocation(l *pluginv1.Location) *conversation.Location {
	return &conversation.Location{
		Latitude: l.GetLatitude(), Longitude: l.GetLongitude(), Name: l.GetName(), Address: l.GetAddress(),
	}
}

func fromLocation(l *conversation.Location) *pluginv1.Location {
	return &pluginv1.Location{Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address}
}

// FromParts converts the parts of a message for a plugin of a minor version. What only minor 1 has and
// a plugin of minor 0 can do without is left out: see Sendable.
func FromParts(minor uint32, parts []conversation.Part) []*pluginv1.Part {
	out := make([]*pluginv1.Part, 0, len(parts))
	for i := range parts {
		out = append(out, fromPart(minor, &parts[i]))
	}
	return out
}

// fromPart converts a part. If the field for its kind is missing, the result is an empty part.
func fromPart(minor uint32, p *conversation.Part) *pluginv1.Part {
	out := &pluginv1.Part{}
	switch {
	case p.Kind == conversation.PartText, p.Kind == conversation.PartSystem:
		out.Part = &pluginv1.Part_Text{Text: &pluginv1.Text{Text: p.Text}}
	case p.Kind == conversation.PartRichText:
		out.Part = &pluginv1.Part_RichText{RichText: &pluginv1.RichText{Html: p.HTML}}
	case p.Kind == conversation.PartFile && p.File != nil:
		out.Part = &pluginv1.Part_File{File: FromFile(*p.File)}
	case p.Kind == conversation.PartLocation && p.Location != nil:
		out.Part = &pluginv1.Part_Location{Location: fromLocation(p.Location)}
	case p.Kind == conversation.PartContact && p.Contact != nil:
		c := p.Contact
		out.Part = &pluginv1.Part_Contact{Contact: &pluginv1.ContactCard{Name: c.Name, Phones: c.Phones, Emails: c.Emails}}
	case p.Kind == conversation.PartChoices && p.Choices != nil:
		choices := &pluginv1.Choices{Text: p.Choices.Text}
		for _, o := range p.Choices.Options {
			choices.Options = append(choices.Options, &pluginv1.Choice{Id: o.ID, Title: o.Title, Description: o.Description})
		}
		out.Part = &pluginv1.Part_Choices{Choices: choices}
	case p.Kind == conversation.PartAnswer && p.Answer != nil:
		out.Part = &pluginv1.Part_Answer{Answer: &pluginv1.Answer{Choice: p.Answer.Choice, Title: p.Answer.Title}}
	case p.Kind == conversation.PartTemplate && p.Template != nil:
		out.Part = &pluginv1.Part_Template{Template: fromTemplate(minor, p.Template)}
	case p.Kind == conversation.PartReaction && p.Reaction != nil:
		r := &pluginv1.Reaction{Message: p.Reaction.Message.String(), Emoji: p.Reaction.Emoji}
		r.ProviderId, r.ProviderIds = fromReference(minor, p.Reaction.ProviderID, p.Reaction.ProviderIDs)
		out.Part = &pluginv1.Part_Reaction{Reaction: r}
	case p.Kind == conversation.PartEdit && p.Edit != nil:
		e := &pluginv1.Edit{Message: p.Edit.Message.String(), Text: p.Edit.Text}
		e.ProviderId, e.ProviderIds = fromReference(minor, p.Edit.ProviderID, p.Edit.ProviderIDs)
		out.Part = &pluginv1.Part_Edit{Edit: e}
	case p.Kind == conversation.PartRevoke && p.Revoke != nil:
		r := &pluginv1.Revoke{Message: p.Revoke.Message.String()}
		r.ProviderId, r.ProviderIds = fromReference(minor, p.Revoke.ProviderID, p.Revoke.ProviderIDs)
		out.Part = &pluginv1.Part_Revoke{Revoke: r}
	case p.Kind == conversation.PartUnsupported && p.Raw != nil:
		out.Part = &pluginv1.Part_Unsupported{Unsupported: &pluginv1.Unsupported{Kind: p.Raw.Kind, Raw: rawBytes(p.Raw.Data)}}
	}
	return out
}

// fromReference returns the provider's ids of an earlier message, as a plugin of a minor version gets
// them. The first of several ids names the message.
func fromReference(minor uint32, id string, all []string) (string, []string) {
	if minor == 0 {
		return "", nil
	}
	if id == "" && len(all) > 0 {
		id = all[0]
	}
	if len(all) == 0 && id != "" {
		all = []string{id}
	}
	return id, all
}

// rawBytes reverses rawJSON.
func rawBytes(data json.RawMessage) []byte {
	var b []byte
	if len(data) > 0 && data[0] == '"' && json.Unmarshal(data, &b) == nil {
		return b
	}
	return data
}
