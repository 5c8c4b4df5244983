package router

import (
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/messages"
)

// fillTemplates makes a message of parts anew with the text of its templates, if it has any: they are
// checked against those that the provider of the conversation's account has approved.
func (r *Router) fillTemplates(post *conversation.Post, parts []conversation.Part, s *conversation.State, again func([]conversation.Part) (*conversation.Post, error)) error {
	if !messages.HasTemplate(parts) || post.Endpoint >= len(s.Endpoints) {
		return nil
	}
	parts, err := r.approved(s.Endpoints[post.Endpoint].Account, parts)
	if err != nil {
		return err
	}
	filled, err := again(parts)
	if err != nil {
		return err
	}
	post.Body, post.Blobs = filled.Body, filled.Blobs
	return nil
}

// approved checks the templates among parts against those of an account, and returns the parts with the
// templates' text. An account whose plugin tells of no templates takes those that the agent knows; so does
// one whose templates this node has not been told yet, which its provider then checks.
func (r *Router) approved(account conversation.AccountID, parts []conversation.Part) ([]conversation.Part, error) {
	acc, _ := r.dir.Snapshot().Account(account)
	if info, ok := r.pluginInfo(acc.Plugin); !ok || !info.Templates || !messages.HasTemplate(parts) {
		return parts, nil
	}
	list := r.ingest.Templates(account)
	if list == nil {
		return parts, nil
	}
	filled, err := messages.Fill(parts, list)
	if err != nil {
		return nil, fmt.Errorf("router: template: %w", err)
	}
	return filled, nil
}
