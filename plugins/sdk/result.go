package sdk

import "time"

// Outcome is how an attempt ended.
type Outcome int

// Outcomes. The zero value is no outcome: the SDK reports it as a failure of
// the plugin.
const (
	OutcomeSent Outcome = iota + 1
	OutcomeFailed
	OutcomeUnknown // the provider may or may not have it
)

// ErrorKind says whose fault a failure is and so what may help.
type ErrorKind int

// Kinds of failure.
const (
	KindTemporary ErrorKind = iota + 1
	KindThrottled
	KindAddress  // wrong, unreachable or opted-out recipient
	KindAuth     // our credentials
	KindContent  // the provider refuses the message as such
	KindInternal // the plugin's own fault
)

// Result is the outcome of one attempt.
type Result struct {
	Outcome     Outcome
	ProviderIDs []string // of all parts
	ErrorKind   ErrorKind
	Code        string // the provider's own
	Text        string // the provider's own; no message text, no addresses
	Retryable   bool
	RetryAfter  time.Duration // 0 = the host's schedule
}

// Sent says that the provider took the message, under ids.
func Sent(ids ...string) Result { return Result{Outcome: OutcomeSent, ProviderIDs: ids} }

// Failed says that it will never take the message.
func Failed(kind ErrorKind, code, text string) Result {
	return Result{Outcome: OutcomeFailed, ErrorKind: kind, Code: code, Text: text}
}

// Retry says that this attempt failed and that another may succeed, not
// before after has passed; 0 = by the host's schedule.
func Retry(kind ErrorKind, code, text string, after time.Duration) Result {
	r := Failed(kind, code, text)
	r.Retryable, r.RetryAfter = true, after
	return r
}

// Unknown says that the provider may or may not have the message.
func Unknown(code, text string) Result {
	return Result{Outcome: OutcomeUnknown, Code: code, Text: text}
}
