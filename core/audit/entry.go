package audit

import (
	"context"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Actor says who does something, for the audit trail.
type Actor struct {
	User conversation.AgentID `json:"user,omitzero"`
	Via  string               `json:"via,omitempty"` // "api", "cli" ...; "" means the system itself
	IP   string               `json:"ip,omitempty"`
}

type actorKey struct{}

// WithActor returns a context under which all changes are recorded as the actor's.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Actions of entries, besides those of changes of records ("user.created", "account.updated" ...).
// The list only grows.
const (
	Login               = "login"
	LoginFailed         = "login.failed"
	Logout              = "logout"
	PasswordChanged     = "password.changed"
	AccessDenied        = "access.denied"
	TranscriptRead      = "transcript.read"      // SPEC Z5: events of a conversation were read
	SummaryRead         = "summary.read"         // SPEC Z5: the name, number and state of a conversation's customer were read
	ConversationsListed = "conversations.listed" // SPEC Z5: the same of several conversations was read
	FileRead            = "file.read"            // SPEC Z5: the address of an attachment was read
	RecordingRead       = "recording.read"       // SPEC Z5
	PluginChanged       = "plugin.changed"
	Supervised          = "conversation.supervised" // SPEC H4: a supervisor asked to listen, coach or barge in, or to leave; the reason is the mode, or "left"
)

// Entry is one line of the audit trail. It names records by id and fields by name, and holds no
// content, no data of customers and no secret.
type Entry struct {
	Seq      int64     `json:"-"` // numbered from 1 without gaps
	At       time.Time `json:"-"` // UTC, milliseconds
	Actor    Actor     `json:"actor,omitzero"`
	Action   string    `json:"action"`
	Object   string    `json:"object,omitempty"` // kind of the record
	ObjectID string    `json:"object_id,omitempty"`
	Objects  []string  `json:"objects,omitempty"` // ids of the records in a list, or of parts of the record
	Fields   []string  `json:"fields,omitempty"`
	Reason   string    `json:"reason,omitempty"` // a published code
}
