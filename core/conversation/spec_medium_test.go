package conversation_test

import (
	"testing"

	. "github.com/parley-gateway/parley/core/conversation"
)

// DESIGN.md 3: a channel's capability picks the service's rules; none, or one that this build does not
// know, is a chat.
func TestMediumOfAChannel(t *testing.T) {
	for name, want := range map[string]Medium{
		"": MediumChat, "chat": MediumChat, "sms": MediumSMS, "messaging": MediumMessaging, "voice": MediumVoice, "email": MediumEmail,
		"fax": MediumChat, "SMS": MediumChat,
	} {
		c := Capabilities{Medium: name}
		_, known := ParseMedium(name)
		if got := c.MediumOf(); got != want || known == (name == "fax" || name == "SMS") {
			t.Errorf("%q is %s (known: %t), want %s", name, got, known, want)
		}
	}
}

// DESIGN.md 3: an endpoint of another medium that is added later changes no rule.
func TestAnotherEndpointKeepsTheRules(t *testing.T) {
	c := webActive(t)
	before := c.s.Rules
	c.gives(AddEndpoint{Channel: "sms", Endpoint: Endpoint{Thread: "t"}, Capabilities: smsCaps}, TypeEndpointAdded)
	if before == (Rules{}) || c.s.Rules != before {
		t.Errorf("rules %+v, want %+v", c.s.Rules, before)
	}
}
