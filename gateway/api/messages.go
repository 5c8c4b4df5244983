package api

import (
	"context"

	"github.com/microcosm-cc/bluemonday"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Attachments tells what an uploaded file is.
type Attachments interface {
	// Describe is the file as stored; an error that wraps a not-found sentinel
	// when it does not belong to the conversation.
	Describe(ctx context.Context, conv conversation.ConversationID, blob conversation.BlobID) (conversation.File, error)
}

// messages sends agents' messages, for the socket and for REST alike.
type messages struct {
	router Router
	files  Attachments
	html   *bluemonday.Policy
}

func newMessages(r Router, f Attachments) *messages {
	return &messages{router: r, files: f, html: richText()}
}

// send makes an agent's message durable. Whether the agent takes part and the
// channel can carry it is the router's to say.
func (a *messages) send(ctx context.Context, id auth.Identity, conv conversation.ConversationID, clientID string, parts []conversation.Part, replyTo conversation.MessageID) (router.Sent, error) {
	if conv.IsZero() {
		return router.Sent{}, fault("not_found")
	}
	if clientID == "" || len(clientID) > maxClientID {
		return router.Sent{}, fault("invalid", Detail{"client_id", "must be 1 to 64 bytes"})
	}
	clean, err := a.cleanParts(ctx, conv, parts)
	if err != nil {
		return router.Sent{}, err
	}
	return a.router.Send(ctx, router.SendRequest{
		Conversation: conv, Agent: id.User, ClientID: clientID, Parts: clean, ReplyTo: replyTo,
	})
}
