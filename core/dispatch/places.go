package dispatch

import (
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

const (
	placesEvery = time.Second // how often customers may hear of their place
	toldPlaces  = 500         // how many of a queue do
)

// place is a customer's place in a queue.
type place struct {
	conversation conversation.ConversationID
	position     int
	since        time.Time
}

// tellPlaces lets waiting customers know their place when it may have changed.
func (a *Assigner) tellPlaces() {
	var places []place
	a.mu.Lock()
	if a.moved {
		a.moved = false
		for id := range a.tally {
			a.dispatcher.Waits(id, func(position int, w *acd.Waiting) bool {
				places = append(places, place{w.Conversation, position, w.WaitingSince})
				return position < toldPlaces
			})
		}
	}
	a.mu.Unlock()
	now := a.now()
	for _, p := range places {
		a.convs.Place(p.conversation, p.position, now.Sub(p.since))
	}
}

// TellAgain has the places told again: somebody new listens.
func (a *Assigner) TellAgain() {
	a.mu.Lock()
	a.moved = true
	a.mu.Unlock()
}
