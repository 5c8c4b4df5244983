package conversation

import "encoding/json"

// The shapes of sealed bodies. They hold what may identify or quote a person;
// Decide never reads them. All are JSON objects; absent fields mean "not known".

// StartedBody is what the customer said of himself or herself when asking for the conversation.
type StartedBody struct {
	Address    string            `json:"address"` // the endpoint's address in clear
	Thread     string            `json:"thread"`  // the thread key in clear, for the plugin
	Name       string            `json:"name,omitempty"`
	FirstName  string            `json:"first_name,omitempty"`
	LastName   string            `json:"last_name,omitempty"`
	Email      string            `json:"email,omitempty"`
	Phone      string            `json:"phone,omitempty"`
	Locale     string            `json:"locale,omitempty"` // BCP 47
	Subject    string            `json:"subject,omitempty"`
	Page       *PageBody         `json:"page,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// AssignedBody is the service's name as people know it (A3).
type AssignedBody struct {
	Name string `json:"name"`
}

// EndpointBody is a further address of the customer.
type EndpointBody struct {
	Address string `json:"address"`
	Thread  string `json:"thread"`
}

// CustomerBody updates what is known of the customer; only the fields that are set change.
type CustomerBody struct {
	Name       string            `json:"name,omitempty"`
	FirstName  string            `json:"first_name,omitempty"`
	LastName   string            `json:"last_name,omitempty"`
	Email      string            `json:"email,omitempty"`
	Phone      string            `json:"phone,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// PageBody is the page that the customer has open.
type PageBody struct {
	URL   string `json:"url"`
	Title string `json:"title,omitempty"`
}

// MessageBody is a message's content.
type MessageBody struct {
	Parts []Part `json:"parts"`
	Name  string `json:"name,omitempty"` // the author's display name at the time
	// ProviderIDs are the ids that the provider gave a customer's message. Customers and bots do not get
	// them: see WithoutProviderIDs.
	ProviderIDs []string `json:"provider_ids,omitempty"`
}

// StatusBody is what the provider says about a message.
type StatusBody struct {
	Text string `json:"text,omitempty"`
	// ProviderIDs are ids under which the provider has the message, in the order of its parts there.
	// Those of all events of a message count together.
	ProviderIDs []string `json:"provider_ids,omitempty"`
}

// NamedBody has further ids under which the provider has a message.
type NamedBody struct {
	ProviderIDs []string `json:"provider_ids"`
}

// ConsentBody quotes the keyword with which the customer gave or withdrew consent.
type ConsentBody struct {
	Keyword string `json:"keyword,omitempty"` // STOP, START ... as the customer wrote it
}

// NameBody is a display name.
type NameBody struct {
	Name string `json:"name"`
}

// NoticeBody is a text that the system shows to both sides.
type NoticeBody struct {
	Text string `json:"text"`
}

// PanelBody is what a tool shows agents: blocks that the desktop draws.
type PanelBody struct {
	Blocks json.RawMessage `json:"blocks"` // a JSON array, as the plugin gave it
}

// WrapupBody is what the agent noted during after-call work.
type WrapupBody struct {
	Notes string `json:"notes,omitempty"`
}

// DigitsBody is what a party of a call has pressed, of 0-9 * # A-D.
type DigitsBody struct {
	Digits string `json:"digits"`
}

// RecordingBody is the file of a recording.
type RecordingBody struct {
	File File `json:"file"`
}
