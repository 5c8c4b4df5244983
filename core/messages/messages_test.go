package messages_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
)

func maker() *messages.Maker { return messages.New(nil, nil, slog.New(slog.DiscardHandler)) }

func text(s string) []conversation.Part {
	return []conversation.Part{{Kind: conversation.PartText, Text: s}}
}

// A body that is encoded by hand equals what encoding/json gives.
func TestBody(t *testing.T) {
	two := append(text("one"), text("two")...)
	for _, tt := range []messages.Written{
		{Parts: text("How long does the delivery take?")},
		{Parts: text("hello"), Name: "Cora"},
		{Parts: text(`"quoted" \ <b>&</b>`), Name: "Cora"},
		{Parts: text("tab\tand\nline"), Name: "Cora"},
		{Parts: text("grüß dich \u2028"), Name: "Çora"},
		{Parts: text("hello"), Name: `C"ora`},
		{Parts: two, Name: "Cora"},
		{Parts: []conversation.Part{{Kind: conversation.PartText, Text: "x", HTML: "<b>x</b>"}}},
		{Parts: text("hello"), Name: "Cora", ProviderIDs: []string{"wamid.1"}},
		{Parts: text("hello"), ProviderIDs: []string{`w"1`}},
		{Parts: text("hello"), ProviderIDs: []string{"w1", "w2"}},
	} {
		post, err := maker().FromCustomer(tt)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(conversation.MessageBody{Parts: tt.Parts, Name: tt.Name, ProviderIDs: tt.ProviderIDs})
		if err != nil {
			t.Fatal(err)
		}
		if string(post.Body) != string(want) {
			t.Errorf("body of %+v: got %s, want %s", tt, post.Body, want)
		}
	}
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", 40<<10)
	for name, tt := range map[string]struct {
		parts []conversation.Part
		want  string
	}{
		"text":             {text("hello"), ""},
		"nothing":          {nil, ""},
		"empty text":       {text(""), "invalid"},
		"no kind":          {[]conversation.Part{{Text: "x"}}, "invalid"},
		"not UTF-8":        {text("\xff"), "invalid"},
		"file without id":  {[]conversation.Part{{Kind: conversation.PartFile, File: &conversation.File{}}}, "invalid"},
		"long reaction":    {[]conversation.Part{{Kind: conversation.PartReaction, Reaction: &conversation.Reaction{Emoji: strings.Repeat("👍", 17)}}}, "invalid"},
		"many parts":       {make([]conversation.Part, 33), "too_large"},
		"long in one part": {text(long + long), "too_large"},
		"long in two":      {append(text(long), text(long)...), "too_large"},
	} {
		if got := messages.Check(tt.parts); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// D6: only allow-listed mark-up comes through, and a message of which nothing is left is refused.
func TestMarkUp(t *testing.T) {
	html := func(s string) []conversation.Part {
		return []conversation.Part{{Kind: conversation.PartRichText, HTML: s}}
	}
	given := html(`<script>alert(1)</script><b onclick="x">hi</b>`)
	post, err := maker().FromAgent(conversation.AgentID{1}, messages.Written{Parts: given})
	if err != nil {
		t.Fatal(err)
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(post.Body, &body); err != nil {
		t.Fatal(err)
	}
	if got := body.Parts[0].HTML; got != "<b>hi</b>" {
		t.Errorf("mark-up: got %q, want <b>hi</b>", got)
	}
	if !strings.Contains(given[0].HTML, "script") {
		t.Error("the caller's parts were changed")
	}
	if _, err := maker().FromAgent(conversation.AgentID{1}, messages.Written{Parts: html("<script>alert(1)</script>")}); !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("nothing left of the mark-up: got %v, want ErrInvalid", err)
	}
	if _, err := maker().FromAgent(conversation.AgentID{1}, messages.Written{}); !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("no parts: got %v, want ErrInvalid", err)
	}
}
