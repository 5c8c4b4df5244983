package router

import (
	"errors"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/agents"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/desk"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// Errors of the router. Refusals by the rules are errors of conversation and acd; see Code. Errors
// of the log (eventlog.ErrFull ...) come wrapped.
var (
	// ErrNotFound: no such conversation.
	ErrNotFound = desk.ErrNotFound
	// ErrUnknownAccount: no such account, or it belongs to another plugin.
	ErrUnknownAccount = errors.New("no such account")
	// ErrNoService: the account has no target that takes conversations.
	ErrNoService = desk.ErrNoService
	// ErrUnknownAgent: no such user, or disabled.
	ErrUnknownAgent = desk.ErrUnknownAgent
	// ErrInvalid: the request contradicts itself or is out of bounds.
	ErrInvalid = messages.ErrInvalid
	// ErrTooLarge: a message is longer than can be kept.
	ErrTooLarge = messages.ErrTooLarge
	// ErrNoSuchTemplate: the account's provider has no such template, as far as this node knows.
	ErrNoSuchTemplate = messages.ErrNoSuchTemplate
	// ErrTemplateStatus: the provider has not approved the template.
	ErrTemplateStatus = messages.ErrTemplateStatus
	// ErrTemplateValues: the values do not fit the template.
	ErrTemplateValues = messages.ErrTemplateValues
	// ErrDenied: the agent has no right to this.
	ErrDenied = desk.ErrDenied
	// ErrNoSender: there is no account from which the agent could begin the exchange.
	ErrNoSender = errors.New("no account to send from")
	// ErrInvalidAddress: the text is not an address of the channel's kind.
	ErrInvalidAddress = errors.New("invalid address")
	// ErrNewer: a node of a newer version keeps the conversation or agent. This node would drop
	// what it does not know, so it writes nothing to the stream (DESIGN.md 3), but still shows what
	// it can read. The error's code is "unavailable": another node, or this one when it has been
	// upgraded, takes the command.
	ErrNewer = agents.ErrNewer
	// ErrStopped: the router is stopping; nothing was done.
	ErrStopped = agents.ErrStopped
)

// Code is the published code of an error: one of the rules' codes, or
// "not_found", "unknown_account", "no_service", "unknown_agent", "invalid",
// "too_large", "denied", "no_sender", "invalid_address", "thread_open",
// "no_such_template", "template_not_approved", "template_values", "unavailable". "" for nil.
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
	if c := sessionCode(err); c != "" {
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
		ErrNoSuchTemplate: "no_such_template", ErrTemplateStatus: "template_not_approved", ErrTemplateValues: "template_values",
	} {
		if errors.Is(err, e) {
			return c
		}
	}
	return "unavailable"
}

// refusal reports whether err refuses what was asked for, by whatever rule, and is no failure of the
// store. What is refused now may have been done before, or be allowed in a state that is not known here.
func refusal(err error) bool {
	return err != nil && Code(err) != "unavailable" || errors.Is(err, sessionwork.ErrUnavailable)
}

// errBehind refuses an item because an earlier item of the same author was refused for now and has
// not come again. Its code is "unavailable": try again later.
var errBehind = errors.New("router: an earlier one of the same author comes first")

// note tells core/order that s was refused for now, if err means that the author sends s again.
func (r *Router) note(s *order.Item, err error) {
	if temporary(err) {
		r.order.Refused(s)
	}
}

// temporary reports whether err makes an author try again because of the store. An item that goes
// to another conversation, or that waits behind an earlier item, does not count as refused.
func temporary(err error) bool {
	return err != nil && Code(err) == "unavailable" && !elsewhere(err) && !errors.Is(err, ErrStopped) && !errors.Is(err, errBehind)
}
