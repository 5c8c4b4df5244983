package stream

import (
	"context"
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
)

// What agents do on store-and-forward channels: begin exchanges (N1, N2), join them (N6, N17),
// settle messages of unknown status (PR4), and see what waits in Recent (O1, O2).

type textCmd struct {
	frameHeader
	Service  conversation.ServiceID `json:"service,omitzero"`
	Account  conversation.AccountID `json:"account,omitzero"`
	To       string                 `json:"to"`
	Parts    []conversation.Part    `json:"parts,omitempty"`
	ClientID string                 `json:"client_id,omitempty"`
}

type joinCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
}

type settleCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Message      conversation.MessageID      `json:"message"`
	Outcome      conversation.Outcome        `json:"outcome"`
}

// maxAddress bounds an address that an agent types, in bytes.
const maxAddress = 64

func textCommands() map[string]run {
	return map[string]run{
		"text": command(beginText),
		"join": command(func(ctx context.Context, s *Stream, id auth.Identity, c joinCmd) (ackFrame, error) {
			if c.Conversation.IsZero() {
				return ackFrame{}, api.NewFault("not_found")
			}
			seq, err := s.opts.Router.Join(ctx, id.User, c.Conversation)
			return ackFrame{Seq: seq}, err
		}),
		"settle": command(func(ctx context.Context, s *Stream, id auth.Identity, c settleCmd) (ackFrame, error) {
			switch {
			case c.Conversation.IsZero() || c.Message.IsZero():
				return ackFrame{}, api.NewFault("not_found")
			case c.Outcome != conversation.OutcomeSent && c.Outcome != conversation.OutcomeFailed && c.Outcome != conversation.OutcomeResend:
				return ackFrame{}, api.NewFault("invalid", api.Detail{Where: "outcome", Problem: "must be sent, failed or resend"})
			}
			seq, err := s.opts.Router.SettleMessage(ctx, id.User, c.Conversation, c.Message, c.Outcome)
			return ackFrame{Seq: seq}, err
		}),
		"recent_seen": command(func(ctx context.Context, s *Stream, id auth.Identity, _ plainCmd) (ackFrame, error) {
			return ackFrame{}, s.opts.Router.RecentSeen(ctx, id.User)
		}),
	}
}

// beginText begins an exchange with a number (N2).
func beginText(ctx context.Context, s *Stream, id auth.Identity, c textCmd) (ackFrame, error) {
	switch {
	case !id.Has(directory.PrivilegeSMS):
		return ackFrame{}, api.NewFault("denied")
	case c.To == "" || len(c.To) > maxAddress:
		return ackFrame{}, api.NewFault("invalid_address")
	case len(c.ClientID) > api.MaxClientID:
		return ackFrame{}, api.NewFault("invalid", api.Detail{Where: "client_id", Problem: "must be at most 64 bytes"})
	}
	var parts []conversation.Part
	if len(c.Parts) > 0 {
		var err error
		if parts, err = api.CleanParts(c.Parts); err != nil {
			return ackFrame{}, err
		}
	}
	out, err := s.opts.Router.StartOutbound(ctx, router.OutboundRequest{
		Agent: id.User, Service: c.Service, Account: c.Account, To: c.To, Parts: parts, ClientID: c.ClientID,
	})
	ack := ackFrame{Conversation: &out.Conversation, Seq: out.Seq}
	if !out.Message.IsZero() {
		ack.Message = &out.Message
	}
	return ack, err
}

// threadOpenView is what the error thread_open says of the exchange that is open (N17).
type threadOpenView struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Owner        *api.AgentRef               `json:"owner"`
	Joinable     bool                        `json:"joinable"`
}

// threadOpen describes the open exchange of a fault thread_open; nil for all other faults.
func (s *Stream) threadOpen(f *api.Fault) *threadOpenView {
	open, ok := errors.AsType[*router.ThreadOpenError](f)
	if !ok {
		return nil
	}
	v := &threadOpenView{Conversation: open.Conversation, Joinable: open.Joinable}
	if !open.Owner.IsZero() {
		u, _ := s.opts.Records.Snapshot().User(open.Owner)
		v.Owner = &api.AgentRef{ID: open.Owner, Name: u.Name}
	}
	return v
}

type recentFrame struct {
	T      string       `json:"t"`
	Unread int          `json:"unread"`
	Items  []recentItem `json:"items"`
}

type recentItem struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Unread       int                         `json:"unread"`
	At           time.Time                   `json:"at"`
}

// recent appends a frame with what waits in the agent's Recent now (O1, O2).
func (v *view) recent(buf []byte) []byte {
	rec := v.k.s.opts.Router.Recent(v.k.s.ctx, v.k.id.User)
	f := recentFrame{T: "recent", Unread: rec.Unread, Items: make([]recentItem, 0, min(len(rec.Items), maxRecent))}
	for _, i := range rec.Items[:min(len(rec.Items), maxRecent)] {
		f.Items = append(f.Items, recentItem{Conversation: i.Conversation, Unread: i.Unread, At: i.At.UTC()})
	}
	return appendJSON(buf, f)
}

// maxRecent bounds the exchanges that a recent frame lists; its unread count covers all.
const maxRecent = 200
