package sms

import "time"

// NewSince returns a plugin that has run since a time.
func NewSince(since time.Time) *Plugin {
	p := New()
	p.memory = newMemory(since)
	return p
}
