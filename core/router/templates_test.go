package router_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// The newest list of an account replaces the one before, and only agents who may write from the account
// see it; what an account can carry goes before what its plugin says of all.
func TestAccountTemplates(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	if list, err := r.AccountTemplates(w.agents["ana"], w.text.ID); err != nil || len(list) != 0 {
		t.Errorf("before the plugin told of any: got %v, %v", list, err)
	}
	r.Templates(w.text.ID, []plugin.Template{{Name: "a"}, {Name: "b"}})
	r.Templates(w.text.ID, []plugin.Template{{Name: "c", Status: "approved"}})
	if list, err := r.AccountTemplates(w.agents["ana"], w.text.ID); err != nil || len(list) != 1 || list[0].Name != "c" {
		t.Errorf("templates: got %v, %v", list, err)
	}
	for who, agent := range map[string]conversation.AgentID{"a stranger": conversation.NewID[conversation.AgentID](), "nobody": {}} {
		if _, err := r.AccountTemplates(agent, w.text.ID); !errors.Is(err, router.ErrUnknownAccount) {
			t.Errorf("%s: got %v", who, err)
		}
	}
	if _, err := r.AccountTemplates(w.agents["ana"], conversation.NewID[conversation.AccountID]()); !errors.Is(err, router.ErrUnknownAccount) {
		t.Errorf("unknown account: got %v", err)
	}
	info := textInfo()
	own := info.Capabilities
	own.MaxLength = 7
	info.Accounts = map[conversation.AccountID]plugin.AccountTraits{w.text.ID: {Capabilities: &own}}
	r.PluginInfo("text", "g1", info)
	for _, s := range r.Senders(w.agents["ana"]) {
		if s.Account == w.text.ID && s.Capabilities.MaxLength != 7 {
			t.Errorf("sender after a change of its traits: got a limit of %d, want 7", s.Capabilities.MaxLength)
		}
	}
	out, err := w.begin(r, "ana", "+15005550006", "hello", "c1")
	must(t, err)
	got, err := r.Info(t.Context(), out.Conversation)
	must(t, err)
	if got.State.Capabilities.MaxLength != 7 {
		t.Errorf("conversation from the account: got a limit of %d, want 7", got.State.Capabilities.MaxLength)
	}
}

// templatesInfo describes a store-and-forward channel with templates.
func templatesInfo() plugin.Info {
	info := textInfo()
	info.Templates = true
	info.Capabilities.Template = true
	return info
}

func template(x conversation.Template) []conversation.Part {
	return []conversation.Part{{Kind: conversation.PartTemplate, Template: &x}}
}

