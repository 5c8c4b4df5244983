package stream_test

import (
	"slices"
	"testing"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

// Every access to a recorded conversation by a frame or a command leaves a line in
// the audit trail (SPEC Z5). One that is in neither table fails here: say which it is.
func TestEveryCommandIsAuditedOrSaysWhyNot(t *testing.T) {
	const (
		noContent  = "shows nothing of a conversation but ids"
		ownWork    = "needs to take part, or makes one take part: the conversation's log tells of it"
		notOfThem  = "is about records or people of the house, not about conversations"
		ownSession = "is about one's own session or state"
	)
	audited := []string{"watch", "supervise", "unsupervise"} // the last two by TestSuperviseIsAudited
	whyNot := map[string]string{
		"hello": "what follows is what the agent takes part in or keeps", "cmd": "see the commands", "unwatch": noContent, "typing": noContent, "ping": noContent,
		"board": notOfThem, "ready": ownSession, "not_ready": ownSession, "logout": ownSession, "recent_seen": ownSession,
		"accept": ownWork, "reject": ownWork, "send": ownWork, "note": ownWork, "mark": ownWork, "end": ownWork, "wrapup": ownWork, "invite": ownWork,
		"cancel_invite": ownWork, "flag": ownWork, "link_contact": ownWork, "join": ownWork,
		"text": "begins a conversation of one's own; of one that is open it names the owner only", "settle": noContent,
	}
	names := append(stream.CommandNames(), streamtest.FrameNames(t)...)
	for _, name := range names {
		if slices.Contains(audited, name) == (whyNot[name] != "") {
			t.Errorf("%s: say whether it is audited or why not", name)
		}
	}
	for name := range whyNot {
		if !slices.Contains(names, name) {
			t.Errorf("%s is no frame or command any more", name)
		}
	}

	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	sue := d.hello("sue", nil)
	for n, after := range []int{0, 1, 1000} {
		sue.Say(map[string]any{"t": "watch", "conversation": conv, "after": after})
		sue.Say(`{"t":"unwatch","conversation":"` + conv.String() + `"}`)
		sue.Say(map[string]any{"t": "cmd", "id": "done", "cmd": "ready"}) // its answer shows that the watch before it was dealt with
		sue.Until("ack")
		d.records.mu.Lock()
		trail := slices.Clone(d.records.trail)
		d.records.mu.Unlock()
		if len(trail) != n+1 || trail[n].Action != audit.TranscriptRead || trail[n].ObjectID != conv.String() || trail[n].Actor.User != d.sue.User {
			t.Errorf("watched after %d: the trail is %+v, want a line for each watch", after, trail)
		}
	}
}

// H4: every join, change of mode and leave of a supervisor is a line in the audit trail; what changes
// nothing is none.
func TestSuperviseIsAudited(t *testing.T) {
	d := newDesk(t, stream.Options{})
	conv := d.router.Open(streamtest.Service(), streamtest.Account())
	sue := d.hello("sue", nil)
	var want []string
	for _, c := range []struct{ mode, line string }{{"monitor", "monitor"}, {"coach", "coach"}, {"coach", ""}, {"barge", "barge"}, {"", "left"}, {"", ""}} {
		frame := map[string]any{"t": "cmd", "id": "x", "cmd": "supervise", "conversation": conv, "mode": c.mode}
		if c.mode == "" {
			frame["cmd"] = "unsupervise"
			delete(frame, "mode")
		}
		sue.Say(frame)
		sue.Until("ack")
		if c.line != "" {
			want = append(want, c.line)
		}
	}
	d.records.mu.Lock()
	defer d.records.mu.Unlock()
	var got []string
	for _, e := range d.records.trail {
		if e.Action == audit.Supervised && e.ObjectID == conv.String() && e.Actor.User == d.sue.User {
			got = append(got, e.Reason)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the trail has %q, want %q", got, want)
	}
}
