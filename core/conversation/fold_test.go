package conversation_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/parley-gateway/parley/core/conversation"
)

func TestApplyStopsAt(t *testing.T) {
	type foreign struct{ *Concluded }
	c := web(t)
	before := row(c.s)
	for _, tc := range []struct {
		name string
		ev   Event
		want error
	}{
		{"a gap", Event{Seq: c.s.Seq + 2, Head: &Concluded{}}, ErrSequence},
		{"a repeat", Event{Seq: c.s.Seq, Head: &Concluded{}}, ErrSequence},
		{"no head", Event{Seq: c.s.Seq + 1}, ErrUnknownType},
		{"a foreign head", Event{Seq: c.s.Seq + 1, Head: foreign{}}, ErrUnknownType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "a foreign head" {
				tc.ev.Head = foreign{&Concluded{}}
			}
			if err := c.s.Apply(tc.ev); !errors.Is(err, tc.want) {
				t.Fatalf("Apply = %v, want %v", err, tc.want)
			}
			if d := cmp.Diff(before, row(c.s)); d != "" {
				t.Fatalf("state changed:\n%s", d)
			}
		})
	}
}

func TestDecideRefuses(t *testing.T) {
	none := newScene(t)
	none.refuses(Tick{}, ErrNotStarted).refuses(nil, ErrNotStarted).refuses((*Post)(nil), ErrNotStarted)
	start := startWeb()
	for name, change := range map[string]func(*Start){
		"no id":        func(c *Start) { c.ID = ConversationID{} },
		"no kind":      func(c *Start) { c.Kind = "" },
		"for nobody":   func(c *Start) { c.Service = ServiceID{} },
		"by nobody":    func(c *Start) { c.Kind = Outbound },
		"no request":   func(c *Start) { c.Request = RequestID{} },
		"empty words":  func(c *Start) { c.First = &Post{ID: message(1), Author: customer} },
		"no endpoint":  func(c *Start) { c.First.Endpoint = 3 },
		"odd customer": func(c *Start) { c.First.Author.Agent = agent(1) },
	} {
		bad := start
		bad.First = post(1, customer)
		change(&bad)
		if _, err := Decide(nil, bad, t0); !errors.Is(err, ErrInvalid) {
			t.Errorf("start with %s: %v, want %v", name, err, ErrInvalid)
		}
	}
	c := webActive(t)
	c.refuses(start, ErrAlreadyStarted).refuses(nil, ErrInvalid).refuses((*Post)(nil), ErrInvalid)
	c.refuses(&Post{ID: message(1), Kinds: []PartKind{PartText}, Author: Author{Kind: "x"}}, ErrInvalid)
	c.refuses(SetStatus{Message: message(1), Status: "lost"}, ErrInvalid)
	c.refuses(Offer{Request: request(9), Offer: offer(1), Agent: agent(1)}, ErrNoSuchRequest)
	c.refuses(CancelInvite{Request: request(9), By: agent(1)}, ErrNoSuchRequest)
	c.refuses(Decline{Offer: offer(9), Agent: agent(1)}, ErrOfferGone)
	c.refuses(Visit{}, ErrInvalid).refuses(UpdateCustomer{}, ErrInvalid).refuses(LinkContact{}, ErrInvalid)
	c.refuses(End{}, ErrInvalid).refuses(Join{}, ErrInvalid).refuses(BotLeave{}, ErrNotJoined)
}

func TestCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("other"), ""},
		{ErrEnded, "ended"},
		{ErrInvitePending, "invite_pending"},
		{errors.Join(errors.New("send"), ErrReplyWindow), "reply_window"},
	} {
		if got := Code(tc.err); got != tc.want {
			t.Errorf("Code(%v) = %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestLastVisibleFollowsTheCircles(t *testing.T) {
	c := web(t) // started(1) and message(3) are for all, assigned(2) and routing(4) for agents
	want := ByAudience{AudienceCustomer: 3, AudienceBot: 3, AudienceAgent: 4, AudienceSupervisor: 4, AudienceAudit: 4}
	if c.s.LastVisible != want {
		t.Fatalf("LastVisible = %v, want %v", c.s.LastVisible, want)
	}
	if AudienceCustomer.Sees(AudienceAgent) || !AudienceAudit.Sees(AudienceCustomer) {
		t.Fatal("the circles are not nested")
	}
}

// Times must survive JSON and stores with a resolution of milliseconds.
func TestTimesAreCleaned(t *testing.T) {
	c := newScene(t)
	c.now = time.Now().In(time.FixedZone("x", 3600))
	start := startWeb()
	start.ProviderAt, start.ReceivedAt = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), c.now
	c.do(start)
	h := last[*Started](c)
	if !h.ProviderAt.IsZero() || h.ReceivedAt != c.now.UTC().Truncate(time.Millisecond) {
		t.Fatalf("times %v, %v", h.ProviderAt, h.ReceivedAt)
	}
}

func TestParts(t *testing.T) {
	blob := BlobID{1}
	parts := []Part{
		{Kind: PartText, Text: "a"}, {Kind: PartFile, File: &File{Blob: blob}}, {Kind: PartText, Text: "b"}, {Kind: PartFile, File: &File{}},
	}
	if d := cmp.Diff([]PartKind{PartText, PartFile}, Kinds(parts)); d != "" {
		t.Errorf("Kinds (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]BlobID{blob}, Blobs(parts)); d != "" {
		t.Errorf("Blobs (-want +got):\n%s", d)
	}
}

func TestIDs(t *testing.T) {
	id := NewID[AgentID]()
	back, err := ParseID[AgentID](id.String())
	if err != nil || back != id {
		t.Fatalf("ParseID(%s) = %v, %v", id, back, err)
	}
	for _, bad := range []string{"", "x", "urn:uuid:" + id.String(), id.String()[:35]} {
		if _, err := ParseID[AgentID](bad); err == nil {
			t.Errorf("ParseID(%q) takes it", bad)
		}
	}
	var scanned AgentID
	for _, tc := range []struct {
		src any
		ok  bool
	}{{agent(3), false}, {[]byte{1}, false}, {nil, true}, {[]byte("0123456789abcdef"), true}} {
		if err := scanned.Scan(tc.src); (err == nil) != tc.ok {
			t.Errorf("Scan(%T) = %v", tc.src, err)
		}
	}
	if v, err := scanned.Value(); err != nil || string(v.([]byte)) != "0123456789abcdef" {
		t.Errorf("Value() = %v, %v", v, err)
	}
}

// FuzzDecodeHead: decoding must not panic, whatever bytes a store returns, and a head that decodes
// must fold and encode.
func FuzzDecodeHead(f *testing.F) {
	for _, ev := range story() {
		head, err := Encode(ev)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(ev.Head.Type()), head)
	}
	f.Fuzz(func(t *testing.T, typ string, head []byte) {
		h, err := DecodeHead(Type(typ), head)
		if err != nil {
			return
		}
		ev := Event{Seq: 1, At: t0, Head: h}
		s := &State{}
		if err := s.Apply(ev); err != nil {
			t.Fatalf("Apply(%s %s): %v", typ, head, err)
		}
		s.NextDeadline()
		_ = s.Display()
		if _, err := Decide(s, Tick{}, t0); err != nil && Code(err) == "" {
			t.Fatalf("Tick after %s %s: %v", typ, head, err)
		}
		again, err := Encode(ev)
		if err != nil {
			t.Fatalf("Encode(%s %s): %v", typ, head, err)
		}
		if !json.Valid(again) {
			t.Fatalf("Encode(%s %s) = %s", typ, head, again)
		}
	})
}
