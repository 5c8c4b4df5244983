package router

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
)

// Info is what a reader needs of a conversation beside its events.
type Info struct {
	State    conversation.State // a copy of the conversation's state
	Started  conversation.StartedBody
	Service  string // name of the service; "" = none
	Customer conversation.CustomerBody
}

// Info describes a conversation. It fails with ErrNotFound when there is none.
func (r *Router) Info(ctx context.Context, conv conversation.ConversationID) (Info, error) {
	var info Info
	_, err := r.live(conv).do(ctx, &task{read: func(s *conversation.State) { info.State = *s.Clone() }})
	if err != nil {
		return Info{}, err
	}
	info.Service = r.serviceName(info.State.Service)
	// What the customer told is in the first events; a young conversation has them in memory.
	recs, _, err := r.live(conv).tail.Read(ctx, conversation.AudienceAudit, 0, 32)
	if err != nil {
		return Info{}, err
	}
	for _, rec := range recs {
		switch rec.Type {
		case conversation.TypeStarted:
			if rec.Body != nil {
				err = json.Unmarshal(rec.Body, &info.Started)
			}
		case conversation.TypeCustomerUpdated:
			if rec.Body != nil {
				err = json.Unmarshal(rec.Body, &info.Customer)
			}
		}
		if err != nil {
			return Info{}, fmt.Errorf("router: conversation %s: decode %s: %w", conv, rec.Type, err)
		}
	}
	return info, nil
}
