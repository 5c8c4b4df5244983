package sdk

import "time"

// Outcome is how an attempt ended.
type Outcome int

// Outcomes. The zero value is not an outcome: the SDK reports it as a failure of the plugin.
const (
	OutcomeSent Outcome = iota + 1
	OutcomeFailed
	OutcomeUnknown // the provider may or may not have got the message
)

// ErrorKind says whose fault a failure is, and thereby what can be done about it.
type ErrorKind int

// Kinds of failure.
const (
	KindTemporary ErrorKind = iota + 1
	KindThrottled
	KindAddress  // wrong, unreachable or opted-out recipient
	KindAuth     // the account's credentials
	KindContent  // the provider refuses this content
	KindInternal // the plugin's own fault
)

// Result is the outcome of one attempt.
type Result struct {
	Outcome     Outcome
	ProviderIDs []string // the provider's ids of all parts
	ErrorKind   ErrorKind
	Code        string // the provider's own code
	Text        string // the provider's own text; it must contain no message text and no addresses
	Retryable   bool
	RetryAfter  time.Duration // 0 = as the host schedules it
}

// Sent says that the provider has taken the message, under these ids.
func Sent(ids ...string) Result { return Result{Outcome: OutcomeSent, ProviderIDs: ids} }

// Failed says that the provider will never take the message.
func Failed(kind ErrorKind, code, text string) Result {
	return Result{Outcome: OutcomeFailed, ErrorKind: kind, Code: code, Text: text}
}

// Retry says that this attempt failed and another may succeed, but not before after has passed; 0 =
// as the host schedules it.
func Retry(kind ErrorKind, code, text string, after time.Duration) Result {
	r := Failed(kind, code, text)
	r.Retryable, r.RetryAfter = true, after
	return r
}

// Unknown says that the provider may or may not have got the message.
func Unknown(code, text string) Result {
	return Result{Outcome: OutcomeUnknown, Code: code, Text: text}
}
