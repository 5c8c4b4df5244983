package sdk

import (
	"fmt"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file converts the parts of messages, in both directions.

func partsToWire(parts []Part) ([]*pluginv1.Part, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	out := make([]*pluginv1.Part, len(parts))
	for i, p := range parts {
		w, err := partToWire(p)
		if err != nil {
			return nil, err
		}
		out[i] = w
	}
	return out, nil
}

func partToWire(p Part) (*pluginv1.Part, error) {
	switch p := p.(type) {
	case Text:
		return &pluginv1.Part{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: p.Text}}}, nil
	case RichText:
		return &pluginv1.Part{Part: &pluginv1.Part_RichText{RichText: &pluginv1.RichText{Html: p.HTML}}}, nil
	case File:
		return &pluginv1.Part{Part: &pluginv1.Part_File{File: fileToWire(p)}}, nil
	case Location:
		return &pluginv1.Part{Part: &pluginv1.Part_Location{Location: locationToWire(p)}}, nil
	case ContactCard:
		return &pluginv1.Part{Part: &pluginv1.Part_Contact{Contact: &pluginv1.ContactCard{
			Name: p.Name, Phones: p.Phones, Emails: p.Emails,
		}}}, nil
	case Choices:
		c := &pluginv1.Choices{Text: p.Text}
		for _, o := range p.Options {
			c.Options = append(c.Options, &pluginv1.Choice{Id: o.ID, Title: o.Title, Description: o.Description})
		}
		return &pluginv1.Part{Part: &pluginv1.Part_Choices{Choices: c}}, nil
	case Answer:
		return &pluginv1.Part{Part: &pluginv1.Part_Answer{Answer: &pluginv1.Answer{Choice: p.Choice, Title: p.Title}}}, nil
	case Template:
		t, err := templateToWire(&p)
		return &pluginv1.Part{Part: &pluginv1.Part_Template{Template: t}}, err
	case Reaction:
		return &pluginv1.Part{Part: &pluginv1.Part_Reaction{Reaction: &pluginv1.Reaction{
			Message: string(p.Message), Emoji: p.Emoji, ProviderId: p.ProviderID, ProviderIds: p.ProviderIDs,
		}}}, nil
	case Edit:
		return &pluginv1.Part{Part: &pluginv1.Part_Edit{Edit: &pluginv1.Edit{
			Message: string(p.Message), Text: p.Text, ProviderId: p.ProviderID, ProviderIds: p.ProviderIDs,
		}}}, nil
	case Revoke:
		return &pluginv1.Part{Part: &pluginv1.Part_Revoke{Revoke: &pluginv1.Revoke{
			Message: string(p.Message), ProviderId: p.ProviderID, ProviderIds: p.ProviderIDs,
		}}}, nil
	case Unsupported:
		return &pluginv1.Part{Part: &pluginv1.Part_Unsupported{Unsupported: &pluginv1.Unsupported{Kind: p.Kind, Raw: p.Raw}}}, nil
	default:
		return nil, fmt.Errorf("part %T: %w", p, errUnknownKind)
	}
}

func fileToWire(f File) *pluginv1.File {
	return &pluginv1.File{
		Blob: string(f.Blob), Name: f.Name, Mime: f.MIME, Size: f.Size, Width: f.Width, Height: f.Height,
		Caption: f.Caption,
	}
}

func templateToWire(t *Template) (*pluginv1.Template, error) {
	out := &pluginv1.Template{Name: t.Name, Language: t.Language, Values: t.Values, Rendered: t.Rendered}
	for _, v := range t.Placed {
		w := &pluginv1.TemplateValue{Place: v.Place, Index: v.Index, Name: v.Name}
		switch value := v.Value.(type) {
		case Text:
			w.Value = &pluginv1.TemplateValue_Text{Text: value.Text}
		case File:
			w.Value = &pluginv1.TemplateValue_File{File: fileToWire(value)}
		case Location:
			w.Value = &pluginv1.TemplateValue_Location{Location: locationToWire(value)}
		default:
			return nil, fmt.Errorf("template value %T: %w", v.Value, errUnknownKind)
		}
		out.Placed = append(out.Placed, w)
	}
	return out, nil
}

