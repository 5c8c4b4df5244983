package conversation

import (
	"encoding/json"
	"slices"
)

// PartKind tells which field of a Part is set.
type PartKind string

// The kinds of message parts. A channel's Capabilities say which it can carry.
const (
	PartText        PartKind = "text"
	PartRichText    PartKind = "rich_text"
	PartFile        PartKind = "file"
	PartLocation    PartKind = "location"
	PartContact     PartKind = "contact"
	PartChoices     PartKind = "choices"
	PartAnswer      PartKind = "answer"
	PartTemplate    PartKind = "template"
	PartReaction    PartKind = "reaction"
	PartEdit        PartKind = "edit"
	PartRevoke      PartKind = "revoke"
	PartSystem      PartKind = "system"
	PartUnsupported PartKind = "unsupported"
)

// Part is one piece of a message's body. Exactly the field named by Kind is
// set. Parts live in sealed bodies only; Decide never sees them.
type Part struct {
	Kind     PartKind     `json:"kind"`
	Text     string       `json:"text,omitempty"` // text, system
	HTML     string       `json:"html,omitempty"` // rich_text: i b a em strong br only (SPEC D6)
	File     *File        `json:"file,omitempty"`
	Location *Location    `json:"location,omitempty"`
	Contact  *ContactCard `json:"contact,omitempty"`
	Choices  *Choices     `json:"choices,omitempty"`
	Answer   *Answer      `json:"answer,omitempty"`
	Template *Template    `json:"template,omitempty"`
	Reaction *Reaction    `json:"reaction,omitempty"`
	Edit     *Edit        `json:"edit,omitempty"`
	Revoke   *Revoke      `json:"revoke,omitempty"`
	Raw      *Raw         `json:"raw,omitempty"` // unsupported
}

// Kinds lists the distinct kinds of parts, in the order of first appearance. A Post carries them
// for Decide, which does not read the body.
func Kinds(parts []Part) []PartKind {
	kinds := make([]PartKind, 0, 1)
	for i := range parts {
		if !slices.Contains(kinds, parts[i].Kind) {
			kinds = append(kinds, parts[i].Kind)
		}
	}
	return kinds
}

// Blobs lists the attachments that the parts refer to, in their order; nil for none.
func Blobs(parts []Part) []BlobID {
	var blobs []BlobID
	for i := range parts {
		if f := parts[i].File; f != nil && !f.Blob.IsZero() {
			blobs = append(blobs, f.Blob)
		}
		if t := parts[i].Template; t != nil {
			for _, v := range t.Placed {
				if v.File != nil && !v.File.Blob.IsZero() {
					blobs = append(blobs, v.File.Blob)
				}
			}
		}
	}
	return blobs
}

// File refers to an attachment. Size is in bytes; Width and Height in pixels,
// 0 when it is not a picture.
type File struct {
	Blob    BlobID `json:"blob"`
	Name    string `json:"name"`
	MIME    string `json:"mime"`
	Size    int64  `json:"size"`
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
	Caption string `json:"caption,omitempty"` // text that belongs to the file
}

// Location is a place in WGS 84 degrees.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// ContactCard is somebody's address card. Phones are E.164 with plus.
type ContactCard struct {
	Name   string   `json:"name"`
	Phones []string `json:"phones,omitempty"`
	Emails []string `json:"emails,omitempty"`
}

// Choices asks the customer to pick one option.
type Choices struct {
	Text    string   `json:"text"`
	Options []Choice `json:"options"`
}

// Choice is one option.
type Choice struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// Answer is the option that the customer picked.
type Answer struct {
	Choice string `json:"choice"`
	Title  string `json:"title,omitempty"`
}

// Template is a message form registered with the provider.
type Template struct {
	Name     string          `json:"name"`
	Language string          `json:"language"`           // BCP 47
	Values   []string        `json:"values,omitempty"`   // of a template whose values have no places
	Placed   []TemplateValue `json:"placed,omitempty"`   // values by place
	Rendered string          `json:"rendered,omitempty"` // the message as the customer will see it; "" = not known
}

// TemplateValue stands for one placeholder of a template. One of Text, File and Location is set;
// with none of them it is an empty text.
type TemplateValue struct {
	Place    string    `json:"place"`           // "header", "body" or "button"
	Index    int       `json:"index,omitempty"` // of the button, from 0
	Name     string    `json:"name,omitempty"`  // of the placeholder; "" = they are counted, in the order of the list
	Text     string    `json:"text,omitempty"`
	File     *File     `json:"file,omitempty"`     // header only
	Location *Location `json:"location,omitempty"` // header only
}

