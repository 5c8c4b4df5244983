package conversation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/parley-gateway/parley/core/conversation"
)

// update writes the goldens that are missing and the folded state. A golden
// that exists is a released version of an event: it is never rewritten.
var update = flag.Bool("update", false, "write missing goldens")

// golden is one event as `parley log` prints it.
type golden struct {
	Seq  uint64          `json:"seq"`
	At   time.Time       `json:"at"`
	Type Type            `json:"type"`
	Head json.RawMessage `json:"head"`
	Body json.RawMessage `json:"body,omitempty"`
}

func goldenFile(t Type) string {
	return filepath.Join("testdata", "events", strings.ReplaceAll(string(t), "/", "@")+".json")
}

func readGoldens(t *testing.T) []golden {
	t.Helper()
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := strict(b, &g); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if goldenFile(g.Type) != f {
			t.Fatalf("%s holds a %s", f, g.Type)
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b golden) int { return int(a.Seq) - int(b.Seq) })
	return all
}

func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// TestGoldens: every released type has a golden file, decodes strictly and encodes to the same
// bytes, and all of them in sequence fold to the golden state.
func TestGoldens(t *testing.T) {
	if *update {
		writeGoldens(t)
	}
	goldens := readGoldens(t)
	seen := map[Type]bool{}
	s := &State{}
	for _, g := range goldens {
		seen[g.Type] = true
		head, err := DecodeHead(g.Type, g.Head)
		if err != nil {
			t.Fatalf("%s: %v", g.Type, err)
		}
		if err := strict(g.Head, head); err != nil {
			t.Errorf("%s: the head lost a field: %v", g.Type, err)
		}
		ev := Event{Seq: g.Seq, At: g.At, Head: head, Body: g.Body}
		again, err := Encode(ev)
		if err != nil {
			t.Fatalf("Encode(%s): %v", g.Type, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, g.Head); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(compact.String(), string(again)); d != "" {
			t.Errorf("%s encodes differently now (-golden +got):\n%s", g.Type, d)
		}
		if err := s.Apply(ev); err != nil {
			t.Fatalf("Apply(%s): %v", g.Type, err)
		}
		checkBody(t, g)
	}
	for _, typ := range Types() {
		if !seen[typ] {
			t.Errorf("no golden of %s: run go test -update", typ)
		}
	}
	compareState(t, s)
}

func compareState(t *testing.T, s *State) {
	t.Helper()
	got, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/state.json"
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
		t.Errorf("state folded from the goldens (-want +got):\n%s", d)
	}
	var back State
	if err := strict(want, &back); err != nil {
		t.Errorf("a row no longer decodes: %v", err)
	}
}

// checkBody checks that a golden's body has the shape that bodies.go gives its type.
func checkBody(t *testing.T, g golden) {
	t.Helper()
	shapes := map[Type]any{
		TypeStarted: &StartedBody{}, TypeAssigned: &AssignedBody{}, TypeEndpointAdded: &EndpointBody{},
		TypeCustomerUpdated: &CustomerBody{}, TypePageVisited: &PageBody{}, TypeMessage: &MessageBody{},
		TypeMessageStatus: &StatusBody{}, TypeParticipantJoined: &NameBody{}, TypeInactivityWarned: &NoticeBody{},
		TypeWrapupEnded: &WrapupBody{}, TypeSessionPanel: &PanelBody{}, TypeSessionLeg: &NameBody{}, TypeSessionCustomerPanel: &PanelBody{}, TypeSessionNoted: &NoticeBody{},
		TypeSessionDigits: &DigitsBody{}, TypeSessionRecorded: &RecordingBody{}, TypeSupervisorJoined: &NameBody{}, TypeNote: &MessageBody{}, TypeConsentChanged: &ConsentBody{}, TypeMessageNamed: &NamedBody{},
	}
	shape, ok := shapes[g.Type]
	if ok != (g.Body != nil) {
		t.Errorf("%s: body in golden: %t, shape known: %t", g.Type, g.Body != nil, ok)
		return
	}
	if ok {
		if err := strict(g.Body, shape); err != nil {
			t.Errorf("body of %s: %v", g.Type, err)
		}
	}
}

