package messages_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/plugin"
)

// forms are what a provider has approved.
func forms() []plugin.Template {
	return []plugin.Template{
		{Name: "plain", Language: "en", Body: "Your parcel is on its way.", Footer: "Reply STOP to end", Status: "approved"},
		{Name: "order", Language: "en", Header: "Hello {{1}}", Body: "{{1}}: {{2}} and again {{ 1 }}", Footer: "Shop", Status: "approved",
			Buttons: []plugin.TemplateButton{{Kind: "reply", Title: "Thanks"}, {Kind: "url", Title: "Track", Value: "https://x.test/{{1}}"}}},
		{Name: "order", Language: "de", Body: "{{2}} vor {{1}}", Status: "approved"},
		{Name: "named", Language: "en", Body: "{{first}} {{last}}", Status: "approved"},
		{Name: "picture", Language: "en", HeaderKind: "image", Body: "Look", Status: "approved"},
		{Name: "place", Language: "en", HeaderKind: "location", Body: "Here", Status: "approved"},
		{Name: "old", Language: "en", Body: "x", Status: "paused"},
	}
}

func value(place, text string) conversation.TemplateValue {
	return conversation.TemplateValue{Place: place, Text: text}
}

func TestFill(t *testing.T) {
	const max = 1 << 16
	pic := &conversation.File{Blob: conversation.NewID[conversation.BlobID]()}
	at := &conversation.Location{Latitude: 1}
	button := func(i int, text string) conversation.TemplateValue {
		return conversation.TemplateValue{Place: "button", Index: i, Text: text}
	}
	order := []conversation.TemplateValue{value("header", "Ada"), value("body", "A1"), value("body", "two"), button(1, "A1")}
	without := func(i int) []conversation.TemplateValue { return slices.Delete(slices.Clone(order), i, i+1) }
	for name, c := range map[string]struct {
		t    conversation.Template
		want string
		err  error
	}{
		"no values":                  {conversation.Template{Name: "plain", Language: "en", Rendered: "what the agent would like to have said"}, "Your parcel is on its way.\nReply STOP to end", nil},
		"by place":                   {conversation.Template{Name: "order", Language: "en", Placed: order}, "Hello Ada\nA1: two and again A1\nShop", nil},
		"without places":             {conversation.Template{Name: "order", Language: "en", Values: []string{"Ada", "A1", "two", "A1"}}, "Hello Ada\nA1: two and again A1\nShop", nil},
		"by number":                  {conversation.Template{Name: "order", Language: "de", Values: []string{"eins", "zwei"}}, "zwei vor eins", nil},
		"by name":                    {conversation.Template{Name: "named", Language: "en", Placed: []conversation.TemplateValue{{Place: "body", Name: "last", Text: "L"}, {Place: "body", Name: "first", Text: "F"}}}, "F L", nil},
		"name and order":             {conversation.Template{Name: "named", Language: "en", Placed: []conversation.TemplateValue{{Place: "body", Text: "L"}, {Place: "body", Name: "first", Text: "F"}}}, "F L", nil},
		"placeholder inside a value": {conversation.Template{Name: "named", Language: "en", Placed: []conversation.TemplateValue{value("body", "{{last}}"), value("body", "$1")}}, "{{last}} $1", nil},
		"picture":                    {conversation.Template{Name: "picture", Language: "en", Placed: []conversation.TemplateValue{{Place: "header", File: pic}}}, "Look", nil},
		"location":                   {conversation.Template{Name: "place", Language: "en", Placed: []conversation.TemplateValue{{Place: "header", Location: at}}}, "Here", nil},
		"unknown name":               {conversation.Template{Name: "none", Language: "en"}, "", messages.ErrNoSuchTemplate},
		"other language":             {conversation.Template{Name: "plain", Language: "fr"}, "", messages.ErrNoSuchTemplate},
		"paused":                     {conversation.Template{Name: "old", Language: "en"}, "", messages.ErrTemplateStatus},
		"none for header":            {conversation.Template{Name: "order", Language: "en", Placed: without(0)}, "", messages.ErrTemplateValues},
		"too few in body":            {conversation.Template{Name: "order", Language: "en", Placed: without(2)}, "", messages.ErrTemplateValues},
		"none for button":            {conversation.Template{Name: "order", Language: "en", Placed: without(3)}, "", messages.ErrTemplateValues},
		"too many":                   {conversation.Template{Name: "order", Language: "en", Placed: append(slices.Clone(order), value("body", "three"))}, "", messages.ErrTemplateValues},
		"button without":             {conversation.Template{Name: "order", Language: "en", Placed: append(slices.Clone(order), button(0, "x"))}, "", messages.ErrTemplateValues},
		"no such button":             {conversation.Template{Name: "order", Language: "en", Placed: append(slices.Clone(order), button(2, "x"))}, "", messages.ErrTemplateValues},
		"below zero":                 {conversation.Template{Name: "order", Language: "en", Placed: append(slices.Clone(order), button(-1, "x"))}, "", messages.ErrTemplateValues},
		"no such place":              {conversation.Template{Name: "plain", Language: "en", Placed: []conversation.TemplateValue{value("footer", "x")}}, "", messages.ErrTemplateValues},
		"too many unplaced":          {conversation.Template{Name: "plain", Language: "en", Values: []string{"x"}}, "", messages.ErrTemplateValues},
		"too few unplaced":           {conversation.Template{Name: "order", Language: "en", Values: []string{"x"}}, "", messages.ErrTemplateValues},
		"both ways":                  {conversation.Template{Name: "order", Language: "en", Placed: order, Values: []string{"x"}}, "", messages.ErrTemplateValues},
		"name twice":                 {conversation.Template{Name: "named", Language: "en", Placed: []conversation.TemplateValue{{Place: "body", Name: "first"}, {Place: "body", Name: "first"}}}, "", messages.ErrTemplateValues},
		"no such name":               {conversation.Template{Name: "named", Language: "en", Placed: []conversation.TemplateValue{{Place: "body", Name: "middle"}, value("body", "x")}}, "", messages.ErrTemplateValues},
		"file in the body":           {conversation.Template{Name: "order", Language: "de", Placed: []conversation.TemplateValue{{Place: "body", File: pic}, value("body", "x")}}, "", messages.ErrTemplateValues},
		"text for picture":           {conversation.Template{Name: "picture", Language: "en", Placed: []conversation.TemplateValue{value("header", "x")}}, "", messages.ErrTemplateValues},
		"file without id":            {conversation.Template{Name: "picture", Language: "en", Placed: []conversation.TemplateValue{{Place: "header", File: &conversation.File{}}}}, "", messages.ErrTemplateValues},
		"no picture":                 {conversation.Template{Name: "picture", Language: "en"}, "", messages.ErrTemplateValues},
		"file for location":          {conversation.Template{Name: "place", Language: "en", Placed: []conversation.TemplateValue{{Place: "header", File: pic}}}, "", messages.ErrTemplateValues},
	} {
		given := []conversation.Part{{Kind: conversation.PartText, Text: "before"}, {Kind: conversation.PartTemplate, Template: &c.t}}
		was := c.t.Rendered
		got, err := messages.Fill(given, forms())
		if !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
		if err != nil && (strings.Contains(err.Error(), "A1") || len(err.Error()) > max) {
			t.Errorf("%s: the error says a value: %v", name, err)
		}
		if err == nil && (got[1].Template.Rendered != c.want || got[0].Text != "before") {
			t.Errorf("%s: got %q, want %q", name, got[1].Template.Rendered, c.want)
		}
		if c.t.Rendered != was {
			t.Errorf("%s: the caller's part was changed", name)
		}
	}
	if _, err := messages.Fill([]conversation.Part{{Kind: conversation.PartTemplate}}, forms()); !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("part without a template: got %v, want ErrInvalid", err)
	}
}

