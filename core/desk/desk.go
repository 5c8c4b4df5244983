package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/dispatch"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/readers"
)

// Errors of the desk, beside those of conversation, acd and messages. Errors of the log come wrapped.
var (
	// ErrNotFound: no such conversation.
	ErrNotFound = errors.New("no such conversation")
	// ErrNoService: there is no such service.
	ErrNoService = errors.New("account has no service")
	// ErrUnknownAgent: no such user, or disabled.
	ErrUnknownAgent = errors.New("no such agent")
	// ErrInvalid: the request contradicts itself or is out of bounds.
	ErrInvalid = messages.ErrInvalid
	// ErrTooLarge: a text is longer than can be kept.
	ErrTooLarge = messages.ErrTooLarge
	// ErrDenied: the agent has no right to this.
	ErrDenied = errors.New("not allowed")
)

// Conversations is what the desk asks of the router.
type Conversations interface {
	// Do carries out a step in a conversation and returns after the commit. Errors: those of the rules,
	// ErrNotFound, and those of the log.
	Do(ctx context.Context, conv conversation.ConversationID, s Step) (Outcome, error)
	// Attach looks up the attachments of a message that is about to be added, and returns those that no
	// message has named before.
	Attach(p *conversation.Post, conv conversation.ConversationID) ([]conversation.BlobID, error)
	// FillTemplates gives a message of parts the text of its templates, which are checked against those that
	// the provider of the conversation's account has approved. again makes a message of other parts. Nothing
	// changes if there is no template among parts.
	FillTemplates(p *conversation.Post, parts []conversation.Part, s *conversation.State, again func([]conversation.Part) (*conversation.Post, error)) error
	// Refused tells core/order that what an author sent was refused for now, if err means that.
	Refused(i *order.Item, err error)
	// Signal passes a signal on to a conversation's readers and, if its provider is told of such, to the
	// provider. It never blocks.
	Signal(s readers.Signal)
}

// Agents is what the desk needs of the agents' streams (agents.Keeper).
type Agents interface {
	// State is an agent's committed state, which must not be changed.
	State(id conversation.AgentID) *acd.AgentState
	// Command changes an agent's state and returns after the commit.
	Command(ctx context.Context, id conversation.AgentID, c acd.Command) error
}

// Directory is what the desk needs of the records.
type Directory interface {
	Snapshot() *directory.Snapshot
	// Contact is a known customer's record, or directory.ErrNotFound.
	Contact(ctx context.Context, id conversation.ContactID) (directory.Contact, error)
}

// Vault makes keys of clients' ids.
type Vault interface {
	MAC(purpose string, parts ...[]byte) [32]byte
}

// Log is what the desk needs of the log.
type Log interface {
	OutboxRow(ctx context.Context, command [16]byte) (eventlog.OutboxRow, error)
}

// Step is a command in a conversation. Its functions run in the conversation's mailbox, perhaps several
// times, with the state that the command is decided on.
type Step struct {
	From    order.Item // what the author has sent, where the author's order matters
	Command conversation.Command
	Check   func(*conversation.State) error         // nil: everybody may
	Decide  func(*conversation.State) (Plan, error) // makes the command, in place of Command and Check; nil: those
	Author  conversation.AgentID                    // whose client ids Keys are
	Keys    []eventlog.Key                          // client ids, bound to the step's message: a second step with one of them is the first
	Outbox  []eventlog.OutboxUpdate                 // written in the same append
}

// Plan is what a step does.
type Plan struct {
	Command conversation.Command  // nil: nothing
	Blobs   []conversation.BlobID // attachments that the command's message is the first to name
}

// Outcome tells where a step's events are in the log.
type Outcome struct {
	Conversation conversation.ConversationID
	Last         uint64 // sequence of its last event; 0: it had none
	Seen         uint64 // sequence of the last one that agents see; 0: none. What agents are answered, who must not learn that somebody listens (H3)
	Message      uint64 // sequence of its message or note, if any
	Duplicate    bool   // a key was bound before; Message is that event
}

// Options for New. All fields are needed.
type Options struct {
	Conversations Conversations
	Agents        Agents
	Directory     Directory
	Dispatch      *dispatch.Assigner
	Log           Log
	Messages      *messages.Maker
	Order         *order.Keeper
	Outbox        *outbox.Outbox
	Readers       *readers.Readers
	Vault         Vault
	Now           func() time.Time // the installation's time (core/clock)
	Running       context.Context  //nolint:containedctx // ends when the router stops; for reads in a mailbox
}

// Desk carries out what people ask for. Safe for concurrent use.
type Desk struct{ o Options }

// New makes a desk. It starts nothing.
func New(o Options) *Desk { return &Desk{o} }

func (d *Desk) user(id conversation.AgentID) (directory.User, error) {
	u, ok := d.o.Directory.Snapshot().User(id)
	if !ok || u.Disabled {
		return u, fmt.Errorf("desk: %w", ErrUnknownAgent)
	}
	return u, nil
}
