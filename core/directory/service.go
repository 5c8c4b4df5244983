package directory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
)

// Features that a service may switch on (SPEC W2). Plugins may name further
// ones, one per tool.
const (
	FeatureFiles  = "files"  // SPEC P1
	FeatureTyping = "typing" // typing notices both ways
	FeatureRead   = "read"   // read receipts both ways
	FeatureLinks  = "links"  // SPEC B6
	FeaturePage   = "page"   // SPEC B5
	FeatureFlag   = "flag"   // SPEC H1
)

// DefaultFeatures are the features of a service that names none.
func DefaultFeatures() []string {
	return []string{FeatureFiles, FeatureFlag, FeatureLinks, FeaturePage, FeatureRead, FeatureTyping}
}

// DefaultRules are the rules of a service that says nothing else; DefaultRulesFor has what differs by
// medium.
func DefaultRules() conversation.Rules {
	return conversation.Rules{
		OfferTimeout:   30_000,
		InactivityWarn: 5 * 60_000,
		InactivityEnd:  10 * 60_000,
		RequeueAfter:   2 * 60_000,
		ParkedEnd:      conversation.DefaultParkedEnd,
		BotSilence:     conversation.DefaultBotSilence,
		Medium:         "chat",
		Share:          25,
		Spare:          25,
	}
}

// Service is what customers contact: a queue and its settings.
type Service struct {
	ID   conversation.ServiceID `json:"id"`
	Name string                 `json:"name"`
	// Skills are the skills that an agent must have, all of them, sorted. Rules.Skills is made from
	// them.
	Skills []string `json:"skills,omitempty"`
	// Rules are the common rules, and Media those of each medium, whole ones (MakeRules); a medium that
	// Media lacks has the common ones. RulesFor chooses.
	Rules        conversation.Rules                         `json:"rules"`
	Media        map[conversation.Medium]conversation.Rules `json:"media,omitempty"`
	Dispositions []Disposition                              `json:"dispositions,omitempty"`
	Features     []string                                   `json:"features,omitempty"` // sorted
	Texts        Texts                                      `json:"texts,omitzero"`
	// Teams and Users are the agents who serve the service: those in one of the teams and those
	// named, if they have the skills.
	Teams []conversation.TeamID  `json:"teams,omitempty"`
	Users []conversation.AgentID `json:"users,omitempty"`
	Tools []ServiceTool          `json:"tools,omitempty"`
	// Bot is an account of a plugin that is a bot, and which answers new conversations first. Zero:
	// the queue is asked at once.
	Bot conversation.AccountID `json:"bot,omitzero"`
}

// Has reports whether the service has a feature switched on.
func (s Service) Has(feature string) bool { return slices.Contains(s.Features, feature) }

// Disposition is a result that an agent may give a conversation (SPEC R4).
type Disposition struct {
	Code string `json:"code" yaml:"code"`
	Name string `json:"name" yaml:"name"`
}

// Texts are what the system says to customers. An empty text is not sent.
type Texts struct {
	InactivityWarning string `json:"inactivity_warning,omitempty" yaml:"inactivity_warning,omitempty"` // SPEC Q1
}

func (s *Service) normalise() {
	s.Name = strings.TrimSpace(s.Name)
	s.Skills = sortedSet(s.Skills)
	s.Features = sortedSet(s.Features)
	s.Teams = uniqueIDs(s.Teams)
	s.Users = uniqueIDs(s.Users)
	s.Tools = normaliseTools(s.Tools)
	s.Rules.Skills = strings.Join(s.Skills, ",")
	media := make(map[conversation.Medium]conversation.Rules, len(s.Media)) // a map of its own, since the caller's may be used elsewhere
	for m, r := range s.Media {
		r.Skills = s.Rules.Skills
		media[m] = r
	}
	s.Media = nil
	if len(media) > 0 {
		s.Media = media
	}
	s.plain()
	if len(s.Dispositions) == 0 {
		s.Dispositions = nil
	}
}

// plain makes the rules of a service, all of them, show what is in effect.
func (s *Service) plain() {
	plain(&s.Rules)
	for m, r := range s.Media {
		plain(&r)
		s.Media[m] = r
	}
}

