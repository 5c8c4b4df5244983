package messages

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// Errors of Fill.
var (
	// ErrNoSuchTemplate: the account's provider has no template of that name and language.
	ErrNoSuchTemplate = errors.New("no such template")
	// ErrTemplateStatus: the provider has not approved the template, or has paused it.
	ErrTemplateStatus = errors.New("template is not approved")
	// ErrTemplateValues: the values do not fit the template's placeholders.
	ErrTemplateValues = errors.New("values do not fit the template")
)

// Places of a template's values.
const (
	placeHeader = "header"
	placeBody   = "body"
	placeButton = "button"
)

// HasTemplate reports whether one of the parts is a template.
func HasTemplate(parts []conversation.Part) bool {
	return slices.ContainsFunc(parts, func(p conversation.Part) bool { return p.Kind == conversation.PartTemplate })
}

// Fill checks the templates among parts against those that the account's provider has approved, and
// returns the parts with the text that the customer will see in place of what the caller rendered. The
// caller's parts stay as they are. Errors: ErrNoSuchTemplate, ErrTemplateStatus, ErrTemplateValues,
// ErrInvalid for a part of this kind without a template.
func Fill(parts []conversation.Part, approved []plugin.Template) ([]conversation.Part, error) {
	parts = slices.Clone(parts)
	for i := range parts {
		if parts[i].Kind != conversation.PartTemplate {
			continue
		}
		if parts[i].Template == nil {
			return nil, ErrInvalid
		}
		t := *parts[i].Template
		form, err := formOf(&t, approved)
		if err != nil {
			return nil, err
		}
		if t.Rendered, err = render(&t, form); err != nil {
			return nil, err
		}
		parts[i].Template = &t
	}
	return parts, nil
}

// formOf finds the form of a template's name and language.
func formOf(t *conversation.Template, approved []plugin.Template) (*plugin.Template, error) {
	i := slices.IndexFunc(approved, func(f plugin.Template) bool { return f.Name == t.Name && f.Language == t.Language })
	switch {
	case i < 0:
		return nil, ErrNoSuchTemplate
	case approved[i].Status != "approved":
		return nil, ErrTemplateStatus
	}
	return &approved[i], nil
}

// render returns the text of a template with its values: header, body and footer, one below the other.
func render(t *conversation.Template, form *plugin.Template) (string, error) {
	v := values{placed: t.Placed, taken: make([]bool, len(t.Placed))}
	if len(t.Placed) == 0 {
		v = unplaced(t.Values, form)
	} else if len(t.Values) > 0 {
		return "", fmt.Errorf("%w: some have a place and others have none", ErrTemplateValues)
	}
	header, err := v.header(form)
	if err != nil {
		return "", err
	}
	body, err := v.text(placeBody, 0, form.Body)
	if err != nil {
		return "", err
	}
	for i := range form.Buttons {
		if _, err := v.text(placeButton, i, form.Buttons[i].Value); err != nil {
			return "", err
		}
	}
	if i := slices.Index(v.taken, false); i >= 0 {
		return "", fmt.Errorf("%w: value %d has no placeholder", ErrTemplateValues, i)
	}
	lines := slices.DeleteFunc([]string{header, body, form.Footer}, func(s string) bool { return s == "" })
	return strings.Join(lines, "\n"), nil
}

// values are those of a template while its places are filled.
type values struct {
	placed []conversation.TemplateValue
	taken  []bool // which of them stand for a placeholder
}

// unplaced gives values without places to the placeholders in the order in which the customer sees
// them: header, body, buttons. What is over gets no place that a template has.
func unplaced(texts []string, form *plugin.Template) values {
	var v values
	next := 0
	give := func(place string, index int, text string) {
		for range counted(text) {
			if next < len(texts) {
				v.placed = append(v.placed, conversation.TemplateValue{Place: place, Index: index, Text: texts[next]})
				next++
			}
		}
	}
	if headerText(form) {
		give(placeHeader, 0, form.Header)
	}
	give(placeBody, 0, form.Body)
	for i := range form.Buttons {
		give(placeButton, i, form.Buttons[i].Value)
	}
	for ; next < len(texts); next++ {
		v.placed = append(v.placed, conversation.TemplateValue{Text: texts[next]})
	}
	v.taken = make([]bool, len(v.placed))
	return v
}

func headerText(form *plugin.Template) bool {
	return form.HeaderKind == "" || form.HeaderKind == "text"
}

// header fills the header. Only a header of text is part of the text: of any other kind it has one
// value, a file or a location.
func (v *values) header(form *plugin.Template) (string, error) {
	if headerText(form) {
		return v.text(placeHeader, 0, form.Header)
	}
	mine := v.at(placeHeader, 0)
	if len(mine) != 1 {
		return "", fmt.Errorf("%w: the header takes one value and got %d", ErrTemplateValues, len(mine))
	}
	x := &v.placed[mine[0]]
	wantsFile := form.HeaderKind != "location"
	if x.Name != "" || x.Text != "" || (x.File != nil && !x.File.Blob.IsZero()) != wantsFile || (x.Location != nil) == wantsFile {
		return "", fmt.Errorf("%w: the header takes a value of kind %s", ErrTemplateValues, kindOfHeader(form.HeaderKind))
	}
	v.taken[mine[0]] = true
	return "", nil
}

// kindOfHeader names a kind of header in an error; the provider's own word does not belong there.
func kindOfHeader(kind string) string {
	if slices.Contains([]string{"image", "video", "document", "location"}, kind) {
		return kind
	}
	return "file"
}

// at lists the values at a place.
func (v *values) at(place string, index int) (list []int) {
	for i := range v.placed {
		if v.placed[i].Place == place && (place != placeButton || v.placed[i].Index == index) {
			list = append(list, i)
		}
	}
	return list
}

// placeholder matches {{1}} and {{name}}.
var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_.-]{1,64})\s*\}\}`)

// counted returns the names of a text's placeholders, each once: the numbers in their order, then the
// names as they come.
func counted(text string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		x, errX := strconv.Atoi(a)
		y, errY := strconv.Atoi(b)
		switch {
		case errX == nil && errY == nil:
			return x - y
		case errX == nil:
			return -1
		case errY == nil:
			return 1
		}
		return 0
	})
	return names
}

// text puts the values of a place into its text. A value with a name stands for the placeholder of that
// name, the others for the rest of the placeholders in their order.
func (v *values) text(place string, index int, text string) (string, error) {
	names := counted(text)
	in := make(map[string]string, len(names))
	var rest []int
	for _, i := range v.at(place, index) {
		x := &v.placed[i]
		if x.File != nil || x.Location != nil {
			return "", fmt.Errorf("%w: the %s takes texts only", ErrTemplateValues, place)
		}
		if x.Name == "" {
			rest = append(rest, i)
			continue
		}
		if _, twice := in[x.Name]; twice || !slices.Contains(names, x.Name) {
			return "", fmt.Errorf("%w: value %d of the %s names no placeholder, or one that has a value", ErrTemplateValues, i, place)
		}
		in[x.Name], v.taken[i] = x.Text, true
	}
	open := slices.DeleteFunc(names, func(n string) bool { _, ok := in[n]; return ok })
	if len(rest) != len(open) {
		return "", fmt.Errorf("%w: the %s has %d placeholders to fill and got %d values", ErrTemplateValues, place, len(open), len(rest))
	}
	for n, i := range rest {
		in[open[n]], v.taken[i] = v.placed[i].Text, true
	}
	return placeholder.ReplaceAllStringFunc(text, func(p string) string { return in[placeholder.FindStringSubmatch(p)[1]] }), nil
}