func templateFromWire(w *pluginv1.Template) (Template, error) {
	out := Template{Name: w.GetName(), Language: w.GetLanguage(), Values: w.GetValues(), Rendered: w.GetRendered()}
	for _, v := range w.GetPlaced() {
		t := TemplateValue{Place: v.GetPlace(), Index: v.GetIndex(), Name: v.GetName()}
		switch value := v.GetValue().(type) {
		case *pluginv1.TemplateValue_Text:
			t.Value = Text{Text: value.Text}
		case *pluginv1.TemplateValue_File:
			t.Value = fileFromWire(value.File)
		case *pluginv1.TemplateValue_Location:
			t.Value = locationFromWire(value.Location)
		default:
			return Template{}, fmt.Errorf("template value %T: %w", v.GetValue(), errUnknownKind)
		}
		out.Placed = append(out.Placed, t)
	}
	return out, nil
}

func locationToWire(l Location) *pluginv1.Location {
	return &pluginv1.Location{Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address}
}

func locationFromWire(w *pluginv1.Location) Location {
	return Location{Latitude: w.GetLatitude(), Longitude: w.GetLongitude(), Name: w.GetName(), Address: w.GetAddress()}
}

func partsFromWire(parts []*pluginv1.Part) ([]Part, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	out := make([]Part, len(parts))
	for i, p := range parts {
		part, err := partFromWire(p)
		if err != nil {
			return nil, err
		}
		out[i] = part
	}
	return out, nil
}

func partFromWire(p *pluginv1.Part) (Part, error) {
	switch k := p.GetPart().(type) {
	case *pluginv1.Part_Text:
		return Text{Text: k.Text.GetText()}, nil
	case *pluginv1.Part_RichText:
		return RichText{HTML: k.RichText.GetHtml()}, nil
	case *pluginv1.Part_File:
		return fileFromWire(k.File), nil
	case *pluginv1.Part_Location:
		return locationFromWire(k.Location), nil
	case *pluginv1.Part_Contact:
		return ContactCard{Name: k.Contact.GetName(), Phones: k.Contact.GetPhones(), Emails: k.Contact.GetEmails()}, nil
	case *pluginv1.Part_Choices:
		c := Choices{Text: k.Choices.GetText()}
		for _, o := range k.Choices.GetOptions() {
			c.Options = append(c.Options, Choice{ID: o.GetId(), Title: o.GetTitle(), Description: o.GetDescription()})
		}
		return c, nil
	case *pluginv1.Part_Answer:
		return Answer{Choice: k.Answer.GetChoice(), Title: k.Answer.GetTitle()}, nil
	case *pluginv1.Part_Template:
		return templateFromWire(k.Template)
	case *pluginv1.Part_Reaction:
		return Reaction{
			Message: MessageID(k.Reaction.GetMessage()), Emoji: k.Reaction.GetEmoji(),
			ProviderID: k.Reaction.GetProviderId(), ProviderIDs: k.Reaction.GetProviderIds(),
		}, nil
	case *pluginv1.Part_Edit:
		return Edit{
			Message: MessageID(k.Edit.GetMessage()), Text: k.Edit.GetText(),
			ProviderID: k.Edit.GetProviderId(), ProviderIDs: k.Edit.GetProviderIds(),
		}, nil
	case *pluginv1.Part_Revoke:
		return Revoke{
			Message: MessageID(k.Revoke.GetMessage()), ProviderID: k.Revoke.GetProviderId(), ProviderIDs: k.Revoke.GetProviderIds(),
		}, nil
	case *pluginv1.Part_Unsupported:
		return Unsupported{Kind: k.Unsupported.GetKind(), Raw: k.Unsupported.GetRaw()}, nil
	default:
		return nil, fmt.Errorf("part %T: %w", k, errUnknownKind)
	}
}

func fileFromWire(f *pluginv1.File) File {
	return File{
		Blob: BlobID(f.GetBlob()), Name: f.GetName(), MIME: f.GetMime(), Size: f.GetSize(),
		Width: f.GetWidth(), Height: f.GetHeight(), Caption: f.GetCaption(),
	}
}
