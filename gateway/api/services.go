package api

import (
	"cmp"
	"context"
	"reflect"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

type serviceInput struct {
	Name         string                               `json:"name"`
	Skills       []string                             `json:"skills,omitempty" maxItems:"100" doc:"What an agent must all have"`
	Rules        serviceRules                         `json:"rules" doc:"For every medium, unless media says otherwise. Durations in milliseconds: absent is the medium's default, 0 switches a rule off. wrapup_limit -1 is without limit. medium (a capacity class), share and spare are not for voice and email, unless medium is another class than chat. skills is made by the server"`
	Media        map[conversation.Medium]serviceRules `json:"media,omitempty" doc:"By medium (chat, sms, messaging, voice, email): what differs from rules. When read, it is what differs, defaults of the medium included"`
	Dispositions []directory.Disposition              `json:"dispositions,omitempty" maxItems:"200"`
	Features     []string                             `json:"features,omitempty" maxItems:"100"`
	Texts        directory.Texts                      `json:"texts,omitempty"`
	Teams        []conversation.TeamID                `json:"teams,omitempty" maxItems:"1000"`
	Users        []conversation.AgentID               `json:"users,omitempty" maxItems:"10000"`

	Tools []directory.ServiceTool `json:"tools,omitempty" maxItems:"50" doc:"Accounts of plugins that are tools, with settings for this service over the account's"`
	Bot   conversation.AccountID  `json:"bot,omitempty" format:"uuid" doc:"Account of a bot that answers new conversations first; absent: none"`
}

// serviceRules are a service's rules as the API reads and returns them: writing back what was read
// changes nothing. When read, every common rule is present, and of a medium what differs.
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
	DispositionNeeded *bool                `json:"disposition_needed,omitempty"`
	Medium            string               `json:"medium,omitempty" doc:"The capacity class; chat, sms and messaging are of the class chat by default"`
	Share             *int                 `json:"share,omitempty"`
	Spare             *int                 `json:"spare,omitempty"`
	Skills            string               `json:"skills,omitempty"`
	Priority          *int                 `json:"priority,omitempty"`
}

func (r *serviceRules) record() directory.RulesRecord {
	d := func(m *conversation.Millis) *directory.Duration { return (*directory.Duration)(m) }
	return directory.RulesRecord{
		OfferTimeout: d(r.OfferTimeout), InactivityWarn: d(r.InactivityWarn), InactivityEnd: d(r.InactivityEnd),
		UnansweredEnd: d(r.UnansweredEnd), WrapupLimit: d(r.WrapupLimit), RequeueAfter: d(r.RequeueAfter),
		ParkAfter: d(r.ParkAfter), OwnerFirst: d(r.OwnerFirst), ParkedEnd: d(r.ParkedEnd), BotSilence: d(r.BotSilence),
		DispositionNeeded: r.DispositionNeeded, Medium: r.Medium, Share: r.Share, Spare: r.Spare, Priority: r.Priority,
	}
}

func newServiceRules(r conversation.Rules) serviceRules {
	orOff := func(m conversation.Millis) *conversation.Millis { m = max(m, 0); return &m } // stored as -1
	return serviceRules{
		OfferTimeout: &r.OfferTimeout, InactivityWarn: orOff(r.InactivityWarn), InactivityEnd: &r.InactivityEnd,
		UnansweredEnd: &r.UnansweredEnd, WrapupLimit: &r.WrapupLimit, RequeueAfter: &r.RequeueAfter,
		ParkAfter: &r.ParkAfter, OwnerFirst: &r.OwnerFirst, ParkedEnd: orOff(r.ParkedEnd), BotSilence: orOff(r.BotSilence),
		DispositionNeeded: &r.DispositionNeeded, Medium: r.Medium, Share: &r.Share, Spare: &r.Spare, Skills: r.Skills, Priority: &r.Priority,
	}
}

// mediaOf returns, by medium, the rules of a service that differ from the common ones, or from what
// the common ones alone would make.
func mediaOf(s *directory.Service) map[conversation.Medium]serviceRules {
	common := newServiceRules(s.Rules)
	_, inherited := directory.MakeRules(common.record(), nil)
	var out map[conversation.Medium]serviceRules
	for _, m := range conversation.Mediums() {
		own, without := newServiceRules(s.RulesFor(m)), newServiceRules(inherited[m])
		without.Skills, own.Skills = common.Skills, common.Skills // the service's
		x, y, z := reflect.ValueOf(&own).Elem(), reflect.ValueOf(without), reflect.ValueOf(common)
		for i := range x.NumField() {
			mine := x.Field(i).Interface()
			if reflect.DeepEqual(mine, y.Field(i).Interface()) && reflect.DeepEqual(mine, z.Field(i).Interface()) {
				x.Field(i).SetZero()
			}
		}
		if own != (serviceRules{}) {
			if out == nil {
				out = map[conversation.Medium]serviceRules{}
			}
			out[m] = own
		}
	}
	return out
}

// serviceRecord is a service as the API gives it out.
type serviceRecord struct {
	ID           conversation.ServiceID               `json:"id"`
	Name         string                               `json:"name"`
	Skills       []string                             `json:"skills,omitempty"`
	Rules        serviceRules                         `json:"rules"`
	Media        map[conversation.Medium]serviceRules `json:"media,omitempty"`
	Dispositions []directory.Disposition              `json:"dispositions,omitempty"`
	Features     []string                             `json:"features,omitempty"`
	Texts        directory.Texts                      `json:"texts,omitzero"`
	Teams        []conversation.TeamID                `json:"teams,omitempty"`
	Users        []conversation.AgentID               `json:"users,omitempty"`

	Tools []directory.ServiceTool `json:"tools,omitempty"`
	Bot   conversation.AccountID  `json:"bot,omitzero"`
}

func newServiceRecord(s directory.Service) serviceRecord {
	return serviceRecord{
		ID: s.ID, Name: s.Name, Skills: s.Skills, Rules: newServiceRules(s.Rules), Media: mediaOf(&s), Dispositions: s.Dispositions,
		Features: s.Features, Texts: s.Texts, Teams: s.Teams, Users: s.Users, Tools: s.Tools, Bot: s.Bot,
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
			media := make(map[conversation.Medium]directory.RulesRecord, len(b.Media))
			for m, r := range b.Media {
				media[m] = r.record()
			}
			common, zero := b.Rules.record(), 0
			common.Share, common.Spare = cmp.Or(common.Share, &zero), cmp.Or(common.Spare, &zero) // 0: as the capacity class has it
			rules, byMedium := directory.MakeRules(common, media)
			svc, err := a.opts.Directory.PutService(ctx, directory.Service{
				ID: conversation.ServiceID(stream(id)), Name: b.Name, Skills: b.Skills, Rules: rules, Media: byMedium, Dispositions: b.Dispositions,
				Features: b.Features, Texts: b.Texts, Teams: b.Teams, Users: b.Users, Tools: b.Tools, Bot: b.Bot,
			})
			return newServiceRecord(svc), err
		},
	})
}
