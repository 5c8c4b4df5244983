package webchat

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// settings are an account's settings as account.schema.json describes them.
type settings struct {
	Site              string                       `json:"site"`
	Title             string                       `json:"title"`
	AllowedOrigins    []string                     `json:"allowed_origins"`
	Theme             theme                        `json:"theme"`
	Form              formSettings                 `json:"form"`
	Texts             map[string]map[string]string `json:"texts"` // texts by language and key
	Tones             tones                        `json:"tones"`
	UnresponsiveAfter int                          `json:"unresponsive_after"` // in seconds
	MaxFileMB         int                          `json:"max_file_mb"`        // MiB; 0 = no files
	MessagesPerSecond float64                      `json:"messages_per_second"`
	MessageBurst      int                          `json:"message_burst"`

	AddressStartsPerMinute   float64  `json:"address_starts_per_minute"`
	AddressStartBurst        int      `json:"address_start_burst"`
	AddressMessagesPerSecond float64  `json:"address_messages_per_second"`
	AddressMessageBurst      int      `json:"address_message_burst"`
	ExemptAddresses          []string `json:"exempt_addresses"` // networks; null = loopback
	StartsPerSecond          float64  `json:"starts_per_second"`
	StartBurst               int      `json:"start_burst"`

	VisitorUploadsPerHour  int64 `json:"visitor_uploads_per_hour"`
	VisitorUploadMBPerHour int64 `json:"visitor_upload_mb_per_hour"` // in units of 1,000,000 bytes
	AddressUploadsPerHour  int64 `json:"address_uploads_per_hour"`
	AddressUploadMBPerHour int64 `json:"address_upload_mb_per_hour"`
	SiteUploadsPerHour     int64 `json:"site_uploads_per_hour"`
	SiteUploadMBPerHour    int64 `json:"site_upload_mb_per_hour"`

	DemoPage bool `json:"demo_page"`

	exempt []netip.Prefix // ExemptAddresses, parsed
}

// theme is the look of the chat, which attributes of a page's script tag may override.
type theme struct {
	Color   string `json:"color"` // #rrggbb
	Mode    string `json:"mode"`  // auto, light, dark
	Side    string `json:"side"`  // right, left
	OffsetX int    `json:"offset_x"`
	OffsetY int    `json:"offset_y"`
}

type tones struct {
	Message bool `json:"message"`
}

type formSettings struct {
	Fields []field `json:"fields"`
}

// field is one field of the request form. The names first_name, last_name, email, phone, subject
// and message have a meaning; any other becomes an attribute.
type field struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind,omitempty" enum:"text,email,tel,textarea,select"` // "" = by name
	Label    string   `json:"label,omitempty"`
	Required bool     `json:"required,omitempty"`
	Options  []string `json:"options,omitempty"` // choices of a select
}

// defaultSettings are the settings of an account that sets nothing.
func defaultSettings() settings {
	return settings{
		Theme: theme{Color: "#3451b2", Mode: "auto", Side: "right", OffsetX: 20, OffsetY: 20},
		Form: formSettings{Fields: []field{
			{Name: "first_name"},
			{Name: "last_name"},
			{Name: "email"},
			{Name: "message", Required: true},
		}},
		Tones:             tones{Message: true},
		UnresponsiveAfter: 60,
		MaxFileMB:         20,
		MessagesPerSecond: 5,
		MessageBurst:      60,

		AddressStartsPerMinute:   10,
		AddressStartBurst:        30,
		AddressMessagesPerSecond: 50,
		AddressMessageBurst:      600,
		ExemptAddresses:          []string{"127.0.0.0/8", "::1/128"},
		StartsPerSecond:          5,
		StartBurst:               100,

		VisitorUploadsPerHour:  100,
		VisitorUploadMBPerHour: 100,
		AddressUploadsPerHour:  500,
		AddressUploadMBPerHour: 500,
		SiteUploadsPerHour:     10_000,
		SiteUploadMBPerHour:    5000,
	}
}

