package sdk

import (
	"fmt"
	"io"
	"log/slog"
)

// mask is printed in place of a Secret.
const mask = "[secret]"

// Secret holds a credential. Printing or encoding it in any way gives a mask; only Reveal returns
// the value.
type Secret struct {
	value string
}

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the value. Pass it to the vendor's client and to nothing else.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

// String implements fmt.Stringer with the mask.
func (s Secret) String() string { return mask }

// GoString implements fmt.GoStringer with the mask.
func (s Secret) GoString() string { return mask }

// Format implements fmt.Formatter: every verb prints the mask.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// LogValue implements slog.LogValuer with the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText implements encoding.TextMarshaler with the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON implements json.Marshaler with the mask.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }
