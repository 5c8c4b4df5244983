package sdk

import (
	"context"
	"errors"
	"time"
)

// ErrBeginRefused is returned by Begin when the host does not allow the
// provider call any more, and when the Session was lost before its answer:
// do not send, return Retry.
var ErrBeginRefused = errors.New("begin refused")

// CommandInfo is common to all commands.
type CommandInfo struct {
	ID           CommandID // the same in every attempt
	Account      AccountID
	Thread       ThreadID
	Conversation ConversationID
	Attempt      uint32 // from 1
	// MaybeSent: an earlier attempt passed Begin and its outcome is not known.
	MaybeSent bool
	Deadline  time.Time // zero = none
}

// SendCommand is a message to the customer.
type SendCommand struct {
	CommandInfo
	MessageID         MessageID
	To                string // the customer's address
	Parts             []Part
	Author            string // display name
	ReplyToProviderID string // "" = no reply

	barrier func(ctx context.Context) error
}

// Begin is the barrier before a provider call which must not be repeated
// silently: it returns nil once the host knows that the message may be on
// its way. After any error nothing may be sent. It may be called more than
// once; only the first does something.
func (c *SendCommand) Begin(ctx context.Context) error {
	if c.barrier == nil {
		return nil
	}
	return c.barrier(ctx)
}

// LookupCommand asks what became of a message.
type LookupCommand struct {
	CommandInfo
	MessageID MessageID
}

// ProcessCommand brings a Deferred event back.
type ProcessCommand struct {
	CommandInfo
	Opaque []byte
}