var (
	siteShape  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	fieldShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	colorShape = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	langShape  = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// readSettings decodes and checks an account's settings. It reports all faults at once.
func readSettings(a *sdk.Account) (settings, sdk.Problems) {
	s := defaultSettings()
	fields := s.Form.Fields
	s.Form.Fields = nil // else the decoder would leave in each field what the default one at its place has
	if err := a.Decode(&s); err != nil {
		return s, sdk.Problems{{Account: a.ID, Code: "invalid", Text: err.Error()}}
	}
	if s.Form.Fields == nil {
		s.Form.Fields = fields
	}
	c := checker{account: a.ID}
	if s.Site == "" {
		s.Site = a.Name
	}
	c.want(siteShape.MatchString(s.Site), "/site", "a site's name has 1 to 64 letters, digits, dots, dashes or underscores")
	c.want(len(s.Title) <= 320, "/title", "too long")
	c.origins(&s)
	c.theme(s.Theme)
	c.form(s.Form)
	for lang := range s.Texts {
		c.want(langShape.MatchString(lang), "/texts/"+pointer(lang), "not a language tag")
	}
	c.between(s.UnresponsiveAfter, 5, 86400, "/unresponsive_after")
	c.between(s.MaxFileMB, 0, uploadRouteLimit>>20, "/max_file_mb")
	c.rate(s.MessagesPerSecond, "/messages_per_second")
	c.between(s.MessageBurst, 1, 10000, "/message_burst")
	c.rate(s.AddressStartsPerMinute, "/address_starts_per_minute")
	c.between(s.AddressStartBurst, 1, 10000, "/address_start_burst")
	c.rate(s.AddressMessagesPerSecond, "/address_messages_per_second")
	c.between(s.AddressMessageBurst, 1, 10000, "/address_message_burst")
	c.rate(s.StartsPerSecond, "/starts_per_second")
	c.between(s.StartBurst, 1, 10000, "/start_burst")
	c.hourly(s.VisitorUploadsPerHour, "/visitor_uploads_per_hour")
	c.hourly(s.VisitorUploadMBPerHour, "/visitor_upload_mb_per_hour")
	c.hourly(s.AddressUploadsPerHour, "/address_uploads_per_hour")
	c.hourly(s.AddressUploadMBPerHour, "/address_upload_mb_per_hour")
	c.hourly(s.SiteUploadsPerHour, "/site_uploads_per_hour")
	c.hourly(s.SiteUploadMBPerHour, "/site_upload_mb_per_hour")
	c.networks(&s)
	return s, c.problems
}

// checker collects what is wrong with one account's settings.
type checker struct {
	account  sdk.AccountID
	problems sdk.Problems
}

func (c *checker) want(ok bool, path, text string) {
	if !ok {
		c.problems = append(c.problems, sdk.Problem{Account: c.account, Path: path, Code: "invalid", Text: text})
	}
}

func (c *checker) between(v, low, high int, path string) {
	c.want(v >= low && v <= high, path, fmt.Sprintf("must be from %d to %d", low, high))
}

func (c *checker) rate(v float64, path string) {
	c.want(v > 0 && v <= 10000, path, "must be above 0 and at most 10000")
}

func (c *checker) hourly(v int64, path string) {
	c.want(v >= 1 && v <= 1_000_000, path, "must be from 1 to 1000000")
}

// networks parses the exempt networks. A single address counts as a network.
func (c *checker) networks(s *settings) {
	c.want(len(s.ExemptAddresses) <= 100, "/exempt_addresses", "more than 100 networks")
	for i, text := range s.ExemptAddresses {
		net, err := netip.ParsePrefix(text)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(text); err == nil {
				net = netip.PrefixFrom(ip, ip.BitLen())
			}
		}
		c.want(err == nil, "/exempt_addresses/"+strconv.Itoa(i), "not a network such as 192.0.2.0/24")
		s.exempt = append(s.exempt, net)
	}
}

// origins checks the list and converts it to the form that browsers send.
func (c *checker) origins(s *settings) {
	c.want(len(s.AllowedOrigins) <= 100, "/allowed_origins", "more than 100 origins")
	clean := make([]string, 0, len(s.AllowedOrigins))
	for i, text := range s.AllowedOrigins {
		if text == anyOrigin {
			clean = append(clean, text)
			continue
		}
		origin, err := originOf(text)
		c.want(err == nil, "/allowed_origins/"+strconv.Itoa(i), "not an origin such as https://www.example.com")
		clean = append(clean, origin)
	}
	s.AllowedOrigins = clean
}

func (c *checker) theme(t theme) {
	c.want(colorShape.MatchString(t.Color), "/theme/color", "not a colour such as #3451b2")
	c.want(t.Mode == "auto" || t.Mode == "light" || t.Mode == "dark", "/theme/mode", "not one of auto, light, dark")
	c.want(t.Side == "left" || t.Side == "right", "/theme/side", "not one of right, left")
	c.between(t.OffsetX, 0, 400, "/theme/offset_x")
	c.between(t.OffsetY, 0, 400, "/theme/offset_y")
}

func (c *checker) form(f formSettings) {
	c.want(len(f.Fields) <= 12, "/form/fields", "more than 12 fields")
	seen := map[string]bool{}
	for i, one := range f.Fields {
		path := "/form/fields/" + strconv.Itoa(i)
		c.want(fieldShape.MatchString(one.Name), path+"/name", "not a field name")
		c.want(!seen[one.Name], path+"/name", "named twice")
		seen[one.Name] = true
		switch one.Kind {
		case "", "text", "email", "tel", "textarea":
		case "select":
			c.want(len(one.Options) > 0, path+"/options", "a select needs options")
		default:
			c.want(false, path+"/kind", "not one of text, email, tel, textarea, select")
		}
	}
}

// pointer escapes a key for a JSON pointer (RFC 6901).
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// originOf returns the origin of an http or https URL as browsers write it in the Origin header:
// lower case, no default port, nothing after the host.
func originOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("parse origin: %w", err)
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if scheme != "http" && scheme != "https" || host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return "", fmt.Errorf("parse origin: not an origin")
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && (scheme != "http" || port != "80") && (scheme != "https" || port != "443") {
		host += ":" + port
	}
	return scheme + "://" + host, nil
}
