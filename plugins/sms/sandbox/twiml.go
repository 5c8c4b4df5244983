package sandbox

import (
	"bytes"
	"encoding/xml"
	"io"
	"mime"
	"strings"
)

// Codes that Twilio logs for answers that it cannot use.
const (
	errDocument    = 12100 // the document is not XML
	errRoot        = 12102 // the root element is not Response
	errContentType = 12300
)

type twimlMessage struct {
	Text  string   `xml:",chardata"`
	Body  string   `xml:"Body"`
	Media []string `xml:"Media"`
}

func (m twimlMessage) text() string {
	if m.Body != "" {
		return m.Body
	}
	return strings.TrimSpace(m.Text)
}

// parseTwiML reads a webhook's answer: the messages to send back, and the error code that Twilio
// would log, 0 for none.
func parseTwiML(a answer) ([]twimlMessage, int) {
	if len(bytes.TrimSpace(a.body)) == 0 {
		return nil, 0
	}
	kind, _, err := mime.ParseMediaType(a.contentType)
	if err != nil || kind != "text/xml" && kind != "application/xml" {
		return nil, errContentType
	}
	var doc struct {
		XMLName  xml.Name
		Messages []twimlMessage `xml:"Message"`
	}
	d := xml.NewDecoder(bytes.NewReader(a.body))
	if err := d.Decode(&doc); err != nil {
		return nil, errDocument
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // documented to be io.EOF itself
		return nil, errDocument
	}
	if doc.XMLName.Local != "Response" {
		return nil, errRoot
	}
	return doc.Messages, 0
}
