package conversation

import (
	"database/sql/driver"
	"fmt"

	"github.com/google/uuid"
)

// ID is a typed UUIDv7: 16 bytes in the database, the canonical lower-case text form (RFC 9562
// section 4) in JSON and logs. The type parameter stops the compiler from mixing up ids of
// different things; it has no meaning at run time. The zero ID means "none" and encodes as the
// empty string.
type ID[K any] [16]byte

// The kinds of ids. They exist for the type checker only.
type (
	kindConversation struct{}
	kindAgent        struct{}
	kindService      struct{}
	kindAccount      struct{}
	kindTeam         struct{}
	kindContact      struct{}
	kindMessage      struct{}
	kindRequest      struct{}
	kindOffer        struct{}
	kindBlob         struct{}
	kindSession      struct{}
	kindLeg          struct{}
)

// Typed ids, each unique in the whole installation.
type (
	// ConversationID names a conversation; it is also its stream in the log.
	ConversationID = ID[kindConversation]
	// AgentID names a user who handles conversations; it is also the
	// agent's stream in the log and the user's id in the directory.
	AgentID = ID[kindAgent]
	// ServiceID names a service that customers contact: a queue and its settings.
	ServiceID = ID[kindService]
	// AccountID names one configured endpoint of a channel plugin. Refused events are logged on the
	// stream of the same id.
	AccountID = ID[kindAccount]
	// TeamID names a team of agents.
	TeamID = ID[kindTeam]
	// ContactID names a known customer.
	ContactID = ID[kindContact]
	// MessageID names a message within the installation.
	MessageID = ID[kindMessage]
	// RequestID names a routing request within the installation.
	RequestID = ID[kindRequest]
	// OfferID names one presentation of a request to one agent.
	OfferID = ID[kindOffer]
	// SessionID names a call or a tool inside a conversation.
	SessionID = ID[kindSession]
	// LegID names one party's part in a call.
	LegID = ID[kindLeg]
	// BlobID names an attachment.
	BlobID = ID[kindBlob]
)

// NewID makes a fresh UUIDv7 of the asked type: NewID[MessageID](). It reads the
// clock and the system's random source: callers of Decide make ids and put them
// into commands, Decide itself never calls it.
func NewID[T ~[16]byte]() T { return T(uuid.Must(uuid.NewV7())) }

// UnmarshalText reads the canonical text form. The empty string is
// the zero ID.
func (id *ID[K]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID[K]{}
		return nil
	}
	u, err := uuid.ParseBytes(b)
	if err != nil || len(b) != 36 {
		return fmt.Errorf("id: want a UUID of 36 characters")
	}
	*id = ID[K](u)
	return nil
}

// ParseID reads the canonical text form of an id: ParseID[MessageID](s). An
// empty string is an error.
func ParseID[T ~[16]byte](s string) (T, error) {
	var id ID[kindMessage]
	if s == "" {
		return T{}, fmt.Errorf("id: empty")
	}
	err := id.UnmarshalText([]byte(s))
	return T(id), err
}

// MarshalText writes the canonical text form, or nothing for the zero ID.
func (id ID[K]) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return []byte{}, nil
	}
	return uuid.UUID(id).MarshalText()
}

// String is the canonical text form, "" for the zero ID.
func (id ID[K]) String() string {
	if id.IsZero() {
		return ""
	}
	return uuid.UUID(id).String()
}

// IsZero reports whether id is the zero ID, which means "none".
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// Value stores the id as 16 bytes (database/sql/driver.Valuer); nil for zero.
func (id ID[K]) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id[:], nil
}

// Scan reads 16 bytes or NULL (database/sql.Scanner).
func (id *ID[K]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*id = ID[K]{}
		return nil
	case []byte:
		if len(v) != 16 {
			return fmt.Errorf("id: want 16 bytes, got %d", len(v))
		}
		copy(id[:], v)
		return nil
	default:
		return fmt.Errorf("id: cannot scan %T", src)
	}
}
