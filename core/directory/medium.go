package directory

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
)

// DefaultRulesFor are the rules of a medium where a service says nothing else. What lasts for days
// (texts, messages, mail) is parked while nothing happens, and a reply waits for its owner; it does
// not end because the customer is silent, as a chat does. A call ends when somebody hangs up, and is
// offered for a shorter time, since the caller hears it ring. Calls and mail are capacity classes of
// their own, with the shares of SPEC A18; texts and messages count as chats.
func DefaultRulesFor(m conversation.Medium) conversation.Rules {
	const minute = conversation.Millis(60_000)
	r := DefaultRules()
	if m == conversation.MediumChat {
		return r
	}
	r.InactivityWarn, r.InactivityEnd = 0, 0
	switch m {
	case conversation.MediumSMS, conversation.MediumMessaging:
		r.ParkAfter, r.OwnerFirst = 15*minute, 5*minute
	case conversation.MediumVoice:
		r.OfferTimeout = 20_000
		r.Medium, r.Share, r.Spare = "voice", 100, 50
	case conversation.MediumEmail:
		r.OfferTimeout, r.ParkAfter, r.OwnerFirst, r.ParkedEnd = minute, 15*minute, 15*minute, 30*24*60*minute
		r.Medium, r.Share, r.Spare = "email", 100, 100
	case conversation.MediumChat:
	}
	return r
}

// RulesFor are the service's rules for conversations of a medium. A service stored before there were
// rules by medium has the same ones for all of them.
func (s Service) RulesFor(m conversation.Medium) conversation.Rules {
	if r, ok := s.Media[m]; ok {
		return r
	}
	return s.Rules
}

// MakeRules returns a service's rules in the form in which they are stored: the common ones, and
// those of every medium. A medium's rule is what media says of it, else what common says, else the
// medium's default. The capacity settings of common (medium, share, spare) are not for voice and
// email, unless common names a capacity class other than chat. A medium that does not exist is kept,
// so that PutService can refuse it by name.
func MakeRules(common RulesRecord, media map[conversation.Medium]RulesRecord) (conversation.Rules, map[conversation.Medium]conversation.Rules) {
	all := map[conversation.Medium]conversation.Rules{}
	for m, own := range media {
		all[m] = own.over(common).rules(DefaultRules())
	}
	for _, m := range conversation.Mediums() {
		own, defaults, inherited := media[m], DefaultRulesFor(m), common
		if common.Medium == "" || common.Medium == DefaultRules().Medium {
			inherited.Medium = "" // the medium's own class
			if defaults.Medium != DefaultRules().Medium {
				inherited.Share, inherited.Spare = nil, nil
			}
		}
		if common.InactivityEnd == nil && defaults.InactivityEnd == 0 {
			inherited.InactivityWarn = nil // a warning of an end that this medium does not have
		}
		all[m] = own.over(inherited).rules(defaults)
	}
	return common.rules(DefaultRules()), all
}

// over returns r with what it leaves out taken from base.
func (r RulesRecord) over(base RulesRecord) RulesRecord {
	return RulesRecord{
		OfferTimeout:      cmp.Or(r.OfferTimeout, base.OfferTimeout),
		InactivityWarn:    cmp.Or(r.InactivityWarn, base.InactivityWarn),
		InactivityEnd:     cmp.Or(r.InactivityEnd, base.InactivityEnd),
		UnansweredEnd:     cmp.Or(r.UnansweredEnd, base.UnansweredEnd),
		WrapupLimit:       cmp.Or(r.WrapupLimit, base.WrapupLimit),
		RequeueAfter:      cmp.Or(r.RequeueAfter, base.RequeueAfter),
		ParkAfter:         cmp.Or(r.ParkAfter, base.ParkAfter),
		OwnerFirst:        cmp.Or(r.OwnerFirst, base.OwnerFirst),
		ParkedEnd:         cmp.Or(r.ParkedEnd, base.ParkedEnd),
		BotSilence:        cmp.Or(r.BotSilence, base.BotSilence),
		DispositionNeeded: cmp.Or(r.DispositionNeeded, base.DispositionNeeded),
		Medium:            cmp.Or(r.Medium, base.Medium),
		Share:             cmp.Or(r.Share, base.Share),
		Spare:             cmp.Or(r.Spare, base.Spare),
		Priority:          cmp.Or(r.Priority, base.Priority),
	}
}

// validateMedia checks the rules of each medium; what is wrong with the common rules already is not
// said again for every medium.
func (s *Service) validateMedia(f *faults, common faults) {
	said := map[string]bool{}
	for _, x := range common {
		said[strings.TrimPrefix(x.Path, "rules.")+x.Problem] = true
	}
	for m, r := range s.Media {
		at := "media." + string(m)
		if known, ok := conversation.ParseMedium(string(m)); !ok || known != m {
			f.check(false, at, fmt.Sprintf("no such medium: must be one of %s", mediumNames()))
			continue
		}
		var own faults
		s.validateRules(&own, at, r)
		for _, x := range own {
			if !said[strings.TrimPrefix(x.Path, at+".")+x.Problem] {
				*f = append(*f, x)
			}
		}
	}
}

func mediumNames() string {
	all := conversation.Mediums()
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}
