package api

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Trail takes the audit trail's entries (directory.Directory).
type Trail interface {
	// Audit appends to the audit trail, durable on return.
	Audit(ctx context.Context, e directory.AuditEntry) error
}

// AudienceOf is the circle that a user reads conversations in.
func AudienceOf(id auth.Identity) conversation.Audience {
	if id.Role.Includes(directory.RoleSupervisor) {
		return conversation.AudienceSupervisor
	}
	return conversation.AudienceAgent
}

// mayRead reports whether a user may read a conversation: those who take or
// took part, the owner for whom it waits, and supervisors [ASVS 8.2.2].
func mayRead(id auth.Identity, s *conversation.State) bool {
	if id.Role.Includes(directory.RoleSupervisor) {
		return true
	}
	if s.Participant(id.User) != nil {
		return true
	}
	return s.WaitsFor(id.User)
}

// Readable is Info of a conversation that the user may read. For others the
// answer is that there is none.
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

// AuditRead notes that somebody reads of a conversation in which they take no
// part now (SPEC Z5); what a reading is, the action says. objects are the files
// read, if any. Who takes part, or keeps it while it is parked, reads as part of
// the work that the conversation's own log tells of.
//
// Whatever shows content, names or numbers of conversations calls this before it
// answers, and does not answer when it fails.
func AuditRead(ctx context.Context, trail Trail, id auth.Identity, s *conversation.State, action string, objects ...string) error {
	if takesPartOrKeeps(id, s) {
		return nil
	}
	e := directory.AuditEntry{Action: action, Object: "conversation", ObjectID: s.ID.String(), Objects: objects}
	if _, rest := auth.FromContext(ctx); !rest { // the actor of a request is in its context already
		e.Actor = directory.Actor{User: id.User, Via: "api"}
	}
	return trail.Audit(ctx, e)
}

// auditList notes which of a list's conversations somebody sees who takes no part in them.
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
	return trail.Audit(ctx, directory.AuditEntry{Action: directory.AuditListed, Object: "conversation", Objects: ids})
}

func takesPartOrKeeps(id auth.Identity, s *conversation.State) bool {
	p := s.Participant(id.User)
	return p != nil && p.State != conversation.Left || s.WaitsFor(id.User)
}

// takesPart reports whether the user has joined the conversation.
func takesPart(id auth.Identity, s *conversation.State) bool { return s.JoinedAgent(id.User) }
