package sessionwork

import (
	"maps"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// Parts is who has which part in the calls of a conversation at one moment.
type Parts map[conversation.SessionID]callParts

type callParts struct {
	hears map[pair]bool               // who hears whom
	may   map[conversation.LegID]bool // legs whose parties may have one
}

// pair is a leg that hears another one.
type pair struct{ listener, speaker conversation.LegID }

// PartsOf notes who has which part in the calls of s; nil: there are no calls.
func PartsOf(s *conversation.State) (all Parts) {
	for i := range s.Sessions {
		x := &s.Sessions[i]
		if x.Kind != conversation.SessionCall {
			continue
		}
		p := callParts{hears: map[pair]bool{}, may: map[conversation.LegID]bool{}}
		for _, h := range s.Hearing(x.ID) {
			for _, speaker := range h.Hears {
				p.hears[pair{h.Leg, speaker}] = true
			}
		}
		for j := range x.Legs {
			if l := &x.Legs[j]; l.State != conversation.LegEnded && s.MayRing(l.Party) {
				p.may[l.ID] = true
			}
		}
		if all == nil {
			all = Parts{}
		}
		all[x.ID] = p
	}
	return all
}

// PartsChanged returns the commands that bring the calls of s into line with what has changed since before: they say who
// hears whom from now on (H2, H3), and end the legs of people who no longer take part. Nothing is said of legs that
// have ended by themselves, since who is not there hears nobody. It changes before.
func (w *Work) PartsChanged(before Parts, s *conversation.State) (out []CallOut) {
	after := PartsOf(s)
	for i := range s.Sessions {
		x := &s.Sessions[i]
		if x.Kind != conversation.SessionCall || x.Pin == (conversation.Pin{}) || x.Account.IsZero() {
			continue // no call, or one that no process has yet
		}
		was, now := before[x.ID], after[x.ID]
		live := func(l conversation.LegID) bool {
			return slices.ContainsFunc(x.Legs, func(o conversation.Leg) bool { return o.ID == l && o.State != conversation.LegEnded })
		}
		for p := range was.hears {
			if !live(p.listener) || !live(p.speaker) {
				delete(was.hears, p)
			}
		}
		if !maps.Equal(was.hears, now.hears) && w.does(x, conversation.CallHear) {
			out = append(out, own(x, plugin.CallCommand{Hear: hearing(s, x.ID)}))
		}
		for j := range x.Legs {
			if l := x.Legs[j].ID; was.may[l] && !now.may[l] && live(l) && w.does(x, conversation.CallHangUp) {
				out = append(out, own(x, plugin.CallCommand{HangUp: &plugin.CallHangUp{Leg: l, Cause: conversation.CauseHangup}}))
			}
		}
	}
	return out
}

// does reports whether the plugin of a call carries out a command. What a plugin does is known where it runs; elsewhere
// the plugin itself answers for it.
func (w *Work) does(x *conversation.Session, name string) bool {
	info, ok := w.convs.Plugin(x.Plugin)
	return ok && slices.Contains(info.Calls, name) || !ok && x.Pin.Node != w.node
}

// own makes a command that the gateway itself gives. No event names it.
func own(x *conversation.Session, do plugin.CallCommand) CallOut {
	do.Session = x.ID
	return CallOut{Command: conversation.NewID[conversation.MessageID](), Account: x.Account, Pin: x.Pin, Do: &do}
}

func hearing(s *conversation.State, id conversation.SessionID) *plugin.CallHearing {
	h := &plugin.CallHearing{Legs: []plugin.LegHears{}}
	for _, l := range s.Hearing(id) {
		h.Legs = append(h.Legs, plugin.LegHears{Leg: l.Leg, Hears: l.Hears})
	}
	return h
}

// failureCircle is who learns that a command for a call failed: those who may know of the command, and of the legs
// that it concerns (H3); zero: its type's. x is nil when the call is over.
func failureCircle(x *conversation.Session, f *FailedCall) conversation.Audience {
	c := f.Circle
	if x == nil {
		return c
	}
	for i := range x.Legs {
		if l := &x.Legs[i]; f.Do.Hear != nil || l.ID == f.Do.Leg() {
			c = max(c, l.Circle)
		}
	}
	return c
}
