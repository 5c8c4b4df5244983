package plugin

// Template is a message form that the provider of an account has approved. The JSON is that of the
// REST interface.
type Template struct {
	Name       string           `json:"name"`
	Language   string           `json:"language"`           // BCP 47
	Category   string           `json:"category,omitempty"` // the provider's
	Header     string           `json:"header,omitempty"`   // text with placeholders {{1}} or {{name}}
	HeaderKind string           `json:"header_kind,omitempty"`
	Body       string           `json:"body"`
	Footer     string           `json:"footer,omitempty"`
	Buttons    []TemplateButton `json:"buttons,omitempty"`
	Status     string           `json:"status"` // only "approved" ones may be sent
}

// TemplateButton is a button of a template.
type TemplateButton struct {
	Kind  string `json:"kind"` // reply, url, phone, copy
	Title string `json:"title"`
	Value string `json:"value,omitempty"` // with placeholders
}
