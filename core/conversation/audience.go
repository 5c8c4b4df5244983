package conversation

import "fmt"

// Audience is the widest circle that may see an event. The circles are nested: a bot
// sees what the customer sees, an agent what bots see, a supervisor what agents see,
// the audit everything. Each event has one audience (DESIGN.md 3). The zero Audience
// stands for none. In JSON an audience is its name.
type Audience uint8

// The circles, the widest first.
const (
	AudienceCustomer Audience = iota + 1
	AudienceBot
	AudienceAgent
	AudienceSupervisor
	AudienceAudit
)

// ByAudience holds a sequence for each audience, which is its index; index 0 is not used.
type ByAudience [AudienceAudit + 1]uint64

// Sees reports whether a reader of audience a may see an event whose audience is e.
func (a Audience) Sees(e Audience) bool { return e <= a }

func (a Audience) known() bool { return a >= AudienceCustomer && a <= AudienceAudit }

// or returns a, the audience that an event names itself, or the one of type t if the event names none.
func (a Audience) or(t Type) Audience {
	if a.known() {
		return a
	}
	return types[t].audience
}

// String is the name of the audience; "" for the zero Audience.
func (a Audience) String() string {
	switch a {
	case AudienceCustomer:
		return "customer"
	case AudienceBot:
		return "bot"
	case AudienceAgent:
		return "agent"
	case AudienceSupervisor:
		return "supervisor"
	case AudienceAudit:
		return "audit"
	}
	return ""
}

// ParseAudience finds an audience by its name; ok is false if no audience has that name.
func ParseAudience(name string) (a Audience, ok bool) {
	for a := AudienceCustomer; a <= AudienceAudit; a++ {
		if a.String() == name {
			return a, true
		}
	}
	return 0, false
}

// MarshalText implements encoding.TextMarshaler. The zero Audience has the empty name.
func (a Audience) MarshalText() ([]byte, error) {
	if a != 0 && !a.known() {
		return nil, fmt.Errorf("conversation: there is no audience %d", uint8(a))
	}
	return []byte(a.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. A name that this build does not
// know is read as the audit, the narrowest audience, so that nobody sees an event that was not meant for them.
func (a *Audience) UnmarshalText(name []byte) error {
	known, ok := ParseAudience(string(name))
	switch {
	case ok:
		*a = known
	case len(name) == 0:
		*a = 0
	default:
		*a = AudienceAudit
	}
	return nil
}
