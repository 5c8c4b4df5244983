package sandbox_test

import (
	"net/url"
	"testing"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

// The expected values were computed by the vendor's description, not with this code.
func TestSign(t *testing.T) {
	params := url.Values{
		"AccountSid": {account}, "Body": {"Héllo & welcome = 100%"}, "EmptyField": {""}, "From": {"+15550100001"},
		"MessageSid": {"SM00000000000000000000000000000001"}, "NumMedia": {"0"}, "To": {"+15550100002"}, "ToCountry": {"US"},
	}
	const sum = "9239c422a41b555493841e492401a13c6081045f49bd7223f575c7e1f7d86f7f"
	for _, tt := range []struct {
		name, url string
		params    url.Values
		want      string
	}{
		{"form", "https://gw.example.test/v1/in/twilio?org=7", params, "YRJcA9dKkmqu3JabQcCoovdVsm0="},
		{"fragment is not signed", "https://gw.example.test/v1/in/twilio?org=7#rc=3&rp=all", params, "YRJcA9dKkmqu3JabQcCoovdVsm0="},
		{"port", "https://gw.example.test:443/v1/in/twilio?org=7", params, "HIzAD0Yx/tsq8vWOFzLAqpGThDA="},
		{"GET", "https://gw.example.test/v1/in/twilio?From=%2B15550100001&Body=hi", nil, "RpWfugv6ye02vjrnbtSS9uGClfs="},
		{"JSON", "https://gw.example.test/v1/in/twilio?bodySHA256=" + sum, nil, "47e5lypryP3noBdt61MebSsjKVc="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sandbox.Sign(token, tt.url, tt.params); got != tt.want {
				t.Errorf("Sign = %s, want %s", got, tt.want)
			}
		})
	}
}
