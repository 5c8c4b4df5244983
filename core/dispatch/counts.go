package dispatch

import (
	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// Counts are a service's figures on the supervisors' board.
type Counts struct {
	acd.Queue
	Active  int // open conversations in which an agent takes part
	Offered int // requests that are being offered
}

// Counts returns the figures of the services' queues at one moment, in the order of services, from
// what this node has seen.
func (a *Assigner) Counts(services []conversation.ServiceID) []Counts {
	out := make([]Counts, len(services))
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, id := range services {
		out[i].Queue = a.dispatcher.Queue(id)
		if t := a.tally[id]; t != nil {
			out[i].Active, out[i].Offered = t.active, t.offered
		}
	}
	return out
}

// share is what one conversation adds to its service's figures.
type share struct {
	service conversation.ServiceID
	active  bool
	offered int
	seq     uint64 // sequence of the state from which the share was computed
}

type tally struct{ active, offered int }

func shareOf(s *conversation.State) share {
	x := share{service: s.Service, seq: s.Seq}
	if s.Phase != conversation.PhaseOpen {
		return x
	}
	for i := range s.Participants {
		p := &s.Participants[i]
		x.active = x.active || p.Who.Kind == conversation.Agent && p.State == conversation.Joined
	}
	for i := range s.Requests {
		if s.Requests[i].State == conversation.Offered {
			x.offered++
		}
	}
	return x
}

// count replaces a conversation's share in the figures. It needs a.mu.
func (a *Assigner) count(id conversation.ConversationID, x share, open bool) {
	add := func(x share, n int) {
		t := a.tally[x.service]
		if t == nil {
			t = &tally{}
			a.tally[x.service] = t
		}
		if x.active {
			t.active += n
		}
		t.offered += n * x.offered
	}
	if old, ok := a.known[id]; ok {
		add(old, -1)
		delete(a.known, id)
	}
	if open {
		a.known[id] = x
		add(x, 1)
	}
}
