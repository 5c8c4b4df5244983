package sdk

// Part is one piece of a message: Text, RichText, File, Location,
// ContactCard, Choices, Answer, Template, Reaction, Edit, Revoke or
// Unsupported.
type Part interface{ isPart() }

// Address is an endpoint of a person on a channel.
type Address struct {
	Address string // E.164 with plus, "web:...", an e-mail address, and so on
	Name    string // as the channel reports it; "" = unknown
}

// Text is plain text.
type Text struct{ Text string }

// RichText is HTML with these elements only: i b a em strong br.
type RichText struct{ HTML string }

// File is an attachment, whose contents are stored as a blob.
type File struct {
	Blob   BlobID
	Name   string
	MIME   string
	Size   uint64 // bytes
	Width  uint32 // pixels, pictures only
	Height uint32
	// Caption is text that belongs to the file (minor 1).
	Caption string
}

// Location is a point on the map.
type Location struct {
	Latitude, Longitude float64 // degrees, WGS 84
	Name, Address       string
}

// ContactCard is somebody's contact data.
type ContactCard struct {
	Name   string
	Phones []string
	Emails []string
}

// Choices asks the customer to choose.
type Choices struct {
	Text    string
	Options []Choice
}

// Choice is one option of Choices.
type Choice struct{ ID, Title, Description string }

// Answer is what the customer chose: Choice is the option's id.
type Answer struct{ Choice, Title string }

// Template is a message that the provider approved beforehand.
type Template struct {
	Name     string
	Language string   // BCP 47
	Values   []string // of a template whose values have no places
	// Placed are the values by place, and Rendered is the message as the customer will see it
	// (minor 1).
	Placed   []TemplateValue
	Rendered string
}

// TemplateValue is what stands for one placeholder of a template (minor 1).
type TemplateValue struct {
	Place string // "header", "body" or "button"
	Index uint32 // of the button, from 0
	Name  string // of the placeholder; "" = they are counted, in the order of the list
	Value Part   // Text; in a header also File and Location
}

// Reaction, Edit and Revoke name a message by our id or by the provider's (minor 1). In an event one
// of the two is enough, and ours goes before. In a command the host has filled in both as far as it
// knows them; ProviderIDs are those of all parts of the message.

// Reaction is an emoji in reaction to a message; Emoji "" removes it.
type Reaction struct {
	Message     MessageID
	Emoji       string
	ProviderID  string
	ProviderIDs []string
}

// Edit replaces a message's text.
type Edit struct {
	Message     MessageID
	Text        string
	ProviderID  string
	ProviderIDs []string
}

// Revoke takes a message back.
type Revoke struct {
	Message     MessageID
	ProviderID  string
	ProviderIDs []string
}

// Unsupported is something that the plugin has no part for; the log keeps Raw.
type Unsupported struct {
	Kind string
	Raw  []byte
}

func (Text) isPart()        {}
func (RichText) isPart()    {}
func (File) isPart()        {}
func (Location) isPart()    {}
func (ContactCard) isPart() {}
func (Choices) isPart()     {}
func (Answer) isPart()      {}
func (Template) isPart()    {}
func (Reaction) isPart()    {}
func (Edit) isPart()        {}
func (Revoke) isPart()      {}
func (Unsupported) isPart() {}
