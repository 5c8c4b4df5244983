package dispatch

import (
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

const (
	placesEvery = time.Second // how often customers may be told their place
	toldPlaces  = 500         // how many customers of each queue are told
)

// place is a customer's place in a queue.
type place struct {
	conversation conversation.ConversationID
	position     int
	since        time.Time
}

// tellPlaces tells waiting customers their place if it may have changed.
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

// TellAgain makes tellPlaces tell the places again, because a new reader listens.
func (a *Assigner) TellAgain() {
	a.mu.Lock()
	a.moved = true
	a.mu.Unlock()
}
