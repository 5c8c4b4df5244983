package acd

import "github.com/parley-gateway/parley/core/conversation"

// Capacity is the whole of an agent, in percent (A18).
const Capacity = 100

// Limits are how much an agent may have in hand at once (A18). The zero value is
// Capacity percent, and no limit of any medium.
type Limits struct {
	Percent int // of which each interaction takes its share; 0 = Capacity
	// Max bounds how many interactions of a medium are in hand, after-call work and
	// the one being presented included; 0 = none. A medium that is missing is bounded
	// by Percent only. It is not changed once it is handed over.
	Max map[string]int
}

// Fits reports whether an interaction may be presented to an agent who has this in
// hand: the dispatcher asks before it offers, Decide before it agrees. Invitations
// need no room (T6).
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

// read takes over what an agent has in hand; the memory is used again.
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

// Media with shares of their own; a medium that is not listed counts as chat.
const (
	MediumChat  = "chat"
	MediumVoice = "voice"
	MediumEmail = "email"
)

// Need is what an interaction takes of an agent.
type Need struct {
	Medium string
	Share  int // percent that it takes
	Spare  int // percent that must be free beforehand
}

// NeedOf reads what interactions under these rules take. What the rules leave
// open: chat takes 25 and needs 25 free, voice takes 100 and needs 50 (a call may come
// to somebody who writes), email takes 100 and needs 100 (A18).
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
