package messages_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
)

// An agent or a bot cannot make the gateway name something by a provider's id of its own choice.
func TestForeignProviderIDs(t *testing.T) {
	id := conversation.NewID[conversation.MessageID]()
	given := []conversation.Part{
		{Kind: conversation.PartReaction, Reaction: &conversation.Reaction{Message: id, Emoji: "x", ProviderID: "theirs", ProviderIDs: []string{"theirs"}}},
		{Kind: conversation.PartEdit, Edit: &conversation.Edit{Message: id, Text: "t", ProviderIDs: []string{"theirs"}}},
		{Kind: conversation.PartRevoke, Revoke: &conversation.Revoke{Message: id, ProviderID: "theirs"}},
	}
	post, err := maker().FromAgent(conversation.AgentID{1}, messages.Written{Parts: given, ProviderIDs: nil})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(post.Body), "theirs") {
		t.Errorf("kept: %s", post.Body)
	}
	if len(post.Refs) != 3 || given[2].Revoke.ProviderID != "theirs" {
		t.Errorf("%d references, want 3; or the caller's parts were changed", len(post.Refs))
	}
}

// Limits of single kinds of parts, as channels of messengers have them (contract, PartLimit).
func TestFits(t *testing.T) {
	caps := conversation.Capabilities{Captions: true, PartLimits: []conversation.PartLimit{
		{Kind: "text", MaxLength: 10},
		{Kind: "rich_text", MaxLength: 5},
		{Kind: "file", MIMEs: []string{"image/*", "application/pdf"}, MaxCount: 2},
		{Kind: "file", MIMEs: []string{"video/mp4"}},
		{Kind: "file", MIMEs: []string{"image/*"}, MaxBytes: 100},
		{Kind: "file", MaxBytes: 1000},
		{Kind: "caption", MaxLength: 4},
		{Kind: "choices", MaxLength: 6, MaxCount: 2, MaxTitle: 3},
		{Kind: "template", MaxLength: 8},
	}}
	file := func(mime string, size int64, caption string) conversation.Part {
		return conversation.Part{Kind: conversation.PartFile, File: &conversation.File{Blob: conversation.BlobID{1}, MIME: mime, Size: size, Caption: caption}}
	}
	choices := func(text string, titles ...string) conversation.Part {
		c := &conversation.Choices{Text: text}
		for _, t := range titles {
			c.Options = append(c.Options, conversation.Choice{ID: t, Title: t})
		}
		return conversation.Part{Kind: conversation.PartChoices, Choices: c}
	}
	for name, tt := range map[string]struct {
		part []conversation.Part
		want error
	}{
		"text":                {text("0123456789"), nil},
		"long text":           {text("0123456789a"), messages.ErrTooLarge},
		"emoji count two":     {text(strings.Repeat("👍", 5)), nil},
		"many emoji":          {text(strings.Repeat("👍", 6)), messages.ErrTooLarge},
		"mark-up counts none": {[]conversation.Part{{Kind: conversation.PartRichText, HTML: "<b>12</b>345"}}, nil},
		"long rich text":      {[]conversation.Part{{Kind: conversation.PartRichText, HTML: "<b>12</b>3456"}}, messages.ErrTooLarge},
		"edit":                {[]conversation.Part{{Kind: conversation.PartEdit, Edit: &conversation.Edit{Text: "0123456789"}}}, nil},
		"long edit":           {[]conversation.Part{{Kind: conversation.PartEdit, Edit: &conversation.Edit{Text: "0123456789a"}}}, messages.ErrTooLarge},
		"picture":             {[]conversation.Part{file("image/png", 100, "")}, nil},
		"large picture":       {[]conversation.Part{file("IMAGE/png; x=y", 101, "")}, messages.ErrTooLarge},
		"video":               {[]conversation.Part{file("video/mp4", 1000, "")}, nil},
		"large video":         {[]conversation.Part{file("video/mp4", 1001, "")}, messages.ErrTooLarge},
		"type not taken":      {[]conversation.Part{file("audio/ogg", 1, "")}, conversation.ErrUnsupported},
		"like a type":         {[]conversation.Part{file("imagex/png", 1, "")}, conversation.ErrUnsupported},
		"three files":         {[]conversation.Part{file("image/png", 1, ""), file("video/mp4", 1, ""), file("image/png", 1, "")}, messages.ErrTooLarge},
		"caption":             {[]conversation.Part{file("image/png", 1, "1234")}, nil},
		"long caption":        {[]conversation.Part{file("image/png", 1, "12345")}, messages.ErrTooLarge},
		"choices":             {[]conversation.Part{choices("123456", "yes", "no")}, nil},
		"long question":       {[]conversation.Part{choices("1234567", "yes", "no")}, messages.ErrTooLarge},
		"three choices":       {[]conversation.Part{choices("", "a", "b", "c")}, messages.ErrTooLarge},
		"long title":          {[]conversation.Part{choices("", "abcd")}, messages.ErrTooLarge},
		"long template":       {[]conversation.Part{{Kind: conversation.PartTemplate, Template: &conversation.Template{Rendered: "123456789"}}}, messages.ErrTooLarge},
		"location":            {[]conversation.Part{{Kind: conversation.PartLocation, Location: &conversation.Location{}}}, nil},
	} {
		body, err := json.Marshal(conversation.MessageBody{Parts: tt.part})
		if err != nil {
			t.Fatal(err)
		}
		post := &conversation.Post{Kinds: conversation.Kinds(tt.part), Body: body}
		if err := maker().Fits(post, &caps); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if strings.HasSuffix(name, "caption") {
			if err := maker().Fits(post, &conversation.Capabilities{}); !errors.Is(err, conversation.ErrUnsupported) {
				t.Errorf("a caption on a channel without captions: %v", err)
			}
		} else if err := maker().Fits(post, &conversation.Capabilities{}); err != nil {
			t.Errorf("%s on a channel without limits: %v", name, err)
		}
	}
}
