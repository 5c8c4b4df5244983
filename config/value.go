package config

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Secret is a value that is printed only as a mask. The zero Secret is unset.
type Secret struct{ value string }

// NewSecret wraps a value.
func NewSecret(v string) Secret { return Secret{v} }

// Reveal returns the value. Only the code that needs the value calls it.
func (s Secret) Reveal() string { return s.value }

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.value != "" }

// String prints a mask (fmt.Stringer).
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "********"
}

// GoString prints a mask with %#v too.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue prints a mask in logs (slog.LogValuer).
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText prints a mask in JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Seconds is a duration, written as 8s, 1h30m or a number of seconds.
type Seconds time.Duration

// Duration returns it as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// String returns the form that the configuration file uses.
func (s Seconds) String() string { return time.Duration(s).String() }

// MarshalText returns the form that the configuration file uses.
func (s Seconds) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func parseSeconds(text string) (Seconds, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return Seconds(n * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("want a duration such as 8s or 1h30m")
	}
	return Seconds(d), nil
}
