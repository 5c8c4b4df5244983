package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"

	"github.com/parley-gateway/parley/plugins/contract"
)

// Panel is what a tool shows. Desktop and widget draw it; docs/plugin-contract.md, Panels, describes
// the JSON that Blocks become.
type Panel struct {
	// Revision grows with each change; a viewer's act names the one that it saw. In a ToolSession 0
	// means that of the session.
	Revision uint64
	Blocks   []Block // none: nothing is shown
}

// Block is one piece of a panel: PanelText, PanelKeyValue, PanelField, PanelButton, PanelLink,
// PanelCode, PanelStatus, PanelList, PanelImage, PanelEmbed or PanelUnknown.
type Block interface {
	// fill writes the block into w, and reports what is wrong with it.
	fill(w *blockJSON) error
}

// PanelText is a paragraph.
type PanelText struct {
	Text  string // at most 8 KiB
	Style string // "", "heading", "muted"
}

// PanelKeyValue is a table of two columns.
type PanelKeyValue struct{ Items []KeyValue }

// KeyValue is a row of PanelKeyValue.
type KeyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// PanelField asks for something. What the viewer enters comes with the next act, in its Values,
// under Name: a string, or a boolean from a checkbox.
type PanelField struct {
	Name        string // unique in the panel
	Label       string
	Kind        string // "" (a line of text), "multiline", "number", "email", "tel", "password", "checkbox", "select"
	Value       string // what it holds at first; of a checkbox "true" or ""
	Placeholder string
	Required    bool
	MaxLength   uint32        // in UTF-16 units; 0 = 1,000
	Options     []FieldOption // of a select
}

// FieldOption is an option of a select.
type FieldOption struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// PanelButton is pressed to act. On a customer's panel the actions "accept", "decline" and "end" mean
// what they say in CustomerTool.
type PanelButton struct {
	Action   string // comes back in ToolAct; a lower-case letter, then up to 63 of a-z 0-9 _ . -
	Label    string
	Style    string // "", "primary", "danger"
	Confirm  string // a question that is asked first; "" = none
	Disabled bool
}

// PanelLink opens a page in a new window.
type PanelLink struct{ URL, Label string }

// PanelCode is something to copy, such as a PIN.
type PanelCode struct {
	Code  string
	Label string // "" = none
}

// PanelStatus says how things are, with a mark in colour.
type PanelStatus struct {
	State string // "info", "waiting", "active", "ended", "warning", "error"
	Text  string
}

// PanelList is a list of lines.
type PanelList struct{ Items []ListItem }

// ListItem is a line of PanelList.
type ListItem struct {
	Text   string `json:"text"`
	Detail string `json:"detail,omitempty"`
	Action string `json:"action,omitempty"` // not "": the line can be pressed
}

// PanelImage shows a picture that is stored as a blob.
type PanelImage struct {
	Blob BlobID
	Alt  string // what it shows, in words
}

// PanelEmbed shows a page of one of Manifest.Tool.EmbedOrigins inside the panel.
type PanelEmbed struct {
	URL    string
	Title  string
	Height uint32 // in CSS pixels; 0 = as large as there is room
}

// PanelUnknown is a block that this version of the SDK does not know. Viewers show one line in its
// place.
type PanelUnknown struct{ Raw json.RawMessage }

// Limits of panels; contract.MaxPanel bounds the whole.
const (
	maxBlocks     = 100
	maxPanelItems = 100 // in one block
	maxPanelText  = 8 << 10
	maxPanelName  = 64
	maxPanelLabel = 512
	maxPanelURL   = 4 << 10
)

// blockJSON is every block's JSON: type names the kind, and the others are set as the kind needs.
type blockJSON struct {
	Type        string          `json:"type"`
	Text        string          `json:"text,omitempty"`
	Style       string          `json:"style,omitempty"`
	Items       json.RawMessage `json:"items,omitempty"`
	Name        string          `json:"name,omitempty"`
	Label       string          `json:"label,omitempty"`
	Kind        string          `json:"kind,omitempty"`
	Value       string          `json:"value,omitempty"`
	Placeholder string          `json:"placeholder,omitempty"`
	Required    bool            `json:"required,omitempty"`
	MaxLength   uint32          `json:"max_length,omitempty"`
	Options     []FieldOption   `json:"options,omitempty"`
	Action      string          `json:"action,omitempty"`
	Confirm     string          `json:"confirm,omitempty"`
	Disabled    bool            `json:"disabled,omitempty"`
	URL         string          `json:"url,omitempty"`
	Code        string          `json:"code,omitempty"`
	State       string          `json:"state,omitempty"`
	Blob        string          `json:"blob,omitempty"`
	Alt         string          `json:"alt,omitempty"`
	Title       string          `json:"title,omitempty"`
	Height      uint32          `json:"height,omitempty"`

	raw json.RawMessage // of a PanelUnknown, in place of all others
}

// EncodeBlocks makes the JSON of a panel's blocks: a JSON array, "" for none. It fails for what no
// viewer would show, and with ErrTooLarge for more than 64 KiB.
func EncodeBlocks(blocks []Block) (string, error) {
	if len(blocks) == 0 {
		return "", nil
	}
	if len(blocks) > maxBlocks {
		return "", fmt.Errorf("panel: %d blocks, at most %d: %w", len(blocks), maxBlocks, ErrTooLarge)
	}
	list := make([]json.RawMessage, len(blocks))
	names := map[string]bool{}
	for i, b := range blocks {
		if b == nil {
			return "", fmt.Errorf("panel: block %d is nil", i)
		}
		var w blockJSON
		if err := b.fill(&w); err != nil {
			return "", fmt.Errorf("panel: block %d: %w", i, err)
		}
		if f, ok := b.(PanelField); ok {
			if names[f.Name] {
				return "", fmt.Errorf("panel: block %d: a second field of that name", i)
			}
			names[f.Name] = true
		}
		text, err := json.Marshal(w)
		if w.raw != nil {
			text, err = json.Marshal(w.raw)
		}
		if err != nil {
			return "", fmt.Errorf("panel: block %d: %w", i, err)
		}
		list[i] = text
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("panel: %w", err)
	}
	if len(text) > contract.MaxPanel {
		return "", fmt.Errorf("panel: %d bytes, at most %d: %w", len(text), contract.MaxPanel, ErrTooLarge)
	}
	return string(text), nil
}

// DecodeBlocks reads the JSON of a panel's blocks. A block of a kind that it does not know becomes a
// PanelUnknown; unknown properties are ignored.
func DecodeBlocks(text string) ([]Block, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > contract.MaxPanel {
		return nil, fmt.Errorf("panel: %d bytes, at most %d: %w", len(text), contract.MaxPanel, ErrTooLarge)
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, errors.New("panel: not a JSON array")
	}
	if len(list) > maxBlocks {
		return nil, fmt.Errorf("panel: %d blocks, at most %d: %w", len(list), maxBlocks, ErrTooLarge)
	}
	blocks := make([]Block, len(list))
	for i, raw := range list {
		b, err := decodeBlock(raw)
		if err == nil {
			err = b.fill(&blockJSON{})
		}
		if err != nil {
			return nil, fmt.Errorf("panel: block %d: %w", i, err)
		}
		blocks[i] = b
	}
	return blocks, nil
}

func decodeBlock(raw json.RawMessage) (Block, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(raw, &kind) != nil || kind.Type == "" {
		return nil, errors.New("not an object with a type")
	}
	known := slices.Contains([]string{"text", "key_value", "field", "button", "link", "code", "status", "list", "image", "embed"}, kind.Type)
	if !known {
		return PanelUnknown{Raw: raw}, nil
	}
	var w blockJSON
	if json.Unmarshal(raw, &w) != nil {
		return nil, fmt.Errorf("%s with a property of the wrong type", kind.Type)
	}
	switch w.Type {
	case "text":
		return PanelText{Text: w.Text, Style: w.Style}, nil
	case "key_value":
		items, err := itemsOf[KeyValue](w.Items)
		return PanelKeyValue{Items: items}, err
	case "field":
		return PanelField{
			Name: w.Name, Label: w.Label, Kind: w.Kind, Value: w.Value, Placeholder: w.Placeholder,
			Required: w.Required, MaxLength: w.MaxLength, Options: w.Options,
		}, nil
	case "button":
		return PanelButton{Action: w.Action, Label: w.Label, Style: w.Style, Confirm: w.Confirm, Disabled: w.Disabled}, nil
	case "link":
		return PanelLink{URL: w.URL, Label: w.Label}, nil
	case "code":
		return PanelCode{Code: w.Code, Label: w.Label}, nil
	case "status":
		return PanelStatus{State: w.State, Text: w.Text}, nil
	case "list":
		items, err := itemsOf[ListItem](w.Items)
		return PanelList{Items: items}, err
	case "image":
		return PanelImage{Blob: BlobID(w.Blob), Alt: w.Alt}, nil
	default:
		return PanelEmbed{URL: w.URL, Title: w.Title, Height: w.Height}, nil
	}
}

func itemsOf[T any](raw json.RawMessage) ([]T, error) {
	var items []T
	if len(raw) > 0 && json.Unmarshal(raw, &items) != nil {
		return nil, errors.New("items of the wrong type")
	}
	return items, nil
}

