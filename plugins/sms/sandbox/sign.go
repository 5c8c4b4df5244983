package sandbox

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what the vendor signs with
	"encoding/base64"
	"io"
	"net/url"
	"slices"
	"strings"
)

// Sign returns the X-Twilio-Signature of a form request: base64 of the HMAC-SHA1 over the URL as
// configured (without its fragment) and, sorted by name, each parameter's name and value. For a GET
// request params is nil, since the URL contains them. Source: vendors' page "Webhooks security",
// August 2026.
func Sign(token, rawURL string, params url.Values) string {
	bare, _, _ := strings.Cut(rawURL, "#")
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, bare)
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range params[name] {
			_, _ = io.WriteString(mac, name)
			_, _ = io.WriteString(mac, v)
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
