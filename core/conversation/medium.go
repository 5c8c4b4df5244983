package conversation

import "slices"

// Medium is what customer and agent talk by (DESIGN.md 3). A service has rules for each medium, and
// the capability `medium` of a conversation's channel picks them, at its start, for a transfer and for
// an invitation. An endpoint that is added later, by whatever medium, does not change them.
type Medium string

// The mediums. A channel that names none is a chat.
const (
	MediumChat      Medium = "chat"      // written, usually while both sides are there
	MediumSMS       Medium = "sms"       // texts by phone number
	MediumMessaging Medium = "messaging" // messages in an app that keeps them until they are read
	MediumVoice     Medium = "voice"     // calls
	MediumEmail     Medium = "email"
)

// Mediums lists all mediums; chat, whose rules others are compared with, is the first.
func Mediums() []Medium {
	return []Medium{MediumChat, MediumSMS, MediumMessaging, MediumVoice, MediumEmail}
}

// ParseMedium finds a medium by its name. "" is a chat. A name that is none (a plugin may be newer
// than this build) gives chat and false.
func ParseMedium(name string) (Medium, bool) {
	switch m := Medium(name); {
	case name == "":
		return MediumChat, true
	case slices.Contains(Mediums(), m):
		return m, true
	}
	return MediumChat, false
}

// MediumOf is the medium by which a channel's rules are chosen.
func (c *Capabilities) MediumOf() Medium {
	m, _ := ParseMedium(c.Medium)
	return m
}
