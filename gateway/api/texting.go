package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// What agents do with store-and-forward channels: begin exchanges (N1, N2), take
// them up (N6, N17), settle what nobody knows (PR4), see what waits (O1, O2).

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

// maxAddress bounds an address as an agent writes it, in bytes.
const maxAddress = 64

func textCommands() map[string]run {
	return map[string]run{
		"text": command(beginText),
		"join": command(func(ctx context.Context, s *Stream, id auth.Identity, c joinCmd) (ackFrame, error) {
			if c.Conversation.IsZero() {
				return ackFrame{}, fault("not_found")
			}
			seq, err := s.opts.Router.Join(ctx, id.User, c.Conversation)
			return ackFrame{Seq: seq}, err
		}),
		"settle": command(func(ctx context.Context, s *Stream, id auth.Identity, c settleCmd) (ackFrame, error) {
			switch {
			case c.Conversation.IsZero() || c.Message.IsZero():
				return ackFrame{}, fault("not_found")
			case c.Outcome != conversation.OutcomeSent && c.Outcome != conversation.OutcomeFailed && c.Outcome != conversation.OutcomeResend:
				return ackFrame{}, fault("invalid", Detail{"outcome", "must be sent, failed or resend"})
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
		return ackFrame{}, fault("denied")
	case c.To == "" || len(c.To) > maxAddress:
		return ackFrame{}, fault("invalid_address")
	case len(c.ClientID) > maxClientID:
		return ackFrame{}, fault("invalid", Detail{"client_id", "must be at most 64 bytes"})
	}
	var parts []conversation.Part
	if len(c.Parts) > 0 {
		var err error
		if parts, err = cleanParts(c.Parts); err != nil {
			return ackFrame{}, err
		}
	}
	out, err := s.opts.Router.StartOutbound(ctx, router.OutboundRequest{
		Agent: id.User, Service: c.Service, Account: c.Account, To: c.To, Parts: parts, ClientID: c.ClientID,
	})
	if open, ok := errors.AsType[*router.ThreadOpenError](err); ok {
		f := fault("thread_open")
		f.open = &threadOpenView{Conversation: open.Conversation, Joinable: open.Joinable}
		if !open.Owner.IsZero() {
			u, _ := s.opts.Records.Snapshot().User(open.Owner)
			f.open.Owner = &agentRef{ID: open.Owner, Name: u.Name}
		}
		return ackFrame{}, f
	}
	ack := ackFrame{Conversation: &out.Conversation, Seq: out.Seq}
	if !out.Message.IsZero() {
		ack.Message = &out.Message
	}
	return ack, err
}

// threadOpenView is what an error thread_open tells of the exchange (N17).
type threadOpenView struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Owner        *agentRef                   `json:"owner"`
	Joinable     bool                        `json:"joinable"`
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

// recent tells what waits in the agent's Recent now (O1, O2).
func (v *view) recent(buf []byte) []byte {
	rec := v.k.s.opts.Router.Recent(v.k.s.ctx, v.k.id.User)
	f := recentFrame{T: "recent", Unread: rec.Unread, Items: make([]recentItem, 0, min(len(rec.Items), maxRecent))}
	for _, i := range rec.Items[:min(len(rec.Items), maxRecent)] {
		f.Items = append(f.Items, recentItem{Conversation: i.Conversation, Unread: i.Unread, At: i.At.UTC()})
	}
	return appendJSON(buf, f)
}

// maxRecent bounds the exchanges that a recent frame lists; the count is of all.
const maxRecent = 200

type sendersOutput struct {
	Body struct {
		Senders []senderView `json:"senders"`
	}
}

// senderView is something that an agent may begin exchanges from.
type senderView struct {
	Service     *serviceRef `json:"service" doc:"Whose account it is; null: one's own direct number"`
	Account     accountRef  `json:"account"`
	Channel     string      `json:"channel" doc:"Id of the plugin"`
	Icon        string      `json:"icon,omitempty"`
	AddressKind string      `json:"address_kind" doc:"Form of the address to write to: phone (E.164)"`
	Counter     string      `json:"counter,omitempty" doc:"How lengths are counted: gsm7, utf16 or none"`
	MaxLength   int         `json:"max_length,omitempty" doc:"Of one message, in the counter's units; absent: no limit"`
	Files       bool        `json:"files" doc:"May carry attachments"`
}

// senderRoutes lists what the agent may text from (N1). Without the privilege
// that is nothing.
func (a *API) senderRoutes() {
	register(a, op("list-senders", http.MethodGet, "/senders", "conversations", "List what one may begin exchanges from; nothing without the privilege sms", directory.RoleAgent),
		directory.RoleAgent, func(_ context.Context, id auth.Identity, _ *struct{}) (*sendersOutput, error) {
			out := &sendersOutput{}
			out.Body.Senders = []senderView{}
			if !id.Has(directory.PrivilegeSMS) {
				return out, nil
			}
			records := a.opts.Directory.Snapshot()
			for _, s := range a.opts.Router.Senders(id.User) {
				v := senderView{
					Account: accountRef{ID: s.Account, Name: s.Name}, Channel: s.Channel, Icon: s.Capabilities.Icon, AddressKind: s.Capabilities.AddressKind,
					Counter: s.Capabilities.Counter, MaxLength: s.Capabilities.MaxLength, Files: s.Capabilities.Files && a.filesOn(s.Service),
				}
				if svc, ok := records.Service(s.Service); ok {
					v.Service = &serviceRef{ID: svc.ID, Name: svc.Name}
				}
				out.Body.Senders = append(out.Body.Senders, v)
			}
			return out, nil
		})
}
