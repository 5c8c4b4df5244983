package plugin

import "errors"

// Errors by which Blobs, KV and Granter tell a plugin more than "internal". The
// last two are also how the host answers a webhook that is over its limit, or
// whose events could not be stored.
var (
	// ErrNotFound: no such blob, account or thread, or not the plugin's own.
	ErrNotFound = errors.New("not found")
	// ErrDenied: it belongs to somebody else.
	ErrDenied = errors.New("denied")
	// ErrTooLarge: it is over its limit.
	ErrTooLarge = errors.New("too large")
	// ErrNotDurable: it could not be stored now; it may come again (503).
	ErrNotDurable = errors.New("not durable")
)
