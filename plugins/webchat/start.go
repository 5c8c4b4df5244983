package webchat

import (
	"net/url"
	"strings"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// Limits of the request form's answers, in UTF-16 units, as the widget's fields count them.
const (
	maxName   = 200
	maxAnswer = 1000
)

// Limits of a page's address and title, in bytes.
const (
	maxPageURL   = 2048
	maxPageTitle = 300
)

// readStart checks a request form against the site's fields and makes the start of a conversation
// from it. The form's message becomes the first message (SPEC B1).
func (s *site) readStart(f *inFrame, address string, k keys) (sdk.Start, error) {
	start := sdk.Start{From: sdk.Address{Address: address}, Locale: cleanLocale(f.Locale), ClientID: f.ClientID}
	for _, one := range s.Form.Fields {
		value := strings.TrimSpace(f.Form[one.Name])
		if value == "" {
			if one.Required && (one.Name != "message" || len(f.Parts) == 0) {
				return start, codeError("form_required")
			}
			continue
		}
		if err := fill(&start, one.Name, value); err != nil {
			return start, err
		}
	}
	start.From.Name = strings.TrimSpace(start.FirstName + " " + start.LastName)
	more, err := readParts(f.Parts, k, s.account, sdk.ThreadID(address))
	if err != nil {
		return start, err
	}
	start.Parts = append(start.Parts, more...)
	return start, nil
}

func fill(start *sdk.Start, name, value string) error {
	limit := maxAnswer
	switch name {
	case "first_name", "last_name", "email", "phone":
		limit = maxName
	case "message":
		if longerThan(value, maxText) {
			return errTooLong
		}
		start.Parts = append(start.Parts, sdk.Text{Text: value})
		return nil
	}
	if longerThan(value, limit) {
		return errTooLong
	}
	switch name {
	case "first_name":
		start.FirstName = value
	case "last_name":
		start.LastName = value
	case "email":
		start.Email = value
	case "phone":
		start.Phone = value
	case "subject":
		start.Subject = value
	default:
		start.Attributes = append(start.Attributes, sdk.Attribute{Name: name, Value: value})
	}
	return nil
}

// cleanPage returns the page if its URL is http or https, and removes credentials from it.
func cleanPage(p *page) *sdk.Page {
	if p == nil || len(p.URL) > maxPageURL {
		return nil
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	u.User = nil
	return &sdk.Page{URL: u.String(), Title: cut(p.Title, maxPageTitle)}
}

// cut shortens text to at most limit bytes, between two runes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xC0 == 0x80 {
		limit--
	}
	return text[:limit]
}

func cleanLocale(tag string) string {
	if len(tag) > 35 || !langShape.MatchString(tag) {
		return ""
	}
	return tag
}
