package acd

import "github.com/parley-gateway/parley/core/conversation"

// Capacity is the whole of an agent, in percent (A18).
const Capacity = 100

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
