package router

import (
	"errors"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/agents"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
)

// Errors of the router. Refusals by the rules are those of conversation and
// acd; see Code. What the log says (eventlog.ErrFull ...) comes wrapped.
var (
	// ErrNotFound: no such conversation.
	ErrNotFound = errors.New("no such conversation")
	// ErrUnknownAccount: no such account, or another plugin's.
	ErrUnknownAccount = errors.New("no such account")
	// ErrNoService: the account has no target that takes conversations.
	ErrNoService = errors.New("account has no service")
	// ErrUnknownAgent: no such user, or disabled.
	ErrUnknownAgent = errors.New("no such agent")
	// ErrInvalid: the request contradicts itself or is out of bounds.
	ErrInvalid = messages.ErrInvalid
	// ErrTooLarge: a message is longer than can be kept.
	ErrTooLarge = messages.ErrTooLarge
	// ErrDenied: the agent has no right to this.
	ErrDenied = errors.New("not allowed")
	// ErrNoSender: there is no account from which the agent could begin this.
	ErrNoSender = errors.New("no account to send from")
	// ErrInvalidAddress: not an address of the channel's kind.
	ErrInvalidAddress = errors.New("invalid address")
	// ErrNewer: the conversation or agent is kept by a node of a newer version. This
	// one would drop what it does not know, so it leaves it alone (DESIGN.md 3);
	// what it can read it still shows. Its code is "unavailable": another node,
	// or this one when it has been upgraded, takes the command.
	ErrNewer = agents.ErrNewer
	// ErrStopped: the router is stopping; nothing was done.
	ErrStopped = agents.ErrStopped
)

// Code is the published code of an error: one of the rules' codes, or
// "not_found", "unknown_account", "no_service", "unknown_agent", "invalid",
// "too_large", "denied", "no_sender", "invalid_address", "thread_open",
// "unavailable". "" for nil.
func Code(err error) string {
	if err == nil {
		return ""
	}
	if c := conversation.Code(err); c != "" {
		return c
	}
	if c := acd.Code(err); c != "" {
		return c
	}
	var open *ThreadOpenError
	if errors.As(err, &open) {
		return "thread_open"
	}
	for e, c := range map[error]string{
		ErrNotFound: "not_found", ErrUnknownAccount: "unknown_account", ErrNoService: "no_service",
		ErrUnknownAgent: "unknown_agent", ErrInvalid: "invalid", ErrTooLarge: "too_large",
		ErrDenied: "denied", ErrNoSender: "no_sender", ErrInvalidAddress: "invalid_address",
	} {
		if errors.Is(err, e) {
			return c
		}
	}
	return "unavailable"
}

// errBehind answers what its author has sent after something that was refused
// for now and has not come again. Its code is "unavailable": try again later.
var errBehind = errors.New("router: an earlier one of the same author comes first")

// note records err as the end of s's stay, if it means that s comes again.
func (r *Router) note(s *order.Item, err error) {
	if temporary(err) {
		r.order.Refused(s)
	}
}

// temporary reports whether an author is told to try again, for the store's sake.
// What goes to another conversation, or waits behind another, is not refused.
func temporary(err error) bool {
	return err != nil && Code(err) == "unavailable" && !elsewhere(err) && !errors.Is(err, ErrStopped) && !errors.Is(err, errBehind)
}
