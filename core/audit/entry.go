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

// WithActor makes the changes that are done under the context the actor's.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Actions beside those that changes of records make ("user.created",
// "account.updated" ...). The list only grows.
const (
	Login               = "login"
	LoginFailed         = "login.failed"
	Logout              = "logout"
	PasswordChanged     = "password.changed"
	AccessDenied        = "access.denied"
	TranscriptRead      = "transcript.read"      // SPEC Z5: events of a conversation
	SummaryRead         = "summary.read"         // SPEC Z5: its name, number and state
	ConversationsListed = "conversations.listed" // SPEC Z5: the same of several
	FileRead            = "file.read"            // SPEC Z5: the address of an attachment
	RecordingRead       = "recording.read"       // SPEC Z5
	PluginChanged       = "plugin.changed"
)

// Entry is one line of the audit trail. It names records by id and
// fields by name and holds no content, no customer's data and no secret.
type Entry struct {
	Seq      int64     `json:"-"` // 1..n without holes
	At       time.Time `json:"-"` // UTC, milliseconds
	Actor    Actor     `json:"actor,omitzero"`
	Action   string    `json:"action"`
	Object   string    `json:"object,omitempty"` // kind of record
	ObjectID string    `json:"object_id,omitempty"`
	Objects  []string  `json:"objects,omitempty"` // ids: of a list's records, or of parts of the record
	Fields   []string  `json:"fields,omitempty"`
	Reason   string    `json:"reason,omitempty"` // a published code
}
