package router

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// customerPost makes the command for a customer's message.
func (r *Router) customerPost(in plugin.Inbound, parts []conversation.Part, clientID, name string, replyTo conversation.MessageID) (*conversation.Post, error) {
	parts = r.clean(parts)
	kinds, blobs := kindsOf(parts)
	body, err := messageBody(parts, name)
	return &conversation.Post{
		ID: conversation.NewID[conversation.MessageID](), Author: conversation.Author{Kind: conversation.Customer}, ClientID: clientID,
		Kinds: kinds, Blobs: blobs, ReplyTo: replyTo, Refs: refsOf(parts, replyTo),
		ProviderAt: in.ProviderAt, ReceivedAt: in.ReceivedAt, Body: body,
	}, err
}

func messageBody(parts []conversation.Part, name string) (json.RawMessage, error) {
	if b := plainBody(parts, name); b != nil {
		return b, nil
	}
	b, err := json.Marshal(conversation.MessageBody{Parts: parts, Name: name})
	if err != nil {
		return nil, fmt.Errorf("router: encode message: %w", err)
	}
	return b, nil
}

// plainBody encodes by hand what nearly every message is, one text without
// anything to escape; nil for all others. It equals encoding/json's.
func plainBody(parts []conversation.Part, name string) json.RawMessage {
	if len(parts) != 1 || !plain(parts[0].Text) || !plain(name) {
		return nil
	}
	p := parts[0]
	p.Text = ""
	if p != (conversation.Part{Kind: conversation.PartText}) || parts[0].Text == "" {
		return nil
	}
	b := make([]byte, 0, len(parts[0].Text)+len(name)+64)
	b = append(append(b, `{"parts":[{"kind":"text","text":"`...), parts[0].Text...)
	b = append(b, `"}]`...)
	if name != "" {
		b = append(append(append(b, `,"name":"`...), name...), '"')
	}
	return append(b, '}')
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// prepareCustomerPost fills in what depends on the state: the endpoint, what
// is known of attachments and of messages that it names, and whether the owner of a
// parked exchange is there.
func (r *Router) prepareCustomerPost(t *task, s *conversation.State) error {
	post, ok := t.cmd.(*conversation.Post)
	if !ok {
		return nil
	}
	post.Endpoint, post.OwnerAway, post.Request = 0, false, conversation.RequestID{} // of an earlier attempt
	for i, e := range s.Endpoints {
		if e.Account == t.account {
			post.Endpoint = i
			break
		}
	}
	if s.Parking != nil {
		post.OwnerAway = !r.agents.State(s.Parking.Owner).LoggedIn
		post.Request = conversation.NewID[conversation.RequestID]()
	}
	if err := r.lookUpCustomers(post, s, s.Channel); err != nil {
		return err
	}
	return r.attach(t, post, s.ID)
}

// prepareStart does the same for a first message.
func (r *Router) prepareStart(t *task, s *conversation.State) error {
	start := t.cmd.(conversation.Start)
	if start.First == nil || len(start.First.Blobs) == 0 {
		return nil
	}
	first := *start.First
	if err := r.attach(t, &first, s.ID); err != nil {
		return err
	}
	start.First = &first
	t.cmd = start
	return nil
}

// attach replaces what a message says of its attachments by what is known of
// them, and has the append bind those that no message has yet. A customer's
// words are kept whatever became of the attachments: one that the thread has
// none of becomes a part that says so. An agent is told instead (ErrInvalid).
func (r *Router) attach(t *task, p *conversation.Post, conv conversation.ConversationID) error {
	t.blobs = nil
	if len(p.Blobs) == 0 {
		return nil
	}
	found := make([]blob.Found, len(p.Blobs))
	customer := p.Author.Kind == conversation.Customer
	if r.blobs != nil {
		by := blob.Sender{Conversation: conv}
		if customer {
			by.Account, by.Thread = t.account, t.cameOn
		}
		var err error
		if found, err = r.blobs.Find(r.ctx, by, p.Blobs); err != nil {
			return fmt.Errorf("router: attachment: %w", err)
		}
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return fmt.Errorf("router: decode message: %w", err)
	}
	n, missing := 0, 0
	for i := range body.Parts {
		part := &body.Parts[i]
		if part.File == nil {
			continue
		}
		f := &found[n]
		n++
		switch {
		case !f.Blob.IsZero():
			part.File = &f.File
			if !f.Used && !slices.Contains(t.blobs, f.Blob) {
				t.blobs = append(t.blobs, f.Blob)
			}
		case customer:
			*part = missingPart()
			missing++
		default:
			return fmt.Errorf("router: attachment: %w", ErrInvalid)
		}
	}
	if missing > 0 {
		r.metrics.missing.Add(float64(missing))
		r.logger.Warn("a customer's message goes on without attachments that its thread does not have", "conversation_id", conv, "message_id", p.ID, "count", missing)
	}
	p.Kinds, p.Blobs = kindsOf(body.Parts)
	var err error
	p.Body, err = messageBody(body.Parts, body.Name)
	return err
}

// missingPart stands in for an attachment that cannot be had. Plugins write
// the same when a provider no longer has a file (plugin-contract.md, Unsupported).
func missingPart() conversation.Part {
	return conversation.Part{Kind: conversation.PartUnsupported, Raw: &conversation.Raw{Kind: "media", Data: json.RawMessage(`{"reason":"unavailable"}`)}}
}

func kindsOf(parts []conversation.Part) (kinds []conversation.PartKind, blobs []conversation.BlobID) {
	kinds = make([]conversation.PartKind, len(parts))
	for i := range parts {
		kinds[i] = parts[i].Kind
		if parts[i].File != nil {
			blobs = append(blobs, parts[i].File.Blob)
		}
	}
	return kinds, blobs
}

// clean lets only allow-listed mark-up through (D6).
func (r *Router) clean(parts []conversation.Part) []conversation.Part {
	for i := range parts {
		if parts[i].HTML != "" {
			parts = append([]conversation.Part(nil), parts...)
			for j := range parts {
				if parts[j].HTML != "" {
					parts[j].HTML = r.html.Sanitize(parts[j].HTML)
				}
			}
			return parts
		}
	}
	return parts
}
