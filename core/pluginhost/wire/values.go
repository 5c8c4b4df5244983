package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/plugins/contract"
)

// Reasons for which something of a plugin is refused. Any other error of this package means that it
// is invalid.
var (
	// ErrUnsupported: a kind that this host does not know, or that the plugin did not declare.
	ErrUnsupported = errors.New("unsupported")
	// ErrTooLarge: larger than its limit.
	ErrTooLarge = errors.New("too large")
)

// errNotUTF8 marks an event whose thread or dedupe key had bytes replaced: the replacement might
// make two exchanges, or two messages, look like one.
var errNotUTF8 = errors.New("thread or dedupe key is not UTF-8")

// Code returns the published reason for which a plugin is told that an event was refused.
func Code(err error) string {
	switch {
	case errors.Is(err, ErrUnsupported):
		return "unsupported"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	default:
		return "invalid"
	}
}

func invalid(why string) error { return errors.New(why) }

// Limits of what a plugin may say, in bytes where nothing else is said.
const (
	maxField      = 4 << 10  // a name, an address, a line of text
	maxCode       = 256      // a provider's code, which is cut at this length
	maxJSON       = 64 << 10 // a panel's blocks, the values of its fields
	maxSealed     = 64 << 10 // the answer to a form
	maxComment    = 16 << 10 // what a customer says of a conversation
	maxLocale     = 64
	maxAttributes = 64 // number of attributes
	maxAttribute  = 128
	maxClientID   = 64
	maxActionName = 64
	maxDigits     = 128 // digits of one event or command
)

// within checks that no text has more than limit bytes.
func within(limit int, texts ...string) error {
	for _, s := range texts {
		if len(s) > limit {
			return fmt.Errorf("text of %d bytes, at most %d: %w", len(s), limit, ErrTooLarge)
		}
	}
	return nil
}

// name matches what stands unsealed in an event's head: the names of causes and actions.
var name = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// hostname matches a host's name or an IPv4 address.
var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// toCause converts the cause of an end. It stands unsealed in the log, so what is no plain name
// becomes "failed": the end itself must not be lost.
func toCause(s string) conversation.Cause {
	if s == "" || name.MatchString(s) {
		return conversation.Cause(s)
	}
	return conversation.CauseFailed
}

// toCode shortens a provider's code.
func toCode(s string) string {
	if len(s) <= maxCode {
		return s
	}
	n := maxCode
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// toObject checks a JSON object; "" is none.
func toObject(s string) (json.RawMessage, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxJSON {
		return nil, fmt.Errorf("JSON of %d bytes, at most %d: %w", len(s), maxJSON, ErrTooLarge)
	}
	if !strings.HasPrefix(strings.TrimLeft(s, jsonSpace), "{") || !json.Valid([]byte(s)) {
		return nil, invalid("want a JSON object")
	}
	return json.RawMessage(s), nil
}

const jsonSpace = " \t\r\n" // RFC 8259, 2

// toDigits checks DTMF digits.
func toDigits(s string) (string, error) {
	if err := within(maxDigits, s); err != nil {
		return "", err
	}
	if strings.Trim(s, "0123456789*#ABCD") != "" {
		return "", invalid("digits: want 0-9 * # A-D")
	}
	return s, nil
}

// IsMended reports whether the codec had to replace bytes of a text.
func IsMended(name string) bool { return strings.IndexByte(name, contract.Substitute) >= 0 }

// FromMicros converts a time of the contract; 0 is the zero time.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// ToMicros converts a time; the zero time is 0.
func ToMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// ParseCommandID reads the id of a command.
func ParseCommandID(s string) ([16]byte, error) {
	if len(s) != 36 {
		return [16]byte{}, errors.New("command id: want a UUID of 36 characters")
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return [16]byte{}, errors.New("command id: want a UUID of 36 characters")
	}
	return id, nil
}

// ParseID reads a required id into a variable, whose type is the id's type.
func ParseID[K any](id *conversation.ID[K], s string) error {
	if s == "" {
		return errors.New("id: empty")
	}
	return id.UnmarshalText([]byte(s))
}

// rawJSON makes any bytes fit for a JSON field: valid JSON stays unchanged, other bytes become a
// base64 string.
func rawJSON(b []byte) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	if json.Valid(b) {
		return b
	}
	text, err := json.Marshal(b)
	if err != nil { // encoding a []byte never fails
		return nil
	}
	return text
}