// An agent's template goes out with the text that the provider's form gives, in a conversation and as the
// first message of one; what does not fit the form is refused, and nothing of it is in the log. The
// picture in its header belongs to the message, and goes when the message's text is erased.
func TestSendTemplate(t *testing.T) {
	f := newFiling(t, nil)
	r := f.start("n1")
	p := newPort(templatesInfo())
	r.PluginReady("text", "g1", p)
	conv := f.textChat(r)
	ana := f.agents["ana"]
	r.Templates(f.text.ID, []plugin.Template{
		{Name: "order", Language: "en", HeaderKind: "image", Body: "{{1}} is on its way", Status: "approved"},
		{Name: "hello", Language: "en", Body: "Hello {{name}}", Status: "approved"},
		{Name: "old", Language: "en", Body: "x", Status: "paused"},
	})
	picture, err := f.store.Put(t.Context(), blob.Owner{Conversation: conv, Account: f.text.ID, Uploader: ana}, "secret.txt", "text/plain", strings.NewReader("a picture, say"))
	must(t, err)
	header := conversation.TemplateValue{Place: "header", File: &conversation.File{Blob: picture.Blob, Name: "what the agent's page says"}}
	body := conversation.TemplateValue{Place: "body", Text: "Parcel 7"}
	before := f.seqOf(t, r, conv)
	for code, x := range map[string]conversation.Template{
		"no_such_template":      {Name: "other", Language: "en"},
		"template_not_approved": {Name: "old", Language: "en"},
		"template_values":       {Name: "order", Language: "en", Placed: []conversation.TemplateValue{header}},
		"invalid":               {Name: "order", Language: "en", Placed: []conversation.TemplateValue{body, {Place: "header", File: &conversation.File{Blob: conversation.NewID[conversation.BlobID]()}}}},
	} {
		if _, err := r.Send(t.Context(), router.SendRequest{Conversation: conv, Agent: ana, Parts: template(x)}); router.Code(err) != code {
			t.Errorf("%s: got %v", code, err)
		}
	}
	if now := f.seqOf(t, r, conv); now != before {
		t.Errorf("refused templates left %d events", now-before)
	}
	sent, err := r.Send(t.Context(), router.SendRequest{Conversation: conv, Agent: ana, ClientID: "t1", Parts: template(conversation.Template{
		Name: "order", Language: "en", Rendered: "You have won", Placed: []conversation.TemplateValue{header, body}})})
	must(t, err)
	got := p.next(t, 0).Send
	if got.Message != sent.Message || got.Parts[0].Template.Rendered != "Parcel 7 is on its way" || got.Parts[0].Template.Placed[0].File.Name != "secret.txt" {
		t.Errorf("command: %+v, want the form's text and the stored picture", got.Parts[0].Template)
	}
	recs, err := r.Records(t.Context(), conv, conversation.AudienceCustomer, sent.Seq-1, 1)
	must(t, err)
	m := headOf(t, recs[0]).(*conversation.MessagePosted)
	if len(m.Blobs) != 1 || m.Blobs[0] != picture.Blob || !strings.Contains(string(recs[0].Body), `"rendered":"Parcel 7 is on its way"`) {
		t.Errorf("message: %s %s, want the picture and the text", recs[0].Head, recs[0].Body)
	}
	if row := f.row(picture.Blob); !row.Used || row.Conversation != conv {
		t.Errorf("the picture is %+v, want it used by %s", row, conv)
	}
	out, err := r.StartOutbound(t.Context(), router.OutboundRequest{Agent: ana, Service: f.service.ID, To: "+15005550006", Parts: template(conversation.Template{
		Name: "hello", Language: "en", Placed: []conversation.TemplateValue{{Place: "body", Name: "name", Text: "Cora"}}})})
	must(t, err)
	if got := p.next(t, 1).Send; got.Message != out.Message || got.Parts[0].Template.Rendered != "Hello Cora" {
		t.Errorf("first message: %+v", got.Parts[0].Template)
	}
	_, err = r.StartOutbound(t.Context(), router.OutboundRequest{Agent: ana, Service: f.service.ID, To: "+15005550007", Parts: template(conversation.Template{Name: "hello", Language: "en"})})
	if router.Code(err) != "template_values" {
		t.Errorf("first message that lacks a value: got %v", err)
	}
	must(t, r.Rewrite(t.Context(), conv, router.Rewriting{Reason: "erased", Change: func(rec readers.Record) (json.RawMessage, error) {
		if rec.Seq == sent.Seq {
			return nil, nil
		}
		return rec.Body, nil
	}}))
	if _, _, err := f.store.Info(t.Context(), picture.Blob); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("picture of an erased template: got %v, want it gone", err)
	}
}

// A plugin that tells of no templates, or has not told them yet, takes those that the agent knows, as
// they are. One that has none takes none.
func TestSendUnlistedTemplate(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	info := templatesInfo()
	info.Templates = false
	p := newPort(info)
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	send := router.SendRequest{Conversation: conv, Agent: w.agents["ana"], Parts: template(conversation.Template{Name: "x", Language: "en", Values: []string{"1"}, Rendered: "One"})}
	for n, generation := range []string{"g1", "g2"} {
		_, err := r.Send(t.Context(), send)
		must(t, err)
		if got := p.next(t, 0).Send.Parts[0].Template; got.Name != "x" || got.Rendered != "One" {
			t.Errorf("command %d: %+v", n, got)
		}
		r.PluginGone("text", generation)
		p = newPort(templatesInfo())
		r.PluginReady("text", "g2", p)
	}
	r.Templates(w.text.ID, nil)
	if _, err := r.Send(t.Context(), send); router.Code(err) != "no_such_template" {
		t.Errorf("a template of an account without any: got %v", err)
	}
}

func (w *world) seqOf(t *testing.T, r *router.Router, conv conversation.ConversationID) uint64 {
	t.Helper()
	info, err := r.Info(t.Context(), conv)
	must(t, err)
	return info.State.Seq
}
