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
	// ErrNotStarted: a command other than Start to a zero state.
	ErrNotStarted error = &ruleError{"not_started", "conversation has not started"}
	// ErrAlreadyStarted: Start to a conversation that exists.
	ErrAlreadyStarted error = &ruleError{"already_started", "conversation has already started"}
	// ErrNotJoined: the author or agent takes no part at present.
	ErrNotJoined error = &ruleError{"not_joined", "not taking part"}
	// ErrAlreadyJoined: the agent takes part already.
	ErrAlreadyJoined error = &ruleError{"already_joined", "already taking part"}
	// ErrOfferGone: the offer was accepted, declined, withdrawn, expired, or is
	// another agent's.
	ErrOfferGone error = &ruleError{"offer_gone", "offer is gone"}
	// ErrAlreadyOffered: the request is being offered to somebody.
	ErrAlreadyOffered error = &ruleError{"already_offered", "request is already offered"}
	// ErrAlreadyInvited: the target has a live invitation.
	ErrAlreadyInvited error = &ruleError{"already_invited", "target is already invited"}
	// ErrInvitePending: End Chat while an invited agent has not answered (T5);
	// ask the agent, then send Leave with Queue, or CancelInvite first.
	ErrInvitePending error = &ruleError{"invite_pending", "an invitation is pending"}
	// ErrNoSuchRequest: no live routing request of that id.
	ErrNoSuchRequest error = &ruleError{"no_such_request", "no such routing request"}
	// ErrNoSuchMessage: not an outgoing message whose status is followed, or one so
	// old that it no longer is; or a reply, reaction, edit or revocation of what is no
	// message of this conversation.
	ErrNoSuchMessage error = &ruleError{"no_such_message", "no such message"}
	// ErrNotAuthor: only its author edits or revokes a message.
	ErrNotAuthor error = &ruleError{"not_author", "the message is somebody else's"}
	// ErrNoWrapup: the agent has no after-call work here.
	ErrNoWrapup error = &ruleError{"no_wrapup", "no wrap-up to finish"}
	// ErrDispositionNeeded: the service wants a disposition (R4).
	ErrDispositionNeeded error = &ruleError{"disposition_needed", "a disposition is needed"}
	// ErrNoService: the conversation belongs to no service, so it has no queue.
	ErrNoService error = &ruleError{"no_service", "conversation has no service to wait for"}
	// ErrUnsupported: the channel cannot carry a part of the message (X4).
	ErrUnsupported error = &ruleError{"unsupported", "the channel cannot carry this"}
	// ErrReplyWindow: the channel takes only templates by now.
	ErrReplyWindow error = &ruleError{"reply_window", "the channel's reply window has closed"}
	// ErrOptedOut: the customer wants no more messages on this channel.
	ErrOptedOut error = &ruleError{"opted_out", "the customer has opted out"}
	// ErrTooManyUnsent: so many messages wait to be sent, or for somebody to say
	// what became of them, that no more can be followed.
	ErrTooManyUnsent error = &ruleError{"too_many_unsent", "too many messages are not sent yet"}
	// ErrNotUnknown: only a message whose status is unknown is settled by hand.
	ErrNotUnknown error = &ruleError{"not_unknown", "the message's status is known"}
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
