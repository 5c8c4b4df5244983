package eventlog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/eventlog"
)

func TestMergeAgents(t *testing.T) {
	agent := func(n byte, active bool) eventlog.ConversationAgent {
		return eventlog.ConversationAgent{Agent: eventlog.StreamID{n}, Active: active}
	}
	type list = []eventlog.ConversationAgent
	for name, c := range map[string]struct{ stored, now, want list }{
		"first":        {nil, list{agent(1, true)}, list{agent(1, true)}},
		"none":         {nil, nil, list{}},
		"left out":     {list{agent(1, true), agent(2, true)}, list{agent(2, true)}, list{agent(1, false), agent(2, true)}},
		"all left out": {list{agent(1, true)}, nil, list{agent(1, false)}},
		"returns":      {list{agent(1, false)}, list{agent(1, true)}, list{agent(1, true)}},
		"joins":        {list{agent(1, true)}, list{agent(2, true), agent(1, true)}, list{agent(1, true), agent(2, true)}},
		"named twice":  {nil, list{agent(1, true), agent(1, false)}, list{agent(1, false)}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, eventlog.MergeAgents(c.stored, c.now)); d != "" {
				t.Errorf("MergeAgents(%v, %v) (-want +got):\n%s", c.stored, c.now, d)
			}
		})
	}
}

func TestOutboxStates(t *testing.T) {
	states := []eventlog.OutboxState{
		eventlog.OutboxQueued, eventlog.OutboxBegun, eventlog.OutboxUnknown, eventlog.OutboxSettled,
	}
	for _, from := range states {
		if !from.Known() {
			t.Errorf("%s is not known", from)
		}
		if want := from != eventlog.OutboxSettled && from != eventlog.OutboxUnknown; from.Pending() != want {
			t.Errorf("%s: Pending %v, want %v", from, from.Pending(), want)
		}
		for _, to := range append(states, "") {
			for _, row := range []eventlog.OutboxRow{{Node: "mine", Epoch: 2}, {Node: "other", Epoch: 2}, {Node: "mine", Epoch: 4}} {
				row.State = from
				want := from != eventlog.OutboxSettled || to == eventlog.OutboxSettled || to == ""
				if from.Pending() && to != eventlog.OutboxSettled && to != "" {
					want = row.Node == "mine" && row.Epoch == 2 // promises.md 4.10: only the node to which the row has belonged all the time
				}
				if to == eventlog.OutboxBegun && !from.Pending() {
					want = false // an unknown command never begins (PR4)
				}
				u := eventlog.OutboxUpdate{State: to, Node: "mine", Epoch: 2}
				if u.Fits(row) != want {
					t.Errorf("%s of %s in epoch %d to %q: got %v, want %v", from, row.Node, row.Epoch, to, !want, want)
				}
			}
		}
	}
	if eventlog.OutboxState("").Known() {
		t.Error("the empty state is known")
	}
}
