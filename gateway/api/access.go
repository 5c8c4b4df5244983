package api

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// audienceOf is the circle that a user reads conversations in.
func audienceOf(id auth.Identity) conversation.Audience {
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

// readable is Info of a conversation that the user may read. For others the
// answer is that there is none.
func readable(ctx context.Context, r Router, id auth.Identity, conv conversation.ConversationID) (router.Info, error) {
	if conv.IsZero() {
		return router.Info{}, fault("not_found")
	}
	info, err := r.Info(ctx, conv)
	if err != nil {
		return info, err
	}
	if !mayRead(id, &info.State) {
		return router.Info{}, fault("not_found")
	}
	return info, nil
}

// auditRead notes that somebody who neither takes part nor keeps it reads a conversation
// (SPEC Z5).
func auditRead(ctx context.Context, records Records, id auth.Identity, s *conversation.State) error {
	if p := s.Participant(id.User); p != nil && p.State != conversation.Left || s.WaitsFor(id.User) {
		return nil
	}
	return records.Audit(ctx, directory.AuditEntry{
		Actor: directory.Actor{User: id.User, Via: "api"}, Action: directory.AuditTranscript, Object: "conversation", ObjectID: s.ID.String(),
	})
}

// takesPart reports whether the user has joined the conversation.
func takesPart(id auth.Identity, s *conversation.State) bool { return s.JoinedAgent(id.User) }
