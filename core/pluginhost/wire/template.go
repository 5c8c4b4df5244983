package wire

import (
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of templates.
const (
	maxTemplates     = 1000     // in one list
	maxTemplateBytes = 2 << 20  // of one list
	maxButtons       = 16       // of one template
	maxPlaced        = 64       // values of one message
	maxTemplateText  = 16 << 10 // bytes of a header, body or footer
)

func toTemplate(minor uint32, t *pluginv1.Template) (*conversation.Template, error) {
	out := &conversation.Template{Name: t.GetName(), Language: t.GetLanguage(), Values: t.GetValues(), Rendered: t.GetRendered()}
	if minor == 0 && (len(t.GetPlaced()) > 0 || out.Rendered != "") {
		return nil, ErrUnsupported
	}
	if len(t.GetPlaced()) > maxPlaced {
		return nil, fmt.Errorf("template: more than %d values: %w", maxPlaced, ErrTooLarge)
	}
	for _, v := range t.GetPlaced() {
		value, err := toTemplateValue(v)
		if err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		out.Placed = append(out.Placed, value)
	}
	return out, nil
}

func toTemplateValue(v *pluginv1.TemplateValue) (out conversation.TemplateValue, err error) {
	out = conversation.TemplateValue{Place: v.GetPlace(), Index: int(v.GetIndex()), Name: v.GetName()}
	if err := within(maxField, out.Place, out.Name); err != nil {
		return out, err
	}
	switch out.Place {
	case "header", "body", "button":
	default:
		return out, invalid("unknown place of a value")
	}
	if out.Index > maxButtons {
		return out, invalid("index of a value")
	}
	switch k := v.GetValue().(type) {
	case *pluginv1.TemplateValue_Text:
		out.Text = k.Text
	case *pluginv1.TemplateValue_File:
		out.File, err = toFile(1, k.File)
	case *pluginv1.TemplateValue_Location:
		out.Location = toLocation(k.Location)
	}
	if err == nil && out.Place != "header" && (out.File != nil || out.Location != nil) {
		err = invalid("file or place outside the header")
	}
	return out, err
}

func fromTemplate(minor uint32, t *conversation.Template) *pluginv1.Template {
	out := &pluginv1.Template{Name: t.Name, Language: t.Language, Values: t.Values}
	if minor == 0 {
		return out
	}
	out.Rendered = t.Rendered
	for i := range t.Placed {
		v := &t.Placed[i]
		value := &pluginv1.TemplateValue{Place: v.Place, Index: uint32(max(v.Index, 0)), Name: v.Name}
		switch {
		case v.File != nil:
			value.Value = &pluginv1.TemplateValue_File{File: FromFile(*v.File)}
		case v.Location != nil:
			value.Value = &pluginv1.TemplateValue_Location{Location: fromLocation(v.Location)}
		default:
			value.Value = &pluginv1.TemplateValue_Text{Text: v.Text}
		}
		out.Placed = append(out.Placed, value)
	}
	return out
}

// ToTemplates converts the templates of an account.
func ToTemplates(l *pluginv1.TemplateList) ([]plugin.Template, error) {
	if len(l.GetTemplates()) > maxTemplates {
		return nil, fmt.Errorf("more than %d templates: %w", maxTemplates, ErrTooLarge)
	}
	size := 0
	out := make([]plugin.Template, 0, len(l.GetTemplates()))
	for _, t := range l.GetTemplates() {
		one := plugin.Template{
			Name: t.GetName(), Language: t.GetLanguage(), Category: t.GetCategory(), Header: t.GetHeader(),
			HeaderKind: t.GetHeaderKind(), Body: t.GetBody(), Footer: t.GetFooter(), Status: t.GetStatus(),
		}
		if one.Name == "" {
			return nil, invalid("template without a name")
		}
		if len(t.GetButtons()) > maxButtons {
			return nil, fmt.Errorf("template with more than %d buttons: %w", maxButtons, ErrTooLarge)
		}
		short := []string{one.Name, one.Language, one.Category, one.HeaderKind, one.Status}
		for _, b := range t.GetButtons() {
			one.Buttons = append(one.Buttons, plugin.TemplateButton{Kind: b.GetKind(), Title: b.GetTitle(), Value: b.GetValue()})
			short = append(short, b.GetKind(), b.GetTitle(), b.GetValue())
		}
		if err := within(maxField, short...); err != nil {
			return nil, err
		}
		if err := within(maxTemplateText, one.Header, one.Body, one.Footer); err != nil {
			return nil, err
		}
		for _, s := range short {
			size += len(s)
		}
		if size += len(one.Header) + len(one.Body) + len(one.Footer); size > maxTemplateBytes {
			return nil, fmt.Errorf("templates of more than %d bytes: %w", maxTemplateBytes, ErrTooLarge)
		}
		out = append(out, one)
	}
	return out, nil
}