// Reaction sets the author's reaction to a message. Each author has at most one reaction to a
// message; an empty Emoji removes it.
type Reaction struct {
	Message     MessageID `json:"message"` // zero: only ProviderID names the message
	Emoji       string    `json:"emoji,omitempty"`
	ProviderID  string    `json:"provider_id,omitempty"`  // the provider's id of the message; "" = not known
	ProviderIDs []string  `json:"provider_ids,omitempty"` // those of all parts of the message, the first of them ProviderID
}

// Edit replaces the text of the author's own earlier message.
type Edit struct {
	Message     MessageID `json:"message"`
	Text        string    `json:"text"`
	ProviderID  string    `json:"provider_id,omitempty"`  // as in Reaction
	ProviderIDs []string  `json:"provider_ids,omitempty"` // as in Reaction
}

// Revoke withdraws the author's own earlier message.
type Revoke struct {
	Message     MessageID `json:"message"`
	ProviderID  string    `json:"provider_id,omitempty"`  // as in Reaction
	ProviderIDs []string  `json:"provider_ids,omitempty"` // as in Reaction
}

// Names returns where a reaction, an edit or a revocation keeps the message that it names: our id, the
// provider's id, and the provider's ids of all parts of that message. For other parts all three are nil.
func (p *Part) Names() (message *MessageID, id *string, ids *[]string) {
	switch {
	case p.Reaction != nil:
		return &p.Reaction.Message, &p.Reaction.ProviderID, &p.Reaction.ProviderIDs
	case p.Edit != nil:
		return &p.Edit.Message, &p.Edit.ProviderID, &p.Edit.ProviderIDs
	case p.Revoke != nil:
		return &p.Revoke.Message, &p.Revoke.ProviderID, &p.Revoke.ProviderIDs
	}
	return nil, nil, nil
}

// Raw keeps content that the channel could not express as any other kind of part.
type Raw struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Capabilities say what a channel can carry (DESIGN.md 3, SPEC X4).
type Capabilities struct {
	Text          bool   `json:"text,omitempty"`
	RichText      bool   `json:"rich_text,omitempty"`
	Files         bool   `json:"files,omitempty"`
	Location      bool   `json:"location,omitempty"`
	Choices       bool   `json:"choices,omitempty"`
	Template      bool   `json:"template,omitempty"`
	Reaction      bool   `json:"reaction,omitempty"`
	Edit          bool   `json:"edit,omitempty"`
	Revoke        bool   `json:"revoke,omitempty"`
	Typing        bool   `json:"typing,omitempty"`
	Read          bool   `json:"read,omitempty"`
	Receipts      bool   `json:"receipts,omitempty"`
	Links         bool   `json:"links,omitempty"`
	Page          bool   `json:"page,omitempty"`
	Panels        bool   `json:"panels,omitempty"`
	Calls         bool   `json:"calls,omitempty"`
	OutboundFirst bool   `json:"outbound_first,omitempty"`
	ReplyWindow   int    `json:"reply_window,omitempty"` // hours; 0 = unlimited
	Counter       string `json:"counter,omitempty"`      // gsm7, utf16 or "" (none)
	MaxLength     int    `json:"max_length,omitempty"`   // counter units; 0 = the channel sets no limit
	OfferTitle    string `json:"offer_title,omitempty"`  // "Web Chat"
	Medium        string `json:"medium,omitempty"`       // picks the service's rules: a Medium, "" = chat; others are read as chat
	Icon          string `json:"icon,omitempty"`
	AddressKind   string `json:"address_kind,omitempty"` // "phone" (E.164) or "" (opaque)
	// Connected: the customer is on a live connection; messages are streamed, not sent from the outbox.
	Connected  bool        `json:"connected,omitempty"`
	PartLimits []PartLimit `json:"part_limits,omitempty"` // limits of single kinds of parts
	Quotes     bool        `json:"quotes,omitempty"`      // a message may answer an earlier one
	Captions   bool        `json:"captions,omitempty"`    // a file may carry a caption
}

// PartLimit is what one kind of part may be on a channel. 0 and nil set no limit of their kind.
type PartLimit struct {
	Kind      string   `json:"kind"`                 // a PartKind, or "caption"
	MaxLength int      `json:"max_length,omitempty"` // of its text, in the counter's units or UTF-16 units
	MaxBytes  int64    `json:"max_bytes,omitempty"`  // of a file
	MaxCount  int      `json:"max_count,omitempty"`  // in one message; for choices the number of options
	MIMEs     []string `json:"mimes,omitempty"`      // "image/jpeg", "image/*": what files may be, or those for which MaxBytes holds
	MaxTitle  int      `json:"max_title,omitempty"`  // of one option's title, in UTF-16 units
}
