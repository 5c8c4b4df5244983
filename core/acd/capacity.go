package acd

import "github.com/parley-gateway/parley/core/conversation"

// Capacity is all of an agent's capacity, in percent (A18).
const Capacity = 100

// Limits are how much an agent may have in hand at once (A18). The zero value means Capacity
// percent and no limit for any single medium.
type Limits struct {
	Percent int // total capacity, of which each interaction takes its share; 0 = Capacity
	// Max bounds how many interactions of a medium the agent may have in hand, counting after-call
	// work and the offer being presented; 0 = none. A medium that is not listed is bounded by
	// Percent only. The map must not be changed after it was handed over.
	Max map[string]int
}

// Fits reports whether an interaction may be presented to an agent who has h in hand. The
// dispatcher asks this before it makes an offer, and Decide before it accepts the offer.
// Invitations are not checked, since they need no capacity (T6).
func (l *Limits) Fits(h *InHand, n Need) bool {
	if h.Load+n.Spare > l.percent() {
		return false
	}
	limit, bounded := l.Max[n.Medium]
	return !bounded || h.count(n.Medium) < limit
}

func (l *Limits) percent() int {
	if l.Percent <= 0 {
		return Capacity
	}
	return l.Percent
}

// InHand is what an agent has in hand.
type InHand struct {
	Load  int // percent
	media []mediumCount
}

type mediumCount struct {
	medium string
	n      int
}

// read replaces h by what agent a has in hand, reusing the memory of h.
func (h *InHand) read(a *AgentState) {
	h.Load, h.media = a.Load(), h.media[:0]
	for i := range a.Work {
		h.add(a.Work[i].Medium)
	}
	if a.Offer != nil {
		h.add(a.Offer.Medium)
	}
}

func (h *InHand) add(medium string) {
	for i := range h.media {
		if h.media[i].medium == medium {
			h.media[i].n++
			return
		}
	}
	h.media = append(h.media, mediumCount{medium, 1})
}

func (h *InHand) count(medium string) int {
	for _, m := range h.media {
		if m.medium == medium {
			return m.n
		}
	}
	return 0
}

// Capacity classes with their own default shares; a class that is not listed takes as much as a chat.
// The class is the Medium of a service's rules: texts and messages are of the class chat unless the
// service says otherwise.
const (
	MediumChat  = "chat"
	MediumVoice = "voice"
	MediumEmail = "email"
)

// Need is the capacity that an interaction takes of an agent.
type Need struct {
	Medium string
	Share  int // percent that the interaction takes
	Spare  int // percent that must be free before the offer
}

// NeedOf reads from a service's rules how much capacity its interactions need. Defaults where the
// rules say nothing: chat takes 25 and needs 25 free; voice takes 100 and needs 50 free, since a
// call may come to an agent who writes in chats; email takes 100 and needs 100 free (A18).
func NeedOf(r *conversation.Rules) Need {
	n := Need{Medium: r.Medium, Share: r.Share, Spare: r.Spare}
	share, spare := 25, 25
	switch n.Medium {
	case "":
		n.Medium = MediumChat
	case MediumVoice:
		share, spare = 100, 50
	case MediumEmail:
		share, spare = 100, 100
	}
	if n.Share <= 0 {
		n.Share = share
	}
	if n.Spare <= 0 {
		n.Spare = spare
	}
	return n
}
