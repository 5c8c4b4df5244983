package stream

import (
	"context"
	"maps"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
)

// run carries out one command; when it returns, the change is durable.
type run func(ctx context.Context, s *Stream, id auth.Identity, raw []byte) (ackFrame, error)

// command makes a run of fn: it decodes the command strictly into a T first.
func command[T any](fn func(ctx context.Context, s *Stream, id auth.Identity, c T) (ackFrame, error)) run {
	return func(ctx context.Context, s *Stream, id auth.Identity, raw []byte) (ackFrame, error) {
		var c T
		if err := decodeStrict(raw, &c); err != nil {
			return ackFrame{}, err
		}
		return fn(ctx, s, id, c)
	}
}

// commands are the commands that an agent can give over the socket, by name.
func commands() map[string]run {
	all := map[string]run{
		"ready": command(func(ctx context.Context, s *Stream, id auth.Identity, _ plainCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.Ready(ctx, id.User)
		}),
		"not_ready": command(func(ctx context.Context, s *Stream, id auth.Identity, c notReadyCmd) (ackFrame, error) {
			if len(c.Reason) > 64 {
				return ackFrame{}, api.NewFault("invalid", api.Detail{Where: "reason", Problem: "must be at most 64 bytes"})
			}
			return ackFrame{}, s.opts.Router.NotReady(ctx, id.User, c.Reason)
		}),
		"logout": command(func(ctx context.Context, s *Stream, id auth.Identity, _ plainCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.Logout(ctx, id.User)
		}),
		"accept": command(func(ctx context.Context, s *Stream, id auth.Identity, c offerCmd) (ackFrame, error) {
			conv, seq, err := s.opts.Router.Accept(ctx, id.User, c.Offer)
			return ackFrame{Conversation: &conv, Seq: seq}, err
		}),
		"reject": command(func(ctx context.Context, s *Stream, id auth.Identity, c offerCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.Reject(ctx, id.User, c.Offer)
		}),
		"send": command(func(ctx context.Context, s *Stream, id auth.Identity, c sendCmd) (ackFrame, error) {
			sent, err := api.SendMessage(ctx, s.opts.Router, id, c.Conversation, c.ClientID, c.Parts, c.ReplyTo)
			return ackFrame{Message: &sent.Message, Seq: sent.Seq}, err
		}),
		"mark": command(func(ctx context.Context, s *Stream, id auth.Identity, c markCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.Mark(ctx, id.User, c.Conversation, c.Delivered, c.Read)
		}),
		"end": command(func(ctx context.Context, s *Stream, id auth.Identity, c endCmd) (ackFrame, error) {
			seq, err := s.opts.Router.Leave(ctx, id.User, c.Conversation, c.Queue)
			return ackFrame{Seq: seq}, err
		}),
		"wrapup": command(func(ctx context.Context, s *Stream, id auth.Identity, c wrapupCmd) (ackFrame, error) {
			if len(c.Notes) > api.MaxText || len(c.Disposition) > 64 {
				return ackFrame{}, api.NewFault("too_large")
			}
			seq, err := s.opts.Router.FinishWrapup(ctx, id.User, c.Conversation, c.Disposition, c.Notes)
			return ackFrame{Seq: seq}, err
		}),
		"invite": command(func(ctx context.Context, s *Stream, id auth.Identity, c inviteCmd) (ackFrame, error) {
			if !validTarget(c.Target) {
				return ackFrame{}, api.NewFault("invalid", api.Detail{Where: "target", Problem: "must be an agent, a service or a directory entry, with its id"})
			}
			req, err := s.opts.Router.Invite(ctx, id.User, c.Conversation, c.Target, c.Transfer)
			return ackFrame{Request: &req}, err
		}),
		"cancel_invite": command(func(ctx context.Context, s *Stream, id auth.Identity, c cancelInviteCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.CancelInvite(ctx, id.User, c.Conversation, c.Request)
		}),
		"flag": command(func(ctx context.Context, s *Stream, id auth.Identity, c flagCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.SetFlag(ctx, id.User, c.Conversation, c.On)
		}),
		"link_contact": command(func(ctx context.Context, s *Stream, id auth.Identity, c linkContactCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.LinkContact(ctx, id.User, c.Conversation, c.Contact)
		}),
	}
	maps.Copy(all, textCommands())
	maps.Copy(all, supervisionCommands())
	return all
}

// CommandNames are the names of all commands.
func CommandNames() []string { return slices.Sorted(maps.Keys(commands())) }

func validTarget(t conversation.Target) bool {
	switch t.Kind {
	case conversation.TargetAgent:
		return !t.Agent.IsZero() && t.Service.IsZero()
	case conversation.TargetService, conversation.TargetDirectory:
		return !t.Service.IsZero() && t.Agent.IsZero()
	}
	return false
}