// plain replaces a zero that does not switch its rule off by the value that it stands for, so that
// rules which are read show what is in effect. Earlier versions stored such zeros.
func plain(r *conversation.Rules) {
	if r.InactivityWarn == 0 {
		if r.InactivityWarn = max(r.InactivityEnd, 0) / 2; r.InactivityWarn == 0 {
			r.InactivityWarn = -1
		}
	}
	if r.ParkedEnd == 0 {
		r.ParkedEnd = conversation.DefaultParkedEnd
	}
	if r.BotSilence == 0 {
		r.BotSilence = conversation.DefaultBotSilence
	}
}

func (s *Service) validate(snap *Snapshot) error {
	var f faults
	f.label("name", s.Name, true)
	for i, k := range s.Skills {
		_, ok := snap.Skill(k)
		f.check(ok, fmt.Sprintf("skills[%d]", i), "no such skill")
	}
	for i, t := range s.Teams {
		_, ok := snap.Team(t)
		f.check(ok, fmt.Sprintf("teams[%d]", i), "no such team")
	}
	for i, u := range s.Users {
		_, ok := snap.User(u)
		f.check(ok, fmt.Sprintf("users[%d]", i), "no such user")
	}
	if !s.Bot.IsZero() {
		_, ok := snap.Account(s.Bot)
		f.check(ok, "bot", "no such account")
	}
	for i, name := range s.Features {
		f.check(keyPattern.MatchString(name), fmt.Sprintf("features[%d]", i), "must be 1 to 64 of a-z 0-9 . _ -, starting with a letter")
	}
	seen := map[string]bool{}
	for i, d := range s.Dispositions {
		at := fmt.Sprintf("dispositions[%d]", i)
		f.check(keyPattern.MatchString(d.Code), at+".code", "must be 1 to 64 of a-z 0-9 . _ -, starting with a letter")
		f.check(!seen[d.Code], at+".code", "is there twice")
		f.label(at+".name", d.Name, true)
		seen[d.Code] = true
	}
	f.check(len(s.Texts.InactivityWarning) <= 1000, "texts.inactivity_warning", "must be at most 1000 bytes")
	validateTools(&f, s.Tools, snap)
	var common faults
	s.validateRules(&common, "rules", s.Rules)
	f = append(f, common...)
	s.validateMedia(&f, common)
	return f.err()
}

// validateRules checks one set of the service's rules, at a path of the record.
func (s *Service) validateRules(f *faults, at string, r conversation.Rules) {
	const day = conversation.Millis(24 * 3_600_000)
	for name, d := range map[string]conversation.Millis{
		"offer_timeout": r.OfferTimeout, "inactivity_warn": r.InactivityWarn, "inactivity_end": r.InactivityEnd,
		"unanswered_end": r.UnansweredEnd, "wrapup_limit": r.WrapupLimit, "requeue_after": r.RequeueAfter,
		"park_after": r.ParkAfter, "owner_first": r.OwnerFirst, "parked_end": r.ParkedEnd, "bot_silence": r.BotSilence,
	} {
		if d == -1 && (name == "inactivity_warn" || name == "wrapup_limit" || name == "parked_end" || name == "bot_silence") {
			continue // -1 means no warning, after-call work without limit, no end, or no hand-over
		}
		days := conversation.Millis(7)
		if name == "parked_end" {
			days = 90
		}
		f.check(d >= 0 && d <= days*day, at+"."+name, fmt.Sprintf("must be 0 (off) to %d days", days))
	}
	f.check(r.InactivityEnd == 0 || r.InactivityWarn < r.InactivityEnd, at+".inactivity_end", "must be later than inactivity_warn")
	f.check(r.Medium == "" || keyPattern.MatchString(r.Medium), at+".medium", "must be of a-z 0-9 . _ -")
	f.check(r.Share >= 0 && r.Share <= 100, at+".share", "must be 0 to 100 percent")
	f.check(r.Spare >= 0 && r.Spare <= 100, at+".spare", "must be 0 to 100 percent")
	f.check(r.Priority >= 0 && r.Priority <= 86400, at+".priority", "must be 0 to 86400 seconds")
	f.check(!r.DispositionNeeded || len(s.Dispositions) > 0, at+".disposition_needed", "needs dispositions")
}
