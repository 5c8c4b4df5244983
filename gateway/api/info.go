package api

import (
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// infoView describes a conversation for an agent's screen.
func (s *Stream) infoView(i *router.Info) infoView { return newInfoView(i, s.opts.Records.Snapshot()) }

func newInfoView(i *router.Info, records *directory.Snapshot) infoView {
	st := &i.State
	v := infoView{
		Channel: st.Channel, Icon: st.Capabilities.Icon, Title: st.Capabilities.OfferTitle, Capabilities: st.Capabilities,
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
	// The rules are those that the conversation began with; names and lists
	// are the present ones.
	v.Service = &serviceView{
		serviceRef: serviceRef{ID: st.Service, Name: i.Service}, Dispositions: []directory.Disposition{}, Features: []string{},
		DispositionNeeded: st.Rules.DispositionNeeded, WrapupMS: int64(st.Rules.WrapupLimit),
	}
	if svc, ok := records.Service(st.Service); ok {
		v.Service.Name = svc.Name
		v.Service.Dispositions = append(v.Service.Dispositions, svc.Dispositions...)
		v.Service.Features = append(v.Service.Features, svc.Features...)
	}
	return v
}

// isAgent reports whether the user handles conversations: all but
// administrators, and those among them who serve something.
func (s *Stream) isAgent(id auth.Identity) bool {
	return id.Role != directory.RoleAdmin || len(s.opts.Records.Snapshot().ServicesOf(id.User)) > 0
}