// want returns the first of the checks that failed.
func want(checks ...error) error {
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// between checks the length of a text.
func between(what, s string, least, most int) error {
	if len(s) < least || len(s) > most {
		return fmt.Errorf("%s has %d bytes, want %d to %d", what, len(s), least, most)
	}
	return nil
}

func oneOf(what, s string, values ...string) error {
	if !slices.Contains(values, s) {
		return fmt.Errorf("%s is none of %q", what, values)
	}
	return nil
}

func atMost(what string, n int) error {
	if n > maxPanelItems {
		return fmt.Errorf("%d %s, at most %d", n, what, maxPanelItems)
	}
	return nil
}

// actionName is what the name of an action looks like: it stands unsealed in the log.
var actionName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

func checkAction(s string) error {
	if !actionName.MatchString(s) {
		return fmt.Errorf("action does not match %s", actionName)
	}
	return nil
}

// checkURL allows https, and http at this machine, where sandboxes of vendors are.
func checkURL(s string) error {
	if err := between("url", s, 1, maxPanelURL); err != nil {
		return err
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return errors.New("url cannot be read")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return errors.New("url is not https")
}

func (b PanelText) fill(w *blockJSON) error {
	w.Type, w.Text, w.Style = "text", b.Text, b.Style
	return want(between("text", b.Text, 1, maxPanelText), oneOf("style", b.Style, "", "heading", "muted"))
}

func (b PanelKeyValue) fill(w *blockJSON) error {
	for _, it := range b.Items {
		if err := want(between("key", it.Key, 1, maxPanelLabel), between("value", it.Value, 0, maxPanelText)); err != nil {
			return err
		}
	}
	return want(atMost("rows", len(b.Items)), list(w, "key_value", b.Items))
}

func (b PanelField) fill(w *blockJSON) error {
	w.Type, w.Name, w.Label, w.Kind, w.Value = "field", b.Name, b.Label, b.Kind, b.Value
	w.Placeholder, w.Required, w.MaxLength, w.Options = b.Placeholder, b.Required, b.MaxLength, b.Options
	for _, o := range b.Options {
		if err := want(between("option's value", o.Value, 0, maxPanelLabel), between("option's label", o.Label, 1, maxPanelLabel)); err != nil {
			return err
		}
	}
	return want(between("name", b.Name, 1, maxPanelName), between("label", b.Label, 1, maxPanelLabel),
		between("value", b.Value, 0, maxPanelText), between("placeholder", b.Placeholder, 0, maxPanelLabel),
		oneOf("kind", b.Kind, "", "multiline", "number", "email", "tel", "password", "checkbox", "select"),
		atMost("options", len(b.Options)))
}

func (b PanelButton) fill(w *blockJSON) error {
	w.Type, w.Action, w.Label, w.Style, w.Confirm, w.Disabled = "button", b.Action, b.Label, b.Style, b.Confirm, b.Disabled
	return want(checkAction(b.Action), between("label", b.Label, 1, maxPanelLabel),
		oneOf("style", b.Style, "", "primary", "danger"), between("confirm", b.Confirm, 0, maxPanelLabel))
}

func (b PanelLink) fill(w *blockJSON) error {
	w.Type, w.URL, w.Label = "link", b.URL, b.Label
	return want(checkURL(b.URL), between("label", b.Label, 1, maxPanelLabel))
}

func (b PanelCode) fill(w *blockJSON) error {
	w.Type, w.Code, w.Label = "code", b.Code, b.Label
	return want(between("code", b.Code, 1, maxPanelText), between("label", b.Label, 0, maxPanelLabel))
}

func (b PanelStatus) fill(w *blockJSON) error {
	w.Type, w.State, w.Text = "status", b.State, b.Text
	return want(oneOf("state", b.State, "info", "waiting", "active", "ended", "warning", "error"), between("text", b.Text, 1, maxPanelText))
}

func (b PanelList) fill(w *blockJSON) error {
	for _, it := range b.Items {
		if err := want(between("text", it.Text, 1, maxPanelText), between("detail", it.Detail, 0, maxPanelText)); err != nil {
			return err
		}
		if err := checkAction(it.Action); it.Action != "" && err != nil {
			return err
		}
	}
	return want(atMost("lines", len(b.Items)), list(w, "list", b.Items))
}

func list[T any](w *blockJSON, kind string, items []T) (err error) {
	w.Type = kind
	if len(items) > 0 {
		w.Items, err = json.Marshal(items)
	}
	return err
}

func (b PanelImage) fill(w *blockJSON) error {
	w.Type, w.Blob, w.Alt = "image", string(b.Blob), b.Alt
	return want(between("blob", string(b.Blob), 1, maxPanelName), between("alt", b.Alt, 0, maxPanelLabel))
}

func (b PanelEmbed) fill(w *blockJSON) error {
	w.Type, w.URL, w.Title, w.Height = "embed", b.URL, b.Title, b.Height
	return want(checkURL(b.URL), between("title", b.Title, 1, maxPanelLabel))
}

func (b PanelUnknown) fill(w *blockJSON) error {
	w.raw = b.Raw
	if !json.Valid(b.Raw) {
		return errors.New("raw is not JSON")
	}
	return nil
}
