package conversation

import "fmt"

// Audience is the widest circle that may see an event. The circles are nested: a bot
// sees what the customer sees, an agent what bots see, a supervisor what agents see,
// the audit everything. One event is for one circle (DESIGN.md 3). The zero Audience
// is none. In JSON an audience is its name.
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

// Sees reports whether a reader of circle a may see an event of circle e.
func (a Audience) Sees(e Audience) bool { return e <= a }

func (a Audience) known() bool { return a >= AudienceCustomer && a <= AudienceAudit }

// or is the circle that an event names itself, or else that of its type.
func (a Audience) or(t Type) Audience {
	if a.known() {
		return a
	}
	return types[t].audience
}

// String is the name of the circle, "" of none.
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

// ParseAudience finds a circle by its name; ok is false when there is none.
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

// UnmarshalText implements encoding.TextUnmarshaler. A circle that this build does not
// know becomes the narrowest, the audit: nobody sees more than was meant for them.
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
