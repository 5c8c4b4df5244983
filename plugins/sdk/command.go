package sdk

import (
	"context"
	"errors"
	"time"
)

// ErrBeginRefused is returned by Begin when the host no longer allows the call to the provider, or
// when the Session was lost before the host answered. Do not send then, and return Retry.
var ErrBeginRefused = errors.New("begin refused")

// CommandInfo is common to all commands.
type CommandInfo struct {
	ID           CommandID // the same at every attempt
	Account      AccountID
	Thread       ThreadID
	Conversation ConversationID
	Attempt      uint32 // from 1; may be lower than before after the gateway went down
	// MaybeSent: an earlier attempt passed Begin, and it is not known whether the provider got the
	// message.
	MaybeSent bool
	Deadline  time.Time // zero = there is none
}

// SendCommand asks to send a message to the customer.
type SendCommand struct {
	CommandInfo
	MessageID         MessageID
	To                string // the customer's address
	Parts             []Part
	Author            string // the author's display name
	ReplyToProviderID string // "" = not a reply

	barrier func(ctx context.Context) error
}

// Begin must be called before a call to the provider that must not be repeated unnoticed: it
// returns nil once the host knows that the message may be on its way. After any error nothing may
// be sent. It may be called more than once; only the first call asks the host.
func (c *SendCommand) Begin(ctx context.Context) error {
	if c.barrier == nil {
		return nil
	}
	return c.barrier(ctx)
}

// LookupCommand asks the provider what became of a message.
type LookupCommand struct {
	CommandInfo
	MessageID MessageID
}

// ProcessCommand hands back the raw input of a Deferred event.
type ProcessCommand struct {
	CommandInfo
	Opaque []byte
}