// What templates and captions say counts towards a message's size, and must be UTF-8.
func TestCheckTemplates(t *testing.T) {
	long := strings.Repeat("x", 40<<10)
	part := func(x conversation.Template) conversation.Part {
		return conversation.Part{Kind: conversation.PartTemplate, Template: &x}
	}
	captioned := func(caption string) conversation.Part {
		return conversation.Part{Kind: conversation.PartFile, File: &conversation.File{Blob: conversation.BlobID{1}, Caption: caption}}
	}
	for name, c := range map[string]struct {
		parts []conversation.Part
		want  string
	}{
		"short":             {[]conversation.Part{part(conversation.Template{Name: "a", Rendered: "b"})}, ""},
		"long values":       {[]conversation.Part{part(conversation.Template{Values: []string{long, long}})}, "too_large"},
		"long placed":       {[]conversation.Part{part(conversation.Template{Rendered: long, Placed: []conversation.TemplateValue{value("body", long)}})}, "too_large"},
		"many values":       {[]conversation.Part{part(conversation.Template{Values: make([]string, 65)})}, "invalid"},
		"many placed":       {[]conversation.Part{part(conversation.Template{Placed: make([]conversation.TemplateValue, 65)})}, "invalid"},
		"not UTF-8":         {[]conversation.Part{part(conversation.Template{Placed: []conversation.TemplateValue{value("body", "\xff")}})}, "invalid"},
		"caption":           {[]conversation.Part{captioned("a photo")}, ""},
		"long captions":     {[]conversation.Part{captioned(long), captioned(long)}, "too_large"},
		"caption not UTF-8": {[]conversation.Part{captioned("\xff")}, "invalid"},
	} {
		if got := messages.Check(c.parts); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
