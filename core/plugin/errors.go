package plugin

import "errors"

// Errors of Blobs, KV and Granter that a plugin is told as such; any other error is "internal" to
// it. The host also answers with the last two: a webhook that is over its limit, or whose events
// could not be stored.
var (
	// ErrNotFound: there is no such blob, account or thread, or it is not the plugin's own.
	ErrNotFound = errors.New("not found")
	// ErrDenied: the thing belongs to another plugin or account.
	ErrDenied = errors.New("denied")
	// ErrTooLarge: the data is larger than its limit.
	ErrTooLarge = errors.New("too large")
	// ErrNotDurable: the data could not be stored now; the caller may try again (503).
	ErrNotDurable = errors.New("not durable")
)
