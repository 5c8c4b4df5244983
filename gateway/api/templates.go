package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/gateway/auth"
)

type templatesOutput struct {
	Body struct {
		Templates []providerTemplate `json:"templates" doc:"As the provider has approved them; none are known until the account's plugin has told of them"`
	}
}

// providerTemplate is a template as its provider knows it; a message carries a conversation.Template.
type providerTemplate plugin.Template

// templateRoutes lists the templates of an account to agents who may write from it.
func (a *API) templateRoutes() {
	register(a, op("list-templates", http.MethodGet, "/accounts/{id}/templates", "conversations", "List the templates of an account that one may write from", directory.RoleAgent),
		directory.RoleAgent, func(_ context.Context, id auth.Identity, in *oneInput) (*templatesOutput, error) {
			list, err := a.opts.Router.AccountTemplates(id.User, conversation.AccountID(stream(in.ID)))
			if err != nil {
				return nil, err
			}
			out := &templatesOutput{}
			out.Body.Templates = make([]providerTemplate, len(list))
			for i := range list {
				out.Body.Templates[i] = providerTemplate(list[i])
			}
			return out, nil
		})
}
