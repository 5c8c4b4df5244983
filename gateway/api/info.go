package api

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// UserSummary describes a user to clients.
type UserSummary struct {
	ID         conversation.AgentID `json:"id"`
	Login      string               `json:"login"`
	Name       string               `json:"name"`
	Role       directory.Role       `json:"role"`
	Privileges []string             `json:"privileges"`
}

// SummaryOf describes the user of an identity.
func SummaryOf(id auth.Identity) UserSummary {
	privileges := id.Privileges
	if privileges == nil {
		privileges = []string{}
	}
	return UserSummary{ID: id.User, Login: id.Login, Name: id.Name, Role: id.Role, Privileges: privileges}
}

// ServiceRef names a service.
type ServiceRef struct {
	ID   conversation.ServiceID `json:"id"`
	Name string                 `json:"name"`
}

// AgentRef names an agent.
type AgentRef struct {
	ID   conversation.AgentID `json:"id"`
	Name string               `json:"name"`
}

type accountRef struct {
	ID   conversation.AccountID `json:"id"`
	Name string                 `json:"name"`
}

// CustomerRef names a customer.
type CustomerRef struct {
	Name string `json:"name"`
}

// CustomerOf names the customer of a conversation.
func CustomerOf(i *router.Info) CustomerRef { return CustomerRef{Name: customerName(i)} }

// customerName is the name that the customer gave later in the conversation, or else in the form at
// its start.
func customerName(i *router.Info) string {
	for _, name := range []string{
		i.Customer.Name, joinNames(i.Customer.FirstName, i.Customer.LastName),
		i.Started.Name, joinNames(i.Started.FirstName, i.Started.LastName),
	} {
		if name != "" {
			return name
		}
	}
	return ""
}

func joinNames(first, last string) string {
	if first == "" || last == "" {
		return first + last
	}
	return first + " " + last
}

// InfoView is what an agent's screen needs to know of a conversation besides its events.
type InfoView struct {
	Channel      string                    `json:"channel"`
	Icon         string                    `json:"icon"`
	Title        string                    `json:"title"`
	Service      *serviceView              `json:"service,omitempty"`
	Capabilities conversation.Capabilities `json:"capabilities"`
	Account      accountRef                `json:"account"`
	ReplyWindow  *ReplyWindowView          `json:"reply_window,omitempty"` // nil: the customer may be written to freely at any time
}

// ReplyWindowView tells until when the customer may be written to freely; after that only templates go out.
type ReplyWindowView struct {
	Expires *time.Time `json:"expires,omitempty"` // nil: no window is open
}

type serviceView struct {
	ServiceRef
	Dispositions      []directory.Disposition `json:"dispositions"`
	DispositionNeeded bool                    `json:"disposition_needed"`
	WrapupMS          int64                   `json:"wrapup"`
	Features          []string                `json:"features"`
}

// NewInfoView describes a conversation for an agent's screen.
func NewInfoView(i *router.Info, records *directory.Snapshot) InfoView {
	st := &i.State
	v := InfoView{
		Channel: st.Channel, Icon: st.Capabilities.Icon, Title: st.Capabilities.OfferTitle, Capabilities: st.Capabilities,
	}
	if until, limited := st.WindowOf(0); limited {
		v.ReplyWindow = &ReplyWindowView{Expires: TimeOrNil(until)}
	}
	if len(st.Endpoints) > 0 {
		v.Account.ID = st.Endpoints[0].Account
		if a, ok := records.Account(v.Account.ID); ok {
			v.Account.Name = a.Name
		}
	}
	if st.Service.IsZero() {
		return v
	}
	// The rules are those in force when the conversation began; names and lists are the present
	// ones.
	v.Service = &serviceView{
		ServiceRef: ServiceRef{ID: st.Service, Name: i.Service}, Dispositions: []directory.Disposition{}, Features: []string{},
		DispositionNeeded: st.Rules.DispositionNeeded, WrapupMS: int64(st.Rules.WrapupLimit),
	}
	if svc, ok := records.Service(st.Service); ok {
		v.Service.Name = svc.Name
		v.Service.Dispositions = append(v.Service.Dispositions, svc.Dispositions...)
		v.Service.Features = append(v.Service.Features, svc.Features...)
	}
	return v
}
