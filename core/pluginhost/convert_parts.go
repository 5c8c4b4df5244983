package pluginhost

import (
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func toParts(list []*pluginv1.Part) ([]conversation.Part, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]conversation.Part, 0, len(list))
	for i, p := range list {
		part, err := toPart(p)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		out = append(out, part)
	}
	return out, nil
}

func toPart(p *pluginv1.Part) (conversation.Part, error) {
	switch k := p.GetPart().(type) {
	case *pluginv1.Part_Text:
		return conversation.Part{Kind: conversation.PartText, Text: k.Text.GetText()}, nil
	case *pluginv1.Part_RichText:
		return conversation.Part{Kind: conversation.PartRichText, HTML: k.RichText.GetHtml()}, nil
	case *pluginv1.Part_File:
		f, err := toFile(k.File)
		return conversation.Part{Kind: conversation.PartFile, File: f}, err
	case *pluginv1.Part_Location:
		l := k.Location
		return conversation.Part{Kind: conversation.PartLocation, Location: &conversation.Location{
			Latitude: l.GetLatitude(), Longitude: l.GetLongitude(), Name: l.GetName(), Address: l.GetAddress(),
		}}, nil
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
		t := k.Template
		return conversation.Part{Kind: conversation.PartTemplate, Template: &conversation.Template{
			Name: t.GetName(), Language: t.GetLanguage(), Values: t.GetValues(),
		}}, nil
	case *pluginv1.Part_Reaction:
		var id conversation.MessageID
		err := parseID(&id, k.Reaction.GetMessage())
		return conversation.Part{Kind: conversation.PartReaction, Reaction: &conversation.Reaction{
			Message: id, Emoji: k.Reaction.GetEmoji(),
		}}, err
	case *pluginv1.Part_Edit:
		var id conversation.MessageID
		err := parseID(&id, k.Edit.GetMessage())
		return conversation.Part{Kind: conversation.PartEdit, Edit: &conversation.Edit{Message: id, Text: k.Edit.GetText()}}, err
	case *pluginv1.Part_Revoke:
		var id conversation.MessageID
		err := parseID(&id, k.Revoke.GetMessage())
		return conversation.Part{Kind: conversation.PartRevoke, Revoke: &conversation.Revoke{Message: id}}, err
	case *pluginv1.Part_Unsupported:
		return conversation.Part{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{
			Kind: k.Unsupported.GetKind(), Data: rawJSON(k.Unsupported.GetRaw()),
		}}, nil
	default: // a newer plugin's kind of part: it is shown as a part that we cannot display
		return conversation.Part{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "unknown"}}, nil
	}
}

func toFile(f *pluginv1.File) (*conversation.File, error) {
	var id conversation.BlobID
	if err := parseID(&id, f.GetBlob()); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	return &conversation.File{
		Blob: id, Name: f.GetName(), MIME: f.GetMime(), Size: int64(f.GetSize()),
		Width: int(f.GetWidth()), Height: int(f.GetHeight()),
	}, nil
}

func fromFile(f conversation.File) *pluginv1.File {
	return &pluginv1.File{
		Blob: f.Blob.String(), Name: f.Name, Mime: f.MIME, Size: uint64(max(f.Size, 0)),
		Width: uint32(max(f.Width, 0)), Height: uint32(max(f.Height, 0)),
	}
}

func fromParts(parts []conversation.Part) []*pluginv1.Part {
	out := make([]*pluginv1.Part, 0, len(parts))
	for i := range parts {
		out = append(out, fromPart(&parts[i]))
	}
	return out
}

// fromPart converts a part. If the field for its kind is missing, the result is an empty part.
func fromPart(p *conversation.Part) *pluginv1.Part {
	out := &pluginv1.Part{}
	switch {
	case p.Kind == conversation.PartText, p.Kind == conversation.PartSystem:
		out.Part = &pluginv1.Part_Text{Text: &pluginv1.Text{Text: p.Text}}
	case p.Kind == conversation.PartRichText:
		out.Part = &pluginv1.Part_RichText{RichText: &pluginv1.RichText{Html: p.HTML}}
	case p.Kind == conversation.PartFile && p.File != nil:
		out.Part = &pluginv1.Part_File{File: fromFile(*p.File)}
	case p.Kind == conversation.PartLocation && p.Location != nil:
		l := p.Location
		out.Part = &pluginv1.Part_Location{Location: &pluginv1.Location{
			Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address,
		}}
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
		t := p.Template
		out.Part = &pluginv1.Part_Template{Template: &pluginv1.Template{Name: t.Name, Language: t.Language, Values: t.Values}}
	case p.Kind == conversation.PartReaction && p.Reaction != nil:
		out.Part = &pluginv1.Part_Reaction{Reaction: &pluginv1.Reaction{Message: p.Reaction.Message.String(), Emoji: p.Reaction.Emoji}}
	case p.Kind == conversation.PartEdit && p.Edit != nil:
		out.Part = &pluginv1.Part_Edit{Edit: &pluginv1.Edit{Message: p.Edit.Message.String(), Text: p.Edit.Text}}
	case p.Kind == conversation.PartRevoke && p.Revoke != nil:
		out.Part = &pluginv1.Part_Revoke{Revoke: &pluginv1.Revoke{Message: p.Revoke.Message.String()}}
	case p.Kind == conversation.PartUnsupported && p.Raw != nil:
		out.Part = &pluginv1.Part_Unsupported{Unsupported: &pluginv1.Unsupported{Kind: p.Raw.Kind, Raw: rawBytes(p.Raw.Data)}}
	}
	return out
}

// rawBytes reverses rawJSON.
func rawBytes(data json.RawMessage) []byte {
	var b []byte
	if len(data) > 0 && data[0] == '"' && json.Unmarshal(data, &b) == nil {
		return b
	}
	return data
}
