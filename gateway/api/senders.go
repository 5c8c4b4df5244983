package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

type sendersOutput struct {
	Body struct {
		Senders []senderView `json:"senders"`
	}
}

// senderView is something that an agent may begin exchanges from.
type senderView struct {
	Service     *ServiceRef `json:"service" doc:"Whose account it is; null: one's own direct number"`
	Account     accountRef  `json:"account"`
	Channel     string      `json:"channel" doc:"Id of the plugin"`
	Icon        string      `json:"icon,omitempty"`
	AddressKind string      `json:"address_kind" doc:"Form of the address to write to: phone (E.164)"`
	Counter     string      `json:"counter,omitempty" doc:"How lengths are counted: gsm7, utf16 or none"`
	MaxLength   int         `json:"max_length,omitempty" doc:"Of one message, in the counter's units; absent: no limit"`
	Files       bool        `json:"files" doc:"May carry attachments"`
}

// senderRoutes lists the accounts that the agent may text from (N1): none without the privilege
// sms.
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
					v.Service = &ServiceRef{ID: svc.ID, Name: svc.Name}
				}
				out.Body.Senders = append(out.Body.Senders, v)
			}
			return out, nil
		})
}
