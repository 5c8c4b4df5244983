package router_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// studio is a filing with a plugin whose calls are recorded.
type studio struct {
	*filing
	r            *router.Router
	phone, other conversation.AccountID
}

func newStudio(t *testing.T) *studio {
	t.Helper()
	f := newFiling(t, nil)
	s := &studio{filing: f}
	for name, id := range map[string]*conversation.AccountID{"phone": &s.phone, "other": &s.other} {
		acc, err := f.dir.PutAccount(t.Context(), directory.Account{Plugin: "phone", Name: name, Service: f.service.ID, Enabled: true}, nil)
		must(t, err)
		*id = acc.ID
	}
	s.r = f.start("n1")
	s.r.PluginReady("phone", "phone-1", newPort(plugin.Info{ID: "phone", Channel: true, Capabilities: conversation.Capabilities{Calls: true}}))
	return s
}

func (s *studio) says(account conversation.AccountID, thread, key string, e plugin.CallEvent) plugin.Ack {
	s.t.Helper()
	if e.Session.IsZero() {
		e.Session = theCall
	}
	return ingest(s.r, plugin.Inbound{Plugin: "phone", Instance: "phone-1", Account: account, Thread: thread, DedupeKey: key, Call: &e})
}

// rings has a call come in on a thread.
func (s *studio) rings(thread string, id conversation.SessionID) conversation.ConversationID {
	s.t.Helper()
	a := s.says(s.phone, thread, "in "+thread, plugin.CallEvent{Session: id, Incoming: &plugin.CallIncoming{
		Address: "+15550001111", Leg: conversation.Leg{ID: conversation.LegID{1}, Kind: conversation.LegSIP, State: conversation.LegRinging}}})
	if a.Status != plugin.Committed {
		s.t.Fatalf("the call that came in: %+v", a)
	}
	return a.Conversation
}

// record stores a recording as a plugin does. The store is asked for what is in a file, so a WAV header comes first.
func (s *studio) record(account conversation.AccountID, thread, name string) conversation.File {
	s.t.Helper()
	f, err := s.plugins.Put(s.t.(*testing.T).Context(), account, thread, name, "audio/wav", strings.NewReader("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"+name))
	must(s.t, err)
	return f
}

func recorded(f conversation.File) plugin.CallEvent {
	return plugin.CallEvent{Recording: &plugin.CallRecording{File: conversation.File{Blob: f.Blob, Name: "a lie", Size: 1}, Begun: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC), Duration: 61 * time.Second}}
}

// recordings returns the recordings that a circle sees in a conversation.
func (s *studio) recordings(conv conversation.ConversationID, a conversation.Audience) (heads []conversation.SessionRecorded, files []conversation.File) {
	s.t.Helper()
	recs, err := s.r.Records(s.t.(*testing.T).Context(), conv, a, 0, 1000)
	must(s.t, err)
	for _, rec := range recs {
		if rec.Type != conversation.TypeSessionRecorded {
			continue
		}
		var h conversation.SessionRecorded
		var b conversation.RecordingBody
		unmarshal(s.t.(*testing.T), rec.Head, &h)
		if rec.Body != nil { // else it was masked
			unmarshal(s.t.(*testing.T), rec.Body, &b)
		}
		heads, files = append(heads, h), append(files, b.File)
	}
	return heads, files
}

func (s *studio) committed(what string, a plugin.Ack, conv conversation.ConversationID) uint64 {
	s.t.Helper()
	if a.Status != plugin.Committed || a.Conversation != conv || a.Seq == 0 {
		s.t.Errorf("%s: %+v, want committed in %s", what, a, conv)
	}
	return a.Seq
}

// A recording is its conversation's, whenever it is reported, and a report that comes again adds nothing.
func TestRecordings(t *testing.T) {
	s := newStudio(t)
	conv := s.rings("call-1", theCall)
	during := s.record(s.phone, "call-1", "first.wav")
	repeats := func(what string, a plugin.Ack, seq uint64) {
		t.Helper()
		if a.Status != plugin.Duplicate || a.Conversation != conv || a.Seq != seq {
			t.Errorf("%s: %+v, want a duplicate of %d", what, a, seq)
		}
	}
	seq := s.committed("during the call", s.says(s.phone, "call-1", "rec-1", recorded(during)), conv)
	repeats("the same again", s.says(s.phone, "call-1", "rec-1", recorded(during)), seq)
	repeats("again under another key", s.says(s.phone, "call-1", "rec-1 again", recorded(during)), seq)
	s.committed("the end", s.says(s.phone, "call-1", "end", plugin.CallEvent{Ended: &plugin.CallEnded{}}), conv)
	after := s.record(s.phone, "call-1", "second.wav")
	s.committed("after the call", s.says(s.phone, "call-1", "rec-2", recorded(after)), conv)
	if a := ingest(s.r, plugin.Inbound{Plugin: "phone", Account: s.phone, Thread: "call-1", DedupeKey: "bye", Action: &plugin.CustomerAction{End: true}}); a.Status != plugin.Committed {
		t.Fatalf("end: %+v", a)
	}
	late := s.record(s.phone, "", "third.wav")
	seq = s.committed("after the conversation", s.says(s.phone, "call-1", "rec-3", recorded(late)), conv)
	repeats("after the conversation, again", s.says(s.phone, "call-1", "rec-3", recorded(late)), seq)
	repeats("after the conversation, under another key", s.says(s.phone, "call-1", "rec-3 again", recorded(late)), seq)
	next := s.rings("call-1b", conversation.SessionID{0x55, 15: 10})
	latest := s.record(s.phone, "", "fourth.wav")
	seq = s.committed("on a thread that another conversation has by now", s.says(s.phone, "call-1b", "rec-4", recorded(latest)), conv)
	repeats("there again", s.says(s.phone, "call-1b", "rec-4", recorded(latest)), seq)

	heads, files := s.recordings(conv, conversation.AudienceAgent)
	want := []conversation.File{during, after, late, latest}
	if len(heads) != len(want) || !slices.Equal(files, want) {
		t.Fatalf("recordings %+v, want %+v", files, want) // what the store knows of them, not what the plugin said
	}
	for i, h := range heads {
		if h.Session != theCall || h.Blob != want[i].Blob || h.Duration != 61_000 || h.Begun.IsZero() {
			t.Errorf("recording %d: %+v", i, h)
		}
		if row := s.row(h.Blob); !row.Used || row.Conversation != conv {
			t.Errorf("recording %d is %+v; want used by its conversation", i, row)
		}
	}
	for _, a := range []conversation.Audience{conversation.AudienceCustomer, conversation.AudienceBot} {
		if heads, _ := s.recordings(conv, a); len(heads) > 0 {
			t.Errorf("%s sees recordings", a)
		}
	}
	if heads, _ := s.recordings(next, conversation.AudienceAudit); len(heads) > 0 {
		t.Error("another conversation has the recording, too")
	}
	if rows, err := blob.NewTable(s.dir.Database()).OfConversation(t.Context(), conv); err != nil || len(rows) != len(want) {
		t.Errorf("the conversation has %d files, %v; want %d", len(rows), err, len(want))
	}
	// They are kept when the store cleans up.
	if _, err := s.store.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range want {
		if _, content, err := s.store.Open(t.Context(), f.Blob); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		} else {
			must(t, content.Close())
		}
	}
}

