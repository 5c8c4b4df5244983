package sms

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// settings are an account's settings as account.schema.json describes them.
type settings struct {
	Carrier             string `json:"carrier"`
	BaseURL             string `json:"base_url"`
	AccountSid          string `json:"account_sid"`
	Number              string `json:"number"`
	MessagingServiceSid string `json:"messaging_service_sid"`
	Signature           string `json:"signature"` // enforce or observe
	WebhookURL          string `json:"webhook_url"`
	SmartEncoding       bool   `json:"smart_encoding"`
	Media               bool   `json:"media"`

	base, webhook                           *url.URL
	token, previousToken, keySid, keySecret sdk.Secret
}

const observe = "observe"

var (
	accountShape = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	serviceShape = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
	numberShape  = regexp.MustCompile(`^(\+[1-9][0-9]{6,14}|[1-9][0-9]{2,7})$`)
)

// defaultSettings are the settings of an account that sets nothing.
func defaultSettings() *settings {
	return &settings{Carrier: "twilio", BaseURL: "https://api.twilio.com", Signature: "enforce", Media: true}
}

// readSettings decodes and checks an account's settings. It reports all faults at once.
func readSettings(a *sdk.Account) (*settings, sdk.Problems) {
	s := defaultSettings()
	if err := a.Decode(s); err != nil {
		return s, sdk.Problems{{Account: a.ID, Code: "invalid", Text: err.Error()}}
	}
	s.token, s.previousToken = a.Secrets["auth_token"], a.Secrets["auth_token_previous"]
	s.keySid, s.keySecret = a.Secrets["api_key_sid"], a.Secrets["api_key_secret"]

	var problems sdk.Problems
	want := func(ok bool, code, path, text string) {
		if !ok {
			problems = append(problems, sdk.Problem{Account: a.ID, Path: path, Code: code, Text: text})
		}
	}
	want(s.Carrier == "twilio", "invalid", "/carrier", "not one of twilio")
	want(s.Signature == "enforce" || s.Signature == observe, "invalid", "/signature", "not one of enforce, observe")
	want(s.AccountSid != "", "required", "/account_sid", "the account SID is needed")
	want(s.AccountSid == "" || accountShape.MatchString(s.AccountSid), "invalid", "/account_sid", "AC and 32 hexadecimal digits")
	want(s.Number != "" || s.MessagingServiceSid != "", "required", "/number", "a number or a messaging service is needed")
	want(s.Number == "" || numberShape.MatchString(s.Number), "invalid", "/number", "an E.164 number such as +15550100002, or a short code")
	want(s.MessagingServiceSid == "" || serviceShape.MatchString(s.MessagingServiceSid), "invalid", "/messaging_service_sid", "MG and 32 hexadecimal digits")
	want(!s.token.IsZero(), "required", "/auth_token", "the token is needed, also to check signatures")
	want(s.keySid.IsZero() == s.keySecret.IsZero(), "required", "/api_key_secret", "an API key has a SID and a secret")

	s.base = absolute(strings.TrimRight(s.BaseURL, "/"))
	want(s.base != nil && s.base.RawQuery == "" && s.base.Fragment == "", "invalid", "/base_url", "an http or https URL without a query")
	want(s.base == nil || s.base.Scheme == "https" || inside(s.base.Hostname()), "invalid", "/base_url", "plain http is for this machine and private networks")
	text := s.WebhookURL
	if text == "" {
		text = a.HookURL
	}
	s.webhook = absolute(text)
	want(s.webhook != nil || text == "", "invalid", "/webhook_url", "an http or https URL")
	want(s.webhook == nil || !strings.Contains(s.webhook.Hostname(), "_"), "invalid", "/webhook_url", "the carrier takes no host name with an underscore")
	return s, problems
}

// login returns user name and password for the REST interface.
func (s *settings) login() (user, password string) {
	if !s.keySid.IsZero() {
		return s.keySid.Reveal(), s.keySecret.Reveal()
	}
	return s.AccountSid, s.token.Reveal()
}

// absolute parses an http or https URL; nil when the text is not one.
func absolute(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil
	}
	return u
}

// inside reports whether a host name or address belongs to this machine or a private network, where
// a sandbox may run.
func inside(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return !public(ip)
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || !strings.Contains(host, ".")
}
