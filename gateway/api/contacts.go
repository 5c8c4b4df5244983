package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

type contactInput struct {
	Name       string            `json:"name,omitempty"`
	FirstName  string            `json:"first_name,omitempty"`
	LastName   string            `json:"last_name,omitempty"`
	Company    string            `json:"company,omitempty"`
	Addresses  []string          `json:"addresses,omitempty" maxItems:"50" doc:"Telephone numbers with plus, mail addresses, or scheme:address"`
	Notes      string            `json:"notes,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

type findContactsInput struct {
	Query   string `query:"q" maxLength:"200" doc:"Part of a name, company or address"`
	Address string `query:"address" maxLength:"320" doc:"A whole address, in any spelling; instead of q"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (a *API) contactRoutes() {
	const tag = "contacts"
	agent := directory.RoleAgent
	register(a, op("find-contacts", http.MethodGet, "/contacts", tag, "Find contacts", agent), agent, a.findContacts)
	register(a, op("get-contact", http.MethodGet, "/contacts/{id}", tag, "Read a contact", agent), agent,
		func(ctx context.Context, _ auth.Identity, in *oneInput) (*recordOutput[directory.Contact], error) {
			c, err := a.opts.Directory.Contact(ctx, conversation.ContactID(stream(in.ID)))
			return &recordOutput[directory.Contact]{c}, err
		})
	o := op("create-contact", http.MethodPost, "/contacts", tag, "Create a contact", agent)
	o.DefaultStatus = http.StatusCreated
	register(a, o, agent, func(ctx context.Context, _ auth.Identity, in *createInput[contactInput]) (*recordOutput[directory.Contact], error) {
		c, err := a.opts.Directory.PutContact(ctx, in.Body.contact(""))
		return &recordOutput[directory.Contact]{c}, err
	})
	register(a, op("replace-contact", http.MethodPut, "/contacts/{id}", tag, "Replace a contact", agent), agent,
		func(ctx context.Context, _ auth.Identity, in *replaceInput[contactInput]) (*recordOutput[directory.Contact], error) {
			c := in.Body.contact(in.ID)
			if c.ID.IsZero() {
				return nil, NewFault("not_found")
			}
			c, err := a.opts.Directory.PutContact(ctx, c)
			return &recordOutput[directory.Contact]{c}, err
		})
	o = op("delete-contact", http.MethodDelete, "/contacts/{id}", tag, "Erase a contact", directory.RoleSupervisor)
	o.DefaultStatus = http.StatusNoContent
	register(a, o, directory.RoleSupervisor, func(ctx context.Context, _ auth.Identity, in *oneInput) (*empty, error) {
		return nil, a.opts.Directory.DeleteContact(ctx, conversation.ContactID(stream(in.ID)))
	})
}

func (b contactInput) contact(id string) directory.Contact {
	return directory.Contact{
		ID: conversation.ContactID(stream(id)), Name: b.Name, FirstName: b.FirstName, LastName: b.LastName, Company: b.Company,
		Addresses: b.Addresses, Notes: b.Notes, Attributes: b.Attributes,
	}
}

func (a *API) findContacts(ctx context.Context, _ auth.Identity, in *findContactsInput) (*listOfOutput[directory.Contact], error) {
	var found []directory.Contact
	var err error
	if in.Address != "" {
		found, err = a.opts.Directory.FindContacts(ctx, in.Address)
	} else {
		found, err = a.opts.Directory.SearchContacts(ctx, in.Query, in.Limit)
	}
	out := &listOfOutput[directory.Contact]{}
	if out.Body.Items = found; found == nil {
		out.Body.Items = []directory.Contact{}
	}
	return out, err
}