func TestRecordingRefusals(t *testing.T) {
	s := newStudio(t)
	conv := s.rings("call-1", theCall)
	other := s.rings("call-2", conversation.SessionID{0x55, 15: 10})
	mine := s.record(s.phone, "call-1", "mine.wav")
	s.committed("mine", s.says(s.phone, "call-1", "mine", recorded(mine)), conv)
	for name, c := range map[string]struct {
		account conversation.AccountID
		event   plugin.CallEvent
		want    string
	}{
		"a call that never was":                     {s.phone, plugin.CallEvent{Session: conversation.SessionID{7}, Recording: recorded(s.record(s.phone, "", "a.wav")).Recording}, "unknown_session"},
		"another account's call":                    {s.other, recorded(s.record(s.other, "", "b.wav")), "unknown_session"},
		"another account's file":                    {s.phone, recorded(s.record(s.other, "", "c.wav")), "invalid"},
		"another thread's file":                     {s.phone, recorded(s.record(s.phone, "call-2", "d.wav")), "invalid"},
		"no such file":                              {s.phone, recorded(conversation.File{Blob: conversation.NewID[conversation.BlobID]()}), "invalid"},
		"no file":                                   {s.phone, recorded(conversation.File{}), "invalid"},
		"a duration below zero":                     {s.phone, plugin.CallEvent{Recording: &plugin.CallRecording{File: mine, Duration: -1}}, "invalid"},
		"another call's recording, said to be this": {s.phone, plugin.CallEvent{Session: conversation.SessionID{0x55, 15: 10}, Recording: recorded(mine).Recording}, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			if a := s.says(c.account, "call-1", "key "+name, c.event); a.Status != plugin.Refused || a.Code != c.want {
				t.Errorf("%+v, want refused %s", a, c.want)
			}
		})
	}
	for conv, want := range map[conversation.ConversationID]int{conv: 1, other: 0} {
		if heads, _ := s.recordings(conv, conversation.AudienceAudit); len(heads) != want {
			t.Errorf("%d recordings, want %d", len(heads), want)
		}
	}
}

// L8, PR21: a recording that is masked for good is gone with its content and its keys, and one that is not stays.
func TestRecordingMasked(t *testing.T) {
	s := newStudio(t)
	conv := s.rings("call-1", theCall)
	gone, kept := s.record(s.phone, "", canary+".wav"), s.record(s.phone, "call-1", "kept.wav")
	s.committed("one", s.says(s.phone, "call-1", "one", recorded(gone)), conv)
	s.committed("two", s.says(s.phone, "call-1", "two", recorded(kept)), conv)
	oldKey, blobKey := s.keyOf(conv), s.row(gone.Blob).KeyID
	w := masking(conversation.Author{Kind: conversation.Agent, Agent: s.agents["ana"]})
	w.Change = func(rec readers.Record) (json.RawMessage, error) {
		if bytes.Contains(rec.Body, []byte(canary)) {
			return nil, nil
		}
		return rec.Body, nil
	}
	must(t, s.r.Rewrite(t.Context(), conv, w))
	s.wantMasked(s.r, conv, oldKey)
	if row := s.row(gone.Blob); row.State != blob.StateDeleted || len(row.SealedName) > 0 {
		t.Errorf("the masked recording is %+v", row)
	}
	if _, err := s.vault.Seal(blobKey, nil, nil); err == nil {
		t.Error("the masked recording's own key is still there")
	}
	if _, _, err := s.store.Open(t.Context(), gone.Blob); err == nil {
		t.Error("the masked recording can still be opened")
	}
	f, content, err := s.store.Open(t.Context(), kept.Blob)
	must(t, err)
	must(t, content.Close())
	if f.Name != "kept.wav" {
		t.Errorf("the other recording is %+v", f)
	}
	// A report that comes again does not bring it back.
	if a := s.says(s.phone, "call-1", "one", recorded(gone)); a.Status != plugin.Duplicate {
		t.Errorf("the report again: %+v", a)
	}
	if heads, _ := s.recordings(conv, conversation.AudienceAgent); len(heads) != 2 {
		t.Errorf("%d recordings in the log, want the two", len(heads))
	}
}
