package api

import (
	"context"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Trail is where the API writes entries of the audit trail (audit.Trail).
type Trail interface {
	// Append adds an entry, durable on return.
	Append(ctx context.Context, e audit.Entry) error
}

// AudienceOf is the audience as which a user reads conversations: it decides which events they see.
func AudienceOf(id auth.Identity) conversation.Audience {
	if id.Role.Includes(directory.RoleSupervisor) {
		return conversation.AudienceSupervisor
	}
	return conversation.AudienceAgent
}

// mayRead reports whether a user may read a conversation: agents who take part or took part in it,
// the owner of a parked one, and supervisors [ASVS 8.2.2].
func mayRead(id auth.Identity, s *conversation.State) bool {
	if id.Role.Includes(directory.RoleSupervisor) {
		return true
	}
	if s.Participant(id.User) != nil {
		return true
	}
	return s.WaitsFor(id.User)
}

// Readable returns Info of a conversation that the user may read. If they may not, the fault is
// not_found, so that nobody learns that the conversation exists.
func Readable(ctx context.Context, r Router, id auth.Identity, conv conversation.ConversationID) (router.Info, error) {
	if conv.IsZero() {
		return router.Info{}, NewFault("not_found")
	}
	info, err := r.Info(ctx, conv)
	if err != nil {
		return info, err
	}
	if !mayRead(id, &info.State) {
		return router.Info{}, NewFault("not_found")
	}
	return info, nil
}

// AuditRead writes into the audit trail that a user reads a conversation in which they take no part
// now (SPEC Z5); action says how they read it, objects name the files read, if any. A reading by
// somebody who takes part, or owns the conversation while it is parked, needs no entry: the
// conversation's own log shows their work.
//
// Every handler that shows content, names or numbers of conversations calls AuditRead before it
// answers, and does not answer when it fails.
func AuditRead(ctx context.Context, trail Trail, id auth.Identity, s *conversation.State, action string, objects ...string) error {
	if takesPartOrKeeps(id, s) {
		return nil
	}
	e := audit.Entry{Action: action, Object: "conversation", ObjectID: s.ID.String(), Objects: objects}
	if _, rest := auth.FromContext(ctx); !rest { // a REST request's actor is already in its context
		e.Actor = audit.Actor{User: id.User, Via: "api"}
	}
	return trail.Append(ctx, e)
}

// auditList writes one audit entry that names those conversations of a list in which the reader
// takes no part.
func auditList(ctx context.Context, trail Trail, id auth.Identity, list []conversation.State) error {
	var ids []string
	for i := range list {
		if !takesPartOrKeeps(id, &list[i]) {
			ids = append(ids, list[i].ID.String())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return trail.Append(ctx, audit.Entry{Action: audit.ConversationsListed, Object: "conversation", Objects: ids})
}

func takesPartOrKeeps(id auth.Identity, s *conversation.State) bool {
	p := s.Participant(id.User)
	return p != nil && p.State != conversation.Left || s.WaitsFor(id.User)
}

// speaksAsSupervisor reports whether the user is a supervisor who says something there: to agents
// (coach) or to everybody (barge).
func speaksAsSupervisor(id auth.Identity, s *conversation.State) bool {
	m := s.ModeOf(id.User)
	return id.Role.Includes(directory.RoleSupervisor) && (m == conversation.ModeCoach || m == conversation.ModeBarge)
}

// takesPart reports whether the user has joined the conversation.
func takesPart(id auth.Identity, s *conversation.State) bool { return s.JoinedAgent(id.User) }
