package sms

import "time"

// NewSince returns a plugin that behaves as if it had run since the given time.
func NewSince(since time.Time) *Plugin {
	p := New()
	p.memory = newMemory(since)
	return p
}
