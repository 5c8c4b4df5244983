package api

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

type serviceInput struct {
	Name         string                  `json:"name"`
	Skills       []string                `json:"skills,omitempty" maxItems:"100" doc:"What an agent must all have"`
	Rules        serviceRules            `json:"rules" doc:"Durations in milliseconds: absent is the default, 0 switches a rule off. wrapup_limit -1 is without limit. skills is made by the server"`
	Dispositions []directory.Disposition `json:"dispositions,omitempty" maxItems:"200"`
	Features     []string                `json:"features,omitempty" maxItems:"100"`
	Texts        directory.Texts         `json:"texts,omitempty"`
	Teams        []conversation.TeamID   `json:"teams,omitempty" maxItems:"1000"`
	Users        []conversation.AgentID  `json:"users,omitempty" maxItems:"10000"`
}

// serviceRules are a service's rules as the API reads and returns them: writing back what was read
// changes nothing. When read, every duration is present.
type serviceRules struct {
	OfferTimeout      *conversation.Millis `json:"offer_timeout,omitempty"`
	InactivityWarn    *conversation.Millis `json:"inactivity_warn,omitempty" doc:"-1 is off, too"`
	InactivityEnd     *conversation.Millis `json:"inactivity_end,omitempty"`
	UnansweredEnd     *conversation.Millis `json:"unanswered_end,omitempty"`
	WrapupLimit       *conversation.Millis `json:"wrapup_limit,omitempty" doc:"0 is no after-call work, -1 without limit"`
	RequeueAfter      *conversation.Millis `json:"requeue_after,omitempty"`
	ParkAfter         *conversation.Millis `json:"park_after,omitempty"`
	OwnerFirst        *conversation.Millis `json:"owner_first,omitempty"`
	ParkedEnd         *conversation.Millis `json:"parked_end,omitempty" doc:"-1 is off, too"`
	BotSilence        *conversation.Millis `json:"bot_silence,omitempty" doc:"-1 is off, too"`
	DispositionNeeded bool                 `json:"disposition_needed,omitempty"`
	Medium            string               `json:"medium,omitempty"`
	Share             int                  `json:"share,omitempty"`
	Spare             int                  `json:"spare,omitempty"`
	Skills            string               `json:"skills,omitempty"`
	Priority          int                  `json:"priority,omitempty"`
}

func (r *serviceRules) rules() conversation.Rules {
	d := func(m *conversation.Millis) *directory.Duration { return (*directory.Duration)(m) }
	out := directory.RulesRecord{
		OfferTimeout: d(r.OfferTimeout), InactivityWarn: d(r.InactivityWarn), InactivityEnd: d(r.InactivityEnd),
		UnansweredEnd: d(r.UnansweredEnd), WrapupLimit: d(r.WrapupLimit), RequeueAfter: d(r.RequeueAfter),
		ParkAfter: d(r.ParkAfter), OwnerFirst: d(r.OwnerFirst), ParkedEnd: d(r.ParkedEnd), BotSilence: d(r.BotSilence),
		DispositionNeeded: r.DispositionNeeded, Share: &r.Share, Spare: &r.Spare, Priority: r.Priority,
	}.Rules()
	out.Medium = r.Medium
	return out
}

func newServiceRules(r conversation.Rules) serviceRules {
	orOff := func(m conversation.Millis) *conversation.Millis { m = max(m, 0); return &m } // stored as -1
	return serviceRules{
		OfferTimeout: &r.OfferTimeout, InactivityWarn: orOff(r.InactivityWarn), InactivityEnd: &r.InactivityEnd,
		UnansweredEnd: &r.UnansweredEnd, WrapupLimit: &r.WrapupLimit, RequeueAfter: &r.RequeueAfter,
		ParkAfter: &r.ParkAfter, OwnerFirst: &r.OwnerFirst, ParkedEnd: orOff(r.ParkedEnd), BotSilence: orOff(r.BotSilence),
		DispositionNeeded: r.DispositionNeeded, Medium: r.Medium, Share: r.Share, Spare: r.Spare, Skills: r.Skills, Priority: r.Priority,
	}
}

// serviceRecord is a service as the API gives it out.
type serviceRecord struct {
	ID           conversation.ServiceID  `json:"id"`
	Name         string                  `json:"name"`
	Skills       []string                `json:"skills,omitempty"`
	Rules        serviceRules            `json:"rules"`
	Dispositions []directory.Disposition `json:"dispositions,omitempty"`
	Features     []string                `json:"features,omitempty"`
	Texts        directory.Texts         `json:"texts,omitzero"`
	Teams        []conversation.TeamID   `json:"teams,omitempty"`
	Users        []conversation.AgentID  `json:"users,omitempty"`
}

func newServiceRecord(s directory.Service) serviceRecord {
	return serviceRecord{
		ID: s.ID, Name: s.Name, Skills: s.Skills, Rules: newServiceRules(s.Rules), Dispositions: s.Dispositions,
		Features: s.Features, Texts: s.Texts, Teams: s.Teams, Users: s.Users,
	}
}

func (a *API) serviceRoutes() {
	recordRoutes(a, kind[serviceRecord, serviceInput]{
		name: "service", plural: "services", read: directory.RoleAgent,
		list: func(s *directory.Snapshot) []serviceRecord {
			all := s.Services()
			out := make([]serviceRecord, 0, len(all))
			for _, svc := range all {
				out = append(out, newServiceRecord(svc))
			}
			return out
		},
		get: func(s *directory.Snapshot, id string) (serviceRecord, bool) {
			svc, ok := s.Service(conversation.ServiceID(stream(id)))
			return newServiceRecord(svc), ok
		},
		put: func(ctx context.Context, id string, b serviceInput) (serviceRecord, error) {
			svc, err := a.opts.Directory.PutService(ctx, directory.Service{
				ID: conversation.ServiceID(stream(id)), Name: b.Name, Skills: b.Skills, Rules: b.Rules.rules(), Dispositions: b.Dispositions,
				Features: b.Features, Texts: b.Texts, Teams: b.Teams, Users: b.Users,
			})
			return newServiceRecord(svc), err
		},
	})
}