func writeGoldens(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll("testdata/events", 0o750); err != nil {
		t.Fatal(err)
	}
	for i, ev := range story() {
		file := goldenFile(ev.Head.Type())
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		head, err := Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{Seq: uint64(i + 1), At: t0.Add(time.Duration(i) * time.Second), Type: ev.Head.Type(), Head: head, Body: ev.Body}
		b, err := json.MarshalIndent(g, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// story is one event of each type with every field set; it need not be one
// that Decide would allow. New types and versions go to its end.
func story() []Event {
	rules := Rules{
		OfferTimeout: 20_000, InactivityWarn: 300_000, InactivityEnd: 600_000, UnansweredEnd: 3_600_000,
		WrapupLimit: 60_000, RequeueAfter: 120_000, ParkAfter: 900_000, OwnerFirst: 300_000, ParkedEnd: 604_800_000, DispositionNeeded: true,
		Medium: "chat", Share: 25, Spare: 25, Skills: "billing,english", Priority: 30,
	}
	endpoint := Endpoint{Account: AccountID{0xac, 15: 1}, Thread: "8f14e45fceea167a"}
	body := func(s string) json.RawMessage { return json.RawMessage(s) }
	return []Event{
		{Head: &Started{
			ID: conv(1), Kind: Inbound, Channel: "webchat", Endpoint: endpoint, Contact: ContactID{0xcc, 15: 1},
			Capabilities: Capabilities{
				Text: true, RichText: true, Files: true, Location: true, Choices: true, Template: true, Reaction: true, Edit: true,
				Revoke: true, Typing: true, Read: true, Receipts: true, Links: true, Page: true, Panels: true, Calls: true,
				OutboundFirst: true, ReplyWindow: 24, Counter: "utf16", MaxLength: 4000, OfferTitle: "Web Chat", Medium: "chat",
				Icon: "chat", Connected: true,
			},
			ProviderAt: t0, ReceivedAt: t0,
		}, Body: body(`{"address":"web:v1","thread":"v1","name":"Cara Fox","locale":"en","page":{"url":"https://shop.example/","title":"Shop"}}`)},
		{Head: &Assigned{Service: service(1), Rules: rules}, Body: body(`{"name":"Sales"}`)},
		{Head: &MessagePosted{
			ID: message(1), Author: customer, ClientID: "c-1", Kinds: []PartKind{PartText, PartFile}, Blobs: []BlobID{{0xb0, 15: 1}},
			ReplyTo: message(9), Endpoint: 1, ProviderAt: t0, ReceivedAt: t0,
		}, Body: body(`{"parts":[{"kind":"text","text":"Hello"}],"name":"Cara Fox"}`)},
		{Head: &RoutingRequested{
			Request: request(1), Target: Target{Kind: TargetDirectory, Service: service(2)}, Cause: CauseTransfer,
			InvitedBy: agent(1), WaitingSince: t0, DeclinedBy: []AgentID{agent(2)}, Rules: &rules,
		}},
		{Head: &RoutingOffered{Request: request(1), Offer: offer(1), Agent: agent(1), ExpiresAt: t0.Add(time.Minute), Invite: true, Epoch: 3}},
		{Head: &RoutingDeclined{Request: request(1), Offer: offer(1), Agent: agent(1), Cause: CauseExpired}},
		{Head: &JoinedBy{Agent: agent(1), Request: request(1), Offer: offer(2)}},
		{Head: &ParticipantJoined{Who: agentAuthor(1)}, Body: body(`{"name":"Ana"}`)},
		{Head: &EndpointAdded{Channel: "sms", Endpoint: endpoint, Capabilities: smsCaps}, Body: body(`{"address":"+15550001111","thread":"+15550001111"}`)},
		{Head: &CustomerUpdated{}, Body: body(`{"email":"cara@example.com"}`)},
		{Head: &ContactLinked{Contact: ContactID{0xcc, 15: 2}, By: agentAuthor(1)}},
		{Head: &PageVisited{}, Body: body(`{"url":"https://shop.example/cart"}`)},
		{Head: &MessageStatus{Message: message(1), Status: StatusFailed, Kind: "address", Code: "30003"}, Body: body(`{"text":"Unreachable handset"}`)},
		{Head: &Receipt{By: customer, Delivered: 8, Read: 7}},
		{Head: &FlagSet{By: agent(1)}},
		{Head: &FlagCleared{By: agent(1)}},
		{Head: &InactivityWarned{EndsAt: t0.Add(10 * time.Minute)}, Body: body(`{"text":"Are you still there?"}`)},
		{Head: &InactivityCancelled{}},
		{Head: &RoutingCancelled{Request: request(1), Offer: offer(1), Agent: agent(1), Cause: CauseAbandoned}},
		{Head: &Parked{Owner: agent(1), Cause: CauseIdle}},
		{Head: &Unparked{Owner: agent(1), Cause: CauseReply}},
		{Head: &Ended{By: agentAuthor(1), Cause: CauseAgent}},
		{Head: &ParticipantLeft{Who: agentAuthor(1), Cause: CauseEnded}},
		{Head: &WrapupStarted{Agent: agent(1), Until: t0.Add(time.Hour)}},
		{Head: &WrapupEnded{Agent: agent(1), Disposition: "sold", Cause: CauseFinished}, Body: body(`{"notes":"called back"}`)},
		{Head: &Concluded{}},
		{Head: &ConsentChanged{Out: true}, Body: body(`{"keyword":"STOP"}`)},
		{Head: &MessageSettled{Message: message(1), Outcome: OutcomeResend, By: agent(1)}},
		{Head: &SessionRequested{
			Session: session(1), Kind: SessionCall, Plugin: "voice", Account: AccountID{0xac, 15: 2}, Pin: here,
			By: customer, For: agentAuthor(1), Circle: AudienceCustomer,
		}},
		{Head: &SessionChanged{Session: session(1), State: SessionStateActive, Pin: here, Circle: AudienceCustomer}},
		{Head: &SessionLeg{Session: session(1), Leg: Leg{
			ID: leg(1), Party: customer, Kind: LegSIP, State: LegEnded, Audio: true, Video: true, Muted: true, Cause: CauseFailed, Code: "486",
		}}, Body: body(`{"name":"Cara Fox"}`)},
		{Head: &SessionPanel{Session: session(1), Revision: 3}, Body: body(`{"blocks":[{"type":"text","text":"Waiting"}]}`)},
		{Head: &SessionEnded{Session: session(2), Kind: SessionTool, By: Author{Kind: System}, Cause: CauseLost, Code: "gone", Circle: AudienceAgent}},
		{Head: &SupervisorJoined{Agent: agent(3), Mode: ModeCoach, Circle: AudienceAgent}, Body: body(`{"name":"Sue"}`)},
		{Head: &Note{
			ID: message(2), Author: Author{Kind: Supervisor, Agent: agent(3)}, ClientID: "c-2", Kinds: []PartKind{PartText, PartFile}, Blobs: []BlobID{{0xb0, 15: 2}},
		}, Body: body(`{"parts":[{"kind":"text","text":"Offer her the discount"}],"name":"Sue"}`)},
		{Head: &SupervisorLeft{Agent: agent(4), Mode: ModeMonitor, Cause: CauseSupervisor, Circle: AudienceSupervisor}},
		{Head: &SessionCustomerPanel{Session: session(1), Revision: 2}, Body: body(`{"blocks":[{"type":"button","id":"accept"}]}`)},
		{Head: &SessionNoted{Session: session(1), Circle: AudienceCustomer}, Body: body(`{"text":"The customer shares a page."}`)},
		{Head: &SessionDigits{Session: session(1), Leg: leg(1), Play: message(3), Cancelled: true}, Body: body(`{"digits":"12#"}`)},
		{Head: &SessionRecorded{Session: session(1), Blob: BlobID{0xb0, 15: 3}, Begun: t0, Duration: 61_000},
			Body: body(`{"file":{"blob":"b0000000-0000-0000-0000-000000000003","name":"call.wav","mime":"audio/wav","size":2000}}`)},
		{Head: &SessionCommand{Session: session(1), Command: message(4), What: "hold", Leg: leg(1), By: agentAuthor(1)}},
		{Head: &SessionCommandFailed{Session: session(1), Command: message(4), What: "hold", Kind: "temporary", Code: "488"}},
		{Head: &ContentRewritten{By: agentAuthor(1), Seqs: []uint64{3, 10}, Reason: "masked", Circle: AudienceCustomer}},
		{Head: &MessageNamed{Message: message(1), Circle: AudienceAgent, Ignorable: true}, Body: body(`{"provider_ids":["wamid.1","wamid.2"]}`)},
		{Head: &WindowChanged{Endpoint: 1, Expires: t0.Add(24 * time.Hour), ProviderAt: t0}},
	}
}
