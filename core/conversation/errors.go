package conversation

import "errors"

// ruleError is a refusal of Decide with its published code.
type ruleError struct{ code, text string }

func (e *ruleError) Error() string { return "conversation: " + e.text }

// Refusals of Decide. They may come wrapped with more detail; test with
// errors.Is. Their codes (see Code) are published and only grow.
var (
	// ErrEnded: the conversation has ended, or is concluded.
	ErrEnded error = &ruleError{"ended", "conversation has ended"}
	// ErrNotStarted: a command other than Start was given to a zero state.
	ErrNotStarted error = &ruleError{"not_started", "conversation has not started"}
	// ErrAlreadyStarted: Start was given to a conversation that exists.
	ErrAlreadyStarted error = &ruleError{"already_started", "conversation has already started"}
	// ErrNotJoined: the author or agent takes no part at present.
	ErrNotJoined error = &ruleError{"not_joined", "not taking part"}
	// ErrAlreadyJoined: the agent takes part already.
	ErrAlreadyJoined error = &ruleError{"already_joined", "already taking part"}
	// ErrOfferGone: the offer was accepted, declined, withdrawn, has expired, or was made to
	// another agent.
	ErrOfferGone error = &ruleError{"offer_gone", "offer is gone"}
	// ErrAlreadyOffered: the request is being offered to an agent.
	ErrAlreadyOffered error = &ruleError{"already_offered", "request is already offered"}
	// ErrAlreadyInvited: the target has a live invitation.
	ErrAlreadyInvited error = &ruleError{"already_invited", "target is already invited"}
	// ErrInvitePending: an agent wants End Chat while an invited agent has not answered (T5); ask
	// the agent, then send Leave with Queue, or CancelInvite first.
	ErrInvitePending error = &ruleError{"invite_pending", "an invitation is pending"}
	// ErrNoSuchRequest: no live routing request of that id.
	ErrNoSuchRequest error = &ruleError{"no_such_request", "no such routing request"}
	// ErrNoSuchMessage: no outgoing message with this id is followed, perhaps because it is too
	// old; or a reply, reaction, edit or revocation refers to a message that is not in this
	// conversation.
	ErrNoSuchMessage error = &ruleError{"no_such_message", "no such message"}
	// ErrNotAuthor: a message may be edited or revoked by its author only.
	ErrNotAuthor error = &ruleError{"not_author", "the message is somebody else's"}
	// ErrNoWrapup: the agent has no after-call work here.
	ErrNoWrapup error = &ruleError{"no_wrapup", "no wrap-up to finish"}
	// ErrDispositionNeeded: the service requires a disposition (R4).
	ErrDispositionNeeded error = &ruleError{"disposition_needed", "a disposition is needed"}
	// ErrNoService: the conversation belongs to no service, so it has no queue.
	ErrNoService error = &ruleError{"no_service", "conversation has no service to wait for"}
	// ErrUnsupported: the channel cannot carry a part of the message (X4).
	ErrUnsupported error = &ruleError{"unsupported", "the channel cannot carry this"}
	// ErrReplyWindow: the channel's reply window is over, so it takes only templates.
	ErrReplyWindow error = &ruleError{"reply_window", "the channel's reply window has closed"}
	// ErrOptedOut: the customer wants no more messages on this channel.
	ErrOptedOut error = &ruleError{"opted_out", "the customer has opted out"}
	// ErrTooManyUnsent: so many messages wait to be sent, or for a person to say what became of
	// them, that the state can follow no more.
	ErrTooManyUnsent error = &ruleError{"too_many_unsent", "too many messages are not sent yet"}
	// ErrNotUnknown: a person can settle a message only while its status is unknown.
	ErrNotUnknown error = &ruleError{"not_unknown", "the message's status is known"}
	// ErrParked: nobody takes part in the exchange at present.
	ErrParked error = &ruleError{"parked", "the exchange is parked"}
	// ErrCallActive: a call is active, so the conversation is neither parked nor queued again.
	ErrCallActive error = &ruleError{"call_active", "a call is active"}
	// ErrNoSuchSession: the conversation has no live call or tool with this id.
	ErrNoSuchSession error = &ruleError{"no_such_session", "no such session"}
	// ErrDenied: somebody of this kind, or in this mode, may not do this in a call (policy.go).
	ErrDenied error = &ruleError{"denied", "not allowed"}
	// ErrTooManySessions: the conversation has as many live calls and tools as it may have.
	ErrTooManySessions error = &ruleError{"too_many_sessions", "too many calls and tools at once"}
	// ErrInvalid: the command contradicts itself or lacks an id.
	ErrInvalid error = &ruleError{"invalid", "invalid command"}
)

// Code is the published code of a refusal, "" when err is nil or is none of
// Decide's.
func Code(err error) string {
	var e *ruleError
	if errors.As(err, &e) {
		return e.code
	}
	return ""
}
